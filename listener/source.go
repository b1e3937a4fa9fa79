package listener

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
)

// ErrBusy says that a source serves one worker at a time, and another one has it.
var ErrBusy = errors.New("another worker is heard there")

// Connect makes the listener's connection: a dedicated one, never one of a pool,
// which would recycle it. It is called again after every loss.
type Connect func(ctx context.Context) (*pgx.Conn, error)

// Source is one way to hear what is committed.
type Source interface {
	// Name is the source as it stands in logs and on pages.
	Name() string
	// Open makes a connection that hears: what is sent after Open has returned is
	// received. It is called again after every loss.
	Open(ctx context.Context) (Path, error)
	// Bell is what writers look at before they announce a commit this way.
	Bell() Bell
}

// Path is one connection that hears. Receive and Close are called by one
// goroutine, Acknowledge and Ping by any.
type Path interface {
	// Receive waits for the next message. Its errors end the path.
	Receive(ctx context.Context) (Message, error)
	// Acknowledge says that all messages up to a position have had their effect.
	Acknowledge(position uint64)
	// Ping asks the server for a sign of life, which is received as a pong. It
	// does not wait.
	Ping() error
	// Close gives the connection up, within bounds.
	Close()
}

// Message is what a path has heard.
type Message struct {
	// Payload is a word of the workers' own, or anything else: a commit, to events
	// alone if it is "events".
	Payload string
	// Position grows from message to message of one path, pongs excepted.
	Position uint64
	// Pong says that this is the answer to a ping, and nothing else.
	Pong bool
	// Early says that a transaction that begins now may not see the commit yet.
	Early bool
}

// Bell is what the triggers look at before they announce a commit. It works over
// other connections than the path's own: a pooler that lends both the same server
// connection would make a proof of nothing.
type Bell interface {
	// Open has commits announced for as long as the bell keeps, and sends a word.
	Open(ctx context.Context, word string) (Opened, error)
	// Send sends a word, in a transaction of its own. It returns the server's
	// clock in milliseconds since 1970.
	Send(ctx context.Context, word string) (sentMs int64, err error)
	// Close has commits announced no more. It does nothing, and says so, when the
	// word that told the others was sent longer ago than within.
	Close(ctx context.Context, sentMs int64, within time.Duration) (closed bool, err error)
	// Writers names the transactions under way that may have found the bell
	// closed; of those among, unless that is nil.
	Writers(ctx context.Context, among []string) ([]string, error)
}

// Opened is what opening a bell has shown.
type Opened struct {
	// Openings counts the times that anybody found the bell closed and opened it.
	// Another number than last time says that commits may have gone unannounced.
	Openings int64
	// QueueUsage is how full the server's queue of undelivered changes is, 0 to 1.
	QueueUsage float64
}
