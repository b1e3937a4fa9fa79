package page

import (
	"regexp"
	"slices"
)

// hidden stands in place of what is shown only where it is asked for.
const hidden = "(hidden)"

// anAddress is of e-mail, and may be a calendar's id, too.
var anAddress = regexp.MustCompile(`[^\s@<>"'(),;:]+@[^\s@<>"'(),;:]+\.[^\s@<>"'(),;:]+`)

// masked has no addresses of people in it.
func masked(text string) string { return anAddress.ReplaceAllString(text, hidden) }

func (o Overview) withoutTexts() Overview {
	o.Next, o.Stages = slices.Clone(o.Next), slices.Clone(o.Stages)
	for i := range o.Next {
		o.Next[i].Title = ""
	}
	for i := range o.Stages {
		o.Stages[i].Error = masked(o.Stages[i].Error)
	}
	return o
}

func (s Story) withoutTexts() Story {
	if s.Event != nil {
		e := *s.Event
		e.Title, e.Location, e.Error = "", "", masked(e.Error)
		s.Event = &e
	}
	s.Copies, s.Reminders, s.Moments = slices.Clone(s.Copies), slices.Clone(s.Reminders), slices.Clone(s.Moments)
	for i := range s.Copies {
		c := &s.Copies[i]
		c.CalendarID, c.Error = masked(c.CalendarID), masked(c.Error)
	}
	for i := range s.Reminders {
		r := &s.Reminders[i]
		r.Message, r.Error, r.Deliveries = "", masked(r.Error), slices.Clone(r.Deliveries)
		for j := range r.Deliveries {
			r.Deliveries[j].Error = masked(r.Deliveries[j].Error)
		}
	}
	for i := range s.Moments {
		s.Moments[i].Why = masked(s.Moments[i].Why)
	}
	return s
}

func (f Failures) withoutTexts() Failures {
	f.Groups = slices.Clone(f.Groups)
	for i := range f.Groups {
		g := &f.Groups[i]
		g.Examples = slices.Clone(g.Examples)
		for j := range g.Examples {
			g.Examples[j].Title = ""
		}
	}
	return f
}

// stale says why a view is not newer. Accounts and devices have no words of people to ask for: of them addresses are
// hidden in any case.
func (c Connections) stale(err error) Connections {
	c.States, c.Reconnect = slices.Clone(c.States), slices.Clone(c.Reconnect)
	for i := range c.States {
		c.States[i].Reason = masked(c.States[i].Reason)
	}
	for i := range c.Reconnect {
		c.Reconnect[i].Reason = masked(c.Reconnect[i].Reason)
	}
	c.Stale = words(err)
	return c
}

func (d Devices) stale(err error) Devices   { d.Stale = words(err); return d }
func (s System) stale(err error) System     { s.Stale = words(err); return s }
func (f Failures) stale(err error) Failures { f.Stale = words(err); return f }

func words(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
