package reconcile

import (
	"sync"
	"time"
)

// commitment is whether the reminders of an event were committed whose call began beside that.
type commitment struct {
	once sync.Once
	done chan struct{} // closed when held is known
	held bool
}

func newCommitment() *commitment { return &commitment{done: make(chan struct{})} }

// settle says it, the first time.
func (c *commitment) settle(held bool) {
	c.once.Do(func() {
		c.held = held
		close(c.done)
	})
}

// planned says whether a plan was committed, to the call that is ahead of it, if one is.
func (p planned) planned(held bool) {
	if p.ahead != nil {
		p.ahead.plan.settle(held)
	}
}

// behind returns those of a batch that are not ahead of their plans.
func behind(batch []planned) (left []planned) {
	for _, p := range batch {
		if p.ahead == nil {
			left = append(left, p)
		}
	}
	return left
}

// sendAhead begins the calls of new events beside the statement that commits their plans, which takes about as long: the claim has noted their
// copies, so that none is forgotten whatever happens. What became of a call is recorded after the plan.
// It returns how many there are.
func (r *Reconciler) sendAhead(batch []planned) (sent int) {
	for i := range batch {
		p := &batch[i]
		if !p.row.Noted || !r.writes(*p) || p.row.AccountPausedUntil.After(p.now) || p.row.CalendarToMake != "" ||
			r.flight.room() <= 0 || !r.lanes.room(p.row.UserID, r.share) {
			continue
		}
		j := newJob(*p, r.cfg.Lease)
		token, err := r.cfg.Keys.Open(j.user, j.stored)
		if err != nil {
			continue // it is told when its turn comes
		}
		j.account.RefreshToken, j.plan = token, newCommitment()
		p.ahead = j
		r.flight.add(j)
		r.lanes.add(j)
		sent++
	}
	return sent
}

// headStart is how long the call of an event that is served alone has the machine to itself. Its plan comes a little later, which nobody sees; on
// few processors the two, and the look for what is due next, get in each other's way.
const headStart = time.Millisecond

// replanPause is after how long an event is planned again whose plan did not count: because somebody was at its rows, for the most part.
const replanPause = 100 * time.Millisecond

// behindPlan holds an outcome back until the event's plan is committed: what it records would end the claim under which that is done. Where the
// plan did not count the event is due again soon, whatever its call says: a reminder does not wait for Google.
func (r *Reconciler) behindPlan(o outcome) outcome {
	if o.job.plan == nil {
		return o
	}
	<-o.job.plan.done
	if !o.job.plan.held && !o.released {
		o.unplanned, o.status, o.retry = true, eventPending, replanPause
	}
	return o
}
