package app

import (
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	toxiclient "github.com/Shopify/toxiproxy/v2/client"
)

// full asks for the long versions of the tests of faults: REMINDER_WORKER_TEST_FULL=1. They take minutes, and show the same.
var full = os.Getenv("REMINDER_WORKER_TEST_FULL") != ""

// spell is how long a fault lasts that is short by default.
func spell(short time.Duration) time.Duration {
	if full {
		return 90 * time.Second
	}
	return short
}

// fault is one way in which the network between worker and database fails.
type fault struct {
	name string
	// befall begins the fault, lets it last, and ends it. Noticed tells whether the worker has said since that it is in trouble.
	befall func(n *network, noticed func() bool)
	// known says that the worker must notice.
	known bool
	// lease is how long claims hold: as by default where answers take seconds, less where they are lost.
	lease time.Duration
}

var hardships = []fault{
	{"Cut", cutOnce, true, 3 * time.Second},
	{"BlackHole", blackHole, true, 3 * time.Second},
	{"Latency", latency, false, 15 * time.Second},
	{"LatencyAnew", latencyAnew, true, 15 * time.Second},
	{"Drip", drip, false, 15 * time.Second},
	{"MidMessage", midMessage, true, 3 * time.Second},
	{"FiftyCuts", fiftyCuts, true, 3 * time.Second},
}

func cutOnce(n *network, _ func() bool) {
	n.cut()
	n.w.pass(3 * time.Second)
	n.join()
}

// noticeLimit is when a worker in a black hole must have said so: generous, for a busy machine. A listener's proof fails after 9 s at
// most. Without a listener it takes a sweep whose question for the clock is not answered in time.
const noticeLimit = 30 * time.Second

// blackHole swallows everything and closes nothing, as a firewall does that has forgotten a connection.
func blackHole(n *network, noticed func() bool) {
	n.suffer(toxic{"timeout", toxiclient.Attributes{"timeout": 0}})
	n.w.within(noticeLimit, "the black hole noticed", noticed)
	n.w.pass(time.Second)
	n.renew()
}

// latency is 2 s each way.
func latency(n *network, _ func() bool) {
	n.suffer(toxic{"latency", toxiclient.Attributes{"latency": 2000}})
	n.w.pass(spell(12 * time.Second))
	n.renew()
}

// latencyAnew is the same for connections that have it from their first byte.
func latencyAnew(n *network, _ func() bool) {
	n.cut()
	n.join()
	latency(n, nil)
}

// drip is a line of 4 KB a second whose packets hold a few bytes.
func drip(n *network, _ func() bool) {
	n.suffer(
		toxic{"slicer", toxiclient.Attributes{"average_size": 64, "size_variation": 32, "delay": 100}},
		toxic{"bandwidth", toxiclient.Attributes{"rate": 4}})
	n.w.pass(spell(12 * time.Second))
	n.renew()
}

// midMessage ends connections after a number of bytes, wherever that is in a message: of either side, in order and by reset.
func midMessage(n *network, _ func() bool) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 12 {
		x := toxic{"limit_data", toxiclient.Attributes{"bytes": 100 + r.IntN(20_000)}}
		if r.IntN(3) == 0 {
			x = toxic{"reset_peer", toxiclient.Attributes{"timeout": r.IntN(200)}}
		}
		n.sufferOneWay(directions[r.IntN(2)], x)
		n.w.pass(500 * time.Millisecond)
		n.renew()
	}
}

// fiftyCuts ends all connections fifty times, as soon as some are made again or sooner. In its long form it takes a minute.
func fiftyCuts(n *network, _ func() bool) {
	r := rand.New(rand.NewPCG(3, 4))
	unit := 250 * time.Millisecond
	if full {
		unit = time.Second
	}
	for range 50 {
		n.cut()
		n.join()
		n.w.pass(unit/5 + time.Duration(r.Int64N(int64(unit))))
	}
}

// However the network to the database fails, and whatever the app writes meanwhile: every event has one copy and every reminder is
// pushed, once but for claims whose result was lost with a connection.
func TestFailingNetwork(t *testing.T) {
	t.Parallel()
	var cases sync.WaitGroup // at once, not as many as there are processors: they wait most of the time
	for _, f := range hardships {
		for _, source := range sourcesOf(t.Name() + f.name) {
			cases.Go(func() { t.Run(source.name+"/"+f.name, func(t *testing.T) { testFault(t, source, f) }) })
		}
	}
	cases.Wait()
}

func testFault(t *testing.T, s source, f fault) {
	w := s.world(t)
	n := w.behindNetwork()
	w.keepLedger()
	w.cfg.ChangeSource, w.cfg.Lease = s.name, f.lease
	w.slowly(100*time.Millisecond, 20*time.Millisecond)
	family := w.newFamily(4)
	a, _ := w.start()
	w.until("ready", func() bool { return a.Ready() && hears(a) })
	stop := family.keepWriting(100*time.Millisecond, 2, time.Second)

	watch := newWatch(a)
	f.befall(n, watch.noticed)
	ended, during := time.Now(), len(w.expo.Pushes())
	w.until("health", func() bool { return hears(a) })
	t.Logf("lasted %s, %d pushes meanwhile; %s; well again %s after its end",
		ended.Sub(watch.began).Round(10*time.Millisecond), during, watch, time.Since(ended).Round(10*time.Millisecond))
	watch.end()
	w.pass(time.Second)
	stop()
	if f.known && !watch.noticed() {
		t.Error("nobody noticed")
	}
	if sum := family.check(2 * patience); sum.late > 0 {
		t.Errorf("%d pushes were sent under a claim that was over", sum.late)
	}
}

// hears reports whether the worker says that all is well between it and the database.
func hears(a *App) bool {
	l := a.checkListener()
	return l.OK && a.checkDatabase().OK && a.checkStatements().OK
}

// watch notes when a worker says that something is wrong.
type watch struct {
	began time.Time
	stop  chan struct{}
	done  sync.WaitGroup

	mu    sync.Mutex // guards the fields below
	first time.Duration
	why   string
	times int
}

func newWatch(a *App) *watch {
	w := &watch{began: time.Now(), stop: make(chan struct{})}
	w.done.Go(func() {
		t := time.NewTicker(10 * time.Millisecond)
		defer t.Stop()
		for well := true; ; {
			select {
			case <-w.stop:
				return
			case <-t.C:
			}
			if now := hears(a); now != well {
				if well = now; !well {
					w.note(a)
				}
			}
		}
	})
	return w
}

func (w *watch) note(a *App) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.times++; w.times > 1 {
		return
	}
	w.first = time.Since(w.began)
	w.why = a.checkListener().Reason
	if f := a.checkDatabase(); !f.OK {
		w.why = f.Reason
	}
}

func (w *watch) end() {
	close(w.stop)
	w.done.Wait()
}

func (w *watch) noticed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.times > 0
}

func (w *watch) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.times == 0 {
		return "nothing noticed"
	}
	return "noticed after " + w.first.Round(time.Millisecond).String() + ": " + w.why
}
