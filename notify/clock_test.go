package notify

import (
	"testing"
	"time"

	"github.com/parentpal/reminder-worker/sql/store"
)

// A slow answer says little, and takes nothing away from what a quick one has said.
func TestClock(t *testing.T) {
	t.Parallel()
	var c clock
	at := func(ms int) time.Time { return time.Unix(1000, 0).Add(time.Duration(ms) * time.Millisecond) }
	for i, tt := range []struct{ moment, asked, answered, latest int }{
		{1010, 0, 40, 1050},          // 1010 to 1050
		{1100, 100, 101, 1101},       // quicker
		{3100, 1101, 5101, 6106},     // two seconds each way: 5 ms of drift in 5 s, and not the 4 s of the answer
		{7000, 6101, 6102, 7001},     // quick again
		{9000, 6200, 6300, 9100},     // it was set forward, or is another server's
		{7500, 7000, 7100, 7600},     // and back
		{7800, 7200, 7201, 7801},     // forward by a little
		{15801, 11201, 15202, 15810}, // the slow answer excludes less than the drift allows
	} {
		if got := c.learn(at(tt.moment), at(tt.asked), at(tt.answered)).Sub(at(0)).Milliseconds(); got != int64(tt.latest) {
			t.Errorf("answer %d: latest %d ms, want %d", i, got, tt.latest)
		}
	}
}

// The way of the question is no part of a claim's age.
func TestClaimed(t *testing.T) {
	t.Parallel()
	s := pureSender(t)
	now := time.Now()
	database := func(t time.Time) time.Time { return t.Add(time.Hour) }
	row := store.ClaimRemindersRow{Lease: database(now.Add(5 * time.Second)).Add(s.cfg.Lease)}
	if got := s.claimed(row, now, now.Add(7*time.Second)).Sub(now); got != 0 {
		t.Errorf("nothing known of the clock: claimed %s after the question", got)
	}
	now = now.Add(time.Minute)
	s.clock.learn(database(now), now, now)
	row.Lease = database(now.Add(5 * time.Second)).Add(s.cfg.Lease)
	if got := s.claimed(row, now, now.Add(7*time.Second)).Sub(now); got < 4990*time.Millisecond || got > 5*time.Second {
		t.Errorf("claimed %s after the question, of which 5 s were its way", got)
	}
}
