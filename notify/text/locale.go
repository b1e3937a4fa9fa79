package text

import (
	"slices"
	"strings"

	"golang.org/x/text/language"
)

const (
	maxTag     = 64   // characters of a tag; longer ones are nobody's language
	maxReaders = 1024 // tags that are remembered; families have a few dozen
)

// reader is what a tag comes to: a language, and whether its clock has twelve hours.
type reader struct {
	locale *locale
	twelve bool
}

// reader returns what a tag comes to; one that is unknown or empty, the default.
func (c *Catalog) reader(tag string) reader {
	if tag == "" || len(tag) > maxTag {
		return c.home
	}
	c.mu.RLock()
	r, ok := c.readers[tag]
	c.mu.RUnlock()
	if ok {
		return r
	}
	if r, ok = c.find(tag); !ok {
		r = c.home
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.readers) >= maxReaders {
		clear(c.readers) // tags are the readers' own, and could be anything
	}
	c.readers[strings.Clone(tag)] = r
	return r
}

// find looks for a language along the parents of a tag, then for one that its readers understand.
func (c *Catalog) find(name string) (r reader, ok bool) {
	if i := strings.IndexAny(name, ".@"); i >= 0 {
		name = name[:i] // de_AT.UTF-8, the way of Unix
	}
	if len(name) > maxTag {
		return r, false
	}
	tag, _ := language.Parse(name) // what could be read of it
	if base, _, _ := tag.Raw(); base.String() == "und" {
		return r, false
	}
	r.locale = c.parent(tag)
	if r.locale == nil {
		_, i, confidence := c.matcher.Match(tag)
		if confidence == language.No {
			return r, false
		}
		r.locale = c.locales[c.tags[i].String()]
	}
	r.twelve = twelveHours(tag, r.locale.words)
	return r, true
}

func (c *Catalog) parent(tag language.Tag) *locale {
	for ; !tag.IsRoot(); tag = tag.Parent() {
		if l := c.locales[tag.String()]; l != nil {
			return l
		}
	}
	return nil
}

// twelveHours says what a tag says of the clock: by itself, or by its region.
func twelveHours(tag language.Tag, w *words) bool {
	if twelve, known := hourCycle(tag.TypeForKey("hc")); known {
		return twelve
	}
	_, _, region := tag.Raw()
	return slices.Contains(w.twelveHours, region.String())
}

// hourCycle reads what people chose. Platforms have two names for each, which differ in what they call midnight.
func hourCycle(name string) (twelve, known bool) {
	switch name {
	case "h12", "h11":
		return true, true
	case "h24", "h23":
		return false, true
	}
	return false, false
}
