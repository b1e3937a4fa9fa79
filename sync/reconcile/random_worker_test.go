package reconcile

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"

	"github.com/parentpal/reminder-worker/sql/store"
	"github.com/parentpal/reminder-worker/sync/gcal"
)

// wire is a worker's way to the database. It can be held up, and is cut when the worker dies.
type wire struct {
	mu    sync.Mutex
	conns map[*wiredConn]bool // guarded by mu
	dead  bool                // guarded by mu
	held  chan struct{}       // guarded by mu; nil while everything passes
}

type wiredConn struct {
	net.Conn
	wire *wire
}

func (w *wire) dial(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dead {
		return nil, errors.Join(net.ErrClosed, c.Close())
	}
	wired := &wiredConn{c, w}
	w.conns[wired] = true
	return wired, nil
}

// hold lets nothing pass until let.
func (w *wire) hold() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.held == nil && !w.dead {
		w.held = make(chan struct{})
	}
}

func (w *wire) let() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.held != nil {
		close(w.held)
		w.held = nil
	}
}

// cut ends every connection. No other is made if it is for good.
func (w *wire) cut(forGood bool) {
	w.mu.Lock()
	w.dead = w.dead || forGood
	for c := range w.conns {
		_ = c.Conn.Close()
	}
	w.mu.Unlock()
	w.let()
}

func (w *wire) wait() {
	w.mu.Lock()
	held := w.held
	w.mu.Unlock()
	if held != nil {
		<-held
	}
}

func (c *wiredConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.wire.wait()
	return n, err
}

func (c *wiredConn) Write(p []byte) (int, error) {
	c.wire.wait()
	return c.Conn.Write(p)
}

func (c *wiredConn) Close() error {
	c.wire.mu.Lock()
	delete(c.wire.conns, c)
	c.wire.mu.Unlock()
	return c.Conn.Close()
}

// worker is a process, as far as rows and calendars can tell: it has connections and a memory of its own, and may die at any moment.
type worker struct {
	name  string
	r     *Reconciler
	wire  *wire
	close func()
	stop  context.CancelFunc // asks it to stop
	kill  context.CancelFunc // ends what it is at
	ended chan error         // nil if it does not run
}

// The times of a trial. Long pauses are waited for by moving the clock of the rows.
const (
	trialLease = time.Second
	trialCall  = 400 * time.Millisecond
)

// hire makes a worker and does not run it yet.
func (t *trial) hire() (*worker, error) {
	w := &worker{name: t.name("w"), wire: &wire{conns: map[*wiredConn]bool{}}}
	pc := t.config.Copy()
	pc.ConnConfig.DialFunc = w.wire.dial
	pool, err := pgxpool.NewWithConfig(context.Background(), pc)
	if err != nil {
		return nil, err
	}
	gc := gcal.DefaultConfig()
	gc.CalendarURL, gc.TokenURL, gc.RevokeURL = t.google.CalendarURL(), t.google.TokenURL(), t.google.RevokeURL()
	gc.ClientID, gc.ClientSecret = "client", "client-secret"
	client, err := gcal.New(gc)
	if err != nil {
		pool.Close()
		return nil, err
	}
	w.close = func() {
		pool.Close()
		client.Close()
	}
	log := zerolog.New(&t.log).With().Str("worker", w.name).Timestamp().Logger()
	if w.r, err = New(store.New(pool), client, t.cfg, log, NewMetrics(nil), func([]Armed) {}); err != nil {
		w.close()
		return nil, err
	}
	w.r.cfg.CallTimeout = trialCall // shorter than is sensible elsewhere
	return w, nil
}

// start has one more worker run.
func (t *trial) start() error {
	w, err := t.hire()
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	work, kill := context.WithCancel(context.Background())
	w.stop, w.kill, w.ended = stop, kill, make(chan error, 1)
	go func() { w.ended <- w.r.Run(ctx, work) }()
	t.workers = append(t.workers, w)
	return nil
}

// die is the end of the process: nothing it does any more reaches the database, and its requests are left by their sender.
func (w *worker) die() error {
	w.wire.cut(true)
	w.kill()
	return w.retire()
}

// retire stops the worker and lets it finish what it is at.
func (w *worker) retire() error {
	w.stop()
	defer w.kill()
	defer w.close()
	select {
	case err := <-w.ended:
		return err
	case <-time.After(patienceOfTests):
		return errors.New(w.name + " does not end")
	}
}
