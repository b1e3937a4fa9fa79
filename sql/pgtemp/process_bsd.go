//go:build unix && !linux

package pgtemp

import (
	"syscall"
	"time"
)

// serverAttributes are attributes: only Linux can tie a child's life to ours.
// Elsewhere an orphaned server ends by itself within a minute after the next
// start has swept its directory away.
func serverAttributes(id *identity) *syscall.SysProcAttr { return attributes(id) }

// children is empty: backends end by themselves once their postmaster is gone.
func children(int) []int { return nil }

func awaitGone(int, time.Duration) {}
