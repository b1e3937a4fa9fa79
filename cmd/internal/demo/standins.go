package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/parentpal/reminder-worker/notify/expo/expofake"
	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
)

// StandinsConfig says where the stand-ins listen.
type StandinsConfig struct {
	// Google and Expo are TCP addresses; port 0 is any free one.
	Google, Expo string
	// Out takes the lines to paste, and one line per request.
	Out io.Writer
}

// Validate reports every fault of c at once, each by the name of its flag.
func (c StandinsConfig) Validate() error {
	var faults []error
	for _, a := range []struct{ flag, address string }{{"--google", c.Google}, {"--expo", c.Expo}} {
		_, port, err := net.SplitHostPort(a.address)
		if _, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil {
			faults = append(faults, fmt.Errorf("%s %s: is not host:port; one looks like 127.0.0.1:8090, or 127.0.0.1:0 for any free port", a.flag, a.address))
		}
	}
	if c.Out == nil {
		faults = append(faults, errors.New("out: missing"))
	}
	return errors.Join(faults...)
}

// kept is how many requests and pushes the stand-ins remember: they may run for weeks.
const kept = 1000

// RunStandins serves both stand-ins until ctx ends, which is no error. They accept any refresh token, any service account and any
// well-formed push token.
func RunStandins(ctx context.Context, cfg StandinsConfig) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	log := &requestLog{out: cfg.Out}
	google, err := gcalfake.Start(gcalfake.Config{Addr: cfg.Google, OpenGrants: true, LogSize: kept, OnRequest: log.request})
	if err != nil {
		return portFault("--google "+cfg.Google, err)
	}
	defer google.Close()
	ec := expofake.DefaultConfig()
	ec.Addr, ec.Keep = cfg.Expo, kept
	expo, err := expofake.Start(ec)
	if err != nil {
		return portFault("--expo "+cfg.Expo, err)
	}
	expo.OnPush(log.push)
	expo.Fail(log.observe)
	fmt.Fprintf(cfg.Out, "# Stand-ins for Google Calendar and Expo. Point the worker at them:\n\n%s\n\n# What they are asked follows. Stop with Ctrl-C.\n",
		"export "+strings.Join(standinEnvironment(google, expo), "\nexport "))
	<-ctx.Done()
	return expo.Close()
}

// standinEnvironment points the program at the stand-ins.
func standinEnvironment(google *gcalfake.Server, expo *expofake.Server) []string {
	return []string{
		"GOOGLE_CALENDAR_URL=" + google.CalendarURL(),
		"GOOGLE_TOKEN_URL=" + google.TokenURL(),
		"GOOGLE_REVOKE_URL=" + google.RevokeURL(),
		"GOOGLE_CLIENT_ID=" + clientID,
		"GOOGLE_CLIENT_SECRET=" + clientSecret,
		"EXPO_PUSH_URL=" + expo.URL(),
	}
}

// portFault says what to do about an address that cannot be had.
func portFault(flag string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s: the port is taken by another program; choose another, or 0 for any free one", flag)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%s: this port is not ours to open; choose one above 1023, or 0 for any free one", flag)
	}
	return fmt.Errorf("%s: %w", flag, err)
}

// requestLog writes a line per request.
type requestLog struct {
	mu  sync.Mutex
	out io.Writer
}

func (l *requestLog) line(at time.Time, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.out, at.Local().Format("15:04:05.000")+"  "+format+"\n", args...)
}

func (l *requestLog) request(r gcalfake.Record) {
	l.line(r.At, "google  %-8s %d  %s", r.Op, r.Status, strings.TrimSpace(r.User+" "+r.ID))
}

// observe sees each request before it is served, and lets it be.
func (l *requestLog) observe(r expofake.Request) *expofake.Fault {
	if r.Endpoint == expofake.ReceiptsEndpoint {
		l.line(r.FirstByte, "expo    receipts %s asked for", plural(len(r.IDs), "receipt"))
		return nil
	}
	l.line(r.FirstByte, "expo    send     %s", plural(len(r.Tokens), "recipient"))
	return nil
}

func (l *requestLog) push(p expofake.Push) {
	l.line(p.FirstByte, "expo    push     %s: %q %q", p.Token, p.Title, p.Body)
}
