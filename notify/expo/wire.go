package expo

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// readAnswer returns the data of an answer that carries some. Expo can say no with
// a status, with a list of errors, or with such a list under a status of 200.
func readAnswer(resp *http.Response, about said) (json.RawMessage, *Error) {
	body, err := readAll(resp.Body)
	if err != nil {
		return nil, &Error{Kind: Retry, Status: resp.StatusCode, Unsure: true, Err: fmt.Errorf("read answer: %w", err)}
	}
	var a answer
	err = json.Unmarshal(body, &a)
	if resp.StatusCode == http.StatusOK && err == nil && len(a.Errors) == 0 && plain(a.Error) == "" {
		return a.Data, nil
	}
	failure := &Error{Status: resp.StatusCode, RetryAfter: retryAfter(resp.Header, time.Now())}
	if err != nil {
		failure.Err = errNotJSON
	} else {
		failure.explain(a, about)
	}
	failure.Kind = classifyRequest(failure.Status, failure.Code, len(about.tokens))
	failure.Unsure = failure.Kind == Retry && unsure(failure.Status)
	return nil, failure
}

// explain takes over what the first of the errors says. Further ones have not been
// seen and could not be acted upon separately.
func (e *Error) explain(a answer, about said) {
	var first requestError
	if len(a.Errors) == 0 {
		e.Code, e.Message = tidyCode(plain(a.Error)), tidy(plain(a.Description), about)
		return
	}
	if json.Unmarshal(a.Errors[0], &first) != nil {
		return
	}
	e.Code, e.Details = tidyCode(first.Code), first.Details
	e.Message = tidy(first.Message, about)
}

var errNotJSON = errors.New("the answer is not JSON")

// networkError describes a request without an answer. The address is dropped:
// the operator knows it, and proxies may put passwords there.
func networkError(verb string, err error, unsure bool) *Error {
	if withURL, ok := errors.AsType[*url.Error](err); ok {
		err = withURL.Err
	}
	return &Error{Kind: Retry, Unsure: unsure, Err: fmt.Errorf("%s: %w", verb, err)}
}

var errTooLong = errors.New("the answer is too long")

func readAll(r io.Reader) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, maxAnswer+1))
	if err == nil && len(body) > maxAnswer {
		err = errTooLong
	}
	return body, err
}

var gzipWriters = sync.Pool{New: func() any {
	w, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // the level is valid, so there is no error
	return w
}}

// pack compresses a body that is worth it.
func pack(body []byte) ([]byte, error) {
	if len(body) <= gzipAbove {
		return body, nil
	}
	var b bytes.Buffer
	b.Grow(len(body) / 4)
	w := gzipWriters.Get().(*gzip.Writer)
	defer gzipWriters.Put(w)
	w.Reset(&b)
	if _, err := w.Write(body); err != nil {
		return nil, fmt.Errorf("compress body: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("compress body: %w", err)
	}
	return b.Bytes(), nil
}
