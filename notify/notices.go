package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/parentpal/reminder-worker/notify/expo"
	"github.com/parentpal/reminder-worker/sql/settings"
	"github.com/parentpal/reminder-worker/sql/store"
)

// What follows tells users, once, that access to their Google Calendar has ended. Such a notice is no reminder: it has no event and no moment
// that it could miss, so it waits while the sender rests, and its requests say nothing about the sender's health.

const (
	// noticeBatch is how many users are told by one claim.
	noticeBatch = 50
	// maxNotices is how often a notice is offered that devices refuse for the time being, with pauses that double from noticePause to noticeLast:
	// within half a day to a day.
	maxNotices  = 10
	noticePause = 3 * time.Minute
	noticeLast  = 6 * time.Hour
	// noticeRest is the pause after a request that said nothing about the notice: no attempt is used.
	noticeRest = time.Minute
	// noticeExpiry is for how long the push services hold it for a device that is off.
	noticeExpiry = 3 * 24 * time.Hour
)

// noticeKind is what the app finds under "kind" in the push's data.
const noticeKind = "reconnect_google_calendar"

// tellUsers tells what is due whenever a sweep asks for it, until ctx ends.
func (s *Sender) tellUsers(ctx, work context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.notices:
			if err := s.drainNotices(ctx, work); err != nil && ctx.Err() == nil {
				s.m.databaseErrors.Inc()
				s.log.Warn().Err(err).Msg("users not told that access to their calendar has ended: they are at the next sweep")
			}
		}
	}
}

// lookForNotices never blocks.
func (s *Sender) lookForNotices() {
	select {
	case s.notices <- struct{}{}:
	default:
	}
}

// drainNotices tells all users who are due, batch by batch.
func (s *Sender) drainNotices(ctx, work context.Context) error {
	for ctx.Err() == nil {
		if left, _ := s.pace.left(); left > 0 || s.pace.paused() {
			return nil
		}
		asked := time.Now()
		rows, err := s.db.ClaimNotices(work, store.ClaimNoticesParams{MaxRows: noticeBatch, LeaseMs: s.cfg.Lease.Milliseconds()})
		if err != nil {
			return fmt.Errorf("claim notices: %w", err)
		}
		if len(rows) == 0 {
			return nil
		}
		rows = slices.DeleteFunc(rows, func(row store.ClaimNoticesRow) bool { return !row.Stands })
		if err := s.tell(work, rows, asked); err != nil {
			return err
		}
	}
	return nil
}

// errPaused is why a notice that was claimed before is not offered.
var errPaused = errors.New("not offered: pushing is paused by hand")

// notice is what became of telling one user.
type notice struct {
	told   bool
	final  bool          // there is nothing more to try
	gone   bool          // every device so far has refused for good
	wait   time.Duration // before it is offered again, no attempt being used
	faults []string
}

// tell offers a claimed batch and records what became of it.
func (s *Sender) tell(ctx context.Context, rows []store.ClaimNoticesRow, claimed time.Time) error {
	notices := make([]notice, len(rows))
	var pushes []push
	if len(rows) == 0 {
		return nil
	}
	for i, row := range rows {
		own, n := s.address(i, row)
		pushes, notices[i] = append(pushes, own...), n
	}
	for _, chunk := range s.chunks(pushes) {
		if s.pace.paused() {
			putOff(chunk, notices, errPaused)
			continue
		}
		s.offerNotices(ctx, chunk, notices, claimed)
	}
	return s.recordNotices(ctx, rows, notices)
}

// address makes one message for each of the user's devices, or says why there is none now.
func (s *Sender) address(i int, row store.ClaimNoticesRow) (pushes []push, n notice) {
	switch {
	case row.CalendarOff:
		return nil, notice{final: true, faults: []string{"the calendar is turned off in the user's settings"}}
	case row.PushOff:
		return nil, notice{final: true, faults: []string{"push is turned off in the user's settings"}}
	case len(row.Tokens) == 0:
		return nil, notice{final: true, faults: []string{"no device: the user has no push token registered"}}
	}
	now := s.now()
	hours := settings.Quiet{From: settings.Clock(row.QuietFrom), Until: settings.Clock(row.QuietUntil)}
	zone := s.zones.Find(row.TimeZone, s.cfg.Zone)
	var next time.Time
	if hours.On() {
		if _, end, inside := hours.Period(now, zone); inside {
			return nil, notice{wait: end.Sub(now) + time.Millisecond}
		}
		next, _ = hours.Next(now, zone)
	}
	return s.toDevices(nil, i, row.Tokens, row.Projects, s.noticeMessage(row, now), next), notice{}
}

// noticeMessage has the same name at every attempt, so that a device folds a repeat.
func (s *Sender) noticeMessage(row store.ClaimNoticesRow, now time.Time) expo.Message {
	title, body := s.cfg.Texts.CutOff(row.Locale)
	data, _ := json.Marshal(map[string]string{"kind": noticeKind}) // always encodes
	name := "reconnect-" + row.UserID.String()
	return expo.Message{
		Title: title, Body: body, Data: data, Sound: expo.DefaultSound, Priority: expo.PriorityHigh, ChannelID: s.cfg.Channel,
		CollapseID: name, Tag: name, Expiration: now.Add(noticeExpiry).Unix(),
	}
}

