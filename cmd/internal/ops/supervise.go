package ops

import (
	"context"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/rs/zerolog"
)

const (
	// lookInterval is the time between two looks at the checks. A watchdog that is shorter has them looked at more often.
	lookInterval = time.Second
	// longestStatus bounds the line that a service manager shows, in bytes.
	longestStatus = 300
)

// Supervise tells the service manager that has started the program how it is, in the words of sd_notify(3), until ctx ends: READY once no
// required check fails, and a STATUS whenever the checks say something else; then STOPPING. If the manager wants a sign of life
// (WatchdogSec= of systemd.service(5)), it gets three in that time, each after all probes have returned, so a lock that is never given
// back ends them. Without a manager (NOTIFY_SOCKET is not set) it returns at once.
func Supervise(ctx context.Context, checks []Check, log zerolog.Logger) {
	m := manager{log: log.With().Str("component", "ops").Logger()}
	every := lookInterval
	if limit, err := daemon.SdWatchdogEnabled(false); err != nil {
		m.log.Warn().Err(err).Msg("the service manager gets no signs of life")
	} else if limit > 0 {
		m.watched, every = true, min(every, limit/3)
	}
	t := time.NewTicker(every)
	defer t.Stop()
	for m.tell(Examine(checks)) {
		select {
		case <-t.C:
		case <-ctx.Done():
			m.say(daemon.SdNotifyStopping + "\nSTATUS=stopping")
			return
		}
	}
}

// manager is the service manager, and what it has been told.
type manager struct {
	log     zerolog.Logger
	watched bool // it wants signs of life
	ready   bool
	status  string
}

// tell says what is new in a report, and reports whether there is anybody to hear it.
func (m *manager) tell(r Report) bool {
	var words []string
	if m.watched {
		words = append(words, daemon.SdNotifyWatchdog)
	}
	ready := m.ready || r.Status != Failed
	if ready != m.ready {
		words = append(words, daemon.SdNotifyReady)
	}
	status := r.line()
	if status != m.status {
		words = append(words, "STATUS="+status)
	}
	if len(words) == 0 {
		return true
	}
	if !m.say(strings.Join(words, "\n")) {
		return false
	}
	m.ready, m.status = ready, status
	return true
}

// say sends a message, and reports whether there is a manager. One that could not be sent is said again with the next.
func (m *manager) say(message string) bool {
	sent, err := daemon.SdNotify(false, message)
	if err != nil {
		m.log.Warn().Err(err).Msg("service manager not told")
	}
	return sent || err != nil
}

// line is the report in one line: the verdict, then what is not ok.
func (r Report) line() string {
	var b strings.Builder
	b.WriteString(string(r.Status))
	for _, c := range r.Checks {
		if c.Status != OK {
			b.WriteString("; " + c.Name + ": " + c.Reason)
		}
	}
	line := strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, b.String())
	if len(line) > longestStatus {
		line = strings.ToValidUTF8(line[:longestStatus], "") + " ..."
	}
	return line
}
