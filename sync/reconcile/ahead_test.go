package reconcile

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/parentpal/reminder-worker/sync/gcal"
)

// What became of a call that was ahead of its plan is recorded after the plan, and where that did not count the event is planned again soon,
// whatever the call says.
func TestOutcomesStayBehindThePlan(t *testing.T) {
	t.Parallel()
	is := &gcal.Copy{GoogleID: "g", Hash: "h"}
	for name, c := range map[string]struct {
		held      bool
		o         outcome
		status    string
		retry     time.Duration
		unplanned bool
	}{
		"both went well":                {true, outcome{status: eventSynced, retry: never, copy: is}, eventSynced, never, false},
		"the call failed":               {true, outcome{status: eventPending, retry: time.Minute}, eventPending, time.Minute, false},
		"the plan did not count":        {false, outcome{status: eventSynced, retry: never, copy: is}, eventPending, replanPause, true},
		"neither went well":             {false, outcome{status: eventPending, retry: time.Hour}, eventPending, replanPause, true},
		"refused for good, not planned": {false, outcome{status: eventFailed, retry: never}, eventPending, replanPause, true},
		"given back":                    {false, outcome{released: true}, "", 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &Reconciler{}
				c.o.job = &job{plan: newCommitment()}
				answers := make(chan outcome, 1)
				go func() { answers <- r.behindPlan(c.o) }()
				synctest.Wait()
				if len(answers) > 0 {
					t.Fatal("recorded before the plan was committed")
				}
				c.o.job.plan.settle(c.held)
				c.o.job.plan.settle(!c.held) // only the first word counts
				got := <-answers
				if got.status != c.status || got.retry != c.retry || got.unplanned != c.unplanned || got.copy != c.o.copy {
					t.Errorf("got %+v", got)
				}
			})
		})
	}
}

// An event that was planned before its call is recorded as it comes.
func TestOutcomesOfThePlanned(t *testing.T) {
	t.Parallel()
	r := &Reconciler{}
	if got := r.behindPlan(outcome{job: &job{}, status: eventSynced, retry: never}); got.status != eventSynced || got.unplanned {
		t.Errorf("got %+v", got)
	}
}
