package gcal_test

import (
	"errors"
	"maps"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/sync/gcal"
	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
)

// Each case begins with a calendar in some state and a Copy that knows of it what a worker might know, and ends with the one
// right event and no other.
var decisions = []struct {
	name           string
	refuseUndelete bool
	before         func(f *fixture, e gcal.Event) gcal.Copy
	requests       string
	generation     int
	foreign        bool
}{
	{
		name:     "nothing is known",
		before:   func(*fixture, gcal.Event) gcal.Copy { return gcal.Copy{} },
		requests: "insert 200",
	}, {
		name:   "same content is confirmed",
		before: func(f *fixture, e gcal.Event) gcal.Copy { return f.upsert(e, gcal.Copy{}) },
	}, {
		name:     "content has changed",
		before:   func(f *fixture, e gcal.Event) gcal.Copy { return f.upsert(older(e), gcal.Copy{}) },
		requests: "get 200, update 200",
	}, {
		name: "written, but what was written is not known",
		before: func(f *fixture, e gcal.Event) gcal.Copy {
			made := f.upsert(e, gcal.Copy{})
			made.Hash = older(e).Hash()
			return made
		},
		requests: "get 200",
	}, {
		name: "a crashed worker has written the same",
		before: func(f *fixture, e gcal.Event) gcal.Copy {
			f.upsert(e, gcal.Copy{})
			return gcal.Copy{}
		},
		requests: "insert 409, get 200",
	}, {
		name: "a crashed worker has written the same, and said that it would",
		before: func(f *fixture, e gcal.Event) gcal.Copy {
			f.upsert(e, gcal.Copy{})
			return gcal.Copy{GoogleID: gcal.NewGoogleID(e.ID, 0)}
		},
		requests: "insert 409, get 200",
	}, {
		name: "a crashed worker has written something older",
		before: func(f *fixture, e gcal.Event) gcal.Copy {
			f.upsert(older(e), gcal.Copy{})
			return gcal.Copy{}
		},
		requests: "insert 409, get 200, update 200",
	}, {
		name: "a crashed worker has written, the user has deleted",
		before: func(f *fixture, e gcal.Event) gcal.Copy {
			f.must(f.google.UserDelete(anna, f.upsert(e, gcal.Copy{}).GoogleID))
			return gcal.Copy{}
		},
		requests: "insert 409, get 200, update 200",
	}, {
		name: "a crashed worker has written, the user has deleted, Google will not have it back", refuseUndelete: true,
		before: func(f *fixture, e gcal.Event) gcal.Copy {
			f.must(f.google.UserDelete(anna, f.upsert(e, gcal.Copy{}).GoogleID))
			return gcal.Copy{}
		},
		requests: "insert 409, get 200, update 403, insert 200", generation: 1,
	}, {
		name: "twice deleted and twice not had back", refuseUndelete: true,
		before: func(f *fixture, e gcal.Event) gcal.Copy {
			f.must(f.google.UserDelete(anna, f.upsert(e, gcal.Copy{}).GoogleID))
			f.must(f.google.UserDelete(anna, f.upsert(e, gcal.Copy{}).GoogleID))
			return gcal.Copy{}
		},
		requests: "insert 409, get 200, update 403, insert 409, get 200, update 403, insert 200", generation: 2,
	}, {
		name: "a stranger has the id",
		before: func(f *fixture, e gcal.Event) gcal.Copy {
			f.stranger(map[string]any{"id": gcal.NewGoogleID(e.ID, 0), "status": "cancelled"})
			return gcal.Copy{}
		},
		requests: "insert 409, get 200, insert 200", generation: 1,
	}, {
		name: "the user has deleted what we know, then the app changed it",
		before: func(f *fixture, e gcal.Event) gcal.Copy {
			made := f.upsert(older(e), gcal.Copy{})
			f.must(f.google.UserDelete(anna, made.GoogleID))
			return made
		},
		requests: "get 200, update 200",
	}, {
		name: "the same, and Google will not have it back", refuseUndelete: true,
		before: func(f *fixture, e gcal.Event) gcal.Copy {
			made := f.upsert(older(e), gcal.Copy{})
			f.must(f.google.UserDelete(anna, made.GoogleID))
			return made
		},
		requests: "get 200, update 403, insert 200", generation: 1,
	}, {
		name: "what we know has vanished",
		before: func(f *fixture, e gcal.Event) gcal.Copy {
			made := f.upsert(older(e), gcal.Copy{})
			f.must(f.google.Purge(anna, made.GoogleID))
			return made
		},
		requests: "get 404, insert 200",
	}, {
		name: "an older service's copy", foreign: true,
		before: func(f *fixture, _ gcal.Event) gcal.Copy {
			return gcal.Copy{GoogleID: f.stranger(map[string]any{"summary": "old"})}
		},
		requests: "get 200, update 200",
	}, {
		name: "an older service's copy, deleted and not to be had back", refuseUndelete: true,
		before: func(f *fixture, _ gcal.Event) gcal.Copy {
			id := f.stranger(nil)
			f.must(f.google.UserDelete(anna, id))
			return gcal.Copy{GoogleID: id}
		},
		requests: "get 200, update 403, insert 200",
	}, {
		name:     "an older service's copy that is not there",
		before:   func(*fixture, gcal.Event) gcal.Copy { return gcal.Copy{GoogleID: "abcdefgh", Tries: 3} },
		requests: "get 404, get 404, insert 200",
	}, {
		name: "a copied row names another event's copy",
		before: func(f *fixture, _ gcal.Event) gcal.Copy {
			other := f.upsert(newEvent("another"), gcal.Copy{})
			f.must(f.client.Delete(f.Context(), f.account, other))
			return gcal.Copy{GoogleID: other.GoogleID}
		},
		requests: "get 200, insert 200",
	},
}

