package listener

import (
	"errors"
	"regexp"

	"github.com/jackc/pgx/v5/pgconn"
)

// Both forms of a connection string can carry a password: before the @ of an URL,
// and behind a key of the key=value form (which URLs allow as a parameter too).
var (
	userinfo = regexp.MustCompile(`(?i)(\b[a-z][a-z0-9+.-]*://)[^\s/@]*(?:[^\s@]*@)+`)
	password = regexp.MustCompile(`(?i)((?:ssl)?pass(?:word|file)?\s*=\s*)('(?:[^'\\]|\\.)*'|[^\s&'` + "`" + `]+)`)
)

// redacted is an error whose text holds no secrets. It unwraps to the original, so
// that it is still classified by type.
type redacted struct {
	text  string
	cause error
}

func (r *redacted) Error() string { return r.text }
func (r *redacted) Unwrap() error { return r.cause }

// redact returns err with its text freed of passwords.
func redact(err error) error {
	if err == nil {
		return nil
	}
	// A connection string that cannot be parsed cannot be searched for its
	// password either, so none of it is shown.
	if parse := (*pgconn.ParseConfigError)(nil); errors.As(err, &parse) {
		return &redacted{text: "connect: the connection string cannot be parsed", cause: err}
	}
	return &redacted{text: redactText(err.Error()), cause: err}
}

func redactText(s string) string {
	s = userinfo.ReplaceAllString(s, "${1}redacted@")
	return password.ReplaceAllString(s, "${1}redacted")
}
