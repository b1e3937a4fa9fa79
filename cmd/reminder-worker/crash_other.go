//go:build !unix

package main

// dieBySignal does nothing where there are no signals.
func dieBySignal() {}
