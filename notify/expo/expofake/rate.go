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
	old := 0
	for old < len(w.marks) && now.Sub(w.marks[old].at) >= time.Second {
		w.sum -= w.marks[old].n
		old++
	}
	w.marks = append(w.marks[:0], w.marks[old:]...)
	if w.sum+n > limit {
		return false
	}
	w.sum += n
	w.marks = append(w.marks, mark{now, n})
	return true
}
