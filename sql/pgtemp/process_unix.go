//go:build unix

package pgtemp

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// supported tells Start whether this operating system is one it can serve.
const supported = true

// identity is the account that initdb and postgres run as when we are root,
// because both refuse to run as root. Nil means our own.
type identity struct{ uid, gid int }

// runAs returns the postgres account of this machine, else nobody.
func runAs() (*identity, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		return &identity{65534, 65534}, nil
	}
	uid, uidErr := strconv.Atoi(account.Uid)
	gid, gidErr := strconv.Atoi(account.Gid)
	if err := errors.Join(uidErr, gidErr); err != nil {
		return nil, fmt.Errorf("read the postgres account: %w", err)
	}
	return &identity{uid, gid}, nil
}

// attributes gives the child its own process group, so that Ctrl-C in the
// terminal reaches the program alone and it decides when the server goes.
func attributes(id *identity) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true}
	if id != nil {
		attr.Credential = &syscall.Credential{Uid: uint32(id.uid), Gid: uint32(id.gid)}
	}
	return attr
}

// lock takes the lock of an open file. The lock goes with the process, however
// it ends. Others hold it for the moment of a look at most.
func lock(f *os.File) error {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
}

// tryLock is lock without waiting.
func tryLock(f *os.File) (bool, error) {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}

// ownedByUs reports whether a directory is ours and closed to everybody else's writing.
func ownedByUs(info os.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Geteuid() && info.IsDir() && info.Mode().Perm()&0o022 == 0
}

func freeze(pid int)   { _ = syscall.Kill(pid, syscall.SIGSTOP) }
func killHard(pid int) { _ = syscall.Kill(pid, syscall.SIGKILL) }
