package app

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/rs/zerolog"

	"github.com/parentpal/reminder-worker/notify"
	"github.com/parentpal/reminder-worker/notify/expo"
	"github.com/parentpal/reminder-worker/sql/permits"
	"github.com/parentpal/reminder-worker/sync/audit"
	"github.com/parentpal/reminder-worker/sync/gcal"
	"github.com/parentpal/reminder-worker/sync/reconcile"
)

// Config is everything the program is told, under the names it is told by. Values of fields tagged secret are never printed.
type Config struct {
	// DatabaseURL is the database's connection string. Direct or session mode: a transaction pooler cannot LISTEN.
	DatabaseURL string `env:"DATABASE_URL" secret:"true"`
	// SupabaseDBURL is another name for it.
	SupabaseDBURL string `env:"SUPABASE_DB_URL" secret:"true"`
	// SupabaseURL and SupabaseDBPassword together give the direct connection of a hosted project.
	SupabaseURL        string `env:"EXPO_PUBLIC_SUPABASE_URL"`
	SupabaseDBPassword string `env:"SUPABASE_DB_PASSWORD" secret:"true"`
	// SupabaseServiceRoleKey may be set, as it was for an older service. It is not used.
	SupabaseServiceRoleKey string `env:"SUPABASE_SERVICE_ROLE_KEY" secret:"true"`
	// PoolSize is how many connections are held besides the listener's. 2 to 100.
	PoolSize int `env:"DATABASE_POOL_SIZE" envDefault:"5"`
	// MigrateOnStart says whether run and once apply pending migrations.
	MigrateOnStart bool `env:"MIGRATE_ON_START" envDefault:"true"`

	// HTTPAddr is where health, metrics and the live page are answered; off: nowhere.
	HTTPAddr string `env:"HTTP_ADDR" envDefault:"127.0.0.1:8080"`
	// PagePassword opens the live page, to change things there as well. Without it the page is for reading, and for this machine only.
	PagePassword string `env:"PAGE_PASSWORD" secret:"true"`
	// LogLevel is debug, info, warn or error. LogFormat is json, console, or auto: console on a terminal.
	LogLevel  string `env:"LOG_LEVEL" envDefault:"info"`
	LogFormat string `env:"LOG_FORMAT" envDefault:"auto"`

	// GoogleClientID and GoogleClientSecret are the OAuth client that obtained the users' refresh tokens. Without them no calendar
	// is written and reminders work all the same.
	GoogleClientID     string `env:"GOOGLE_CLIENT_ID"`
	GoogleClientSecret string `env:"GOOGLE_CLIENT_SECRET" secret:"true"`
	// GoogleClientEmail and GooglePrivateKey are a service account, which acts for users of GoogleWorkspaceDomain that have given no
	// consent of their own; one domain, or several separated by commas. Without a domain it acts for nobody.
	GoogleClientEmail     string `env:"GOOGLE_CLIENT_EMAIL"`
	GooglePrivateKey      string `env:"GOOGLE_PRIVATE_KEY" secret:"true"`
	GoogleWorkspaceDomain string `env:"GOOGLE_WORKSPACE_DOMAIN"`
	// GoogleProjectID may be set, as it was for an older service. It is not used.
	GoogleProjectID string `env:"GOOGLE_PROJECT_ID"`
	// ExpoAccessToken is needed when the Expo project has enhanced push security.
	ExpoAccessToken string `env:"EXPO_ACCESS_TOKEN" secret:"true"`

	// Full addresses, for stand-ins, proxies and regional gateways.
	GoogleCalendarURL string `env:"GOOGLE_CALENDAR_URL" envDefault:"https://www.googleapis.com/calendar/v3/"`
	GoogleTokenURL    string `env:"GOOGLE_TOKEN_URL" envDefault:"https://oauth2.googleapis.com/token"`
	GoogleRevokeURL   string `env:"GOOGLE_REVOKE_URL" envDefault:"https://oauth2.googleapis.com/revoke"`
	ExpoPushURL       string `env:"EXPO_PUSH_URL" envDefault:"https://exp.host/--/api/v2/push"`

	// ReminderOffsets are how long before an event its reminders are due.
	ReminderOffsets []time.Duration `env:"REMINDER_OFFSETS" envDefault:"24h,3h,30m"`
	// DefaultTimeZone is the IANA zone of texts and copies for users who have not set one.
	DefaultTimeZone string `env:"DEFAULT_TIME_ZONE" envDefault:"UTC"`
	// DefaultLocale is the language of pushes to users who have not set one, as a BCP 47 tag.
	DefaultLocale string `env:"DEFAULT_LOCALE" envDefault:"en"`
	// ReminderTexts is a file with texts to use instead of those that come with the program; see reminder-worker texts.
	ReminderTexts string `env:"REMINDER_TEXTS"`
	// PushCategory names the actions that devices offer with a reminder, PushChannel the Android channel it comes through.
	PushCategory string `env:"PUSH_CATEGORY" envDefault:"reminder"`
	PushChannel  string `env:"PUSH_CHANNEL"`
	// ExpoProject is the Expo project of the app, as @owner/slug: it tells the tokens of other projects from ours where Expo names both.
	ExpoProject string `env:"EXPO_PROJECT"`
	// ChangeSource is how changes are noticed: notify, wal (logical replication), poll, or auto: notify, and a sweep every second while
	// that does not work. With notify and wal the worker also sweeps meanwhile, but is not ready.
	ChangeSource string `env:"CHANGE_SOURCE" envDefault:"auto"`
	// WALSlot is the permanent replication slot of CHANGE_SOURCE=wal, for one worker at a time; empty: each connection has its own.
	WALSlot string `env:"WAL_SLOT"`

	// SweepInterval is the time between two reads that repair what was missed.
	SweepInterval time.Duration `env:"SWEEP_INTERVAL" envDefault:"30s"`
	// Lease is how long a claim holds: what a dead worker had claimed is free again after it.
	Lease time.Duration `env:"LEASE" envDefault:"15s"`
	// Horizon is how far ahead reminders are held in memory.
	Horizon time.Duration `env:"HORIZON" envDefault:"1h"`
	// RetryBase is the pause after a first failed attempt; it doubles with each further one.
	RetryBase time.Duration `env:"RETRY_BASE" envDefault:"2s"`
	// PushRate is how many messages are sent to Expo in any second, by all workers on this database together; 0: no limit.
	PushRate int `env:"PUSH_RATE" envDefault:"600"`
	// CalendarRate is how many requests are made to the Google Calendar API in any minute, by all workers on this database together;
	// 0: no limit.
	CalendarRate int `env:"CALENDAR_RATE" envDefault:"10000"`
	// CalendarUserRate is how many of them are made for any one user; 0: no limit. 60 to 1,000,000.
	CalendarUserRate int `env:"CALENDAR_USER_RATE" envDefault:"600"`
	// ReceiptDelay is the time from a push to the question for its receipt.
	ReceiptDelay time.Duration `env:"RECEIPT_DELAY" envDefault:"15m"`
	// ShutdownGrace is how long requests on the wire may take after a signal to stop.
	ShutdownGrace time.Duration `env:"SHUTDOWN_GRACE" envDefault:"10s"`

	// AuditInterval is the time of one round in which all workers together compare everything with what it should be; 0: they do not.
	AuditInterval time.Duration `env:"AUDIT_INTERVAL" envDefault:"0s"`
	// AuditRepair has what such a round finds mended.
	AuditRepair bool `env:"AUDIT_REPAIR" envDefault:"false"`

	// CleanupInterval is the time from one cleanup of the database to the next, whichever worker does it; 0: only the command cleanup does.
	CleanupInterval time.Duration `env:"CLEANUP_INTERVAL" envDefault:"24h"`
	// KeepReminders is for how long reminders and their deliveries are kept after they are over; 0: for ever. Likewise events that have failed, all
	// other events that are over, removals of copies that wait for an account that has ended, and retired devices.
	KeepReminders    time.Duration `env:"KEEP_REMINDERS" envDefault:"2160h"`
	KeepFailedEvents time.Duration `env:"KEEP_FAILED_EVENTS" envDefault:"2160h"`
	KeepEvents       time.Duration `env:"KEEP_EVENTS" envDefault:"0s"`
	KeepRemovals     time.Duration `env:"KEEP_REMOVALS" envDefault:"8760h"`
	KeepDevices      time.Duration `env:"KEEP_DEVICES" envDefault:"2160h"`

	// TokenEncryptionKey seals the refresh tokens in the database; see reminder-worker tokens. Several, separated by commas: the first
	// seals, the others open what was sealed before.
	TokenEncryptionKey string `env:"TOKEN_ENCRYPTION_KEY" secret:"true"`

	from map[string]Source // of the variables that are set
}

