//go:build !linux

package pgtemp

// MemoryDir is "": only Linux has a directory in memory in a known place.
func MemoryDir() string { return "" }
