package audit

// maxExamples is how many findings of a kind a report keeps.
const maxExamples = 3

// Looked is how much an audit has gone through.
type Looked struct {
	Events    int `json:"events"`
	Reminders int `json:"reminders"`
	Copies    int `json:"copies"`
	Accounts  int `json:"accounts"` // whose calendars were read
	Entries   int `json:"entries"`  // of calendars, ours and others
}

// Sum is what was found of one kind.
type Sum struct {
	Kind     Kind      `json:"kind"`
	Found    int       `json:"found"`
	Repaired int       `json:"repaired"`
	Info     bool      `json:"info"`
	Repair   string    `json:"repair,omitempty"`
	Examples []Finding `json:"examples"`
}

// Report is what an audit has found. It is of the same size however much that is.
type Report struct {
	Looked Looked `json:"looked"`
	// Sums are the kinds that were found, in their order.
	Sums []Sum `json:"sums"`

	byKind map[Kind]*Sum
}

func (r *Report) add(findings []Finding) {
	if r.byKind == nil {
		r.byKind = map[Kind]*Sum{}
	}
	for _, f := range findings {
		s := r.byKind[f.Kind]
		if s == nil {
			s = &Sum{Kind: f.Kind, Info: f.Kind.Info(), Repair: f.Kind.Repair()}
			r.byKind[f.Kind] = s
		}
		s.Found++
		if f.Repaired {
			s.Repaired++
		}
		if len(s.Examples) < maxExamples {
			s.Examples = append(s.Examples, f)
		}
	}
}

// finish puts the sums in order.
func (r *Report) finish() {
	r.Sums = []Sum{}
	for _, k := range Kinds() {
		if s := r.byKind[k]; s != nil {
			r.Sums = append(r.Sums, *s)
		}
	}
}

// Left is how many findings still call for somebody to do something.
func (r Report) Left() (n int) {
	for _, s := range r.Sums {
		if !s.Info {
			n += s.Found - s.Repaired
		}
	}
	return n
}
