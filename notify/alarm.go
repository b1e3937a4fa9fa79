package notify

import (
	"sync"
	"time"

	"github.com/parentpal/reminder-worker/notify/expo"
)

// alarm is the last fault of our own account or credentials that Expo told of, in an answer, a ticket or a receipt.
type alarm struct {
	mu   sync.Mutex // guards all below
	why  string
	last time.Time
}

// raise notes such a fault. It is logged when it is a new one; in between it is counted.
func (s *Sender) raise(e *expo.Error) {
	s.m.countProjectFault(e)
	why := e.Error()
	s.alarm.mu.Lock()
	fresh := why != s.alarm.why || time.Since(s.alarm.last) > s.alarmFor()
	s.alarm.why, s.alarm.last = why, time.Now()
	s.alarm.mu.Unlock()
	if fresh {
		s.log.Error().Err(e).Msg("push credentials refused")
	}
}

// Alarm is what is wrong with our own account or credentials at Expo, Apple or Google; empty: nothing that is known. Many such faults show in
// receipts only, so it holds for as long as the next receipts may take.
func (s *Sender) Alarm() string {
	s.alarm.mu.Lock()
	defer s.alarm.mu.Unlock()
	if s.alarm.last.IsZero() || time.Since(s.alarm.last) > s.alarmFor() {
		return ""
	}
	return s.alarm.why
}

func (s *Sender) alarmFor() time.Duration { return max(2*s.cfg.ReceiptDelay, 5*s.cfg.PauseMax) }
