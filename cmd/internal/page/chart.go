package page

import (
	"fmt"
	"time"
)

// chart is a series drawn as bars, in the units of an SVG of chartWidth by chartHeight.
type chart struct {
	ID, Title, Unit string
	Width, Height   int
	Base            int // where the bars stand, which begin at Left
	Left, LabelX    int
	Middle          int
	Foot, TickY     int // the ends of what marks a time, and the line that it is written on
	Bars            []bar
	Ticks           []tick
	Lines           []line
	Total           Count
	Summary         string // for those who do not see it
	None            string // in place of bars
}

type bar struct {
	X, Y, Width, Height float64
	Count               Count
	At                  time.Time
}

// tick is a time under the bars.
type tick struct {
	X  float64
	At time.Time
}

// line is a height beside them.
type line struct {
	Y     float64
	Label string
}

const (
	chartWidth  = 640
	chartHeight = 150
	chartLeft   = 44  // the labels of the lines
	chartBase   = 122 // below it stand the times
	chartTop    = 12
)

// draw makes bars of a series, and a label under every so many of them.
func draw(id, title, unit string, s Series, every int) chart {
	c := chart{
		ID: id, Title: title, Unit: unit, Width: chartWidth, Height: chartHeight, Base: chartBase, Left: chartLeft, LabelX: chartLeft - 6,
		Middle: (chartLeft + chartWidth) / 2, Foot: chartBase + 4, TickY: chartBase + 18,
	}
	top, last := 0, -1
	for i, n := range s.Counts {
		c.Total.N, c.Total.More = c.Total.N+n.N, c.Total.More || n.More
		if n.N > 0 {
			last = i
		}
		top = max(top, n.N)
	}
	top = ceiling(top)
	if c.None = "None is due"; len(s.Counts) == 0 {
		c.None, c.Summary = "Not known", "Not known."
		return c
	}
	slot := float64(chartWidth-chartLeft) / float64(len(s.Counts))
	step := time.Duration(s.Step) * time.Second
	for i, n := range s.Counts {
		at := s.From.Add(time.Duration(i) * step)
		x := chartLeft + float64(i)*slot
		if n.N > 0 {
			height := max(float64(chartBase-chartTop)*float64(n.N)/float64(top), 2)
			c.Bars = append(c.Bars, bar{round(x + slot*0.12), round(chartBase - height), round(slot * 0.76), round(height), n, at})
		}
		if i%every == 0 {
			c.Ticks = append(c.Ticks, tick{round(x), at})
		}
	}
	if last < 0 {
		c.Summary = "None is due."
		return c
	}
	c.None = ""
	c.Lines = []line{{chartTop, grouped(top)}, {round(float64(chartTop+chartBase) / 2), half(top)}}
	busiest := "at most " + grouped(most(s.Counts).N)
	if most(s.Counts).More {
		busiest = most(s.Counts).String()
	}
	c.Summary = fmt.Sprintf("%s reminders; %s in one %s.", c.Total, busiest, unit)
	return c
}

// most is the largest.
func most(counts []Count) (top Count) {
	for _, n := range counts {
		if n.N > top.N || n.N == top.N && n.More {
			top = n
		}
	}
	return top
}

// ceiling is the next of 2, 4, 10, 20, 40, 100 and so on: its half is a whole number.
func ceiling(n int) int {
	for unit := 1; ; unit *= 10 {
		for _, c := range []int{2 * unit, 4 * unit, 10 * unit} {
			if n <= c {
				return c
			}
		}
	}
}

func half(n int) string { return grouped(n / 2) }

func round(x float64) float64 { return float64(int(x*10+0.5)) / 10 }