// minPassword is how many characters the password of the live page has at least.
const minPassword = 8

// Validate reports everything that is wrong at once, each fault by the name of its variable.
func (c Config) Validate() error {
	return errors.Join(c.validateDatabase(), c.validateOutside(), c.validatePeriods(), c.validatePush(), c.validateCleanup())
}

func (c Config) validateOutside() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	for _, a := range []struct{ name, value string }{
		{"GOOGLE_CALENDAR_URL", c.GoogleCalendarURL}, {"GOOGLE_TOKEN_URL", c.GoogleTokenURL},
		{"GOOGLE_REVOKE_URL", c.GoogleRevokeURL}, {"EXPO_PUSH_URL", c.ExpoPushURL},
	} {
		u, err := url.Parse(a.value)
		switch {
		case err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https"):
			fault("%s: not a full http or https address", a.name)
		case u.User != nil || u.RawQuery != "" || strings.Contains(a.value, "#"):
			fault("%s: must have no user, query or fragment", a.name)
		}
	}
	switch {
	case c.GoogleClientID != "" && c.GoogleClientSecret == "":
		fault("GOOGLE_CLIENT_SECRET: missing; GOOGLE_CLIENT_ID is of no use without it")
	case c.GoogleClientID == "" && c.GoogleClientSecret != "":
		fault("GOOGLE_CLIENT_ID: missing; GOOGLE_CLIENT_SECRET is of no use without it")
	}
	faults = append(faults, c.validateServiceAccount())
	if strings.ContainsFunc(c.ExpoAccessToken, func(r rune) bool { return r <= ' ' || r > '~' }) {
		fault("EXPO_ACCESS_TOKEN: contains a blank or a character that no access token has")
	}
	if _, err := c.Keys(); err != nil {
		faults = append(faults, err)
	}
	if c.PagePassword != "" && utf8.RuneCountInString(c.PagePassword) < minPassword {
		fault("PAGE_PASSWORD: has fewer than %d characters", minPassword)
	}
	faults = append(faults, c.validateSource(), c.validateHTTPAddr())
	if _, err := zerolog.ParseLevel(c.LogLevel); err != nil || c.LogLevel == "" {
		fault("LOG_LEVEL: %q is none of debug, info, warn, error", c.LogLevel)
	}
	if !slices.Contains([]string{"auto", "json", "console"}, c.LogFormat) {
		fault("LOG_FORMAT: %q is none of auto, json, console", c.LogFormat)
	}
	return errors.Join(faults...)
}

