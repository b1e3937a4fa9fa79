package pgtemp

import "syscall"

// memoryNeeded is room for a server, its log and some dozens of databases.
const memoryNeeded = 1 << 30

// MemoryDir returns a directory in memory, for Config.Dir, or "" when there
// is none with room: containers often have 64 MB there.
func MemoryDir() string {
	const dir = "/dev/shm"
	var fs syscall.Statfs_t
	if syscall.Statfs(dir, &fs) != nil || fs.Bavail*uint64(fs.Bsize) < memoryNeeded {
		return ""
	}
	return dir
}
