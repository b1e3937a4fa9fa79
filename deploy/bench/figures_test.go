package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/parentpal/reminder-worker/cmd/bench"
)

func result(worker string, run int, figures ...bench.Figure) bench.Result {
	return bench.Result{Worker: worker, Scenario: "pickup", Case: "20/s", Run: run, Figures: figures}
}

// A ratio is taken within a run, so a run that was slow for both changes nothing; the median is that of the ratios.
func TestRatios(t *testing.T) {
	t.Parallel()
	fig := func(p50, backlog float64) []bench.Figure {
		return []bench.Figure{{Name: "p50", Value: p50, Unit: "ms"}, {Name: "backlog", Value: backlog}}
	}
	found := ratios([]bench.Result{
		result("rival", 1, fig(4, 7)...), result(ours, 1, fig(2, 0)...), // a rival may come first
		result(ours, 2, fig(20, 0)...), result("rival", 2, fig(60, 7)...),
		result(ours, 3, fig(1, 0)...), result("rival", 3, fig(10, 7)...),
		result("rival", 4, fig(1000, 7)...), // its run has no base
		result("late", 3, fig(5, 0)...),
	}, ours)
	want := []ratio{
		{"pickup", "20/s", "p50", "rival", 3, 2, 10, 3},
		{"pickup", "20/s", "p50", "late", 5, 5, 5, 1},
	}
	if len(found) != len(want) || found[0] != want[0] || found[1] != want[1] {
		t.Fatalf("ratios %+v, want %+v", found, want)
	}
	var table bytes.Buffer
	if err := writeRatios(&table, found); err != nil || !strings.Contains(table.String(), "3.00 [2.00-10.0]  5.00") {
		t.Errorf("error %v, table:\n%s", err, &table)
	}
}

func TestMiddle(t *testing.T) {
	t.Parallel()
	if a, b := middle([]float64{1, 2, 9}), middle([]float64{1, 2, 4, 9}); a != 2 || b != 3 {
		t.Errorf("medians %v and %v", a, b)
	}
}

// The plot is XML, with one path for each worker, whatever the worker is called, and no coordinate that is no number.
func TestPlot(t *testing.T) {
	t.Parallel()
	results := []bench.Result{
		{Worker: `a <"tuned"> & b`, Scenario: "lateness", Case: "1", Run: 1, Times: []float64{0.5, 2, 30}},
		{Worker: "other", Scenario: "lateness", Case: "1", Run: 1, Times: []float64{0, 1500}},
		{Worker: "other", Scenario: "lateness", Case: "1", Run: 2, Times: []float64{3}},
		{Worker: "other", Scenario: "lateness", Case: "2", Run: 1, Times: []float64{9}},
		{Worker: "none", Scenario: "pickup", Case: "1", Run: 1, Times: []float64{9}},
		{Worker: "alike", Scenario: "lateness", Case: "1", Run: 1, Times: []float64{7, 7, 7}},
	}
	lines := latenesses(results)
	if len(lines) != 3 || len(lines[1].times) != 3 || lines[1].times[1] != 3 {
		t.Fatalf("lines %+v", lines)
	}
	var out bytes.Buffer
	if err := plot(&out, "title & more", lines); err != nil {
		t.Fatal(err)
	}
	paths := 0
	for d := xml.NewDecoder(bytes.NewReader(out.Bytes())); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, &out)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "path" {
			paths++
		}
	}
	if paths != len(lines) || strings.Contains(out.String(), "NaN") || strings.Contains(out.String(), "Inf") || strings.Contains(out.String(), "%!") {
		t.Errorf("%d paths for %d workers in\n%s", paths, len(lines), &out)
	}
}

func TestAxis(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		times     []float64
		low, high float64
	}{
		{[]float64{0.5, 30}, 0.1, 100}, {[]float64{0, 0}, 0.1, 1}, {[]float64{10, 10}, 10, 100}, {[]float64{12, 999}, 10, 1000},
	} {
		low, high := axis([]line{{"w", c.times}})
		if math.Abs(low-c.low) > 1e-9 || math.Abs(high-c.high) > 1e-6 {
			t.Errorf("axis of %v: %v to %v, want %v to %v", c.times, low, high, c.low, c.high)
		}
	}
}

// A line begins with nothing and ends with all, and the quantiles between are not moved by leaving points out.
func TestSteps(t *testing.T) {
	t.Parallel()
	same := func(v float64) float64 { return v }
	if got := steps([]float64{1, 2, 4}, same, same); got != "M1 0H1V0.3H2V0.7H4V1H610" {
		t.Errorf("steps %s", got)
	}
	many := make([]float64, 10*plotPoints)
	for i := range many {
		many[i] = float64(i + 1)
	}
	if got := steps(many, same, same); strings.Count(got, "V") != plotPoints || !strings.Contains(got, "H2000V0.5H") {
		t.Errorf("%d steps: %s", strings.Count(got, "V"), got)
	}
}
