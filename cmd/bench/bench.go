package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parentpal/reminder-worker/sql/pgtemp"
)

// Bench measures workers. Make it with New.
type Bench struct {
	cfg     Config
	workers []Worker
	server  string // the URL of its database
	made    int    // databases so far
}

// New returns a bench of these workers.
func New(cfg Config, workers ...Worker) (*Bench, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if len(workers) == 0 {
		return nil, errors.New("there is nothing to measure")
	}
	return &Bench{cfg: cfg, workers: workers}, nil
}

// Run makes all measurements, and hands each result to found as soon as it is there. Workers take turns, so that what changes on the machine
// meanwhile concerns all of them.
func (b *Bench) Run(ctx context.Context, found func(Result)) error {
	b.server = b.cfg.DatabaseURL
	if b.server == "" {
		pg, err := b.startPostgres(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = pg.Stop(context.WithoutCancel(ctx)) }() // what it holds is thrown away
		b.server = pg.URL("postgres")
	}
	for run := range b.cfg.Runs {
		for _, s := range scenarios {
			if len(b.cfg.Only) > 0 && !slices.Contains(b.cfg.Only, s.name) {
				continue
			}
			for i := range s.cases(b.cfg.Size) {
				for _, w := range b.workers {
					if w.skips(s.name) {
						continue
					}
					r, err := b.measure(ctx, w, s, i)
					if err != nil {
						return fmt.Errorf("measure %s of %s: %w", s.name, w.Name, err)
					}
					r.Run = run + 1
					found(r)
				}
			}
		}
	}
	return nil
}

func (b *Bench) progress(format string, args ...any) {
	if b.cfg.Progress != nil {
		fmt.Fprintf(b.cfg.Progress, format+"\n", args...)
	}
}

// startPostgres starts a server set up as one is for its first customers: enough memory for what is in use, and a log that is not written out
// every few seconds.
func (b *Bench) startPostgres(ctx context.Context) (*pgtemp.Server, error) {
	b.progress("starting a private PostgreSQL ...")
	return pgtemp.Start(ctx, pgtemp.Config{
		Durable: true,
		Settings: map[string]string{
			"shared_buffers": "1GB", "max_wal_size": "4GB", "max_connections": "200", "wal_level": "logical",
		},
		Progress: func(text string) { b.progress("  %s", text) },
	})
}

// rig is a worker on a site of its own.
type rig struct {
	Site
	bench  *Bench
	worker Worker
	db     *pgxpool.Pool // the app's
	google *ledger
	expo   *ledger
	proc   *process
	close  []func()

	// countsLater says that what is written down will be counted when everything has been measured.
	countsLater bool

	before machine
	cpu    time.Duration // of the worker's process, before
}

// limit is how long a measurement may take, whatever its size.
const limit = time.Hour

func (b *Bench) measure(ctx context.Context, w Worker, s scenario, i int) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	label := s.cases(b.cfg.Size)[i]
	b.progress("%s: %s %s", w.Name, s.name, label)
	r := &rig{bench: b, worker: w}
	defer r.strike()
	if err := r.raise(ctx, s.expects(b.cfg.Size, i), s.paced); err != nil {
		return Result{}, err
	}
	result, err := s.run(ctx, r, b.cfg.Size, i)
	if err != nil {
		return result, err
	}
	result.Worker, result.Scenario, result.Case = w.Name, s.name, label
	return result, r.stop()
}

// users are as many as one call at a time for each of them leaves room for, and a small app has.
const users = 100

