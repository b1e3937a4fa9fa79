package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parentpal/reminder-worker/cmd/internal/app"
	"github.com/parentpal/reminder-worker/notify/expo/expofake"
	"github.com/parentpal/reminder-worker/sql/pgtemp"
	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
)

const (
	clientID     = "demo"
	clientSecret = "demo"
	database     = "postgres"
)

// stage is everything that a demo starts. Its parts are stopped in the opposite order.
type stage struct {
	cfg     Config
	face    face
	tracker *tracker

	postgres *pgtemp.Server
	google   *gcalfake.Server
	expo     *expofake.Server
	app      *app.App
	db       *pgx.Conn // the family's, and at the end the judge's

	quitApp    func()
	appEnded   chan struct{} // closed when the program has ended, with appErr
	appErr     error
	appStopped time.Time

	quitWatch  func()
	watchEnded chan struct{} // closed when ringing and tracking have ended, with watchErr
	watchErr   error
}

// raise starts everything and returns when the program is ready. What it returns has to be struck, also with an error.
func raise(ctx context.Context, cfg Config, f face) (*stage, error) {
	s := &stage{cfg: cfg, face: f, tracker: newTracker(f)}
	for _, step := range []func(context.Context) error{
		s.checkPorts, s.startPostgres, s.startStandins, s.startApp, s.startWatch,
	} {
		if err := step(ctx); err != nil {
			return s, err
		}
	}
	return s, nil
}

// checkPorts finds a port that is taken before anything has been started.
func (s *stage) checkPorts(ctx context.Context) error {
	var faults []error
	for _, p := range s.cfg.ports() {
		if p.port == 0 {
			continue
		}
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", local(p.port))
		if err != nil {
			faults = append(faults, portFault(p.flag+" "+strconv.Itoa(p.port), err))
			continue
		}
		_ = l.Close() // nobody has connected
	}
	return errors.Join(faults...)
}

func local(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

func (s *stage) startPostgres(ctx context.Context) (err error) {
	began := time.Now()
	s.face.say("starting a private PostgreSQL ...")
	s.postgres, err = pgtemp.Start(ctx, pgtemp.Config{
		Port:     s.cfg.PostgresPort,
		Dir:      pgtemp.MemoryDir(),
		Settings: map[string]string{"track_commit_timestamp": "on"},
		Progress: func(text string) { s.face.say("  " + text) },
	})
	if err != nil {
		return err
	}
	s.face.say(fmt.Sprintf("  PostgreSQL %s after %s", s.postgres.Version(), short(time.Since(began))))
	return nil
}

func (s *stage) startStandins(context.Context) (err error) {
	s.google, err = gcalfake.Start(gcalfake.Config{
		Addr: local(s.cfg.GooglePort), ClientID: clientID, ClientSecret: clientSecret,
		OnRequest: func(r gcalfake.Record) { s.tracker.inbox.put(r) },
	})
	if err != nil {
		return err
	}
	ec := expofake.DefaultConfig()
	ec.Addr = local(s.cfg.ExpoPort)
	if s.expo, err = expofake.Start(ec); err != nil {
		return err
	}
	s.expo.OnPush(func(p expofake.Push) { s.tracker.inbox.put(p) })
	s.tracker.eventOf = s.eventOfCopy
	return nil
}

// environment is how the program is told of it all, in the names of its documentation.
func (s *stage) environment() []string {
	level := "warn"
	if s.cfg.Log {
		level = "info"
	}
	return append(standinEnvironment(s.google, s.expo),
		"DATABASE_URL="+s.postgres.URL(database),
		"HTTP_ADDR="+local(s.cfg.HTTPPort),
		"DEFAULT_TIME_ZONE="+zoneName(),
		"LOG_LEVEL="+level, "LOG_FORMAT=console",
		"RECEIPT_DELAY=1s", // Expo's are ready after 15 minutes, the stand-in's at once
	)
}

// startApp starts the program and waits until it serves.
func (s *stage) startApp(ctx context.Context) error {
	began := time.Now()
	cfg, err := app.Load(s.environment(), "")
	if err != nil {
		return fmt.Errorf("configure the program: %w", err)
	}
	if s.app, err = app.New(cfg, s.cfg.Build, app.NewLog(cfg, s.cfg.Errs)); err != nil {
		return fmt.Errorf("wire the program: %w", err)
	}
	running, quit := context.WithCancel(context.WithoutCancel(ctx))
	s.quitApp, s.appEnded = quit, make(chan struct{})
	go func() {
		defer close(s.appEnded)
		s.appErr = s.app.Run(running)
	}()
	if err := s.awaitReady(ctx); err != nil {
		return err
	}
	s.face.say(fmt.Sprintf("  reminder-worker ready after %s: schema migrated, listening, wheel filled", short(time.Since(began))))
	return nil
}

// readyLimit bounds the wait for the program; migrating takes most of it on a busy machine.
const readyLimit = time.Minute

func (s *stage) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !s.app.Ready() {
		select {
		case <-s.appEnded:
			return fmt.Errorf("start the program: %w", s.endOfApp())
		case <-ctx.Done():
			return fmt.Errorf("wait until the program is ready: %w", ctx.Err())
		case <-tick.C:
		}
	}
	return nil
}

var errEndedEarly = errors.New("it ended by itself")

// endOfApp says why the program ended though nobody had asked it to.
func (s *stage) endOfApp() error {
	if s.appErr != nil {
		return s.appErr
	}
	return errEndedEarly
}

// stopApp stops the program and then the stand-ins, and waits until all that they saw has been handled.
func (s *stage) stopApp() error {
	var faults []error
	if s.quitApp != nil {
		s.appStopped = time.Now()
		s.quitApp()
		<-s.appEnded
		faults, s.quitApp = append(faults, s.appErr), nil
	}
	if s.expo != nil {
		faults = append(faults, s.expo.Close())
	}
	if s.google != nil {
		s.google.Close()
	}
	if s.quitWatch != nil {
		s.quitWatch()
		<-s.watchEnded
		faults, s.quitWatch = append(faults, s.watchErr), nil
	}
	return errors.Join(faults...)
}

// strike stops whatever runs and leaves nothing behind. It may be called again.
func (s *stage) strike() error {
	err := s.stopApp()
	closeAll([]*pgx.Conn{s.db, s.tracker.journal})
	if s.postgres != nil {
		err = errors.Join(err, s.postgres.Stop(context.Background()))
	}
	return err
}
