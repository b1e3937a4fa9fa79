package wheel

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
)

// BenchmarkLateness fires two hundred times within two seconds, while a million
// wait, of which a hundred thousand are due at the end of the two seconds, and
// another goroutine moves a hundred thousand a second. It reports how late fire is
// called; the last metric is that of the hundred thousand.
func BenchmarkLateness(b *testing.B) {
	ids, times := random(million), within25h(million)
	for range b.N {
		w := filled(ids, times)
		start := time.Now().Add(1500 * time.Millisecond)
		crowd := start.Add(2 * time.Second)
		for i := range 100_000 {
			w.Arm(ids[i], crowd)
		}
		for n := range 200 {
			w.Arm(numbered(n), start.Add(time.Duration(rand.Int64N(int64(2*time.Second)))))
		}
		alone, last := watch(w, ids, crowd)
		slices.Sort(alone)
		b.ReportMetric(micro(alone[len(alone)/2]), "p50-µs")
		b.ReportMetric(micro(alone[len(alone)*99/100]), "p99-µs")
		b.ReportMetric(micro(last), "crowd-end-µs")
	}
}

// BenchmarkFiring fires 200,000 a second for two seconds of a million that wait, and reports how late each is by the millisecond to which its time was
// rounded up.
func BenchmarkFiring(b *testing.B) {
	const firing = 400_000
	ids, times := random(million), within25h(million)
	for range b.N {
		w := filled(ids, times)
		start := time.Now().Add(1500 * time.Millisecond)
		for _, id := range ids[:firing] {
			w.Arm(id, start.Add(time.Duration(rand.Int64N(int64(2*time.Second)))))
		}
		ctx, cancel := context.WithCancel(context.Background())
		end, late := start.Add(2*time.Second+time.Millisecond), make([]time.Duration, 0, firing)
		_ = w.Run(ctx, func(due []Entry) {
			now := time.Now()
			for _, e := range due {
				if !e.At.Before(start) && !e.At.After(end) {
					late = append(late, now.Sub(e.At))
				}
			}
			if len(late) >= firing {
				cancel()
			}
		})
		cancel()
		slices.Sort(late)
		b.ReportMetric(micro(late[len(late)/2]), "p50-µs")
		b.ReportMetric(micro(late[len(late)*99/100]), "p99-µs")
		b.ReportMetric(micro(late[len(late)-1]), "max-µs")
	}
}

func micro(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// watch runs the wheel under load until the crowd has been fired.
func watch(w *Wheel, ids []ID, crowd time.Time) (alone []time.Duration, last time.Duration) {
	ctx, cancel := context.WithCancel(context.Background())
	var load sync.WaitGroup
	load.Go(func() {
		pace := time.NewTicker(time.Millisecond)
		defer pace.Stop()
		for ctx.Err() == nil {
			for n := range 100 {
				w.Arm(ids[len(ids)/2+n], crowd.Add(time.Hour))
			}
			<-pace.C
		}
	})
	left := 100_000
	_ = w.Run(ctx, func(due []Entry) {
		now := time.Now()
		for _, e := range due {
			switch {
			case [8]byte(e.ID[:8]) == [8]byte{}: // numbered, not random
				alone = append(alone, now.Sub(e.At))
			case e.At.Equal(time.UnixMilli(ceilMilli(crowd))):
				left--
			}
		}
		if left == 0 {
			last = now.Sub(crowd)
			cancel()
		}
	})
	load.Wait()
	return alone, last
}
