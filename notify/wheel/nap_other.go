//go:build !linux

package wheel

import "time"

const canNap = false

func nap(time.Duration) {}
