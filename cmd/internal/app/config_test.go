package app

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
	"pgregory.net/rapid"

	"github.com/parentpal/reminder-worker/cmd/internal/ops"
)

const someDatabase = "DATABASE_URL=postgresql://parent:pw@db.example.org/family"

// faults loads an environment and returns what is wrong with it, line by line.
func faults(environ ...string) []string {
	if _, err := Load(environ, ""); err != nil {
		return strings.Split(err.Error(), "\n")
	}
	return nil
}

func TestDefaultsAreValid(t *testing.T) {
	t.Parallel()
	c, err := Load([]string{someDatabase}, "")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]time.Duration{24 * time.Hour, 3 * time.Hour, 30 * time.Minute}, c.ReminderOffsets); diff != "" {
		t.Errorf("offsets (-want +got):\n%s", diff)
	}
	if c.WritesCalendars() || c.Zone() != time.UTC || c.HTTPAddr != "127.0.0.1:8080" || !c.MigrateOnStart {
		t.Errorf("defaults: %v", c)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	const encode = `not a connection string: characters such as @ : / ? # % in the password must be percent-encoded; one looks like postgresql://user:password@host:5432/database`
	for _, c := range []struct {
		name    string
		environ []string
		want    []string
	}{
		{"no database", nil, []string{
			"DATABASE_URL: missing; set it to your database's connection string, for example postgresql://user:password@host:5432/database (on Supabase: Connect, Direct connection)",
		}},
		{"Supabase without a password", []string{"EXPO_PUBLIC_SUPABASE_URL=https://abcdefgh.supabase.co"}, []string{
			"SUPABASE_DB_PASSWORD: missing; EXPO_PUBLIC_SUPABASE_URL alone gives no access to the database: set the database password, or DATABASE_URL",
		}},
		{"Supabase of one's own", []string{"EXPO_PUBLIC_SUPABASE_URL=https://supabase.example.org", "SUPABASE_DB_PASSWORD=pw"}, []string{
			"EXPO_PUBLIC_SUPABASE_URL: not the address of a hosted project (https://<ref>.supabase.co), so it does not tell where the database is; set DATABASE_URL instead",
		}},
		{"slash in the password", []string{"DATABASE_URL=postgresql://parent:pa/ss@db.example.org/family"}, []string{"DATABASE_URL: " + encode}},
		{"slash in a password of digits", []string{"DATABASE_URL=postgresql://parent:12/34@db.example.org/family"}, []string{"DATABASE_URL: " + encode}},
		{"question mark in a password of digits", []string{"DATABASE_URL=postgresql://parent:12?34@db.example.org/family"}, []string{"DATABASE_URL: " + encode}},
		{"at in the password", []string{"DATABASE_URL=postgresql://parent:Sup3r@Secret@db.example.org/family"}, []string{"DATABASE_URL: " + encode}},
		{"hash in a password of digits", []string{"SUPABASE_DB_URL=postgresql://parent:12#34@db.example.org/family"}, []string{"SUPABASE_DB_URL: " + encode}},
		{"per cent in the password", []string{"DATABASE_URL=postgresql://parent:100%@db.example.org/family"}, []string{"DATABASE_URL: " + encode}},
		{"blank in a password of the key=value form", []string{"DATABASE_URL=password=two words host=db.example.org"}, []string{
			"DATABASE_URL: not a connection string: neither a URL nor a list of key=value settings, or one of the settings is wrong; one looks like postgresql://user:password@host:5432/database",
		}},
		{"unknown sslmode", []string{"DATABASE_URL=postgresql://parent:pw@db.example.org/family?sslmode=maybe"}, []string{
			"DATABASE_URL: not a connection string: sslmode is invalid; one looks like postgresql://user:password@host:5432/database",
		}},
		{"half an OAuth client", []string{someDatabase, "GOOGLE_CLIENT_ID=client"}, []string{
			"GOOGLE_CLIENT_SECRET: missing; GOOGLE_CLIENT_ID is of no use without it",
		}},
		{"addresses", []string{someDatabase, "GOOGLE_TOKEN_URL=oauth2.example.org", "EXPO_PUSH_URL=https://me:pw@push.example.org"}, []string{
			"GOOGLE_TOKEN_URL: not a full http or https address",
			"EXPO_PUSH_URL: must have no user, query or fragment",
		}},
		{"access token cut from a page", []string{someDatabase, "EXPO_ACCESS_TOKEN=abc def"}, []string{
			"EXPO_ACCESS_TOKEN: contains a blank or a character that no access token has",
		}},
		{"a password that can be guessed", []string{someDatabase, "PAGE_PASSWORD=secret"}, []string{
			"PAGE_PASSWORD: has fewer than 8 characters",
		}},
		{"sealing", []string{someDatabase, "TOKEN_ENCRYPTION_KEY=a password"}, []string{
			"TOKEN_ENCRYPTION_KEY: key 1 of 1: neither base64 nor hexadecimal of 32 bytes; reminder-worker tokens key makes one",
		}},
		{"words", []string{someDatabase, "CHANGE_SOURCE=guess", "LOG_LEVEL=loud", "LOG_FORMAT=xml", "HTTP_ADDR=8080"}, []string{
			`CHANGE_SOURCE: "guess" is none of auto, notify, wal, poll`,
			`HTTP_ADDR: "8080" is neither host:port (for example 127.0.0.1:8080, or :8080 for every address) nor off`,
			`LOG_LEVEL: "loud" is none of debug, info, warn, error`,
			`LOG_FORMAT: "xml" is none of auto, json, console`,
		}},
		{"a slot for nothing", []string{someDatabase, "WAL_SLOT=reminders"}, []string{
			"WAL_SLOT: of use with CHANGE_SOURCE=wal only; unset it",
		}},
		{"no name for a slot", []string{someDatabase, "CHANGE_SOURCE=wal", "WAL_SLOT=Reminders-1"}, []string{
			`WAL_SLOT: "Reminders-1" is no name for a slot: 1 to 63 of a-z, 0-9 and _`,
		}},
		{"offsets", []string{someDatabase, "REMINDER_OFFSETS=24h,-3h,24h,2000h,1500ms"}, []string{
			"REMINDER_OFFSETS: -3h0m0s is negative; an offset is how long before the event, for example 24h,3h,30m",
			"REMINDER_OFFSETS: 24h0m0s is given twice",
			"REMINDER_OFFSETS: 2000h0m0s is more than 60 days (1440h)",
			"REMINDER_OFFSETS: 1.5s is not a whole number of seconds",
		}},
		{"what cannot be read", []string{someDatabase, "LEASE=15", "DATABASE_POOL_SIZE=many", "MIGRATE_ON_START=perhaps", "REMINDER_OFFSETS=1 day"}, []string{
			`DATABASE_POOL_SIZE: "many" is not a whole number`,
			`MIGRATE_ON_START: "perhaps" is not true or false`,
			`REMINDER_OFFSETS: "1 day" is not a list of durations; one looks like 24h,3h,30m`,
			`LEASE: "15" is not a duration; one looks like 30s, 15m or 24h`,
		}},
		{"periods", []string{someDatabase, "LEASE=1ms", "HORIZON=1s", "PUSH_RATE=7", "CALENDAR_RATE=59", "CALENDAR_USER_RATE=59", "DATABASE_POOL_SIZE=1", "DEFAULT_TIME_ZONE=Europe/Entenhausen"}, []string{
			"DATABASE_POOL_SIZE: 1 is not between 2 and 100",
			`DEFAULT_TIME_ZONE: "Europe/Entenhausen" is not an IANA time zone; one looks like Europe/Berlin`,
			"LEASE: 1ms is not between 1s and 1h0m0s",
			"HORIZON: 1s is not between 1m0s and 744h0m0s",
			"PUSH_RATE: 7 is neither 0 (no limit) nor between 100 and 100000",
			"CALENDAR_RATE: 59 is neither 0 (no limit) nor between 60 and 1000000",
			"CALENDAR_USER_RATE: 59 is neither 0 (no limit) nor between 60 and 1000000",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.want, faults(c.environ...)); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDatabase(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		environ []string
		want    string
	}{
		{"first choice", []string{someDatabase, "SUPABASE_DB_URL=postgresql://other.example.org/db"}, "postgresql://parent:pw@db.example.org/family"},
		{"other name", []string{"SUPABASE_DB_URL=postgresql://other.example.org/db"}, "postgresql://other.example.org/db"},
		{"derived", []string{"EXPO_PUBLIC_SUPABASE_URL=https://abcdefgh.supabase.co/", "SUPABASE_DB_PASSWORD=p@ss/w:rd#%"},
			"postgresql://postgres:p%40ss%2Fw%3Ard%23%25@db.abcdefgh.supabase.co:5432/postgres?sslmode=require"},
		{"key=value", []string{"DATABASE_URL=host=/var/run/postgresql dbname=family"}, "host=/var/run/postgresql dbname=family"},
		{"for a pool", []string{"DATABASE_URL=postgresql://db.example.org/family?pool_max_conns=7&application_name=me@example.org"},
			"postgresql://db.example.org/family?pool_max_conns=7&application_name=me@example.org"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cfg, err := Load(c.environ, "")
			if err != nil {
				t.Fatal(err)
			}
			got, err := cfg.Database()
			if err != nil || got != c.want {
				t.Errorf("%q, %v; want %q", got, err, c.want)
			}
			if _, err := cfg.connConfig(); err != nil {
				t.Error(err)
			}
		})
	}
}

// What Validate accepts, New can make a program of. Otherwise a wrong configuration would look like a failure that a restart may cure.
func TestWhatIsValidCanBeMade(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		period := rapid.SampledFrom([]time.Duration{
			0, time.Millisecond, 10 * time.Millisecond, time.Second, 1500 * time.Millisecond, time.Minute, time.Hour, 24 * time.Hour, 31 * 24 * time.Hour,
		})
		c := validConfig(t)
		c.PoolSize = rapid.SampledFrom([]int{2, 100}).Draw(t, "pool")
		c.SweepInterval, c.Lease, c.Horizon = period.Draw(t, "sweep"), period.Draw(t, "lease"), period.Draw(t, "horizon")
		c.RetryBase, c.ReceiptDelay, c.ShutdownGrace = period.Draw(t, "retry"), period.Draw(t, "receipt"), period.Draw(t, "grace")
		c.CalendarUserRate = rapid.SampledFrom([]int{0, 60, 1_000_000}).Draw(t, "calendar user rate")
		c.CalendarRate = rapid.SampledFrom([]int{0, 60, 1_000_000}).Draw(t, "calendar rate")
		c.PushRate = rapid.SampledFrom([]int{0, 100, 100_000}).Draw(t, "rate")
		c.ReminderOffsets = rapid.SliceOfN(rapid.Map(rapid.IntRange(0, 1440), func(h int) time.Duration { return time.Duration(h) * time.Hour }), 0, 16).Draw(t, "offsets")
		c.ChangeSource = rapid.SampledFrom([]string{"auto", "notify", "wal", "poll"}).Draw(t, "source")
		c.WALSlot = rapid.SampledFrom([]string{"", "reminders", "Reminders"}).Draw(t, "slot")
		c.HTTPAddr = rapid.SampledFrom([]string{"off", ":0", "127.0.0.1:65535", "[::1]:1", "localhost:http"}).Draw(t, "http")
		c.GoogleCalendarURL = rapid.SampledFrom([]string{c.GoogleCalendarURL, "http://a/", "http://a/?b", "http://b@a", "http://a/#", "//a"}).Draw(t, "calendar")
		c.ExpoPushURL = rapid.SampledFrom([]string{c.ExpoPushURL, "http://a/", "http://a/?b", "http://b@a", "http://a/#", "ftp://a"}).Draw(t, "push")
		c.ExpoAccessToken = rapid.SampledFrom([]string{"", "abc", "ä", "a b"}).Draw(t, "token")
		if c.Validate() != nil {
			return
		}
		a, err := New(c, ops.Build{}, zerolog.Nop())
		if err != nil {
			t.Fatalf("%v: %v", c, err)
		}
		a.close()
	})
}

