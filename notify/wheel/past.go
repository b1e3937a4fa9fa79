package wheel

// past is a heap, by time, of the nodes armed for a time that the rings have
// left behind. Almost always these are overdue and leave at once, in order. But
// when the clock has been set back they are not due yet, and wait here.
type past struct {
	arena *arena
	heap  []uint32
}

func (p *past) first() uint32 {
	if len(p.heap) == 0 {
		return 0
	}
	return p.heap[0]
}

// ready returns the first node if it is due at or before now, or zero.
func (p *past) ready(now int64) uint32 {
	if n := p.first(); n != 0 && p.arena.node(n).at <= now {
		return n
	}
	return 0
}

func (p *past) push(n uint32) {
	p.heap = append(p.heap, n)
	p.arena.node(n).prev = inPast
	p.up(len(p.heap) - 1)
}

func (p *past) remove(n uint32) {
	i, end := int(p.arena.node(n).next), len(p.heap)-1
	last := p.heap[end]
	p.heap = p.heap[:end]
	if i < end {
		p.put(i, last)
		p.down(i)
		p.up(int(p.arena.node(last).next))
	}
	if end == 0 && cap(p.heap) > chunkSize {
		p.heap = nil
	}
}

func (p *past) put(i int, n uint32) {
	p.heap[i] = n
	p.arena.node(n).next = uint32(i)
}

func (p *past) before(a, b uint32) bool { return p.arena.node(a).at < p.arena.node(b).at }

func (p *past) up(i int) {
	n := p.heap[i]
	for i > 0 {
		parent := (i - 1) / 2
		if !p.before(n, p.heap[parent]) {
			break
		}
		p.put(i, p.heap[parent])
		i = parent
	}
	p.put(i, n)
}

func (p *past) down(i int) {
	n := p.heap[i]
	for {
		child := 2*i + 1
		if child >= len(p.heap) {
			break
		}
		if child+1 < len(p.heap) && p.before(p.heap[child+1], p.heap[child]) {
			child++
		}
		if !p.before(p.heap[child], n) {
			break
		}
		p.put(i, p.heap[child])
		i = child
	}
	p.put(i, n)
}
