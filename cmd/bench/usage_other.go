//go:build !linux

package bench

import "time"

// What a process uses is known on Linux only.
type usage struct {
	cpu       time.Duration
	rss, peak int64
	known     bool
}

func usageOf(int) usage { return usage{} }

type machine struct {
	at         time.Time
	busy, ours time.Duration
	known      bool
}

func machineNow() machine { return machine{} }