// A copy that should be there and is not found is looked for again before another is made, which would be its twin.
func TestCopyIsLookedForAgain(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]func(*fixture, gcal.Event) gcal.Copy{
		"an older service's": func(f *fixture, _ gcal.Event) gcal.Copy {
			id, err := f.google.UserInsert(anna, map[string]any{
				"summary": "Football", "start": map[string]any{"dateTime": "2027-03-28T00:30:00Z"}, "end": map[string]any{"dateTime": "2027-03-28T02:30:00Z"},
			})
			f.must(err)
			return gcal.Copy{GoogleID: id}
		},
		"one that is taken": func(f *fixture, e gcal.Event) gcal.Copy {
			f.upsert(e, gcal.Copy{})
			return gcal.Copy{}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, gcalfake.Config{})
			e := newEvent("Football")
			known := before(f, e)
			stop := f.google.Fail(gcalfake.Always(gcalfake.OpGet, gcalfake.Status(http.StatusNotFound, "notFound")))
			for known.Tries = range 3 {
				_, err := f.client.Upsert(t.Context(), f.account, e, known)
				wantKind(t, err, gcal.Retry)
			}
			stop()
			known.Tries = 3
			f.google.Fail(gcalfake.Next(1, gcalfake.OpGet, gcalfake.Status(http.StatusNotFound, "notFound"))) // the tries may have failed otherwise
			f.upsert(e, known)
			if n := len(f.live()); n != 1 {
				t.Errorf("%d copies", n)
			}
		})
	}
}

func TestUpsertDecides(t *testing.T) {
	t.Parallel()
	for _, tt := range decisions {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, gcalfake.Config{RefuseUndelete: tt.refuseUndelete})
			e := newEvent("Football")
			known := tt.before(f, e)
			f.google.ResetLog()

			made := f.upsert(e, known)
			if diff := cmp.Diff(tt.requests, f.requests()); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
			if made.Generation != tt.generation {
				t.Errorf("generation %d, want %d", made.Generation, tt.generation)
			}
			if own := made.GoogleID == gcal.NewGoogleID(e.ID, made.Generation); own == tt.foreign {
				t.Errorf("copy has id %s, foreign %v", made.GoogleID, tt.foreign)
			}
			f.holdsOnly(e, made)
		})
	}
}

func older(e gcal.Event) gcal.Event {
	e.Title = "older " + e.Title
	return e
}

// stranger is an event that does not come from us.
func (f *fixture) stranger(resource map[string]any) string {
	f.Helper()
	whole := map[string]any{
		"start": map[string]any{"dateTime": "2027-01-02T10:00:00Z"}, "end": map[string]any{"dateTime": "2027-01-02T11:00:00Z"},
	}
	maps.Copy(whole, resource)
	id, err := f.google.UserInsert(anna, whole)
	f.must(err)
	return id
}

// holdsOnly checks that the calendar shows e and nothing else, that the copy is known right, and that knowing it is enough.
func (f *fixture) holdsOnly(e gcal.Event, known gcal.Copy) {
	f.Helper()
	live := f.live()
	if len(live) != 1 {
		f.Fatalf("the calendar shows %d events, want 1: %v", len(live), live)
	}
	got := live[0]
	if got.Summary != e.Title || got.Location != e.Location || !got.Start.Equal(e.Start) || !got.End.Equal(e.End) || got.TimeZone != e.TimeZone {
		f.Errorf("the calendar shows %+v, want %+v", got, e)
	}
	want := gcal.Copy{GoogleID: got.ID, Generation: known.Generation, ETag: got.ETag, Hash: e.Hash()}
	if diff := cmp.Diff(want, known); diff != "" {
		f.Errorf("what is known of the copy (-want +got):\n%s", diff)
	}
	f.google.ResetLog()
	if again := f.upsert(e, known); again != known {
		f.Errorf("a second upsert knows %+v, want %+v", again, known)
	}
	if asked := f.requests(); asked != "" {
		f.Errorf("a second upsert asked %s, want nothing", asked)
	}
}

func wantKind(t *testing.T, err error, want gcal.Kind) {
	t.Helper()
	_ = ofKind(t, err, want)
}

// ofKind is err as the package's error, which must be of the kind want.
func ofKind(t *testing.T, err error, want gcal.Kind) *gcal.Error {
	t.Helper()
	e, ok := errors.AsType[*gcal.Error](err)
	if !ok {
		t.Fatalf("error %v (%T), want a *gcal.Error", err, err)
	}
	if e.Kind != want {
		t.Errorf("error %v is of kind %v, want %v", e, e.Kind, want)
	}
	return e
}

func TestDelete(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{})
	made := f.upsert(newEvent("Football"), gcal.Copy{})
	f.google.ResetLog()
	for _, c := range []gcal.Copy{{}, made, made, {GoogleID: gcal.NewGoogleID(uuid.New(), 0)}} {
		f.must(f.client.Delete(t.Context(), f.account, c))
	}
	if got, want := f.requests(), "delete 204, delete 410, delete 404"; got != want {
		t.Errorf("requests %s, want %s", got, want)
	}
	if live := f.live(); len(live) != 0 {
		t.Errorf("the calendar still shows %v", live)
	}
}
