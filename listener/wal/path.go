package wal

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/parentpal/reminder-worker/listener"
)

// path is a connection that streams. The goroutine in Receive alone uses the
// connection. The mutex guards the fields below it, and the setting of the read
// deadline, by which others interrupt a read.
type path struct {
	source *Source
	link   *link
	stream decoder
	from   place
	fence  fence
	early  *listener.Message // what was there before the fence

	mu       sync.Mutex
	progress progress
	report   time.Time // when the server is to be told again, at the latest
	nudged   bool      // the next read is not to wait
	ping     bool      // is to be sent
	awaited  bool      // a pong is
}

var _ listener.Path = (*path)(nil)

func newPath(s *Source, l *link, from place, f fence) *path {
	p := &path{source: s, link: l, from: from, fence: f, progress: newProgress(from.at)}
	p.progress.owe(f.at)
	return p
}

// Receive implements [listener.Path].
func (p *path) Receive(ctx context.Context) (listener.Message, error) {
	if p.early != nil {
		m := *p.early
		p.early = nil
		return m, nil
	}
	defer context.AfterFunc(ctx, p.nudge)()
	for {
		h, err := p.step(ctx)
		if err != nil {
			return listener.Message{}, fmt.Errorf("wait for changes: %w", err)
		}
		switch {
		case h.pong:
			return listener.Message{Pong: true}, nil
		case h.ended && h.commit.word.count > 0:
			return p.hand(h.commit.word, h.commit.end), nil
		}
	}
}

// hand notes a message that is handed on, and returns it. The server sends a commit
// when it is in the log, and lets others see it a moment later, or much later if it
// waits for a synchronous standby first.
func (p *path) hand(w folded, end uint64) listener.Message {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.progress.hand(end)
	return listener.Message{Payload: w.payload, Position: end, Early: true}
}

// catchUp reads up to the fence. The server passes over what was committed before,
// without a word of it; a slot that was there before may have held anything.
func (p *path) catchUp(ctx context.Context) error {
	defer context.AfterFunc(ctx, p.nudge)()
	var before folded
	if p.from.old {
		before.add("")
	}
	began := time.Now()
	for heard := began; ; {
		h, err := p.step(ctx)
		if err != nil {
			return fmt.Errorf("read what was there before: %w", err)
		}
		if h.any {
			heard = time.Now()
		} else if time.Since(heard) > p.source.cfg.CatchUpTimeout {
			return fmt.Errorf("read what was there before: %w", errSilent)
		} else {
			p.wantPong()
		}
		if h.ended && h.commit.word.count > 0 {
			before.add(h.commit.word.payload)
		}
		if h.ended && h.commit.fence == p.fence.text {
			p.caughtUp(before, h.commit.end, time.Since(began))
			return nil
		}
	}
}

// slowly is when reading what was there is worth a line in the log.
const slowly = time.Second

// caughtUp ends the reading of what was there. An answer to one of its own pings may
// still come, and is nobody's pong.
func (p *path) caughtUp(before folded, end uint64, took time.Duration) {
	if before.count > 0 {
		m := p.hand(before, end)
		p.early = &m
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ping, p.awaited = false, false
	if p.early == nil {
		p.progress.acknowledge(end) // nobody is to be waited for
	}
	if took >= slowly {
		p.source.log.Info().Uint64("bytes", end-p.from.at).Dur("took", took).Msg("read the log that had piled up")
	}
}

// Acknowledge implements [listener.Path].
func (p *path) Acknowledge(position uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.progress.acknowledge(position)
}

// Ping implements [listener.Path].
func (p *path) Ping() error {
	p.wantPong()
	p.nudge()
	return nil
}

func (p *path) wantPong() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ping = true
}

// Close implements [listener.Path]. The server is told what has been dealt with
// since it was last told.
func (p *path) Close() {
	if !p.link.conn.IsClosed() {
		p.mu.Lock()
		at := p.progress
		p.mu.Unlock()
		_ = p.send(at, false, closeGrace) // what it does not hear, it sends again
	}
	p.link.close()
}
