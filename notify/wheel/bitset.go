package wheel

import "math/bits"

// bitset marks the lists of a ring that are not empty. Every bit of a level
// above stands for a word of the level below, so that the next mark is found in
// a few steps however far away it is.
type bitset [3][]uint64

func newBitset(size int) bitset {
	var b bitset
	for level := range b {
		size = (size + 63) / 64
		b[level] = make([]uint64, size)
	}
	return b
}

func (b *bitset) set(i int) {
	for level := range b {
		b[level][i>>6] |= 1 << (i & 63)
		i >>= 6
	}
}

func (b *bitset) clear(i int) {
	for level := range b {
		b[level][i>>6] &^= 1 << (i & 63)
		if b[level][i>>6] != 0 {
			return
		}
		i >>= 6
	}
}

// next returns the first mark at or after i, or -1.
func (b *bitset) next(i int) int {
	for level := range b {
		if i>>6 >= len(b[level]) {
			return -1
		}
		if word := b[level][i>>6] >> (i & 63); word != 0 {
			return b.descend(level, i+bits.TrailingZeros64(word))
		}
		i = i>>6 + 1
	}
	return -1
}

// descend finds the first mark below bit i of a level.
func (b *bitset) descend(level, i int) int {
	for level--; level >= 0; level-- {
		i = i<<6 + bits.TrailingZeros64(b[level][i])
	}
	return i
}
