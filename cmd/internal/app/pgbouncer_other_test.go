//go:build !linux

package app

import "syscall"

func dieWithParent(*syscall.SysProcAttr) {}