func (c Config) validateHTTPAddr() error {
	if c.HTTPAddr == httpOff {
		return nil
	}
	_, port, err := net.SplitHostPort(c.HTTPAddr)
	if n, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || n > 65535 {
		return fmt.Errorf("HTTP_ADDR: %q is neither host:port (for example 127.0.0.1:8080, or :8080 for every address) nor %s", c.HTTPAddr, httpOff)
	}
	return nil
}

func (c Config) validatePeriods() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if c.DefaultTimeZone == "Local" || c.DefaultTimeZone == "" {
		fault("DEFAULT_TIME_ZONE: %q is not an IANA time zone; one looks like Europe/Berlin", c.DefaultTimeZone)
	} else if _, err := time.LoadLocation(c.DefaultTimeZone); err != nil {
		fault("DEFAULT_TIME_ZONE: %q is not an IANA time zone; one looks like Europe/Berlin", c.DefaultTimeZone)
	}
	if len(c.ReminderOffsets) > 16 {
		fault("REMINDER_OFFSETS: %d given, at most 16", len(c.ReminderOffsets))
	}
	for i, o := range c.ReminderOffsets {
		switch {
		case o < 0:
			fault("REMINDER_OFFSETS: %s is negative; an offset is how long before the event, for example 24h,3h,30m", o)
		case o > 60*24*time.Hour:
			fault("REMINDER_OFFSETS: %s is more than 60 days (1440h)", o)
		case o%time.Second != 0:
			fault("REMINDER_OFFSETS: %s is not a whole number of seconds", o)
		case slices.Contains(c.ReminderOffsets[:i], o):
			fault("REMINDER_OFFSETS: %s is given twice", o)
		}
	}
	for _, p := range []struct {
		name      string
		value     time.Duration
		low, high time.Duration
	}{
		{"SWEEP_INTERVAL", c.SweepInterval, 10 * time.Millisecond, time.Hour}, {"LEASE", c.Lease, time.Second, time.Hour},
		{"HORIZON", c.Horizon, time.Minute, 31 * 24 * time.Hour}, {"RETRY_BASE", c.RetryBase, time.Millisecond, time.Hour},
		{"RECEIPT_DELAY", c.ReceiptDelay, time.Millisecond, 24 * time.Hour}, {"SHUTDOWN_GRACE", c.ShutdownGrace, 0, time.Hour},
	} {
		if p.value < p.low || p.value > p.high {
			fault("%s: %s is not between %s and %s", p.name, p.value, p.low, p.high)
		}
	}
	if c.AuditInterval != 0 && (c.AuditInterval < time.Minute || c.AuditInterval > 31*24*time.Hour) {
		fault("AUDIT_INTERVAL: %s is neither 0 (no audit in the background) nor between 1m and 744h", c.AuditInterval)
	}
	if c.PushRate != 0 && (c.PushRate < expo.MaxMessages || c.PushRate > 100_000) {
		fault("PUSH_RATE: %d is neither 0 (no limit) nor between %d and 100000", c.PushRate, expo.MaxMessages)
	}
	if c.CalendarRate != 0 && (c.CalendarRate < 60 || c.CalendarRate > 1_000_000) {
		fault("CALENDAR_RATE: %d is neither 0 (no limit) nor between 60 and 1000000", c.CalendarRate)
	}
	if c.CalendarUserRate != 0 && (c.CalendarUserRate < 60 || c.CalendarUserRate > 1_000_000) {
		fault("CALENDAR_USER_RATE: %d is neither 0 (no limit) nor between 60 and 1000000", c.CalendarUserRate)
	}
	return errors.Join(faults...)
}

