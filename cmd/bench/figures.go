package bench

import (
	"slices"
	"time"
)

// Figure is one number of a measurement.
type Figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
}

// Result is one measurement of one worker.
type Result struct {
	Worker   string `json:"worker"`
	Scenario string `json:"scenario"`
	// Case is what tells several of one scenario apart, as a number of events.
	Case    string   `json:"case"`
	Run     int      `json:"run"`
	Figures []Figure `json:"figures"`
	// Strangers is the share of the machine's processors that others used meanwhile, 0 to 1; negative: unknown.
	Strangers float64 `json:"strangers"`
	// Times are the single latencies or latenesses in milliseconds, in ascending order.
	Times []float64 `json:"-"`
}

// Value is that of a figure, and whether there is one of that name.
func (r Result) Value(name string) (float64, bool) {
	for _, f := range r.Figures {
		if f.Name == name {
			return f.Value, true
		}
	}
	return 0, false
}

func (r *Result) add(name string, value float64, unit string) {
	r.Figures = append(r.Figures, Figure{name, value, unit})
}

// spread adds what there is to say of many durations, and keeps them.
func (r *Result) spread(durations []time.Duration) {
	slices.Sort(durations)
	r.Times = make([]float64, len(durations))
	for i, d := range durations {
		r.Times[i] = millis(d)
	}
	r.add("p50", quantile(r.Times, 0.5), "ms")
	r.add("p99", quantile(r.Times, 0.99), "ms")
	r.add("max", quantile(r.Times, 1), "ms")
}

// quantile is the smallest of sorted values that at least that share of them does not exceed; of none it is 0.
func quantile(sorted []float64, share float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	i := int(share * float64(len(sorted)))
	if float64(i) == share*float64(len(sorted)) {
		i--
	}
	return sorted[min(max(i, 0), len(sorted)-1)]
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// Summary is what several runs of one measurement say together.
type Summary struct {
	Worker, Scenario, Case string
	Figures                []Range
	Strangers              float64 // the worst of them
	Runs                   int
}

// Range is the median of a figure, and between what it was.
type Range struct {
	Name             string
	Median, Low, Top float64
	Unit             string
}

// Summarise puts the runs of each measurement together, in the order in which they were first made.
func Summarise(results []Result) (sums []Summary) {
	type key struct{ worker, scenario, which string }
	groups := map[key][]Result{}
	var order []key
	for _, r := range results {
		k := key{r.Worker, r.Scenario, r.Case}
		if groups[k] == nil {
			order = append(order, k)
		}
		groups[k] = append(groups[k], r)
	}
	for _, k := range order {
		s := Summary{Worker: k.worker, Scenario: k.scenario, Case: k.which, Runs: len(groups[k]), Strangers: groups[k][0].Strangers}
		for _, f := range groups[k][0].Figures {
			var values []float64
			for _, r := range groups[k] {
				if v, there := r.Value(f.Name); there {
					values = append(values, v)
				}
			}
			slices.Sort(values)
			s.Figures = append(s.Figures, Range{f.Name, median(values), values[0], values[len(values)-1], f.Unit})
		}
		for _, r := range groups[k] {
			s.Strangers = max(s.Strangers, r.Strangers)
		}
		sums = append(sums, s)
	}
	return sums
}

// median is that of sorted values, of which there is one at least.
func median(sorted []float64) float64 {
	half := len(sorted) / 2
	if len(sorted)%2 == 0 {
		return (sorted[half-1] + sorted[half]) / 2
	}
	return sorted[half]
}
