package listener

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// ErrNoProof says that a source accepted to listen and the listener's own word did
// not come back: typically a pooler in transaction mode sits in between.
var ErrNoProof = errors.New("own proof did not arrive")

// keeper holds the bell open, proves the path, and looks by itself while the bell
// may be silent. It belongs to one path and ends with it.
type keeper struct {
	l     *Listener
	bell  Bell
	path  Path
	inbox *inbox
	words *speaker

	began time.Time // when the path was first proven

	proof     word // awaited, unless zero
	pong      bool // awaited
	proofSent time.Time
	nextProof time.Time

	hush     word // awaited, unless zero
	hushMs   int64
	hushSent time.Time
	silent   time.Time // until when the bell is or may be silent, unless zero
	calm     bool      // it is the silence that a path begins with
	openings int64     // of the bell, when we last opened it

	writers  []string  // that may not have rung
	minded   time.Time // since when
	told     bool      // of one that does not end
	nextLook time.Time
	pause    time.Duration // between two looks

	tell     bool // the others are to be told
	nextTell time.Time
}

func newKeeper(l *Listener, bell Bell, path Path) *keeper {
	return &keeper{
		l: l, bell: bell, path: path, inbox: newInbox(), words: newSpeaker(),
		tell: true, // whatever was written while nobody could be told
	}
}

// run keeps the bell until ctx ends or something fails.
func (k *keeper) run(ctx context.Context) error {
	if err := k.prove(ctx); err != nil {
		return err
	}
	alarm := time.NewTimer(0)
	defer alarm.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-k.inbox.ready:
		case <-k.l.tells:
			k.tell = true
		case <-alarm.C:
		}
		if err := k.read(ctx, k.inbox.take(), time.Now()); err != nil {
			return err
		}
		if err := k.act(ctx, time.Now()); err != nil {
			return err
		}
		alarm.Reset(time.Until(k.next()))
	}
}

// read takes in what the path has brought.
func (k *keeper) read(ctx context.Context, m mail, now time.Time) error {
	if m.pong {
		k.pong = false
	}
	for _, w := range m.own {
		switch w {
		case k.proof:
			k.proof = word{}
			k.l.proved(now.Sub(k.proofSent))
		case k.hush:
			k.hush = word{}
			k.fallSilent(now)
			if err := k.closeBell(ctx); err != nil {
				return err
			}
		}
	}
	if m.hushed {
		k.l.metrics.silences.Inc()
		k.fallSilent(now)
	}
	if m.stormed && k.hasBegun() && k.hush == (word{}) && !k.isSilent() {
		return k.sendHush(ctx, now)
	}
	if k.began.IsZero() && k.proof == (word{}) && !k.pong {
		return k.begin(ctx, now)
	}
	if m.early && !k.isSilent() {
		return k.mindWriters(ctx)
	}
	return nil
}

// begin is what a path that has been proven begins with. Not before that is the
// bell opened: on a path that swallows, writers would ring to nobody.
func (k *keeper) begin(ctx context.Context, now time.Time) error {
	if err := k.open(ctx); err != nil {
		return err
	}
	k.began = now
	k.l.began()
	// A worker that sent its hush before we listened may still close the bell.
	k.fallSilent(now)
	k.calm = true
	return nil
}

func (k *keeper) hasBegun() bool { return !k.began.IsZero() }

// act does what is due.
func (k *keeper) act(ctx context.Context, now time.Time) error {
	if k.awaits() && now.Sub(k.awaitedSince()) > k.l.cfg.ProofTimeout {
		return fmt.Errorf("wait %v for proof: %w", k.l.cfg.ProofTimeout, ErrNoProof)
	}
	if k.hasBegun() && (k.isSilent() && !now.Before(k.silent) || !k.isSilent() && !now.Before(k.nextProof)) {
		if err := k.open(ctx); err != nil {
			return err
		}
	}
	if k.looks() && !now.Before(k.nextLook) {
		if err := k.look(ctx, now); err != nil {
			return err
		}
	}
	if k.tell && k.hasBegun() && !now.Before(k.nextTell) {
		return k.tellOthers(ctx, now)
	}
	return nil
}

// next is when something will be due.
func (k *keeper) next() time.Time {
	at := k.nextProof // of a path that has not begun: the proof is late by then
	if k.isSilent() {
		at = k.silent
	}
	if k.awaits() {
		at = earlier(at, k.awaitedSince().Add(k.l.cfg.ProofTimeout+time.Millisecond))
	}
	if k.looks() {
		at = earlier(at, k.nextLook)
	}
	if k.tell && k.hasBegun() {
		at = earlier(at, k.nextTell)
	}
	return at
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func (k *keeper) isSilent() bool { return !k.silent.IsZero() }

// looks reports whether commits may be happening that nobody announces.
func (k *keeper) looks() bool { return k.isSilent() || k.writers != nil }

func (k *keeper) awaits() bool { return k.proof != (word{}) || k.pong || k.hush != (word{}) }

func (k *keeper) awaitedSince() time.Time {
	if k.hush != (word{}) && k.proof == (word{}) && !k.pong {
		return k.hushSent
	}
	return k.proofSent
}

// prove sends the first proof of the path.
func (k *keeper) prove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, k.l.cfg.ProofTimeout)
	defer cancel()
	now := time.Now()
	k.proof, k.proofSent, k.pong = k.words.say(proofWord), now, true
	k.nextProof = now.Add(k.l.cfg.ProofInterval)
	if _, err := k.bell.Send(ctx, k.proof.String()); err != nil {
		return fmt.Errorf("send proof: %w", err)
	}
	return k.path.Ping()
}

