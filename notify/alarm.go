package notify

import (
	"sync"
	"time"

	"github.com/parentpal/reminder-worker/notify/expo"
)

// alarm is what Expo has told of faults of our own account, credentials or requests, in answers, tickets and receipts.
type alarm struct {
	mu      sync.Mutex // guards all below
	why     string
	last    time.Time
	request bool                 // a request was refused as a whole
	told    map[string]time.Time // when a fault was last logged, by its code
}

// raise notes such a fault; request says that it was that of a whole request. It is counted, and logged when none of its code was for a while:
// thousands of tickets may say the same.
func (s *Sender) raise(e *expo.Error, request bool) {
	code := faultCode(e)
	s.m.projectFaults.WithLabelValues(code).Inc()
	now := time.Now()
	s.alarm.mu.Lock()
	s.alarm.why, s.alarm.last, s.alarm.request = e.Error(), now, request
	fresh := now.Sub(s.alarm.told[code]) > s.alarmFor()
	if fresh {
		if s.alarm.told == nil {
			s.alarm.told = map[string]time.Time{}
		}
		s.alarm.told[code] = now
	}
	s.alarm.mu.Unlock()
	if !fresh {
		return
	}
	what := "push credentials refused"
	if e.Kind != expo.Project {
		what = "push requests refused"
	}
	s.log.Error().Err(e).Msg(what)
}

// clear ends the alarm about refused requests when one was taken that was made at began.
func (s *Sender) clear(began time.Time) {
	s.alarm.mu.Lock()
	defer s.alarm.mu.Unlock()
	if s.alarm.request && began.After(s.alarm.last) {
		s.alarm.last = time.Time{}
		s.alarm.told = nil // it is news when it happens again
	}
}

// Alarm is what is wrong with our own account, credentials or requests at Expo, Apple or Google; empty: nothing that is known. Many such faults
// show in receipts only, so it holds for as long as the next receipts may take.
func (s *Sender) Alarm() string {
	s.alarm.mu.Lock()
	defer s.alarm.mu.Unlock()
	if s.alarm.last.IsZero() || time.Since(s.alarm.last) > s.alarmFor() {
		return ""
	}
	return s.alarm.why
}

func (s *Sender) alarmFor() time.Duration { return max(2*s.cfg.ReceiptDelay, 5*s.cfg.PauseMax) }
