package wal

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/jackc/pglogrepl"
)

const (
	// prefix marks the messages of the triggers and of the workers.
	prefix = "reminder_worker"
	// fencePrefix marks those that [Source.Open] reads up to.
	fencePrefix = "reminder_worker_fence"
	// longestWord is more than a worker's own word needs; what is longer is none.
	longestWord = 256
)

// commit is the end of a transaction.
type commit struct {
	end  uint64
	word folded
	// fence is the payload of a fence in it, or empty.
	fence string
}

// folded is any number of messages as one: those that say the same keep their
// payload, others are a commit to anything.
type folded struct {
	count   int
	payload string
}

func (f *folded) add(payload string) {
	f.count++
	if f.count > 1 && payload != f.payload {
		payload = ""
	}
	f.payload = payload
}

// decoder follows the messages of pgoutput. Those that are of no interest are
// passed over unread, known or not.
type decoder struct {
	inside bool // a transaction has begun
	open   commit
}

// take reads one message, and reports whether a transaction ends with it.
func (d *decoder) take(data []byte) (c commit, ended bool, err error) {
	if len(data) == 0 {
		return commit{}, false, &MalformedError{"it has no bytes"}
	}
	switch body := data[1:]; pglogrepl.MessageType(data[0]) {
	case pglogrepl.MessageTypeBegin:
		return commit{}, false, d.begin(body)
	case pglogrepl.MessageTypeMessage:
		return commit{}, false, d.message(body)
	case pglogrepl.MessageTypeCommit:
		return d.commit(body)
	}
	return commit{}, false, nil
}

func (d *decoder) begin(body []byte) error {
	var m pglogrepl.BeginMessage
	if err := m.Decode(body); err != nil {
		return &MalformedError{err.Error()}
	}
	if d.inside {
		return &MalformedError{"a transaction begins in another one"}
	}
	d.inside, d.open = true, commit{}
	return nil
}

func (d *decoder) commit(body []byte) (commit, bool, error) {
	var m pglogrepl.CommitMessage
	if err := m.Decode(body); err != nil {
		return commit{}, false, &MalformedError{err.Error()}
	}
	if !d.inside {
		return commit{}, false, &MalformedError{"a transaction ends that has not begun"}
	}
	d.inside = false
	d.open.end = uint64(m.TransactionEndLSN)
	return d.open, true, nil
}

// message reads what pg_logical_emit_message has written. The library does not
// look where the bytes end.
func (d *decoder) message(body []byte) error {
	const head = 1 + 8 // flags, position
	if len(body) < head {
		return &MalformedError{fmt.Sprintf("a message has %d bytes", len(body))}
	}
	name, rest, ok := bytes.Cut(body[head:], []byte{0})
	if !ok || len(rest) < 4 || uint64(binary.BigEndian.Uint32(rest)) != uint64(len(rest)-4) {
		return &MalformedError{"a message does not end where it says"}
	}
	transactional := body[0]&1 != 0
	if !transactional || string(name) != prefix && string(name) != fencePrefix {
		return nil // somebody else's, or it says nothing of a commit
	}
	if !d.inside {
		return &MalformedError{"a message of a transaction that has not begun"}
	}
	d.note(string(name), rest[4:])
	return nil
}

func (d *decoder) note(name string, content []byte) {
	if len(content) > longestWord {
		content = nil
	}
	if name == fencePrefix {
		d.open.fence = string(content)
		return
	}
	d.open.word.add(string(content))
}