// open opens the bell, or keeps it open, and asks for a proof of the path. Who may
// have found it closed is looked after until he is done. The bell comes first and the
// writers second: in between nobody can find it closed.
func (k *keeper) open(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, k.l.cfg.ProofTimeout)
	defer cancel()
	now := time.Now()
	proof := k.words.say(proofWord)
	opened, err := k.bell.Open(ctx, proof.String())
	if err != nil {
		return fmt.Errorf("open bell: %w", err)
	}
	wasSilent := k.isSilent()
	k.silent, k.calm = time.Time{}, false
	k.l.metrics.queueUsage.Set(opened.QueueUsage)
	k.nextProof = now.Add(k.l.cfg.ProofInterval)
	if k.proof == (word{}) && !k.pong { // else the older one is waited for
		k.proof, k.proofSent, k.pong = proof, now, true
		if err := k.path.Ping(); err != nil {
			return err
		}
	}
	missed := k.hasBegun() && !wasSilent && opened.Openings != k.openings
	k.openings = opened.Openings
	if missed {
		k.l.gap()
	}
	if missed || wasSilent || !k.hasBegun() {
		return k.mindWriters(ctx)
	}
	return nil
}

// mindWriters has the tables looked at until all transactions have ended that are
// writing now.
func (k *keeper) mindWriters(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, k.l.cfg.ProofTimeout)
	defer cancel()
	writers, err := k.bell.Writers(ctx, nil)
	if err != nil {
		return fmt.Errorf("ask for writers: %w", err)
	}
	now := time.Now()
	if len(k.writers) == 0 || slices.ContainsFunc(writers, func(w string) bool { return !slices.Contains(k.writers, w) }) {
		k.minded, k.pause, k.told = now, k.l.cfg.LookInterval, false
	}
	k.writers, k.nextLook = writers, now
	if k.writers == nil {
		k.writers = []string{}
	}
	return nil
}

// look has the tables looked at. After the last of the writers has ended there is
// one more look, which sees what he wrote.
func (k *keeper) look(ctx context.Context, now time.Time) error {
	if !k.isSilent() {
		if err := k.askWriters(ctx); err != nil {
			return err
		}
	}
	if k.hasBegun() {
		k.l.look()
	}
	if k.calm {
		k.pause = min(2*k.pause, k.l.cfg.LookSlowest)
	}
	k.nextLook = now.Add(k.pause)
	return nil
}

func (k *keeper) askWriters(ctx context.Context) (err error) {
	if len(k.writers) > 0 {
		ctx, cancel := context.WithTimeout(ctx, k.l.cfg.ProofTimeout)
		defer cancel()
		if k.writers, err = k.bell.Writers(ctx, k.writers); err != nil {
			return fmt.Errorf("ask for writers: %w", err)
		}
		k.pause = min(2*k.pause, k.slowest())
	}
	if len(k.writers) == 0 && k.hasBegun() {
		k.writers = nil
	}
	return nil
}

// How long a transaction may take to end before it is looked after at leisure, at
// this pace: one that nobody ends, prepared or forgotten, is not to cost more.
const (
	forgottenAfter = 10 * time.Second
	forgottenPause = time.Second
)

// slowest is the longest pause between two looks after writers.
func (k *keeper) slowest() time.Duration {
	if time.Since(k.minded) < forgottenAfter {
		return k.l.cfg.LookSlowest
	}
	if !k.told {
		k.told = true
		k.l.log.Warn().Strs("virtual_transactions", k.writers).Dur("for", time.Since(k.minded)).
			Msg("transactions that write events or reminders stay open: what they commit is noticed within a second")
	}
	return max(forgottenPause, k.l.cfg.LookSlowest)
}

// sendHush tells all workers that the bell is about to be closed. It is closed
// when the word has come back, which proves the path once more. Others have been
// sent it by then; who has not read it yet will look late, but look.
func (k *keeper) sendHush(ctx context.Context, now time.Time) (err error) {
	ctx, cancel := context.WithTimeout(ctx, k.l.cfg.ProofTimeout)
	defer cancel()
	k.hush, k.hushSent = k.words.say(hushWord), now
	if k.hushMs, err = k.bell.Send(ctx, k.hush.String()); err != nil {
		return fmt.Errorf("send hush: %w", err)
	}
	return nil
}

func (k *keeper) closeBell(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, k.l.cfg.ProofTimeout)
	defer cancel()
	closed, err := k.bell.Close(ctx, k.hushMs, k.l.cfg.Silence/2)
	if err != nil {
		return fmt.Errorf("close bell: %w", err)
	}
	if closed {
		k.l.metrics.silences.Inc()
	}
	return nil
}

// fallSilent begins to look at the tables by ourselves.
func (k *keeper) fallSilent(now time.Time) {
	k.silent = now.Add(k.l.cfg.Silence)
	k.writers = nil // the next opening asks for all of them
	k.pause = k.l.cfg.LookInterval
	k.nextLook = now
}

// tellOthers has the other workers look at the tables.
func (k *keeper) tellOthers(ctx context.Context, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, k.l.cfg.ProofTimeout)
	defer cancel()
	k.tell, k.nextTell = false, now.Add(k.l.cfg.TellInterval)
	if _, err := k.bell.Send(ctx, k.words.say(toldWord).String()); err != nil {
		return fmt.Errorf("tell other workers: %w", err)
	}
	return nil
}
