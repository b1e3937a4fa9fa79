package ops

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve runs a server on a free port until the end of the test and returns the
// address of its root.
func serve(t *testing.T, cfg Config, checks ...Check) (root string, stop func() error) {
	t.Helper()
	cfg.Addr = "127.0.0.1:0"
	s := New(cfg, prometheus.NewRegistry(), checks, zerolog.Nop())
	if s.Addr() != "" {
		t.Errorf("Addr %q before Listen", s.Addr())
	}
	if err := s.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return "http://" + s.Addr(), stop
}

// client keeps no connections, so that none outlives its test.
var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// ask sends a request and returns the answer with its body read.
func ask(t *testing.T, method, url string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

func always(f Finding) func() Finding { return func() Finding { return f } }

var (
	fine = Finding{OK: true, Reason: "hears changes"}
	slow = Finding{OK: true, Degraded: true, Reason: "sends later", Fix: "wait"}
	gone = Finding{Reason: "the database cannot be reached", Fix: "start it"}
)

func TestReadyz(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		checks []Check
		code   int
		text   string
	}{
		"nothing to check": {nil, 200, "ok\n"},
		"all fine":         {[]Check{{"listener", true, always(fine)}}, 200, "ok\n"},
		"a part is slow": {
			[]Check{{"listener", true, always(fine)}, {"push", true, always(slow)}}, 200,
			"degraded\npush: degraded: sends later\n    fix: wait\n",
		},
		"an optional part fails": {
			[]Check{{"calendar", false, always(gone)}}, 200,
			"degraded\ncalendar: failed: the database cannot be reached\n    fix: start it\n",
		},
		"a required part fails": {
			[]Check{{"push", true, always(slow)}, {"database", true, always(gone)}}, 503,
			"failed\npush: degraded: sends later\n    fix: wait\n" +
				"database: failed: the database cannot be reached\n    fix: start it\n",
		},
		"a probe breaks": {
			[]Check{{"wheel", true, func() Finding { panic("no wheel") }}}, 503,
			"failed\nwheel: failed: the check itself broke\n    fix: report this with the program's version\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root, _ := serve(t, DefaultConfig(), c.checks...)
			resp, body := ask(t, "GET", root+"/readyz")
			if resp.StatusCode != c.code {
				t.Errorf("status %d, want %d", resp.StatusCode, c.code)
			}
			if diff := cmp.Diff(c.text, body); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestReadyzAsJSON(t *testing.T) {
	t.Parallel()
	root, _ := serve(t, DefaultConfig(), Check{"listener", true, always(fine)}, Check{"database", true, always(gone)})
	want := Report{Status: Failed, Checks: []Result{
		{Name: "listener", Status: OK, Required: true, Reason: fine.Reason},
		{Name: "database", Status: Failed, Required: true, Reason: gone.Reason, Fix: gone.Fix},
	}}
	for _, c := range [][]string{{"?verbose"}, {"", "Accept", "text/plain, application/json;q=0.5"}} {
		resp, body := ask(t, "GET", root+"/readyz"+c[0], c[1:]...)
		var got Report
		if err := json.Unmarshal([]byte(body), &got); err != nil {
			t.Fatalf("%v: %s", err, body)
		}
		if diff := cmp.Diff(want, got); diff != "" || resp.StatusCode != 503 {
			t.Errorf("status %d\n%s", resp.StatusCode, diff)
		}
	}
}

func TestReadinessFlipsWithItsSnapshot(t *testing.T) {
	t.Parallel()
	var hears atomic.Bool
	root, _ := serve(t, DefaultConfig(), Check{"listener", true, func() Finding {
		return Finding{OK: hears.Load(), Reason: "deaf"}
	}})
	for _, want := range []int{503, 200, 503} {
		hears.Store(want == 200)
		if resp, _ := ask(t, "GET", root+"/readyz"); resp.StatusCode != want {
			t.Errorf("status %d, want %d", resp.StatusCode, want)
		}
	}
}

func TestLivezAsksTheLoopsAndNoCheck(t *testing.T) {
	t.Parallel()
	var stopped atomic.Bool
	cfg := DefaultConfig()
	cfg.Alive = func() error {
		if stopped.Load() {
			return errors.New("the wheel's loop has stopped")
		}
		return nil
	}
	root, _ := serve(t, cfg, Check{"database", true, always(gone)})
	if resp, body := ask(t, "GET", root+"/livez"); resp.StatusCode != 200 || body != "ok\n" {
		t.Errorf("got %d %q while the database is gone, want 200", resp.StatusCode, body)
	}
	stopped.Store(true)
	if resp, body := ask(t, "GET", root+"/livez"); resp.StatusCode != 503 || !strings.Contains(body, "wheel's loop") {
		t.Errorf("got %d %q with a stopped loop, want 503", resp.StatusCode, body)
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	cfg := DefaultConfig()
	cfg.Build = Build{Version: "v1.2.3", Revision: "abc123"}
	root, _ := serve(t, cfg, Check{"listener", true, always(fine)}, Check{"push", false, always(slow)},
		Check{"wheel", true, func() Finding { panic("no wheel") }})
	resp, body := ask(t, "GET", root+"/metrics")
	if resp.StatusCode != 200 {
		t.Fatalf("status %d", resp.StatusCode)
	}
	for _, want := range []string{
		`revision="abc123",version="v1.2.3"} 1`,
		`reminder_worker_check_ok{check="listener"} 1`,
		`reminder_worker_check_ok{check="push"} 0`,
		`reminder_worker_check_ok{check="wheel"} 0`,
		"go_goroutines ",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
}

func TestThePageHasTheRest(t *testing.T) {
	t.Parallel()
	cfg := DefaultConfig()
	cfg.Page = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "its own")
		_, _ = io.WriteString(w, r.Method+" "+r.URL.Path)
	})
	root, _ := serve(t, cfg)
	for _, c := range [][2]string{{"GET", "/"}, {"POST", "/retry"}, {"GET", "/livez/more"}} {
		resp, body := ask(t, c[0], root+c[1])
		if body != c[0]+" "+c[1] || resp.Header.Get("Content-Security-Policy") != "its own" || resp.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%v: %q, %v", c, body, resp.Header)
		}
	}
	if resp, body := ask(t, "GET", root+"/livez"); body != "ok\n" || resp.Header.Get("Content-Security-Policy") == "its own" {
		t.Errorf("livez: %q, %v", body, resp.Header)
	}
	if resp, _ := ask(t, "POST", root+"/readyz"); resp.StatusCode != 405 || resp.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST /readyz: %d", resp.StatusCode)
	}
}

