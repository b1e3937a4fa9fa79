package wal

// progress is how far a stream has been dealt with, in positions of the log.
type progress struct {
	received uint64 // everything that ends here or earlier has been received
	handed   uint64 // the last message handed on ends here
	settled  uint64 // everything that ends here or earlier has had its effect
}

// newProgress begins where the slot was left.
func newProgress(at uint64) progress { return progress{at, at, at} }

// owe notes that what ends here or earlier is to be acknowledged before anything
// counts as dealt with.
func (p *progress) owe(end uint64) { p.handed = max(p.handed, end) }

// pass notes that nothing is left to be received up to a position.
func (p *progress) pass(end uint64) {
	p.received = max(p.received, end)
	p.settle()
}

// hand notes a message that is handed on.
func (p *progress) hand(end uint64) {
	p.handed = max(p.handed, end)
	p.received = max(p.received, end)
}

// acknowledge notes that what was handed on has had its effect up to a position.
func (p *progress) acknowledge(end uint64) {
	p.settled = max(p.settled, min(end, p.handed))
	p.settle()
}

// settle is the rule for what nobody is waiting for: it counts as dealt with when
// there is nothing before it that is not.
func (p *progress) settle() {
	if p.settled >= p.handed {
		p.settled = max(p.settled, p.received)
	}
}
