package demo

import (
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/parentpal/reminder-worker/sql/pgtemp"
)

// addresses is what was started, and where.
type addresses struct {
	Postgres string `json:"postgres"`
	Psql     string `json:"psql,omitempty"`
	Google   string `json:"google"`
	Expo     string `json:"expo"`
	HTTP     string `json:"http"`
	Version  string `json:"postgres_version"`
	Try      string `json:"try_sql"`
}

// addresses tells what was started and where.
func (s *stage) addresses() addresses {
	return addresses{
		Postgres: s.postgres.URL(database), Psql: psql(s.postgres), Version: s.postgres.Version(),
		Google: s.google.URL(), Expo: s.expo.URL(), HTTP: "http://" + s.app.Addr(),
		Try: trySQL,
	}
}

// trySQL is an event for a visitor to insert, whose last reminder is due in a few seconds.
const trySQL = `insert into events (user_id, title, start_ts, location)
select id, 'Pizza night', now() + interval '30 minutes 5 seconds', 'Kitchen'
from auth.users where email = 'mira@example.org';`

// psql is a command that opens the database, or empty if there is no psql.
func psql(server *pgtemp.Server) string {
	program := "psql"
	if !onPath(program) {
		program = filepath.Join(server.BinDir(), "psql")
		if _, err := os.Stat(program); err != nil {
			return ""
		}
	}
	return program + " '" + server.URL(database) + "'"
}

// zoneName is the visitor's time zone, so that the texts on the phones are right for them.
func zoneName() string {
	name := time.Local.String()
	if name == "Local" {
		target, _ := os.Readlink("/etc/localtime") // absent: UTC
		_, name, _ = strings.Cut(target, "zoneinfo/")
	}
	if _, err := time.LoadLocation(name); err != nil || name == "" {
		return "UTC"
	}
	return name
}
