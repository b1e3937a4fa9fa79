package notify

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/parentpal/reminder-worker/notify/expo"
	"github.com/parentpal/reminder-worker/sql/store"
)

// verdict is what one claimed reminder becomes.
type verdict struct {
	status   string
	message  string
	retry    time.Duration
	counts   bool
	deferred bool // quiet hours, not a fault
	spent    bool // no attempt is left for what was refused for the time being
	sentAt   time.Time
}

// verdicts decides what each reminder becomes from what became of its pushes.
func (s *Sender) verdicts(b batch) []verdict {
	verdicts := make([]verdict, len(b.rows))
	own := make([][]*push, len(b.rows))
	for i := range b.pushes {
		p := &b.pushes[i]
		own[p.reminder] = append(own[p.reminder], p)
	}
	for i, row := range b.rows {
		if verdicts[i] = b.early[i]; verdicts[i].status == "" {
			verdicts[i] = s.verdict(row, own[i])
		}
	}
	return verdicts
}

func (s *Sender) verdict(row store.ClaimRemindersRow, pushes []*push) verdict {
	var count [doubted + 1]int
	var faults []string
	v := verdict{}
	var pause time.Duration
	for _, p := range pushes {
		count[p.state]++
		pause = max(pause, p.pause)
		if p.state == accepted && v.sentAt.IsZero() {
			v.sentAt = p.sentAt
		}
		if p.state != accepted && p.ticket.Err != nil {
			faults = append(faults, expo.Mask(p.token)+": "+p.ticket.Err.Error())
		}
	}
	v.message = strings.Join(faults, "; ")
	tried := int(row.RetryCount) + 1
	v.spent = tried >= s.cfg.MaxAttempts
	switch {
	case count[unsent]+count[doubted] > 0: // nothing was learned about the reminder: no attempt is used
		left, _ := s.pace.left()
		v.status, v.retry = reminderPending, max(left, time.Millisecond)
	case count[stale] > 0: // the next claim judges it anew
		v.status, v.retry = reminderPending, time.Second
	case count[again] > 0 && !v.spent:
		v.status, v.counts, v.retry = reminderPending, true, s.inTimeFor(row.Deadline, s.backoff(row))
	case count[blocked] > 0:
		if pause == 0 {
			pause = s.patience(row.NotifyAtTs)
		}
		v.status, v.retry = reminderPending, s.inTimeFor(row.Deadline, pause)
	case count[accepted] > 0:
		v.status = reminderSent
	default:
		v.status, v.counts = reminderFailed, count[again] > 0
		if v.counts {
			v.message = fmt.Sprintf("gave up after %d attempts: %s", tried, v.message)
		}
	}
	return v
}

// backoff is the pause before the next attempt of a reminder of which RetryCount are used. The pauses grow by the same factor, two to ten
// times, so that all of them together take about a third of the time there is until the event begins: a fault of minutes is outlasted,
// and there is still time when the last attempt succeeds.
func (s *Sender) backoff(row store.ClaimRemindersRow) time.Duration {
	left := row.Deadline.Sub(row.NotifyAtTs)
	growth := 2.0
	if last := s.cfg.MaxAttempts - 2; last > 0 && left > 0 {
		growth = min(max(math.Pow(float64(left/3)/float64(s.cfg.RetryBase), 1/float64(last)), 2), 10)
	}
	pause := float64(s.cfg.RetryBase) * math.Pow(growth, float64(row.RetryCount))
	return s.cfg.Jitter(time.Duration(min(pause, float64(s.cfg.RetryMax))))
}

// patience is the pause before a push is offered again that was due at due and waits for our own configuration to be mended. No attempt is used,
// so the pause grows with the time for which it has waited. All that wait come at the same moments, so that they share requests.
func (s *Sender) patience(due time.Time) time.Duration {
	now := s.now()
	pause := min(max(now.Sub(due), s.cfg.PauseMax), max(s.cfg.ReceiptDelay, s.cfg.PauseMax))
	return now.Add(pause + s.cfg.PauseMax - 1).Truncate(s.cfg.PauseMax).Sub(now)
}

// inTimeFor shortens a pause, so that what follows it is not the last try before the deadline.
func (s *Sender) inTimeFor(deadline time.Time, pause time.Duration) time.Duration {
	if left := deadline.Sub(s.now()); left > 0 {
		return min(pause, max(left/2, time.Second))
	}
	return pause
}
