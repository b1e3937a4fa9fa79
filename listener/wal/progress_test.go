package wal

import (
	"testing"

	"pgregory.net/rapid"
)

func TestAnIdleStreamIsDealtWith(t *testing.T) {
	t.Parallel()
	p := newProgress(100)
	p.pass(200)
	if p.settled != 200 {
		t.Errorf("settled %d, want what the server has read: 200", p.settled)
	}
	p.hand(300)
	p.pass(400)
	if p.settled != 200 {
		t.Errorf("settled %d with a message under way, want 200", p.settled)
	}
	p.acknowledge(300)
	if p.settled != 400 {
		t.Errorf("settled %d after the last acknowledgement, want 400", p.settled)
	}
	p.acknowledge(900)
	if p.settled != 400 {
		t.Errorf("settled %d, want no more than has been received", p.settled)
	}
}

// However a stream goes, what counts as settled only grows, and never covers a
// message that is not acknowledged.
func TestProgressNeverCoversWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		end := uint64(rapid.IntRange(1, 10).Draw(t, "start"))
		p := newProgress(end)
		var underWay []uint64
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			before := p.settled
			switch rapid.IntRange(0, 2).Draw(t, "what") {
			case 0:
				end += uint64(rapid.IntRange(1, 5).Draw(t, "size"))
				p.hand(end)
				underWay = append(underWay, end)
			case 1:
				end += uint64(rapid.IntRange(0, 5).Draw(t, "size"))
				p.pass(end)
			case 2:
				if n := rapid.IntRange(0, len(underWay)).Draw(t, "handled"); n > 0 {
					p.acknowledge(underWay[n-1])
					underWay = underWay[n:]
				}
			}
			if p.settled < before {
				t.Fatalf("settled went back from %d to %d", before, p.settled)
			}
			if len(underWay) > 0 && p.settled >= underWay[0] {
				t.Fatalf("settled %d covers %d", p.settled, underWay[0])
			}
			if len(underWay) == 0 && p.settled != p.received {
				t.Fatalf("nothing is under way, settled %d of %d", p.settled, p.received)
			}
		}
	})
}
