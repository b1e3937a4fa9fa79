package bench

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
)

// WriteTable writes summaries as a table for people: a line for each measurement, and the range of each figure where there were several runs.
func WriteTable(out io.Writer, sums []Summary) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "what\tcase\tworker\tfigures\tused by others")
	for _, s := range sums {
		var figures []string
		for _, f := range s.Figures {
			text := f.Name + " " + short(f.Median)
			if s.Runs > 1 && f.Low != f.Top {
				text += " [" + short(f.Low) + "-" + short(f.Top) + "]"
			}
			figures = append(figures, strings.TrimSpace(text+" "+f.Unit))
		}
		others := "unknown"
		if s.Strangers >= 0 {
			others = fmt.Sprintf("%.0f %%", 100*s.Strangers)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", s.Scenario, s.Case, s.Worker, strings.Join(figures, ", "), others)
	}
	return t.Flush()
}

// short writes a number with three digits that count.
func short(v float64) string {
	switch {
	case v >= 100 || v <= -100 || v == float64(int(v)):
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 10 || v <= -10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}
