package listener

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/parentpal/reminder-worker/sql/pgtest"
)

const secret = "s3cret-Pa55"

func TestRedact(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"dial postgres://worker:" + secret + "@db.example.com:5432/app?sslmode=require: refused",
		"dial postgresql://worker:" + secret + "@with@more@db.example.com/app",
		"dial postgres://db.example.com/app?user=worker&password=" + secret + "&sslmode=require",
		"parse host=db.example.com password=" + secret + " user=worker",
		"parse host=db.example.com password = '" + secret + " with\\' quote' user=worker",
		"parse host=db.example.com PASSWORD=" + secret,
		"parse `host=db.example.com sslpassword=" + secret + "`: bad",
	} {
		got := redact(errors.New(text)).Error()
		if strings.Contains(got, secret) || strings.Contains(got, "quote") {
			t.Errorf("%s\nshows the secret: %s", text, got)
		}
		if !strings.Contains(got, "db.example.com") {
			t.Errorf("%s\nno longer shows the host: %s", text, got)
		}
	}
}

func TestRedactKeepsTheErrorItself(t *testing.T) {
	t.Parallel()
	if redact(nil) != nil {
		t.Error("no error became one")
	}
	if err := redact(fmt.Errorf("wait: %w", ErrNoProof)); !errors.Is(err, ErrNoProof) || err.Error() != "wait: "+ErrNoProof.Error() {
		t.Errorf("got %v", err)
	}
}

func TestAConnectionStringThatCannotBeParsedIsNotShown(t *testing.T) {
	t.Parallel()
	r := run(t, over(t, "postgres://worker:"+secret+"@db.example.com:port/"+secret, pgtest.New(t).URL()), quick())
	r.next(t, Sweep)
	for r.Status().Err == nil {
		r.next(t, Sweep)
	}
	var parse *pgconn.ParseConfigError
	if err := r.Status().Err; !errors.As(err, &parse) || strings.Contains(err.Error(), secret) {
		t.Errorf("got %v, want a parse error without the string", err)
	}
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	if strings.Contains(r.log.String(), secret) || !strings.Contains(r.log.String(), "cannot be parsed") {
		t.Errorf("log:\n%s", r.log)
	}
}

func TestARefusedPasswordIsNotShown(t *testing.T) {
	t.Parallel()
	_, err := dialing("postgres://worker:" + secret + "@127.0.0.1:1/app")(context.Background())
	if err == nil || strings.Contains(redact(err).Error(), secret) {
		t.Errorf("got %v", err)
	}
}

func FuzzRedact(f *testing.F) {
	for _, p := range []string{secret, "a b", "@", "/@/", "x:y@z", "'", `\`, "&password=1", "päss", "%41", "?q#f"} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, pass string) {
		// Marked, so that a password that is a part of the rest is still found.
		pass = "<<" + pass + ">>"
		u := url.URL{Scheme: "postgres", User: url.UserPassword("worker", pass), Host: "db.example.com", Path: "/app"}
		escaped := strings.TrimPrefix(u.User.String(), "worker:")
		if got := redactText("dial " + u.String() + ": refused"); strings.Contains(got, escaped) {
			t.Errorf("%q is shown in %q", escaped, got)
		}
	})
}