func validConfig(t interface{ Fatal(...any) }) Config {
	c, err := Load([]string{someDatabase, "GOOGLE_CLIENT_ID=client", "GOOGLE_CLIENT_SECRET=client-secret"}, "")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// However a configuration is printed, no secret shows.
func TestConfigHidesSecrets(t *testing.T) {
	t.Parallel()
	c, _ := Load(secretEnviron(), "")
	c.GoogleTokenURL = "https://me:" + marker + "@oauth2.example.org/token"
	c.SupabaseURL = "https://me:" + marker + "%@broken"
	var log, slogged bytes.Buffer
	logger := zerolog.New(&log)
	logger.Info().Interface("config", c).Stringer("again", c).Any("pointer", &c).Msg("started")
	slog.New(slog.NewJSONHandler(&slogged, nil)).Info("started", "config", c)
	printed := map[string]string{"zerolog": log.String(), "slog": slogged.String()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T %v"} {
		printed[verb] = fmt.Sprintf(strings.ReplaceAll(verb, "%T ", ""), c)
		printed[verb+" of a pointer"] = fmt.Sprintf(strings.ReplaceAll(verb, "%T ", ""), &c)
	}
	printed["within"] = fmt.Sprintf("%+v", struct{ C Config }{c})
	for how, text := range printed {
		if strings.Contains(text, marker) || strings.Contains(text, fmt.Sprintf("%x", marker)) {
			t.Errorf("%s shows a secret: %s", how, text)
		}
		if !strings.Contains(text, "redacted") || !strings.Contains(text, "127.0.0.1:8080") {
			t.Errorf("%s shows too little: %s", how, text)
		}
	}
	raw, err := json.Marshal(c)
	if err != nil || strings.Contains(string(raw), marker) {
		t.Errorf("%s, %v", raw, err)
	}
}
