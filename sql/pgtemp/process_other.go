//go:build !unix

package pgtemp

import (
	"errors"
	"os"
	"syscall"
	"time"
)

const supported = false

type identity struct{ uid, gid int }

func runAs() (*identity, error)                       { return nil, nil }
func attributes(*identity) *syscall.SysProcAttr       { return nil }
func serverAttributes(*identity) *syscall.SysProcAttr { return nil }
func lock(*os.File) error                             { return errors.ErrUnsupported }
func tryLock(*os.File) (bool, error)                  { return false, errors.ErrUnsupported }
func ownedByUs(os.FileInfo) bool                      { return false }
func children(int) []int                              { return nil }
func awaitGone(int, time.Duration)                    {}
func freeze(int)                                      {}
func killHard(int)                                    {}
