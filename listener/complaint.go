package listener

import (
	"math/bits"
	"strings"
)

// complaints decides which of many failures are worth a line in the log: each new
// one, and of a repeated one the 2nd, 4th, 8th and so on.
type complaints struct {
	last  string
	times uint
}

// worth counts err and reports whether to log it, and how often in a row it has
// been seen.
func (c *complaints) worth(err error) (log bool, times uint) {
	step, _, _ := strings.Cut(err.Error(), ":")
	if key := step + ": " + rootText(err); key != c.last {
		c.last, c.times = key, 0
	}
	c.times++
	return bits.OnesCount(c.times) == 1, c.times
}

// rootText is the text of the innermost error. Those around it name local ports,
// which differ in failures that are otherwise the same.
func rootText(err error) string {
	for {
		switch e := err.(type) { //nolint:errorlint // walking the chain by hand is the point
		case interface{ Unwrap() error }:
			next := e.Unwrap()
			if next == nil {
				return err.Error()
			}
			err = next
		case interface{ Unwrap() []error }:
			list := e.Unwrap()
			if len(list) == 0 {
				return err.Error()
			}
			err = list[len(list)-1]
		default:
			return err.Error()
		}
	}
}
