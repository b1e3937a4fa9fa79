package demo

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/notify/expo/expofake"
	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
)

var writes = map[string]kind{
	gcalfake.OpInsert: kindWritten, gcalfake.OpUpdate: kindUpdated, gcalfake.OpPatch: kindUpdated, gcalfake.OpDelete: kindRemoved,
}

// handleRequest follows a request to Google. The lock is held.
func (t *tracker) handleRequest(r gcalfake.Record) {
	id := t.eventOfRecord(r)
	ev := t.events[id]
	k, write := writes[r.Op]
	if ev == nil || r.Status < 200 || r.Status >= 300 {
		if r.Status >= 400 || r.Status == 0 {
			t.show(happening{At: r.At, Kind: kindAnswer, Who: nameOf(r.User, uuid.Nil), Event: t.titleOf(id),
				Note: fmt.Sprintf("%d %s to %s", r.Status, http.StatusText(r.Status), r.Op)})
		}
		return
	}
	if !write {
		return
	}
	h := happening{At: r.At, Kind: k, Who: ev.who, Event: ev.title, Note: "Google Calendar of " + r.User}
	if len(ev.waiting) > 0 && !ev.waiting[0].After(r.At) {
		took := r.At.Sub(ev.waiting[0])
		ev.waiting = ev.waiting[1:]
		t.pickups = append(t.pickups, pickupFact{what: string(k) + " of " + ev.title, took: took})
		h = h.timed(took)
	}
	t.show(h)
}

// eventOfRecord finds the event that a request is about: its id without hyphens is the copy's.
func (t *tracker) eventOfRecord(r gcalfake.Record) uuid.UUID {
	if id, err := uuid.Parse(r.ID); err == nil && t.events[id] != nil {
		return id
	}
	if r.ID == "" || t.eventOf == nil {
		return uuid.Nil
	}
	return t.eventOf(r.User, r.ID)
}

func (t *tracker) titleOf(id uuid.UUID) string {
	if ev := t.events[id]; ev != nil {
		return ev.title
	}
	return ""
}

// handlePush follows a push to Expo. The lock is held.
func (t *tracker) handlePush(p expofake.Push) {
	h := happening{
		At: p.FirstByte, Kind: kindPushed, Event: p.Title,
		Phone: phoneName(p.Token), Title: p.Title, Body: p.Body,
	}
	fact := pushFact{token: p.Token, title: p.Title, at: p.FirstByte}
	if id, err := uuid.Parse(p.CollapseID); err == nil && t.reminders[id] != nil {
		r := t.reminders[id]
		fact.reminder, fact.event, fact.due, fact.owed = id, r.event, r.due, later(r.due, r.armed)
		if ev := t.events[r.event]; ev != nil {
			h.Who = ev.who
		}
		late := p.FirstByte.Sub(r.due)
		t.latenesses = append(t.latenesses, late)
		h = h.timed(late)
	}
	t.pushes = append(t.pushes, fact)
	t.show(h)
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// phoneName is what stands between the brackets of a token.
func phoneName(token string) string {
	_, inner, ok := strings.Cut(token, "[")
	if !ok {
		return token
	}
	return strings.TrimSuffix(inner, "]")
}
