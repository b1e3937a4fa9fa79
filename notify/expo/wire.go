package expo

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"syscall"
	"time"
)

// requestFailure is nil for an answer that carries data. Expo can say no with a
// status, with a list of errors, or with such a list under a status of 200.
func requestFailure(r response, secrets []string) *Error {
	var a answer
	err := json.Unmarshal(r.body, &a)
	if r.status == http.StatusOK && err == nil && len(a.Errors) == 0 {
		return nil
	}
	failure := &Error{Status: r.status, RetryAfter: retryAfter(r.header, time.Now())}
	if err != nil {
		failure.Code, failure.Err = CodeMalformed, errNotJSON
	}
	if len(a.Errors) > 0 {
		first := a.Errors[0]
		failure.Code, failure.Details = first.Code, first.Details
		failure.Message = maskTokens(first.Message, secrets...)
	}
	failure.Kind = classifyRequest(r.status, failure.Code, len(secrets))
	failure.Unsure = unsure(r.status) && (failure.Kind == Retry)
	return failure
}

var errNotJSON = errors.New("the answer is not JSON")

// networkError describes a request without an answer. The address is dropped:
// the operator knows it, and proxies may put passwords there.
func networkError(verb string, err error) *Error {
	var withURL *url.Error
	if errors.As(err, &withURL) {
		err = withURL.Err
	}
	var dial *net.OpError
	refused := errors.As(err, &dial) && dial.Op == "dial" || errors.Is(err, syscall.ECONNREFUSED)
	return &Error{Kind: Retry, Unsure: !refused, Err: fmt.Errorf("%s: %w", verb, err)}
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
