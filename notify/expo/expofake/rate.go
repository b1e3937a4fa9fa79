package expofake

import "time"

// window counts pushes over the last second, exactly: one mark per request.
type window struct {
	marks []mark
	sum   int
}

type mark struct {
	at time.Time
	n  int
}

// allow takes n pushes into the window if the limit permits all of them.
func (w *window) allow(now time.Time, n, limit int) bool {
	for len(w.marks) > 0 && now.Sub(w.marks[0].at) >= time.Second {
		w.sum -= w.marks[0].n
		w.marks = w.marks[1:]
	}
	if n > limit-w.sum {
		return false
	}
	w.sum += n
	w.marks = append(w.marks, mark{now, n})
	return true
}
