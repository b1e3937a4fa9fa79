package settings

import (
	"strings"
	"sync"
	"time"
)

const (
	// maxZones is above the number of names in the database, which is about 600.
	maxZones = 2048
	// maxZoneName is above the length of every name.
	maxZoneName = 64
)

// Zones finds time zones by IANA name and remembers them, as loading one reads a file. The zero Zones is ready for use, by any number of
// goroutines. Only names that exist are kept, so that what people write into a column fills no memory.
type Zones struct {
	mu    sync.RWMutex // guards the field below
	known map[string]*time.Location
}

// Find returns the zone called name, or fallback if that is empty or unknown; and UTC where there is no fallback. "Local" is unknown: the
// machine's zone means nothing to a user.
func (z *Zones) Find(name string, fallback *time.Location) *time.Location {
	z.mu.RLock()
	zone := z.known[name]
	z.mu.RUnlock()
	if zone != nil {
		return zone
	}
	if fallback == nil {
		fallback = time.UTC
	}
	if !plausible(name) {
		return fallback
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return fallback
	}
	return z.keep(name, zone)
}

// keep remembers a zone, and returns the one that is there already if two were loaded at once.
func (z *Zones) keep(name string, zone *time.Location) *time.Location {
	z.mu.Lock()
	defer z.mu.Unlock()
	if first := z.known[name]; first != nil {
		return first
	}
	if z.known == nil {
		z.known = make(map[string]*time.Location)
	}
	if len(z.known) < maxZones {
		z.known[strings.Clone(name)] = zone
	}
	return zone
}

// plausible keeps from the file system what is no name, and paths that lead to a zone in yet another way, such as Europe//Berlin.
func plausible(name string) bool {
	if len(name) > maxZoneName || strings.EqualFold(name, "Local") || strings.EqualFold(name, "localtime") {
		return false
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || strings.ContainsFunc(part, func(r rune) bool { return !inName(r) }) {
			return false
		}
	}
	return true
}

func inName(r rune) bool {
	return 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '_' || r == '+' || r == '-'
}
