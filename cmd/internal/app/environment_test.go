package app

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// marker is in every secret of these tests, and may be in no error.
const marker = "Zx9Marker"

// secretNames are the variables that hold secrets.
func secretNames() (names []string) {
	for name := range fields(func(f reflect.StructField) bool { return f.Tag.Get("secret") != "" }) {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// secretEnviron sets every secret there is.
func secretEnviron() (environ []string) {
	for _, name := range secretNames() {
		environ = append(environ, name+"="+marker+" of "+name)
	}
	return environ
}

func writeFile(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLoadPrecedence(t *testing.T) {
	t.Parallel()
	dotenv := writeFile(t, ".env", strings.Join([]string{
		"# a comment", "DATABASE_URL=postgresql://dotenv.example.org/db", "export LOG_LEVEL=debug", `DEFAULT_TIME_ZONE="Europe/Berlin" # quoted`,
		"LEASE=20s", "HORIZON=", "EXPO_ACCESS_TOKEN='pa$$word'",
	}, "\r\n"))
	c, err := Load([]string{"LOG_LEVEL=warn", "LEASE=", "UNKNOWN=1", "=C:=odd", "novalue"}, dotenv)
	if err != nil {
		t.Fatal(err)
	}
	got := []string{c.DatabaseURL, c.LogLevel, c.DefaultTimeZone, c.Lease.String(), c.Horizon.String(), c.ExpoAccessToken, c.LogFormat}
	want := []string{"postgresql://dotenv.example.org/db", "warn", "Europe/Berlin", "20s", "1h0m0s", "pa$$word", "auto"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the environment goes before .env, .env before defaults, and what is empty is not set (-want +got):\n%s", diff)
	}
}

func TestLoadDotenvWithMark(t *testing.T) {
	t.Parallel()
	if _, err := Load(nil, writeFile(t, ".env", "\ufeff"+someDatabase)); err != nil {
		t.Error(err)
	}
}

func TestLoadWithoutDotenv(t *testing.T) {
	t.Parallel()
	if _, err := Load([]string{someDatabase}, filepath.Join(t.TempDir(), ".env")); err != nil {
		t.Error(err)
	}
}

// The environment does not touch the process's own: tests and commands may load side by side.
func TestLoadReadsOnlyWhatItIsGiven(t *testing.T) {
	t.Setenv("DATABASE_URL", "postgresql://process.example.org/db")
	if _, err := Load(nil, ""); err == nil {
		t.Error("read the process's environment")
	}
}

func TestSecretFiles(t *testing.T) {
	t.Parallel()
	file := writeFile(t, "url", "\n postgresql://file.example.org/db \n\n")
	c, err := Load([]string{"DATABASE_URL_FILE=" + file, "DATABASE_URL="}, "")
	if err != nil || c.DatabaseURL != "postgresql://file.example.org/db" {
		t.Errorf("%v, %v", c, err)
	}
	missing := filepath.Join(t.TempDir(), "none")
	for _, tc := range []struct {
		name    string
		environ []string
		want    string
	}{
		{"both", []string{someDatabase, "DATABASE_URL_FILE=" + file}, "DATABASE_URL_FILE: DATABASE_URL is set as well; set one of the two"},
		{"missing", []string{someDatabase, "EXPO_ACCESS_TOKEN_FILE=" + missing}, "EXPO_ACCESS_TOKEN_FILE: the file it names cannot be read: no such file or directory"},
		{"directory", []string{someDatabase, "EXPO_ACCESS_TOKEN_FILE=" + filepath.Dir(file)}, "EXPO_ACCESS_TOKEN_FILE: the file it names cannot be read: is a directory"},
		{"empty", []string{someDatabase, "EXPO_ACCESS_TOKEN_FILE=" + writeFile(t, "empty", "\n")}, "EXPO_ACCESS_TOKEN_FILE: the file it names is empty"},
		{"huge", []string{someDatabase, "EXPO_ACCESS_TOKEN_FILE=" + writeFile(t, "huge", strings.Repeat("x", maxSecretFile+1))}, "EXPO_ACCESS_TOKEN_FILE: the file it names holds more than 65536 bytes"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if _, err := Load(tc.environ, ""); err == nil || err.Error() != tc.want {
				t.Errorf("%v\nwant %s", err, tc.want)
			}
		})
	}
	if _, err := Load([]string{someDatabase, "EXPO_ACCESS_TOKEN_FILE=" + missing}, ""); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v does not tell its cause", err)
	}
}

// privateKey is a service account's key as its JSON holds it.
func privateKey(t testing.TB) string {
	t.Helper()
	text, _ := keyPair(t)
	return text
}

// keyPair is such a key, and what Google knows of it.
func keyPair(t testing.TB) (private string, public *rsa.PublicKey) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), &key.PublicKey
}