func TestOnlyReading(t *testing.T) {
	t.Parallel()
	root, _ := serve(t, DefaultConfig())
	for _, path := range []string{"/livez", "/readyz", "/metrics"} {
		if resp, body := ask(t, "HEAD", root+path); resp.StatusCode != 200 || body != "" {
			t.Errorf("HEAD %s: %d %q", path, resp.StatusCode, body)
		}
		for _, method := range []string{"POST", "PUT", "DELETE", "PATCH"} {
			if resp, _ := ask(t, method, root+path); resp.StatusCode != 405 {
				t.Errorf("%s %s: %d, want 405", method, path, resp.StatusCode)
			}
		}
	}
	if resp, _ := ask(t, "GET", root+"/"); resp.StatusCode != 404 {
		t.Errorf("without a page: %d, want 404", resp.StatusCode)
	}
}

func TestHeadersAreLimited(t *testing.T) {
	t.Parallel()
	cfg := DefaultConfig()
	cfg.MaxHeaderBytes = 2 << 10
	root, _ := serve(t, cfg)
	resp, _ := ask(t, "GET", root+"/livez", "X-Long", strings.Repeat("a", 64<<10))
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("status %d, want 431", resp.StatusCode)
	}
}

func TestShutdownWaitsForRequestsWithinItsGrace(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan struct{}), make(chan struct{})
	root, stop := serve(t, DefaultConfig(), Check{"slow", false, func() Finding {
		close(entered)
		<-leave
		return fine
	}})
	answer := make(chan int, 1)
	go func() {
		resp, _ := ask(t, "GET", root+"/readyz")
		answer <- resp.StatusCode
	}()
	<-entered
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	waitRefused(t, strings.TrimPrefix(root, "http://"))
	select {
	case err := <-stopped:
		t.Errorf("stopped (%v) with a request under way", err)
	default:
	}
	close(leave)
	if code := <-answer; code != 200 {
		t.Errorf("the request under way got %d, want 200", code)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// waitRefused returns when the address no longer takes connections, which is the
// first thing a shutdown does.
func waitRefused(t *testing.T, addr string) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for time.Now().Before(deadline) {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return
		}
		_ = conn.Close()
	}
	t.Fatal("the address still takes connections")
}

func TestShutdownCutsWhatOutlastsItsGrace(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan struct{}), make(chan struct{})
	cfg := DefaultConfig()
	cfg.ShutdownGrace = 0
	root, stop := serve(t, cfg, Check{"stuck", false, func() Finding {
		close(entered)
		<-leave
		return fine
	}})
	answer := make(chan error, 1)
	go func() {
		req, _ := http.NewRequestWithContext(t.Context(), "GET", root+"/readyz", nil)
		resp, err := client.Do(req)
		if err == nil {
			err = resp.Body.Close()
		}
		answer <- err
	}()
	<-entered
	if err := stop(); err != nil {
		t.Error(err)
	}
	if err := <-answer; err == nil {
		t.Error("the stuck request was answered")
	}
	close(leave)
}

func TestAStopBeforeTheStartIsNoError(t *testing.T) {
	t.Parallel()
	cfg := DefaultConfig()
	cfg.Addr = "127.0.0.1:0"
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := New(cfg, prometheus.NewRegistry(), nil, zerolog.Nop()).Run(ctx); err != nil {
		t.Error(err)
	}
}

func TestAnAddressInUseIsAnError(t *testing.T) {
	t.Parallel()
	root, _ := serve(t, DefaultConfig())
	cfg := DefaultConfig()
	cfg.Addr = strings.TrimPrefix(root, "http://")
	err := New(cfg, prometheus.NewRegistry(), nil, zerolog.Nop()).Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), cfg.Addr) {
		t.Errorf("got %v, want an error that names %s", err, cfg.Addr)
	}
}

func TestValidateReportsAllFaults(t *testing.T) {
	t.Parallel()
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	err := Config{Addr: "8080", WriteTimeout: -1, ShutdownGrace: -1}.Validate()
	for _, want := range []string{"address", "header timeout", "write timeout", "idle timeout", "header limit", "grace"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not mention the %s", err, want)
		}
	}
}
