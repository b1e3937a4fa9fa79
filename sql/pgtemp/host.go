package pgtemp

import (
	"os"
	"runtime"
)

// host is what Start assumes about the machine; tests replace it.
type host struct {
	places   places
	tempRoot string // run directories are made in here
	pin      pin
	pinErr   error // why nothing can be fetched
}

// thisHost describes the machine we run on.
func thisHost(id *identity) *host {
	h := &host{places: hostPlaces(), tempRoot: tempRoot(id)}
	var known bool
	if h.pin, known = hostPin(); !known {
		h.pinErr = errNoPackage
	} else if runtime.GOOS == "linux" && !hasGlibc() {
		h.pinErr = errNoGlibc
	}
	return h
}

// hasGlibc looks for the program loader that the packaged programs name.
func hasGlibc() bool {
	for _, loader := range []string{"/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"} {
		if _, err := os.Stat(loader); err == nil {
			return true
		}
	}
	return false
}