// offerNotices makes one request, and notes its answer for each user. What Expo refuses for its composition is divided, until one user's stand
// alone. A request that says nothing about them uses no attempt.
func (s *Sender) offerNotices(ctx context.Context, chunk []*push, notices []notice, claimed time.Time) {
	given, err := s.permitNotices(ctx, claimed, len(chunk))
	if err != nil {
		putOff(chunk, notices, fmt.Errorf("not offered: %w", err))
		return
	}
	all := chunk
	chunk = s.timely(chunk)
	for _, p := range all {
		if p.state == stale { // quiet hours have begun while permits were waited for: the next claim finds out until when
			notices[p.reminder].wait = time.Second
		}
	}
	if len(chunk) == 0 {
		return
	}
	before := earlier(s.lastRequest(claimed), given.until)
	messages := make([]expo.Message, len(chunk))
	for i, p := range chunk {
		messages[i] = p.message
		if !p.notAfter.IsZero() {
			before = earlier(before, p.notAfter.Add(-time.Duration(s.offset.Load())))
		}
	}
	asked := s.now()
	answer, cancel := context.WithDeadline(ctx, s.lastAnswer(claimed))
	defer cancel()
	tickets, err := s.expo.SendWith(answer, messages, expo.Leave{Before: before, Wrote: given.used})
	e, _ := errors.AsType[*expo.Error](err)
	switch {
	case err == nil:
		s.noteNotices(ctx, chunk, tickets, notices, asked)
	case e == nil || e.Kind != expo.Split && e.Kind != expo.Permanent:
		putOff(chunk, notices, err)
	case reminders(chunk) > 1:
		half := slices.IndexFunc(chunk, func(p *push) bool { return p.reminder >= middle(chunk) })
		s.offerNotices(ctx, chunk[:half], notices, claimed)
		s.offerNotices(ctx, chunk[half:], notices, claimed)
	default:
		notices[chunk[0].reminder].faults = append(notices[chunk[0].reminder].faults, err.Error())
	}
}

// permitNotices takes permits, and holds up nothing else if there are none in time.
func (s *Sender) permitNotices(ctx context.Context, claimed time.Time, n int) (p permit, err error) {
	ctx, cancel := context.WithDeadline(ctx, s.lastRequest(claimed))
	defer cancel()
	p.until, p.used, err = s.quota.Take(ctx, n)
	return p, err
}

// noteNotices reads the tickets of one request, and retires devices that are gone.
func (s *Sender) noteNotices(ctx context.Context, chunk []*push, tickets []expo.Ticket, notices []notice, asked time.Time) {
	var gone []string
	for i, p := range chunk {
		n := &notices[p.reminder]
		e := tickets[i].Err
		switch {
		case e == nil:
			n.told = true
			continue
		case e.Kind == expo.DeviceGone:
			gone = append(gone, p.token)
			n.gone = n.gone || len(n.faults) == 0
		case e.Kind == expo.Project:
			n.wait = noticeRest
			n.gone = false
		default:
			n.gone = false
		}
		n.faults = append(n.faults, expo.Mask(p.token)+": "+e.Error())
	}
	if len(gone) == 0 {
		return
	}
	err := s.db.RetireDevices(ctx, store.RetireDevicesParams{Tokens: gone, Before: asked, Reason: retiredGone})
	if err != nil {
		s.log.Warn().Err(fmt.Errorf("retire devices: %w", err)).Msg("devices that are gone not retired: they are when they are pushed to next")
	}
}

// middle is the user with whom the second half of a chunk begins; the chunk has several.
func middle(chunk []*push) int {
	first, last := chunk[0].reminder, chunk[len(chunk)-1].reminder
	return first + (last-first+1)/2
}

// putOff has the users of a chunk told later.
func putOff(chunk []*push, notices []notice, err error) {
	for _, p := range chunk {
		n := &notices[p.reminder]
		n.wait = noticeRest
		if len(n.faults) == 0 || n.faults[len(n.faults)-1] != err.Error() {
			n.faults = append(n.faults, err.Error())
		}
	}
}

func (s *Sender) recordNotices(ctx context.Context, rows []store.ClaimNoticesRow, notices []notice) error {
	var arg store.RecordNoticesParams
	told := 0
	for i, n := range notices {
		retryMs, outcome := int64(-1), "failed"
		switch {
		case n.told:
			outcome = "told"
			told++
		case n.wait > 0:
			retryMs, outcome = n.wait.Milliseconds(), "deferred"
		case !n.final && !n.gone && int(rows[i].Attempts) < maxNotices:
			retryMs, outcome = s.cfg.Jitter(grow(noticePause, noticeLast, int(rows[i].Attempts)-1)).Milliseconds(), "retry"
		}
		s.m.notices.WithLabelValues(outcome).Inc()
		arg.UserIds, arg.Leases = append(arg.UserIds, rows[i].UserID), append(arg.Leases, rows[i].Lease)
		arg.RetryMs, arg.Counts = append(arg.RetryMs, retryMs), append(arg.Counts, n.wait == 0)
		arg.Told, arg.ErrorMessages = append(arg.Told, n.told), append(arg.ErrorMessages, storable(strings.Join(n.faults, "; ")))
	}
	if told > 0 {
		s.log.Info().Int("users", told).Msg("users told that access to their calendar has ended")
	}
	if err := s.db.RecordNotices(ctx, arg); err != nil {
		return fmt.Errorf("record notices: %w", err)
	}
	return nil
}
