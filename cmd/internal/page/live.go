package page

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// frame is what all windows show at one moment: fragments by the id of the element whose place they take. There are
// two, for those that show people's words have more to show.
type frame struct{ plain, texts map[string]string }

// of is the frame as one window wants it.
func (f *frame) of(texts bool) map[string]string {
	if texts {
		return f.texts
	}
	return f.plain
}

// hub hands the latest frame to every stream.
type hub struct {
	joined chan struct{} // capacity 1: somebody has come who has no frame yet

	mu      sync.Mutex // guards the fields below
	max     int
	ended   bool
	streams map[*stream]struct{}
}

// stream is one window that is kept up to date.
type stream struct{ frames chan *frame } // capacity 1: the latest that it has not taken; closed: there will be no more

func (h *hub) init(limit int) {
	h.max, h.joined, h.streams = limit, make(chan struct{}, 1), map[*stream]struct{}{}
}

func (h *hub) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.streams)
}

// join returns a stream, or nil if there are enough, or no more frames.
func (h *hub) join() *stream {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended || len(h.streams) >= h.max {
		return nil
	}
	s := &stream{frames: make(chan *frame, 1)}
	h.streams[s] = struct{}{}
	select {
	case h.joined <- struct{}{}:
	default:
	}
	return s
}

func (h *hub) leave(s *stream) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.streams, s)
}

// publish gives a frame to every stream, in place of one that it has not taken yet.
func (h *hub) publish(f *frame) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.streams {
		select {
		case <-s.frames:
		default:
		}
		s.frames <- f // there is room: nobody else sends
	}
}

// close ends all streams, and lets no more begin.
func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended = true
	for s := range h.streams {
		close(s.frames)
		delete(h.streams, s)
	}
}

// fragments are the parts of the overview that are put in place of older ones: templates, and ids of elements.
var fragments = []string{"status", "attention", "coming", "pipeline", "next", "checks"}

// frame renders what is live, from one read.
func (p *Page) frame(ctx context.Context) *frame {
	o := p.look(ctx)
	f := &frame{plain: map[string]string{}, texts: map[string]string{}}
	for _, one := range []struct {
		texts bool
		into  map[string]string
	}{{true, f.texts}, {false, f.plain}} {
		shown := o
		if !one.texts {
			shown = o.withoutTexts()
		}
		data := p.view("overview", one.texts, shown)
		for _, id := range fragments {
			var b bytes.Buffer
			if err := p.pages["overview"].ExecuteTemplate(&b, id, data); err != nil {
				p.log.Error().Err(err).Str("part", id).Msg("live page not rendered")
				continue
			}
			one.into[id] = strings.TrimSpace(b.String())
		}
	}
	return f
}

// live keeps one window up to date by server-sent events, until it is closed or the program ends.
func (p *Page) live(w http.ResponseWriter, r *http.Request) {
	s := p.hub.join()
	if s == nil {
		w.Header().Set("Retry-After", "60")
		p.refuse(w, r, refusedStreams, http.StatusServiceUnavailable,
			fmt.Sprintf("As many windows as may be (%d) are kept up to date already: load the page again to see it as it is.", p.cfg.MaxStreams))
		return
	}
	defer p.hub.leave(s)
	rc := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // a proxy in between is not to keep any of it
	texts, had := showsTexts(r), map[string]string{}
	// The server's own limits are for requests that end.
	if err := rc.SetReadDeadline(time.Time{}); err != nil {
		p.log.Debug().Err(err).Msg("stream keeps the server's limits")
	}
	if !p.send(w, rc, "retry: 3000\n\n") {
		return
	}
	for {
		select {
		case <-r.Context().Done():
			return
		case f, more := <-s.frames:
			if !more {
				p.send(w, rc, "event: end\ndata: {}\n\n")
				return
			}
			if !p.send(w, rc, news(had, f.of(texts))) {
				return
			}
		}
	}
}

// send writes within the time that a window has, and reports whether it has taken it.
func (p *Page) send(w http.ResponseWriter, rc *http.ResponseController, text string) bool {
	if err := rc.SetWriteDeadline(time.Now().Add(p.cfg.StreamTimeout)); err != nil {
		p.log.Debug().Err(err).Msg("stream keeps the server's limits")
	}
	if _, err := w.Write([]byte(text)); err != nil {
		return false
	}
	return rc.Flush() == nil
}

// news is what a window is sent that has some fragments already: those that are new, or a sign of life.
func news(had, now map[string]string) string {
	changed := map[string]string{}
	for id, html := range now {
		if had[id] != html {
			changed[id], had[id] = html, html
		}
	}
	if len(changed) == 0 {
		return ":\n\n"
	}
	data, err := json.Marshal(changed)
	if err != nil { // a map of texts can always be written
		return ":\n\n"
	}
	return "event: frame\ndata: " + string(data) + "\n\n"
}
