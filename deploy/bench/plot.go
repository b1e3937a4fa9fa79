package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"

	"github.com/parentpal/reminder-worker/cmd/bench"
)

// line is a worker's in the plot.
type line struct {
	name  string
	times []float64 // milliseconds, in ascending order; one at least
}

// latenesses are those of each worker in all its runs, of the first case: the one that every size measures.
func latenesses(results []bench.Result) (lines []line) {
	which := ""
	for _, r := range results {
		if r.Scenario != "lateness" || len(r.Times) == 0 {
			continue
		}
		if len(lines) == 0 {
			which = r.Case
		}
		if r.Case != which {
			continue
		}
		i := slices.IndexFunc(lines, func(l line) bool { return l.name == r.Worker })
		if i < 0 {
			i, lines = len(lines), append(lines, line{name: r.Worker})
		}
		lines[i].times = append(lines[i].times, r.Times...)
	}
	for _, l := range lines {
		slices.Sort(l.times)
	}
	return lines
}

// The picture, in pixels.
const (
	plotWidth, plotHeight = 940, 420
	plotLeft, plotTop     = 64, 48
	plotRight, plotBottom = 610, 360 // of the field
	plotPoints            = 400      // of a line, at most
	plotLegend            = plotRight + 24
	plotLegendStep        = 26
)

// style has the colours for light and dark surroundings. They are told apart by those who see few colours too: by brightness, and by the dashes.
const style = `
  text { font: 13px system-ui, sans-serif; fill: #24292f }
  .title { font-size: 16px; font-weight: 600 }
  .small { fill: #57606a }
  .grid { stroke: #d0d7de } .frame { stroke: #8c959f; fill: none }
  .line, .key { fill: none; stroke-width: 2 } .own { stroke-width: 3.5 }
  .c0 { stroke: #0550ae } .c1 { stroke: #bc4c00 } .c2 { stroke: #8250df } .c3 { stroke: #1a7f37 }
  .c4 { stroke: #bf3989 } .c5 { stroke: #9a6700 } .c6 { stroke: #57606a } .c7 { stroke: #a40e26 }
  .c1, .c3, .c5 { stroke-dasharray: 7 4 } .c6 { stroke-dasharray: 2 3 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .small { fill: #9198a1 }
    .grid { stroke: #3d444d } .frame { stroke: #656c76 }
    .c0 { stroke: #79c0ff } .c1 { stroke: #ffa657 } .c2 { stroke: #d2a8ff } .c3 { stroke: #7ee787 }
    .c4 { stroke: #ff9bce } .c5 { stroke: #e3b341 } .c6 { stroke: #b1bac4 } .c7 { stroke: #ff7b72 }
  }
`

// plotColours are as many as style has.
const plotColours = 8

// plot draws which share of a worker's reminders was at most so late, over a logarithmic axis: left is better, and steep is better.
func plot(out io.Writer, title string, lines []line) error {
	low, high := axis(lines)
	x := func(ms float64) float64 {
		share := (math.Log10(max(ms, low)) - math.Log10(low)) / (math.Log10(high) - math.Log10(low))
		return plotLeft + share*(plotRight-plotLeft)
	}
	y := func(share float64) float64 { return plotBottom - share*(plotBottom-plotTop) }
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%[1]d" height="%[2]d" viewBox="0 0 %[1]d %[2]d" role="img" aria-labelledby="title">`+"\n", plotWidth, plotHeight)
	fmt.Fprintf(&b, "<title id=\"title\">%s</title>\n<style>%s</style>\n", escaped(title), style)
	fmt.Fprintf(&b, `<text class="title" x="%d" y="26">%s</text>`+"\n", plotLeft, escaped(title))
	for tick := low; tick <= high*1.001; tick *= 10 {
		fmt.Fprintf(&b, `<line class="grid" x1="%[1]s" y1="%[2]d" x2="%[1]s" y2="%[3]d"/>`+"\n", px(x(tick)), plotTop, plotBottom)
		fmt.Fprintf(&b, `<text class="small" text-anchor="middle" x="%s" y="%d">%s</text>`+"\n", px(x(tick)), plotBottom+20, duration(tick))
	}
	for share := 0; share <= 100; share += 25 {
		at := px(y(float64(share) / 100))
		fmt.Fprintf(&b, `<line class="grid" x1="%d" y1="%[2]s" x2="%[3]d" y2="%[2]s"/>`+"\n", plotLeft, at, plotRight)
		fmt.Fprintf(&b, `<text class="small" text-anchor="end" x="%d" y="%s" dy="4">%d %%</text>`+"\n", plotLeft-8, at, share)
	}
	fmt.Fprintf(&b, `<rect class="frame" x="%d" y="%d" width="%d" height="%d"/>`+"\n", plotLeft, plotTop, plotRight-plotLeft, plotBottom-plotTop)
	fmt.Fprintf(&b, `<text class="small" text-anchor="middle" x="%d" y="%d">late by at most</text>`+"\n", (plotLeft+plotRight)/2, plotBottom+42)
	for i, l := range lines {
		class := fmt.Sprintf("c%d", i%plotColours)
		if l.name == ours {
			class += " own"
		}
		fmt.Fprintf(&b, `<path class="line %s" d="%s"/>`+"\n", class, steps(l.times, x, y))
		at := plotTop + 10 + i*plotLegendStep
		fmt.Fprintf(&b, `<line class="key %s" x1="%d" y1="%[3]d" x2="%[4]d" y2="%[3]d"/>`+"\n", class, plotLegend, at, plotLegend+28)
		half := l.times[(len(l.times)-1)/2]
		fmt.Fprintf(&b, `<text x="%d" y="%d" dy="4">%s <tspan class="small">half: %s</tspan></text>`+"\n", plotLegend+36, at, escaped(l.name), duration(half))
	}
	b.WriteString("</svg>\n")
	_, err := b.WriteTo(out)
	return err
}

// axis is from one power of ten to another, which have all times between them, but for those below a tenth of a millisecond.
func axis(lines []line) (low, high float64) {
	low, high = math.Inf(1), 0.1
	for _, l := range lines {
		low, high = min(low, l.times[0]), max(high, l.times[len(l.times)-1])
	}
	low = math.Pow(10, math.Floor(math.Log10(max(low, 0.1))))
	high = math.Pow(10, math.Ceil(math.Log10(high)))
	return low, max(high, 10*low)
}

// steps is a line's data: it goes up by its share at each time, as many of them as the eye can tell apart.
func steps(times []float64, x, y func(float64) float64) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "M%s %s", px(x(times[0])), px(y(0)))
	points := min(len(times), plotPoints)
	for i := range points {
		n := (i + 1) * len(times) / points // so many were at most so late
		fmt.Fprintf(&b, "H%sV%s", px(x(times[n-1])), px(y(float64(n)/float64(len(times)))))
	}
	fmt.Fprintf(&b, "H%d", plotRight)
	return b.String()
}

// px writes a coordinate.
func px(v float64) string { return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64) }

// duration writes milliseconds as people do.
func duration(ms float64) string {
	if ms >= 1000 {
		return strconv.FormatFloat(ms/1000, 'g', 3, 64) + " s"
	}
	return strconv.FormatFloat(ms, 'g', 3, 64) + " ms"
}

// escaped is text as XML has it.
func escaped(text string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(text)) // a buffer takes everything
	return b.String()
}
