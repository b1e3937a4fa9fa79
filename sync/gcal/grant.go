package gcal

import (
	"container/list"
	"context"
	"crypto/sha256"
	"errors"
	"sync"

	"github.com/google/uuid"
	"golang.org/x/oauth2"
)

// grant is one account's consent at work: it remembers the access token and renews it, one exchange at a time.
//
// The exchange runs in the goroutine and under the context of the call that needs it first. The others wait for it, each under its
// own context; if the first gives up, one of them takes over. So a token endpoint that hangs holds nobody longer than they
// asked to wait, no goroutine is left behind, and a cancelled call spoils nothing for the next.
type grant struct {
	account  Account           // as it was when the grant was made
	given    [sha256.Size]byte // hash of what the grant was made from: a refresh token, or a user's address
	exchange func(ctx context.Context, refreshToken string) (*oauth2.Token, error)
	onRotate func(a Account, is string)

	mu      sync.Mutex
	refresh string
	token   *oauth2.Token // nil, or the last one received
	flight  *flight       // the exchange under way, nil if none
}

// flight is one exchange. Its fields are written before done is closed.
type flight struct {
	done      chan struct{}
	token     *oauth2.Token
	err       error
	abandoned bool // the caller that led it gave up; says nothing about Google
}

// accessToken is a token good for at least the next seconds.
func (g *grant) accessToken(ctx context.Context) (*oauth2.Token, error) {
	for {
		g.mu.Lock()
		if g.token.Valid() {
			defer g.mu.Unlock()
			return g.token, nil
		}
		f := g.flight
		if f == nil {
			f = &flight{done: make(chan struct{})}
			g.flight = f
			refresh := g.refresh
			g.mu.Unlock()
			return g.lead(ctx, f, refresh)
		}
		g.mu.Unlock()
		select {
		case <-f.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if !f.abandoned {
			return f.token, f.err
		}
	}
}

// lead makes the exchange and hands its outcome to all who wait for it.
func (g *grant) lead(ctx context.Context, f *flight, refresh string) (*oauth2.Token, error) {
	f.abandoned = true // should the exchange panic, the others must not take a missing token for one
	defer func() {
		g.mu.Lock()
		g.flight = nil
		g.mu.Unlock()
		close(f.done)
	}()
	f.token, f.err = g.exchange(ctx, refresh)
	f.abandoned = f.err != nil && ctx.Err() != nil
	if f.err == nil {
		g.keep(f.token)
	}
	return f.token, f.err
}

func (g *grant) keep(t *oauth2.Token) {
	g.mu.Lock()
	g.token = t
	rotated := g.refresh != "" && t.RefreshToken != "" && t.RefreshToken != g.refresh
	if rotated {
		g.refresh = t.RefreshToken
	}
	g.mu.Unlock()
	if rotated && g.onRotate != nil {
		g.onRotate(g.account, t.RefreshToken)
	}
}

// discard drops a token that Google has refused, unless someone has renewed it already.
func (g *grant) discard(t *oauth2.Token) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.token == t {
		g.token = nil
	}
}

// madeFrom reports whether an account is the grant's own: of the same consent, with the refresh token or the address it was made from, or
// with the refresh token that replaced it.
func (g *grant) madeFrom(a Account) bool {
	if !g.account.Consent.Equal(a.Consent) {
		return false
	}
	if g.given == a.proof() {
		return true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.refresh != "" && g.refresh == a.RefreshToken
}

// grants remembers the grants of the most recently used accounts. One user has one; a new refresh token replaces it.
type grants struct {
	mu    sync.Mutex
	most  int
	order *list.List // of *grant, the most recently used in front
	byID  map[uuid.UUID]*list.Element
}

func newGrants(most int) *grants {
	return &grants{most: most, order: list.New(), byID: make(map[uuid.UUID]*list.Element)}
}

// get returns the account's grant, made by create if there is none for this refresh token.
func (gs *grants) get(a Account, create func() *grant) *grant {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	if el, ok := gs.byID[a.UserID]; ok {
		if g := el.Value.(*grant); g.madeFrom(a) {
			gs.order.MoveToFront(el)
			return g
		}
		gs.remove(el)
	}
	g := create()
	gs.byID[a.UserID] = gs.order.PushFront(g)
	if gs.order.Len() > gs.most {
		gs.remove(gs.order.Back())
	}
	return g
}

func (gs *grants) forget(userID uuid.UUID) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	if el, ok := gs.byID[userID]; ok {
		gs.remove(el)
	}
}

func (gs *grants) remove(el *list.Element) {
	delete(gs.byID, gs.order.Remove(el).(*grant).account.UserID)
}

func isContextual(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
