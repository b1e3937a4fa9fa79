package wheel

import (
	"syscall"
	"time"
)

const canNap = true

// nap sleeps in the kernel, whose timers are finer than the runtime's poller.
func nap(d time.Duration) {
	ts := syscall.NsecToTimespec(int64(d))
	_ = syscall.Nanosleep(&ts, nil) // an interrupted nap is merely shorter
}
