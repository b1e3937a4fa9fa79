package expofake_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/parentpal/reminder-worker/notify/expo/expofake"
)

// TestCloseEndsWaiting closes while a request is being held up.
func TestCloseEndsWaiting(t *testing.T) {
	t.Parallel()
	s := start(t)
	held := make(chan struct{})
	s.Fail(func(expofake.Request) *expofake.Fault {
		close(held)
		return expofake.Slow(time.Hour)
	})
	ended := make(chan error)
	go func() {
		resp, err := http.Post(s.URL()+"/send", "application/json", strings.NewReader(`[{"to":"`+token(1)+`"}]`))
		if err == nil {
			resp.Body.Close()
		}
		ended <- err
	}()
	<-held
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; err == nil {
		t.Error("the request was answered")
	}
	if err := s.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
}

func TestFaultsByRequest(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.Fail(expofake.Once(expofake.SendEndpoint, 2, expofake.Refuse(503, "API_ERROR")))
	for i, want := range []int{503, 503, 200} {
		if status, _ := post(t, s, "/send", `[{"to":"`+token(1)+`"}]`); status != want {
			t.Errorf("request %d: status %d, want %d", i+1, status, want)
		}
	}
	s.Fail(func(r expofake.Request) *expofake.Fault {
		if len(r.Tokens) == 1 && r.Tokens[0] == token(2) {
			return expofake.Gateway()
		}
		return nil
	})
	if status, _ := post(t, s, "/send", `[{"to":"`+token(2)+`"}]`); status != 504 {
		t.Errorf("status %d for the token with a fault", status)
	}
	if status, _ := post(t, s, "/send", `[{"to":"`+token(1)+`"}]`); status != 200 {
		t.Errorf("status %d for the other", status)
	}
	if got := s.Counts(); got.Faults != 3 || got.Accepted != 2 {
		t.Errorf("counts %+v", got)
	}
}
