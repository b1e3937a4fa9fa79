//go:build !linux

package listener

import "syscall"

// setUserTimeout does nothing where there is no such option: proofs and keepalive
// remain.
func setUserTimeout(string, string, syscall.RawConn) error { return nil }