// raise makes the site, and a database that is ready for the worker.
func (r *rig) raise(ctx context.Context, expected int, paced bool) error {
	r.google, r.expo = newLedger(expected), newLedger(expected)
	google, err := newStandin(r.google.google)
	if err != nil {
		return err
	}
	r.close = append(r.close, google.close)
	expo, err := newStandin(r.expo.expo)
	if err != nil {
		return err
	}
	r.close = append(r.close, expo.close)
	r.GoogleURL, r.TokenURL, r.ExpoURL, r.Paced = google.url()+"/", google.url()+"/token", expo.url(), paced
	for range users {
		r.Users = append(r.Users, uuid.New())
	}
	if r.HTTPAddr, err = freeAddr(ctx); err != nil {
		return err
	}
	if err := r.makeDatabase(ctx); err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, r.DatabaseURL)
	if err != nil {
		return fmt.Errorf("connect to the new database: %w", err)
	}
	if err := errors.Join(r.worker.Prepare(ctx, conn, r.Site), conn.Close(ctx)); err != nil {
		return fmt.Errorf("prepare the database: %w", err)
	}
	cfg, err := pgxpool.ParseConfig(r.DatabaseURL)
	if err != nil {
		return err
	}
	cfg.MaxConns, cfg.MinIdleConns = writers, writers
	if r.db, err = pgxpool.NewWithConfig(ctx, cfg); err != nil {
		return err
	}
	r.close = append(r.close, r.db.Close)
	return nil
}

func freeAddr(ctx context.Context) (string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func (r *rig) makeDatabase(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, r.bench.server)
	if err != nil {
		return fmt.Errorf("connect to the server: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // nothing is under way on it
	r.bench.made++
	name := fmt.Sprintf("bench_%d_%s", r.bench.made, uuid.NewString()[:8])
	if _, err := conn.Exec(ctx, "create database "+name); err != nil {
		return fmt.Errorf("create a database: %w", err)
	}
	r.close = append(r.close, func() { r.dropDatabase(name) })
	u, err := url.Parse(r.bench.server)
	if err != nil {
		return fmt.Errorf("read the database's URL: %w", err)
	}
	u.Path = "/" + name
	r.DatabaseURL = u.String()
	return nil
}

func (r *rig) dropDatabase(name string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, r.bench.server)
	if err == nil {
		_, err = conn.Exec(ctx, "drop database "+name+" with (force)")
		err = errors.Join(err, conn.Close(ctx))
	}
	if err != nil {
		r.bench.progress("database %s is left behind: %s", name, err)
	}
}

// start starts the worker, and waits until it serves.
func (r *rig) start(ctx context.Context) (took time.Duration, err error) {
	if r.proc, err = startProcess(r.worker.Command(ctx, r.Site)); err != nil {
		return 0, err
	}
	err = r.proc.until(ctx, 10*time.Millisecond, func() bool {
		if r.worker.Ready != nil {
			return r.worker.Ready(ctx, r.Site)
		}
		return r.proc.ready()
	})
	if err != nil {
		return 0, fmt.Errorf("start %s: %w", r.worker.Name, err)
	}
	return time.Since(r.proc.began), nil
}

// begin is when the measurement begins; its costs count from here.
func (r *rig) begin() {
	r.before = machineNow()
	if r.proc != nil {
		r.cpu = usageOf(r.proc.cmd.Process.Pid).cpu
	}
}

// end adds what the measurement has cost. Work is what the processor time of the worker is divided by; 0: it is a share of the time that passed.
func (r *rig) end(result *Result, work int) {
	now, after := usageOf(r.proc.cmd.Process.Pid), machineNow()
	result.Strangers = -1
	if !now.known || !after.known {
		return
	}
	passed := after.at.Sub(r.before.at)
	if work > 0 {
		result.add("worker cpu", float64((now.cpu-r.cpu).Microseconds())/float64(work), "us each")
	} else {
		result.add("worker cpu", 100*float64(now.cpu-r.cpu)/float64(passed), "%")
	}
	result.add("worker memory", float64(now.peak)/(1<<20), "MB peak")
	strangers := (after.busy - r.before.busy) - (after.ours - r.before.ours)
	result.Strangers = max(0, float64(strangers)/float64(passed)/float64(processors()))
}

// stop ends the worker, which has to end well.
func (r *rig) stop() error {
	if r.proc == nil {
		return nil
	}
	p := r.proc
	r.proc = nil
	return p.stop()
}

// strike takes everything down, last things first.
func (r *rig) strike() {
	if err := r.stop(); err != nil {
		r.bench.progress("%s: %s", r.worker.Name, err)
	}
	for _, c := range slices.Backward(r.close) {
		c()
	}
}
