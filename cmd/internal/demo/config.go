package demo

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/parentpal/reminder-worker/cmd/internal/ops"
)

// Config says how a demo is run.
type Config struct {
	// For is how long it runs once the program is ready; 0: until the context ends. The family's reminders are waited for in any case.
	For time.Duration
	// Ports on 127.0.0.1, 1 to 65535; 0: any free one.
	GooglePort, ExpoPort, PostgresPort, HTTPPort int
	// Log shows the program's log from level info on; else warnings and errors only.
	Log bool
	// JSON writes one object per line instead of text.
	JSON bool
	// Out takes what is shown, Errs the program's log.
	Out, Errs io.Writer
	// Build is what the program says of itself.
	Build ops.Build
}

// DefaultConfig runs until the context ends, on free ports, and shows nothing.
func DefaultConfig() Config { return Config{Out: io.Discard, Errs: io.Discard} }

// Validate reports every fault of c at once, each by the name of its flag.
func (c Config) Validate() error {
	var faults []error
	if c.For < 0 {
		faults = append(faults, fmt.Errorf("--for %s: is negative", c.For))
	}
	taken := map[int]string{}
	for _, p := range c.ports() {
		switch {
		case p.port < 0 || p.port > 65535:
			faults = append(faults, fmt.Errorf("%s %d: is not between 1 and 65535, nor 0 for a free port", p.flag, p.port))
		case p.port != 0 && taken[p.port] != "":
			faults = append(faults, fmt.Errorf("%s %d: is the same as %s", p.flag, p.port, taken[p.port]))
		}
		taken[p.port] = cmp.Or(taken[p.port], p.flag)
	}
	if c.Out == nil || c.Errs == nil {
		faults = append(faults, errors.New("out or errs: missing"))
	}
	return errors.Join(faults...)
}

// chosen is a port and the flag that names it.
type chosen struct {
	flag string
	port int
}

func (c Config) ports() []chosen {
	return []chosen{
		{"--google-port", c.GooglePort}, {"--expo-port", c.ExpoPort},
		{"--postgres-port", c.PostgresPort}, {"--http-port", c.HTTPPort},
	}
}