// Zone is the time zone of texts and copies. The configuration must be valid.
func (c Config) Zone() *time.Location {
	zone, err := time.LoadLocation(c.DefaultTimeZone)
	if err != nil {
		return time.UTC
	}
	return zone
}

// WritesCalendars reports whether there is an OAuth client, or a service account with users, to write copies with.
func (c Config) WritesCalendars() bool { return c.GoogleClientID != "" || c.Delegates() }

func (c Config) reconcile() reconcile.Config {
	r := reconcile.DefaultConfig()
	r.Offsets, r.Zone, r.Lease, r.RetryBase, r.SweepInterval = c.ReminderOffsets, c.Zone(), c.Lease, c.RetryBase, c.SweepInterval
	r.RetryMax = max(r.RetryMax, c.RetryBase)
	r.Keys, _ = c.Keys() // a valid configuration has them
	r.Domains = c.WorkspaceDomains()
	return r
}

func (c Config) audit() audit.Config {
	a := audit.DefaultConfig()
	a.Plan, a.Interval, a.Repair = c.reconcile(), c.AuditInterval, c.AuditRepair
	a.Keys = a.Plan.Keys
	return a
}

func (c Config) notify() notify.Config {
	n := notify.DefaultConfig()
	n.Zone, n.Horizon, n.Lease, n.RetryBase = c.Zone(), c.Horizon, c.Lease, c.RetryBase
	n.ReceiptDelay = c.ReceiptDelay
	n.SweepGrace = min(n.SweepGrace, c.SweepInterval)
	n.RetryMax = max(n.RetryMax, c.RetryBase)
	n.Category, n.Channel, n.Project = c.PushCategory, c.PushChannel, c.ExpoProject
	if texts, err := c.Texts(); err == nil { // a valid configuration has them
		n.Texts = texts
	}
	return n
}

// pushQuota is Expo's: by project, over a second. Requests come to it over the same connections, some a little later than others; each window
// costs that much of it, so 15 ms are what 98 % of the quota leave.
func (c Config) pushQuota() permits.Config {
	return permits.Config{
		Quota: "expo", Allowed: c.PushRate, Window: time.Second, Keep: 100 * time.Millisecond, Margin: 15 * time.Millisecond, Chunk: 1,
	}
}

// calendarQuota is Google's: by project, over a minute. Who would have to wait for long leaves its event in the table meanwhile.
func (c Config) calendarQuota() permits.Config {
	return permits.Config{
		Quota: "google", Allowed: c.CalendarRate, Window: time.Minute, Keep: time.Second, Margin: time.Second, Chunk: 16, Patience: time.Second,
	}
}

// userQuota is Google's for each user. One who has used theirs up does not keep a place that others could use.
func (c Config) userQuota() permits.Config {
	return permits.Config{
		Quota: "google_user", Allowed: c.CalendarUserRate, Window: time.Minute, Keep: time.Second, Margin: time.Second, Chunk: 4, Patience: 250 * time.Millisecond,
	}
}

func (c Config) expo() expo.Config {
	e := expo.DefaultConfig()
	e.URL, e.AccessToken = c.ExpoPushURL, c.ExpoAccessToken
	e.Timeout = min(e.Timeout, c.Lease*2/3) // an answer later than the lease would come after another worker's push
	return e
}

func (c Config) gcal() gcal.Config {
	g := gcal.DefaultConfig()
	g.CalendarURL, g.TokenURL, g.RevokeURL = c.GoogleCalendarURL, c.GoogleTokenURL, c.GoogleRevokeURL
	g.ClientID, g.ClientSecret = c.GoogleClientID, c.GoogleClientSecret
	if c.Delegates() {
		g.ServiceEmail = c.GoogleClientEmail
		g.ServiceKey, _ = gcal.ParseServiceKey(c.GooglePrivateKey) // a valid configuration has it
	}
	return g
}
