//go:build unix

package main

import (
	"runtime/debug"
	"syscall"
)

// dieBySignal has whatever ends the program from within (a panic, a fatal error of the runtime, the SIGABRT of a watchdog) end it by a signal.
// The runtime's own way is exit code 2, which says that the configuration is wrong and that to start again cannot help. No core is left behind:
// it would hold people's tokens.
func dieBySignal() {
	_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}) // refused, it is the supervisor that decides
	debug.SetTraceback("crash")
}
