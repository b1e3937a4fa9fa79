package page

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"unicode/utf8"

	"github.com/google/uuid"
)

const (
	// maxBody bounds what a change is asked for with.
	maxBody = 64 << 10
	// maxRetried bounds how many rows one request may name.
	maxRetried = 1000
	// maxReason bounds why a part is paused, in characters.
	maxReason = 200
)

// badRequestError says what is wrong with what was asked.
type badRequestError struct{ error }

// changing refuses what would change something where that may not be.
func (p *Page) changing(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !p.mutable() {
			p.metrics.refused.WithLabelValues(refusedReadOnly).Inc()
			p.sorry(w, r, http.StatusForbidden, "This page is for reading only: set PAGE_PASSWORD (or PAGE_PASSWORD_FILE) to retry, pause and resume here.")
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		next(w, r)
	}
}

// formed takes a change from a form of the page, and leads back to where its outcome is seen.
func (p *Page) formed(what string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			p.refused(w, r, badRequestError{errors.New("the form cannot be read")})
			return
		}
		f := r.PostForm
		if what != "retry" {
			part := f.Get("part")
			if err := p.hold(r, what, PauseRequest{Part: part, Reason: f.Get("reason")}); err != nil {
				p.refused(w, r, err)
				return
			}
			http.Redirect(w, r, "/?done="+what+"-"+url.QueryEscape(part)+"#pipeline", http.StatusSeeOther)
			return
		}
		req := RetryRequest{Reason: f.Get("reason"), All: f.Get("all") == "true"}
		var bad1, bad2 error
		req.Events, bad1 = ids(f["event"])
		req.Reminders, bad2 = ids(f["reminder"])
		if err := errors.Join(bad1, bad2); err != nil {
			p.refused(w, r, badRequestError{err})
			return
		}
		res, err := p.retry(r, req)
		if err != nil {
			p.refused(w, r, err)
			return
		}
		back := "/failures"
		if id, err := uuid.Parse(f.Get("back")); err == nil {
			back = "/events/" + id.String()
		}
		http.Redirect(w, r, back+"?"+res.query().Encode(), http.StatusSeeOther) //nolint:gosec // G710: a path of ours, with a UUID at most
	}
}

// query tells a result to the page that is shown next.
func (r RetryResult) query() url.Values {
	q := url.Values{"done": {"retry"}}
	for name, n := range map[string]int{"events": r.Events, "reminders": r.Reminders, "late": r.TooLate, "same": r.Unchanged, "unknown": r.Unknown} {
		if n > 0 {
			q.Set(name, strconv.Itoa(n))
		}
	}
	if r.More {
		q.Set("more", "1")
	}
	return q
}

// asked takes a change from a program, as JSON.
func (p *Page) asked(what string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if what == "retry" {
			var req RetryRequest
			err := decode(r.Body, &req)
			var res RetryResult
			if err == nil {
				res, err = p.retry(r, req)
			}
			if err != nil {
				p.refused(w, r, err)
				return
			}
			p.writeJSON(w, http.StatusOK, res)
			return
		}
		var req PauseRequest
		err := decode(r.Body, &req)
		if err == nil {
			err = p.hold(r, what, req)
		}
		if err != nil {
			p.refused(w, r, err)
			return
		}
		p.writeJSON(w, http.StatusOK, map[string]any{"part": req.Part, "paused": what == "pause"})
	}
}

func (p *Page) retry(r *http.Request, req RetryRequest) (RetryResult, error) {
	ways := 0
	for _, given := range []bool{len(req.Events)+len(req.Reminders) > 0, req.Reason != "", req.All} {
		if given {
			ways++
		}
	}
	switch {
	case ways != 1:
		return RetryResult{}, badRequestError{errors.New("say what is to be tried again: events or reminders, or a reason, or all")}
	case len(req.Events)+len(req.Reminders) > maxRetried:
		return RetryResult{}, badRequestError{fmt.Errorf("%d ids are named, at most %d may be", len(req.Events)+len(req.Reminders), maxRetried)}
	}
	ctx, cancel := context.WithTimeout(r.Context(), p.cfg.ActTimeout)
	defer cancel()
	res, err := p.actions.Retry(ctx, req)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) && res.Events+res.Reminders > 0 {
		res.More, err = true, nil
	}
	line := p.log.Info().Str("from", r.RemoteAddr).Bool("by_reason", req.Reason != "").Bool("all", req.All).
		Int("named_events", len(req.Events)).Int("named_reminders", len(req.Reminders))
	if err != nil {
		line.Str("error", err.Error()).Msg("retry asked for on the live page, not done")
		return res, err
	}
	line.Int("events", res.Events).Int("reminders", res.Reminders).Int("too_late", res.TooLate).Msg("retried on the live page")
	p.failures.forget(ctx)
	p.overview.forget(ctx)
	return res, nil
}

// hold pauses or resumes.
func (p *Page) hold(r *http.Request, what string, req PauseRequest) error {
	if req.Part != "calendar" && req.Part != "push" {
		return badRequestError{errors.New("part must be calendar or push")}
	}
	if utf8.RuneCountInString(req.Reason) > maxReason {
		return badRequestError{fmt.Errorf("the reason has more than %d characters", maxReason)}
	}
	ctx, cancel := context.WithTimeout(r.Context(), p.cfg.ActTimeout)
	defer cancel()
	act := func() error { return p.actions.Resume(ctx, req.Part) }
	if what == "pause" {
		act = func() error { return p.actions.Pause(ctx, req.Part, req.Reason) }
	}
	err := act()
	line := p.log.Info().Str("from", r.RemoteAddr).Str("action", what).Str("part", req.Part).Str("reason", req.Reason)
	if err != nil {
		line.Str("error", err.Error()).Msg("pause or resume asked for on the live page, not done")
		return err
	}
	line.Msg("paused or resumed on the live page")
	p.overview.forget(ctx)
	return nil
}

// refused answers a change that was not made.
func (p *Page) refused(w http.ResponseWriter, r *http.Request, err error) {
	if _, bad := errors.AsType[badRequestError](err); bad {
		p.sorry(w, r, http.StatusBadRequest, err.Error())
		return
	}
	p.sorry(w, r, http.StatusServiceUnavailable, "This was not done: "+err.Error())
}

// ids reads those that a form names.
func ids(texts []string) (all []uuid.UUID, err error) {
	for _, text := range texts {
		id, err := uuid.Parse(text)
		if err != nil {
			return nil, errors.New("one of the ids is none")
		}
		all = append(all, id)
	}
	return all, nil
}

// decode reads one JSON object and nothing else.
func decode(from io.Reader, into any) error {
	d := json.NewDecoder(from)
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return badRequestError{fmt.Errorf("the body is not the JSON object that is expected: %w", err)}
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return badRequestError{errors.New("something follows the JSON object")}
	}
	return nil
}
