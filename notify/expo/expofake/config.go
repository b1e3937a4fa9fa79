package expofake

import (
	"errors"
	"fmt"
	"time"
)

// Place is where a refusal that Expo learns of later is reported.
type Place int

const (
	// InReceipt reports it in the receipt, after an accepting ticket, as Expo
	// mostly does.
	InReceipt Place = iota
	// InTicket reports it at once.
	InTicket
)

// DefaultProject is the Expo project of every token that was not assigned.
const DefaultProject = "@family/calendar"

// Config says how the server behaves. DefaultConfig behaves like Expo, without
// its distance.
type Config struct {
	// Addr is the TCP address to listen on, "127.0.0.1:0" for any free port.
	Addr string

	// AccessToken, unless empty, must come with every request. It is one of
	// DefaultProject, whose devices alone it may push to.
	AccessToken string

	// OAuth refuses a wrong access token in the form of OAuth, as Expo does
	// before it looks for a project: see [BadAccessToken]. Without it, and for
	// one that is missing, the code is UNAUTHORIZED.
	OAuth bool

	// Latency is waited before every answer, from zero.
	Latency time.Duration

	// ReceiptDelay is how long after the ticket the receipt exists, from zero.
	ReceiptDelay time.Duration

	// Rate is the number of pushes that one project may send in any second;
	// zero means no limit.
	Rate int

	// GoneIn is where an uninstalled app is reported.
	GoneIn Place

	// TooBigIn is where a payload of more than 4096 bytes is reported.
	TooBigIn Place

	// Weigh notes the size of every push.
	Weigh bool

	// Keep is how many accepted pushes are remembered, the newest; zero means
	// all. Counts, hooks, receipts and phones are unaffected.
	Keep int
}

// DefaultConfig listens on a free local port, answers at once, and has every
// receipt ready as soon as the ticket is out.
func DefaultConfig() Config {
	return Config{Addr: "127.0.0.1:0", Rate: 600}
}

// Validate reports every fault of the configuration at once.
func (c Config) Validate() error {
	var faults []error
	for name, d := range map[string]time.Duration{"latency": c.Latency, "receipt delay": c.ReceiptDelay} {
		if d < 0 {
			faults = append(faults, fmt.Errorf("%s: %v is below zero", name, d))
		}
	}
	for name, n := range map[string]int{"rate": c.Rate, "keep": c.Keep} {
		if n < 0 {
			faults = append(faults, fmt.Errorf("%s: %d is below zero", name, n))
		}
	}
	if c.Addr == "" {
		faults = append(faults, errors.New("addr: is empty"))
	}
	return errors.Join(faults...)
}
