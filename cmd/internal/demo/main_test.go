package demo

import (
	"bytes"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// output collects what is written and tells when a text has come.
type output struct {
	mu    sync.Mutex
	text  bytes.Buffer
	waits map[string]chan struct{}
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.Write(p)
	for text, came := range o.waits {
		if strings.Contains(o.text.String(), text) {
			close(came)
			delete(o.waits, text)
		}
	}
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// came is closed when text has been written.
func (o *output) came(text string) <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	c := make(chan struct{})
	if strings.Contains(o.text.String(), text) {
		close(c)
		return c
	}
	if o.waits == nil {
		o.waits = map[string]chan struct{}{}
	}
	o.waits[text] = c
	return c
}
