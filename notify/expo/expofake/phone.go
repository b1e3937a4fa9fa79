package expofake

import "time"

// phone is one installed app.
type phone struct {
	uninstalled bool
	project     string
	ticketCode  string // refusal to give instead of an accepting ticket
	receiptCode string // refusal to give in the receipt
	shown       []Push
	folded      int // how often a push replaced another
}

// show puts a push on the screen, in the place of the one that it replaces, and
// reports whether there was one. iPhones replace by collapse id and Androids by
// tag; a phone here does both, since the server cannot know which it is.
func (p *phone) show(push Push) (replaced bool) {
	for i, old := range p.shown {
		if same(old.CollapseID, push.CollapseID) || same(old.Tag, push.Tag) {
			p.shown = append(append(p.shown[:i:i], p.shown[i+1:]...), push)
			p.folded++
			return true
		}
	}
	p.shown = append(p.shown, push)
	return false
}

func same(a, b string) bool { return a != "" && a == b }

// expired reports whether the push services would have dropped the push.
func expired(p Push, now time.Time) bool {
	return p.Expiration != 0 && p.Expiration <= now.Unix()
}
