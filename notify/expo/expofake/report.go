package expofake

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Counts is what has happened since the start or the last Reset.
type Counts struct {
	Requests        int // requests to /send, whatever their answer
	ReceiptRequests int // requests to /getReceipts, whatever their answer
	Busiest         int // most requests to /send that were under way at once

	Accepted int // pushes with an accepting ticket
	Refused  int // pushes with a refusing ticket
	Failed   int // accepted pushes that were refused in the receipt
	Expired  int // accepted pushes that came too late to be shown
	Shown    int // accepted pushes that a phone has shown, repeats included
	Repeats  int // accepted pushes that replaced an earlier one on the phone
	Unsure   int // accepted pushes whose tickets a fault kept from the sender

	Throttled    int // requests refused for their rate
	Rejected     int // requests refused for their content or their access token
	Mixed        int // of the rejected, those to devices of several projects
	Unauthorized int // of the rejected, those for their access token
	Faults       int // requests that a hook failed

	Asked int // ids that receipts were asked for, repeats included
	Given int // receipts that were given, repeats included
	Again int // receipts that had been given before
}

// ProjectCounts is the share of one Expo project.
type ProjectCounts struct {
	Requests  int // requests to its devices alone
	Throttled int // of these, refused for their rate
	Accepted  int // pushes with an accepting ticket
	Refused   int // pushes with a refusing ticket
	Failed    int // accepted pushes that were refused in the receipt
	Shown     int // accepted pushes that a phone has shown, repeats included
	Peak      int // most pushes let through in any second
}

// Report is everything that the server has counted, to print and to judge.
type Report struct {
	Counts
	// Projects by name.
	Projects map[string]ProjectCounts
	// Codes are the refusals of pushes, in tickets and receipts, by code.
	Codes map[string]int
	// Phones is the number of devices that are known.
	Phones int
	// Folded is how many pushes replaced another on the phone that folded most.
	Folded int
}

// Counts returns what has happened so far.
func (s *Server) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts
}

// Report returns all counts so far, as of one moment.
func (s *Server) Report() Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := Report{Counts: s.counts, Projects: map[string]ProjectCounts{}, Codes: maps.Clone(s.codes), Phones: len(s.phones)}
	for name, p := range s.projects {
		r.Projects[name] = p.counts
	}
	for _, p := range s.phones {
		r.Folded = max(r.Folded, p.folded)
	}
	return r
}

// Folded returns how many pushes have replaced another on the device.
func (s *Server) Folded(token string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.phones[token]; p != nil {
		return p.folded
	}
	return 0
}

// String prints the report in a few lines.
func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "requests  %d (at most %d at once), %d faults, %d throttled, %d rejected (%d mixed, %d unauthorized)\n",
		r.Requests, r.Busiest, r.Faults, r.Throttled, r.Rejected, r.Mixed, r.Unauthorized)
	fmt.Fprintf(&b, "pushes    %d accepted (%d unsure), %d refused, %d failed, %d expired, %d shown\n",
		r.Accepted, r.Unsure, r.Refused, r.Failed, r.Expired, r.Shown)
	fmt.Fprintf(&b, "phones    %d, %d pushes folded, at most %d on one\n", r.Phones, r.Repeats, r.Folded)
	fmt.Fprintf(&b, "receipts  %d requests, %d ids asked, %d given, %d of them again\n",
		r.ReceiptRequests, r.Asked, r.Given, r.Again)
	for _, code := range slices.SortedFunc(maps.Keys(r.Codes), func(x, y string) int {
		return cmp.Or(cmp.Compare(r.Codes[y], r.Codes[x]), cmp.Compare(x, y))
	}) {
		fmt.Fprintf(&b, "code      %s %d\n", code, r.Codes[code])
	}
	for _, name := range slices.Sorted(maps.Keys(r.Projects)) {
		p := r.Projects[name]
		fmt.Fprintf(&b, "project   %s: %d requests, %d accepted, %d refused, %d failed, %d shown, %d in a second\n",
			name, p.Requests, p.Accepted, p.Refused, p.Failed, p.Shown, p.Peak)
	}
	return b.String()
}
