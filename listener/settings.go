package listener

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
)

// settings protect a session that says little for a long time. The last three make
// the server notice a vanished worker in about ten seconds, too: a session that is
// listening and gone holds back the server's queue until then.
var settings = []string{
	"SET application_name = 'reminder-worker listener'",
	"SET idle_session_timeout = 0",
	"SET tcp_keepalives_idle = 5",
	"SET tcp_keepalives_interval = 2",
	"SET tcp_keepalives_count = 3",
}

// configure applies the settings, all in one way to the server and back. One the
// server does not know (an older or merely compatible one) is passed over, as the
// session works without it.
func (s *session) configure(ctx context.Context) error {
	if err := s.send(ctx, settings...); err != nil {
		return fmt.Errorf("configure session: %w", err)
	}
	for range settings {
		if err := s.answer(ctx); err != nil && !refused(err) {
			return fmt.Errorf("configure session: %w", err)
		}
	}
	return nil
}

// refused reports whether the server answered a statement with an error and kept
// the session.
func refused(err error) bool {
	var answer *pgconn.PgError
	return errors.As(err, &answer) && answer.SeverityUnlocalized == "ERROR"
}
