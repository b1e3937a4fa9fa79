package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/google/uuid"
)

// ahead is how long before the first of them reminders are written, at least.
const ahead = 2 * time.Second

// alerts are the reminders of a measurement: when each is due, and when what it reminds of begins.
type alerts struct{ times, starts []time.Time }

// remind writes reminders that draw makes for a moment soon to come, and waits until all have been sent. Index says which one a call was.
func (r *rig) remind(ctx context.Context, s Size, draw func(first time.Time) alerts) (a alerts, calls []call, index map[uuid.UUID]int, err error) {
	if _, err := r.start(ctx); err != nil {
		return a, nil, nil, err
	}
	a = draw(time.Now().Add(ahead + s.Settle).Truncate(time.Second).Add(time.Second))
	n := len(a.times)
	ids, owners := make([]uuid.UUID, n), make([]uuid.UUID, n)
	index = make(map[uuid.UUID]int, n)
	for i := range ids {
		ids[i], owners[i] = uuid.New(), r.Users[i%len(r.Users)]
		index[ids[i]] = i
	}
	if _, err := r.db.Exec(ctx, r.worker.SQL.Reminders, ids, owners, a.times, a.starts); err != nil {
		return a, nil, nil, fmt.Errorf("write the reminders: %w", err)
	}
	first, last := slices.MinFunc(a.times, time.Time.Compare), slices.MaxFunc(a.times, time.Time.Compare)
	if time.Until(first) < time.Second/2 {
		return a, nil, nil, fmt.Errorf("writing %d reminders took until %s before the first was due", n, time.Until(first))
	}
	if err := r.pause(ctx, time.Until(first)-time.Second/2); err != nil {
		return a, nil, nil, err
	}
	r.begin()
	if err := r.pause(ctx, time.Until(last)); err != nil {
		return a, nil, nil, err
	}
	if calls, err = r.arrived(ctx, r.expo, n); err == nil {
		err = r.untilCounted(ctx, r.worker.SQL.Sent, n)
	}
	return a, calls, index, err
}

// lateness has reminders fall due at random instants.
func (r *rig) lateness(ctx context.Context, s Size, n int, span time.Duration) (result Result, err error) {
	a, calls, index, err := r.remind(ctx, s, func(first time.Time) (a alerts) {
		dice := rand.New(rand.NewPCG(1, uint64(n)))
		for range n {
			at := first.Add(time.Duration(dice.Int64N(int64(span)))).Truncate(time.Millisecond)
			a.times, a.starts = append(a.times, at), append(a.starts, at.Add(time.Hour))
		}
		return a
	})
	if err != nil {
		return result, err
	}
	late := make([]time.Duration, 0, n)
	for _, c := range calls {
		late = append(late, c.at.Sub(a.times[index[c.id]]))
	}
	result.spread(late)
	if late[0] < 0 {
		return result, fmt.Errorf("a reminder came %s early", -late[0])
	}
	r.end(&result, n)
	return result, nil
}

// herd has reminders fall due at one instant.
func (r *rig) herd(ctx context.Context, s Size, n int) (result Result, err error) {
	a, calls, _, err := r.remind(ctx, s, func(first time.Time) alerts {
		return alerts{slices.Repeat([]time.Time{first}, n), slices.Repeat([]time.Time{first.Add(time.Hour)}, n)}
	})
	if err != nil {
		return result, err
	}
	late := make([]time.Duration, 0, n)
	for _, c := range calls {
		late = append(late, c.at.Sub(a.times[0]))
	}
	slices.Sort(late)
	result.add("first", millis(late[0]), "ms")
	result.add("last", millis(late[n-1]), "ms")
	r.end(&result, n)
	return result, nil
}

// overtaking is by how many reminders requests overtake each other: six at a time, of a hundred each.
const overtaking = 600

// pacedHerd is a herd under Expo's limits: each reminds of an event with a start of its own.
func (r *rig) pacedHerd(ctx context.Context, s Size, n int) (result Result, err error) {
	a, calls, index, err := r.remind(ctx, s, func(first time.Time) (a alerts) {
		for _, nr := range rand.New(rand.NewPCG(2, 2)).Perm(n) {
			a.times, a.starts = append(a.times, first), append(a.starts, first.Add(time.Hour+time.Duration(nr)*time.Second))
		}
		return a
	})
	if err != nil {
		return result, err
	}
	slices.SortStableFunc(calls, func(a, b call) int { return a.at.Compare(b.at) })
	span := calls[n-1].at.Sub(calls[0].at)
	most, from := 0, 0
	for i, c := range calls {
		for c.at.Sub(calls[from].at) >= time.Second {
			from++
		}
		most = max(most, i-from+1)
	}
	// Requests overtake each other on their way, so a reminder may be some requests away from its place.
	var astray int
	for i, c := range calls {
		if place := int(a.starts[index[c.id]].Sub(a.times[0].Add(time.Hour)).Seconds()); place-i > overtaking || i-place > overtaking {
			astray++
		}
	}
	result.add("rate", float64(n)/span.Seconds(), "/s")
	result.add("most in a second", float64(most), "")
	result.add("out of order", float64(astray), "")
	result.add("last", millis(calls[n-1].at.Sub(a.times[0])), "ms")
	r.end(&result, n)
	return result, nil
}
