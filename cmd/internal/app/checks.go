package app

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/parentpal/reminder-worker/cmd/internal/ops"
	"github.com/parentpal/reminder-worker/listener"
	"github.com/parentpal/reminder-worker/listener/wal"
)

// checks are what readiness is made of.
func (a *App) checks() []ops.Check {
	return []ops.Check{
		{Name: "database", Required: true, Probe: a.checkDatabase},
		{Name: "statements", Required: true, Probe: a.checkStatements},
		{Name: "wheel", Required: true, Probe: a.checkWheel},
		{Name: "listener", Required: a.cfg.mustHear(), Probe: a.checkListener},
		{Name: "google", Probe: a.checkGoogle},
		{Name: "expo", Probe: a.checkExpo},
	}
}

func (a *App) checkDatabase() ops.Finding {
	const fix = "Check that the database runs and that DATABASE_URL is right: reminder-worker doctor."
	if !a.start.done() {
		if e, ok := errors.AsType[*UnreachableError](a.start.why()); ok {
			return ops.Finding{Reason: "reach database: " + e.Reason, Fix: e.Fix}
		}
		return ops.Finding{Reason: a.start.reason(), Fix: fix}
	}
	err := a.pulse.fault()
	if e, ok := errors.AsType[*ReadOnlyError](err); ok {
		reason, fix := whyReadOnly(&a.pool.Config().ConnConfig.Config, e)
		return ops.Finding{Reason: reason, Fix: fix}
	}
	if err != nil {
		return ops.Finding{Reason: "the database does not answer: " + err.Error(), Fix: fix}
	}
	return ops.Finding{OK: true}
}

// checkStatements names what the database answers, and refuses: without it no event may be served, or no reminder.
func (a *App) checkStatements() ops.Finding {
	refused := a.pulse.refused()
	if len(refused) == 0 {
		return ops.Finding{OK: true}
	}
	texts := make([]string, len(refused))
	for i, f := range refused {
		texts[i] = f.text()
	}
	return ops.Finding{Reason: strings.Join(texts, "; "), Fix: fixOf(refused[0].err)}
}

func (a *App) checkWheel() ops.Finding {
	if !a.sender.Ready() {
		return ops.Finding{Reason: "the wheel has not been filled from the table yet"}
	}
	return ops.Finding{OK: true, Reason: fmt.Sprintf("%d reminders within %s", a.sender.Waiting(), a.cfg.Horizon)}
}

func (a *App) checkListener() ops.Finding {
	st := a.listener.Status()
	switch {
	case st.State == listener.Listening:
		return ops.Finding{OK: true, Reason: fmt.Sprintf("round trip %s", st.RoundTrip.Round(10*time.Microsecond))}
	case st.State == listener.Polling && st.Err == nil:
		return ops.Finding{OK: true, Degraded: true, Reason: "CHANGE_SOURCE=poll: changes are found by a sweep"}
	}
	reason := fmt.Sprintf("changes are found by a sweep every %s meanwhile", a.cfg.listener().SweepDegraded)
	if errors.Is(st.Err, listener.ErrBusy) {
		return ops.Finding{OK: true, Degraded: true, Reason: st.Err.Error() + "; " + reason} // as it should be: this worker stands by
	}
	if st.Err != nil {
		reason = a.whyDeaf(st.Err) + "; " + reason
	}
	return ops.Finding{Degraded: true, Reason: reason, Fix: listenerFix(st.Err)}
}

// whyDeaf says more than that nothing came back, where more is known.
func (a *App) whyDeaf(err error) string {
	if errors.Is(err, listener.ErrNoProof) && a.route.pooled.Load() {
		return "a pooler in transaction mode sits in between and delivers no changes"
	}
	if e, ok := errors.AsType[*wal.MissingError](err); ok {
		return e.Fault
	}
	return err.Error()
}

func listenerFix(err error) string {
	if e, ok := errors.AsType[*wal.MissingError](err); ok {
		return sentence(e.Fix)
	}
	if e, ok := errors.AsType[*ReadOnlyError](err); ok {
		return e.Fix()
	}
	if pe, ok := errors.AsType[*pgconn.PgError](err); ok && pe.Code == readOnly {
		return toPrimary // a server in recovery refuses LISTEN in these words
	}
	if errors.Is(err, listener.ErrNoProof) {
		return "Use a direct or session-mode connection (on Supabase port 5432, not 6543): a pooler in transaction mode delivers no changes. " +
			"The worker returns to listening by itself, or set CHANGE_SOURCE=poll if it is to stay so."
	}
	if err == nil {
		return ""
	}
	return "Ask reminder-worker doctor."
}

func (a *App) checkGoogle() ops.Finding {
	if a.cal == nil {
		return ops.Finding{OK: true, Reason: "GOOGLE_CLIENT_ID is not set: no calendars are written"}
	}
	if p, paused := a.pauses.of(PartCalendar); paused {
		return p.finding()
	}
	if left, why := a.events.Paused(); left > 0 {
		return ops.Finding{Degraded: true, Reason: fmt.Sprintf("calendars rest for %s: %s", left.Round(time.Second), why)}
	}
	if left, why := a.events.Undelegated(); left > 0 {
		return ops.Finding{Degraded: true, Reason: fmt.Sprintf("users for whom the service account acts wait for %s: %s", left.Round(time.Second), why)}
	}
	if left, why := a.events.Locked(); left > 0 {
		return ops.Finding{Degraded: true, Reason: "users' calendars wait: " + why, Fix: "Put that key back into TOKEN_ENCRYPTION_KEY, behind the present one."}
	}
	return ops.Finding{OK: true}
}

func (a *App) checkExpo() ops.Finding {
	if p, paused := a.pauses.of(PartPush); paused {
		return p.finding()
	}
	if left, why := a.sender.Paused(); left > 0 {
		return ops.Finding{Degraded: true, Reason: fmt.Sprintf("the sender rests for %s: %s", left.Round(100*time.Millisecond), why), Fix: a.pushFix()}
	}
	if why := a.sender.Alarm(); why != "" {
		return ops.Finding{Degraded: true, Reason: "pushes are refused for our own credentials: " + why, Fix: a.pushFix()}
	}
	return ops.Finding{OK: true}
}

// pushFix is what to do about a refusal that is our own fault; empty: Expo is away, and there is nothing to do.
func (a *App) pushFix() string {
	if a.sender.Alarm() == "" {
		return ""
	}
	return "Check EXPO_ACCESS_TOKEN, and the app's push credentials for Apple and Google at expo.dev. No reminder whose event has not begun is lost meanwhile."
}
