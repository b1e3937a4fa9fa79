package audit

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
)

// maxWaiting is how many candidates wait for their second look together.
const maxWaiting = 5000

// again looks at candidates once more and returns those that stand.
type again func(ctx context.Context, candidates []Finding) ([]Finding, error)

// judge holds candidates until they have been seen twice.
type judge struct {
	run     *run
	again   again
	waiting []Finding
	last    time.Time // when the last of them was seen
}

// judgeOf is the judge at a place, made when it is first asked for.
func (r *run) judgeOf(at **judge, second again) *judge {
	if *at == nil {
		*at = &judge{run: r, again: second}
	}
	return *at
}

// add takes what a first look has found. When much has come together it is judged.
func (j *judge) add(ctx context.Context, candidates []Finding) error {
	if len(candidates) == 0 {
		return nil
	}
	j.waiting, j.last = append(j.waiting, candidates...), time.Now()
	if len(j.waiting) < maxWaiting {
		return nil
	}
	return j.flush(ctx)
}

// flush waits until the last candidate is old enough, looks once more, and concludes.
func (j *judge) flush(ctx context.Context) error {
	if len(j.waiting) == 0 {
		return nil
	}
	candidates := j.waiting
	j.waiting = nil
	if err := pause(ctx, j.run.cfg.Grace-time.Since(j.last)); err != nil {
		return err
	}
	standing, err := j.again(ctx, candidates)
	if err != nil || len(standing) == 0 {
		return err
	}
	return j.run.conclude(ctx, standing)
}

// both are the findings of two looks that are in each of them.
func both(a, b []Finding) (standing []Finding) {
	before := make(map[Finding]bool, len(a))
	for _, f := range a {
		before[f] = true
	}
	for _, f := range b {
		if before[f] {
			standing = append(standing, f)
		}
	}
	return standing
}

// twice makes a second look of a first one: it goes by the ids of the candidates, and what stands is what both have found.
func twice[K comparable](key func(Finding) K, page int, look func(context.Context, []K) ([]Finding, error)) again {
	return func(ctx context.Context, candidates []Finding) (standing []Finding, err error) {
		seen := map[K]bool{}
		var keys []K
		for _, c := range candidates {
			if k := key(c); !seen[k] {
				seen[k] = true
				keys = append(keys, k)
			}
		}
		for some := range slices.Chunk(keys, page) {
			found, err := look(ctx, some)
			if err != nil {
				return nil, err
			}
			standing = append(standing, both(candidates, found)...)
		}
		return standing, nil
	}
}

func eventOf(f Finding) uuid.UUID    { return f.EventID }
func reminderOf(f Finding) uuid.UUID { return f.ReminderID }

// copyKey names a recorded copy.
type copyKey struct{ event, user uuid.UUID }

func copyOf(f Finding) copyKey { return copyKey{f.EventID, f.UserID} }
