package demo

import (
	"fmt"
	"io"
	"os"
	"sync"
)

// outlet is where a demo is shown. The first write that fails shuts it: nobody looks on any more, so the demo ends.
type outlet struct {
	to   io.Writer
	shut func(cause error)

	mu     sync.Mutex // guards failed
	failed error
}

// Write implements io.Writer.
func (o *outlet) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failed != nil {
		return 0, o.failed
	}
	n, err := o.to.Write(p)
	if err != nil {
		o.failed = err
		o.shut(fmt.Errorf("%w: what it shows cannot be written: %w", errPart, err))
	}
	return n, err
}

// file is what stands behind a writer, if it is a file.
func file(w io.Writer) (*os.File, bool) {
	if o, ok := w.(*outlet); ok {
		w = o.to
	}
	f, ok := w.(*os.File)
	return f, ok
}