func TestServiceAccount(t *testing.T) {
	t.Parallel()
	key := privateKey(t)
	lines := strings.Split(strings.TrimSpace(key), "\n")
	const email = "GOOGLE_CLIENT_EMAIL=worker@family.iam.gserviceaccount.com"
	const noPEM = "GOOGLE_PRIVATE_KEY: not a PEM block; paste the whole private_key of the service account's JSON, from -----BEGIN PRIVATE KEY----- to -----END PRIVATE KEY-----"
	const noDomain = " is not a domain; one looks like example.com, several like example.com,example.org"
	const noKey = "GOOGLE_PRIVATE_KEY: the PEM block holds no private key; was it cut or re-wrapped?"
	for _, c := range []struct {
		name    string
		environ []string
		want    []string
	}{
		{"line breaks", []string{email, "GOOGLE_PRIVATE_KEY=" + key}, nil},
		{"the two characters \\n", []string{email, "GOOGLE_PRIVATE_KEY=" + strings.ReplaceAll(key, "\n", `\n`)}, nil},
		{"blanks for line breaks", []string{email, "GOOGLE_PRIVATE_KEY=" + strings.ReplaceAll(key, "\n", " ")}, []string{noPEM}},
		{"no PEM", []string{email, "GOOGLE_PRIVATE_KEY=" + marker}, []string{noPEM}},
		{"cut", []string{email, "GOOGLE_PRIVATE_KEY=" + lines[0] + "\n" + lines[1] + "\n" + lines[len(lines)-1] + "\n"}, []string{noKey}},
		{"in quotes", []string{email, `GOOGLE_PRIVATE_KEY="` + strings.ReplaceAll(key, "\n", `\n`) + `"`}, nil},
		{"for domains", []string{email, "GOOGLE_PRIVATE_KEY=" + key, "GOOGLE_WORKSPACE_DOMAIN=example.com, School.Example.ORG"}, nil},
		{"for free accounts", []string{email, "GOOGLE_PRIVATE_KEY=" + key, "GOOGLE_WORKSPACE_DOMAIN=Gmail.com"}, []string{
			"GOOGLE_WORKSPACE_DOMAIN: gmail.com has no administrator who could let a service account act for its users; they connect Google in the app",
		}},
		{"for what is no domain", []string{email, "GOOGLE_PRIVATE_KEY=" + key, "GOOGLE_WORKSPACE_DOMAIN=@example.com,example,,a_b.example.com"}, []string{
			`GOOGLE_WORKSPACE_DOMAIN: "@example.com"` + noDomain, `GOOGLE_WORKSPACE_DOMAIN: "example"` + noDomain,
			`GOOGLE_WORKSPACE_DOMAIN: ""` + noDomain, `GOOGLE_WORKSPACE_DOMAIN: "a_b.example.com"` + noDomain,
		}},
		{"for one twice", []string{email, "GOOGLE_PRIVATE_KEY=" + key, "GOOGLE_WORKSPACE_DOMAIN=example.com,EXAMPLE.com"}, []string{
			"GOOGLE_WORKSPACE_DOMAIN: example.com is given twice",
		}},
		{"a domain only", []string{"GOOGLE_WORKSPACE_DOMAIN=example.com"}, []string{
			"GOOGLE_CLIENT_EMAIL: missing; GOOGLE_WORKSPACE_DOMAIN is of no use without a service account",
		}},
		{"no address", []string{"GOOGLE_CLIENT_EMAIL=117", "GOOGLE_PRIVATE_KEY=" + key}, []string{
			"GOOGLE_CLIENT_EMAIL: not an e-mail address; copy client_email of the service account's JSON",
		}},
		{"no email", []string{"GOOGLE_PRIVATE_KEY=" + key}, []string{"GOOGLE_CLIENT_EMAIL: missing; GOOGLE_PRIVATE_KEY is of no use without it"}},
		{"no key", []string{email}, []string{"GOOGLE_PRIVATE_KEY: missing; GOOGLE_CLIENT_EMAIL is of no use without it"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.want, faults(append(c.environ, someDatabase)...)); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}

// A key from .env, where quotes decide what \n means, is read either way.
func TestServiceAccountKeyFromDotenv(t *testing.T) {
	t.Parallel()
	key := strings.ReplaceAll(privateKey(t), "\n", `\n`)
	for _, quote := range []string{`"`, `'`, ``} {
		dotenv := writeFile(t, ".env", "GOOGLE_CLIENT_EMAIL=worker@example.org\nGOOGLE_PRIVATE_KEY="+quote+key+quote+"\n")
		if _, err := Load([]string{someDatabase}, dotenv); err != nil {
			t.Errorf("quoted by %q: %v", quote, err)
		}
	}
}

// A service account alone writes calendars, once it is told for whom.
func TestServiceAccountWritesCalendars(t *testing.T) {
	t.Parallel()
	environ := []string{someDatabase, "GOOGLE_CLIENT_EMAIL=worker@family.iam.gserviceaccount.com", "GOOGLE_PRIVATE_KEY_FILE=" + writeFile(t, "key", privateKey(t))}
	c, err := Load(environ, "")
	if err != nil || c.WritesCalendars() || c.gcal().ServiceEmail != "" {
		t.Errorf("for nobody: %v, %v", c, err)
	}
	c, err = Load(append(environ, "GOOGLE_WORKSPACE_DOMAIN=example.com,Example.org"), "")
	if err != nil || !c.WritesCalendars() || c.gcal().Validate() != nil || !c.gcal().ServiceKey.Given() {
		t.Errorf("for two domains: %v, %v", c, err)
	}
	if diff := cmp.Diff([]string{"example.com", "example.org"}, c.reconcile().Domains); diff != "" {
		t.Errorf("domains (-want +got):\n%s", diff)
	}
}

// No error of Load holds a part of a secret, whatever shape the secret has and however wrong it is; nor does a configuration that is printed.
func FuzzLoadKeepsSecrets(f *testing.F) {
	for _, shape := range []string{
		"%s", "postgresql://parent:%s@db.example.org/family", "postgresql://parent:%s/%s@db.example.org/family", "postgres://parent:%s?%s#%s@db/family",
		"postgresql://parent:1/%s@db.example.org/family", "postgresql://parent:1#%s@db.example.org/family", "postgresql://parent:1?%s@db.example.org/family",
		"postgresql://parent:%s%%@db.example.org/family", "postgresql://parent:%s@[db/family", "postgresql://parent:%s@db/family?sslmode=never",
		"password=%s two %s host=db", "password='%s", "host=db password=%s port=no", "mysql://parent:%s@db/family", "-----BEGIN PRIVATE KEY-----\n%s\n-----END PRIVATE KEY-----",
		"postgresql://parent:%s@db/family?pool_max_conns=no", "postgresql://db/family?password=%s&sslmode=never", " \t%s\r\n", "\x00%s", "\xff%s", "https://%s.supabase.co",
	} {
		f.Add(shape, false)
		f.Add(shape, true)
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, shape string, asFile bool) {
		secret := strings.ReplaceAll(shape, "%s", marker)
		if !strings.Contains(secret, marker) || strings.ContainsRune(secret, 0) {
			return
		}
		for _, name := range append(secretNames(), "EXPO_PUBLIC_SUPABASE_URL") {
			if asFile {
				name += "_FILE" // the secret itself in place of a path
			}
			environ := []string{name + "=" + secret, "SUPABASE_DB_PASSWORD=" + marker}
			keepsSecrets(t, environ, "")
		}
		if strings.ContainsAny(secret, "\r\n") {
			return // further lines of .env are further variables
		}
		dotenv := filepath.Join(dir, ".env")
		if err := os.WriteFile(dotenv, []byte("DATABASE_URL="+secret+"\nGOOGLE_PRIVATE_KEY="+secret), 0o600); err != nil {
			t.Fatal(err)
		}
		keepsSecrets(t, nil, dotenv)
	})
}

func keepsSecrets(t *testing.T, environ []string, dotenv string) {
	t.Helper()
	c, err := Load(environ, dotenv)
	if err != nil && strings.Contains(err.Error(), marker) {
		t.Errorf("%q: the error shows the secret: %v", environ, err)
	}
	if text := fmt.Sprint(c); strings.Contains(text, marker) && !strings.HasPrefix(strings.Join(environ, ""), "EXPO_PUBLIC") {
		t.Errorf("%q: the configuration shows the secret: %s", environ, text)
	}
	if _, err := c.connConfig(); err != nil && strings.Contains(err.Error(), marker) {
		t.Errorf("%q: connecting shows the secret: %v", environ, err)
	}
}
