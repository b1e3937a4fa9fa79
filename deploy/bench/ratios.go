package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/parentpal/reminder-worker/cmd/bench"
)

// ratio is how many times that of the base a rival's figure is.
type ratio struct {
	scenario, which, figure, rival string
	median, low, top               float64
	runs                           int
}

// ratios compares each rival's figures with those that the worker named base had in the same run, since what disturbs the machine for some minutes
// disturbs both. A figure that is 0 for the base has no ratio, nor has one that measures only one of the two.
func ratios(results []bench.Result, base string) (found []ratio) {
	type cell struct{ scenario, which, figure, rival string }
	values := map[cell][]float64{}
	var order []cell
	for _, theirs := range results {
		if theirs.Worker == base {
			continue
		}
		i := slices.IndexFunc(results, func(r bench.Result) bool {
			return r.Worker == base && r.Run == theirs.Run && r.Scenario == theirs.Scenario && r.Case == theirs.Case
		})
		if i < 0 {
			continue
		}
		for _, f := range theirs.Figures {
			own, there := results[i].Value(f.Name)
			if !there || own <= 0 {
				continue
			}
			c := cell{theirs.Scenario, theirs.Case, f.Name, theirs.Worker}
			if values[c] == nil {
				order = append(order, c)
			}
			values[c] = append(values[c], f.Value/own)
		}
	}
	for _, c := range order {
		v := values[c]
		slices.Sort(v)
		found = append(found, ratio{c.scenario, c.which, c.figure, c.rival, middle(v), v[0], v[len(v)-1], len(v)})
	}
	return found
}

// middle is the median of sorted values, of which there is one at least.
func middle(sorted []float64) float64 {
	half := len(sorted) / 2
	if len(sorted)%2 == 0 {
		return (sorted[half-1] + sorted[half]) / 2
	}
	return sorted[half]
}

// moreIsBetter are the figures of which one wants much; of all others, little.
var moreIsBetter = []string{"rate", "written"}

// writeRatios writes a line for each figure, and a column for each rival: the median over the runs, and between what it was.
func writeRatios(out io.Writer, found []ratio) error {
	type line struct{ scenario, which, figure string }
	cells := map[line]map[string]string{}
	var lines []line
	var rivals []string
	for _, r := range found {
		l := line{r.scenario, r.which, r.figure}
		if cells[l] == nil {
			lines, cells[l] = append(lines, l), map[string]string{}
		}
		if !slices.Contains(rivals, r.rival) {
			rivals = append(rivals, r.rival)
		}
		text := digits(r.median)
		if r.runs > 1 && r.low != r.top {
			text += " [" + digits(r.low) + "-" + digits(r.top) + "]"
		}
		cells[l][r.rival] = text
	}
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "what\tcase\tfigure\tbetter is\t"+strings.Join(rivals, "\t"))
	for _, l := range lines {
		better := "less"
		if slices.Contains(moreIsBetter, l.figure) {
			better = "more"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s", l.scenario, l.which, l.figure, better)
		for _, rival := range rivals {
			fmt.Fprint(t, "\t"+cmp.Or(cells[l][rival], "-"))
		}
		fmt.Fprintln(t)
	}
	return t.Flush()
}

// digits writes a number with two or three digits that count.
func digits(v float64) string {
	switch {
	case v >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}
