package ops

// Finding is what a probe found.
type Finding struct {
	// OK says the part does what it is for.
	OK bool
	// Degraded says it does so in a lesser way: later, or for fewer.
	Degraded bool
	// Reason says in words what is wrong, or how things are when nothing is.
	Reason string
	// Fix says what a person can do about it, if anything.
	Fix string
}

// Check is one question whose answer makes up readiness.
type Check struct {
	// Name is short and stable: it is a metric label.
	Name string
	// Required says that without it the program is not ready. Otherwise a failure
	// degrades it.
	Required bool
	// Probe reads a snapshot; it returns at once.
	Probe func() Finding
}

// Verdict is how a check, or the whole program, stands.
type Verdict string

// The verdicts, from best to worst.
const (
	OK       Verdict = "ok"
	Degraded Verdict = "degraded"
	Failed   Verdict = "failed"
)

// Report is the outcome of all checks at one moment.
type Report struct {
	// Status is the worst verdict that counts.
	Status Verdict `json:"status"`
	// Checks holds one result for each check, in the order they were given.
	Checks []Result `json:"checks"`
}

// Result is the outcome of one check.
type Result struct {
	Name     string  `json:"name"`
	Status   Verdict `json:"status"`
	Required bool    `json:"required"`
	Reason   string  `json:"reason,omitempty"`
	Fix      string  `json:"fix,omitempty"`
}

// Examine probes every check once.
func Examine(checks []Check) Report {
	r := Report{Status: OK, Checks: make([]Result, 0, len(checks))}
	for _, c := range checks {
		f := c.find()
		res := Result{Name: c.Name, Status: f.verdict(), Required: c.Required, Reason: f.Reason, Fix: f.Fix}
		r.Checks = append(r.Checks, res)
		r.Status = worse(r.Status, res.weight())
	}
	return r
}

// find probes. A probe that panics is a failed check, not the end of the program:
// scrapes run probes on goroutines that nobody else guards.
func (c Check) find() (f Finding) {
	defer func() {
		if v := recover(); v != nil {
			f = Finding{Reason: "the check itself broke", Fix: "report this with the program's version"}
		}
	}()
	return c.Probe()
}

func (f Finding) verdict() Verdict {
	switch {
	case !f.OK:
		return Failed
	case f.Degraded:
		return Degraded
	default:
		return OK
	}
}

// weight is what the result means for the program as a whole.
func (r Result) weight() Verdict {
	if r.Status == Failed && !r.Required {
		return Degraded
	}
	return r.Status
}

func worse(a, b Verdict) Verdict {
	if a == Failed || b == Failed {
		return Failed
	}
	if a == Degraded || b == Degraded {
		return Degraded
	}
	return OK
}
