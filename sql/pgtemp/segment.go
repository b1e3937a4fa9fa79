//go:build linux || darwin

package pgtemp

import "golang.org/x/sys/unix"

// removeSegment removes a System V shared memory segment.
func removeSegment(id int) { _, _ = unix.SysvShmCtl(id, unix.IPC_RMID, nil) }
