package cleanup

import "fmt"

// place is where a row lies in its table: its block, and which item of that it is.
type place int64

// items is more than a block has.
const items = 1 << 16

// start is the first place of a block.
func start(block int64) place { return place(block * items) }

func (p place) block() int64 { return int64(p) / items }

// String writes a place as the database does, for readPlace.
func (p place) String() string { return fmt.Sprintf("(%d,%d)", p.block(), int64(p)%items) }

func readPlace(text string) (place, error) {
	var block, item int64
	if _, err := fmt.Sscanf(text, "(%d,%d)", &block, &item); err != nil {
		return 0, fmt.Errorf("read place %q: %w", text, err)
	}
	return start(block) + place(item), nil
}
