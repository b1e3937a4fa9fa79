//go:build !linux

package pgtest

// memoryDir is "": only Linux has a directory in memory in a known place.
func memoryDir() string { return "" }
