package wheel

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"
)

const million = 1_000_000

// random makes n ids as random as UUIDs are.
func random(n int) []ID {
	r := rand.New(rand.NewPCG(1, 2))
	ids := make([]ID, n)
	for i := range ids {
		binary.LittleEndian.PutUint64(ids[i][:8], r.Uint64())
		binary.LittleEndian.PutUint64(ids[i][8:], r.Uint64())
	}
	return ids
}

// within25h spreads times over the window that a worker keeps in memory.
func within25h(n int) []time.Time {
	r := rand.New(rand.NewPCG(3, 4))
	now := time.Now()
	times := make([]time.Time, n)
	for i := range times {
		times[i] = now.Add(time.Duration(r.Int64N(int64(25 * time.Hour))))
	}
	return times
}

// filled returns a wheel in which the ids wait.
func filled(ids []ID, times []time.Time) *Wheel {
	w := New()
	for i, id := range ids {
		w.Arm(id, times[i%len(times)])
	}
	return w
}

// whileWait runs a benchmark with a million waiting, and with ten.
func whileWait(b *testing.B, run func(b *testing.B, n int)) {
	for _, n := range []int{million, 10 * million} {
		b.Run(fmt.Sprintf("waiting=%d", n), func(b *testing.B) { run(b, n) })
	}
}

// BenchmarkArm measures an insert while n wait; the wheel stays near n because
// every pass takes out what it put in, outside of the clock.
func BenchmarkArm(b *testing.B) {
	whileWait(b, func(b *testing.B, n int) {
		const extra = million / 4
		ids, times := random(n+extra), within25h(million)
		w := filled(ids[:n], times)
		b.ReportAllocs()
		b.ResetTimer()
		for i := 0; i < b.N; i++ {
			at := i % extra
			if at == 0 && i > 0 {
				b.StopTimer()
				for _, id := range ids[n:] {
					w.Disarm(id)
				}
				b.StartTimer()
			}
			w.Arm(ids[n+at], times[at])
		}
	})
}

// BenchmarkArmAll is BenchmarkArm by batches, which ask for the memory of all their
// entries at once.
func BenchmarkArmAll(b *testing.B) {
	whileWait(b, func(b *testing.B, n int) {
		const extra = million / 4
		ids, times := random(n+extra), within25h(million)
		w := filled(ids[:n], times)
		entries := make([]Entry, extra)
		for i := range entries {
			entries[i] = Entry{ID: ids[n+i], At: times[i]}
		}
		b.ReportAllocs()
		b.ResetTimer()
		for done := 0; done < b.N; {
			some := entries[:min(extra, b.N-done)]
			w.ArmAll(some)
			done += len(some)
			b.StopTimer()
			for _, e := range some {
				w.Disarm(e.ID)
			}
			b.StartTimer()
		}
	})
}

// BenchmarkArmDisarm is the pair that other wheels publish.
func BenchmarkArmDisarm(b *testing.B) {
	ids := random(2 * million)
	times := within25h(million)
	w := filled(ids[:million], times)
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i++ {
		at := i % million
		w.Arm(ids[million+at], times[at])
		w.Disarm(ids[million+at])
	}
}

// BenchmarkDisarm takes out in random order while about a million wait.
func BenchmarkDisarm(b *testing.B) {
	ids, extra := random(2*million), million/4
	times := within25h(million)
	w := filled(ids[:million], times)
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i++ {
		at := i % extra
		if at == 0 {
			b.StopTimer()
			for j, id := range ids[million : million+extra] {
				w.Arm(id, times[j])
			}
			b.StartTimer()
		}
		w.Disarm(ids[million+at])
	}
}

// BenchmarkMove gives a waiting id another time.
func BenchmarkMove(b *testing.B) {
	ids, times := random(million), within25h(million)
	w := filled(ids, times)
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i++ {
		w.Arm(ids[i%million], times[(i+i/million+1)%million])
	}
}

// BenchmarkFire hands out what waits, all cascading included.
func BenchmarkFire(b *testing.B) {
	ids, times := random(million), within25h(million)
	due := make([]Entry, 0, MaxBatch)
	for done := 0; done < b.N; {
		b.StopTimer()
		n := min(million, b.N-done)
		w := filled(ids[:n], times)
		now := time.Now()
		b.StartTimer()
		for got := 0; got < n; now = now.Add(time.Second) {
			for wait := time.Duration(0); wait == 0; {
				due, wait = w.step(due[:0], now)
				got += len(due)
			}
		}
		done += n
	}
}

// BenchmarkMemory reports what a waiting reminder takes, all in.
func BenchmarkMemory(b *testing.B) {
	whileWait(b, func(b *testing.B, n int) {
		ids, times := random(n), within25h(million)
		for range b.N {
			before := heap()
			w := filled(ids, times)
			b.ReportMetric(float64(heap()-before)/float64(n), "B/entry")
			runtime.KeepAlive(w)
		}
	})
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkGC collects garbage while reminders wait.
func BenchmarkGC(b *testing.B) {
	whileWait(b, func(b *testing.B, n int) {
		w := filled(random(n), within25h(million))
		runtime.GC()
		b.ResetTimer()
		for range b.N {
			runtime.GC()
		}
		runtime.KeepAlive(w)
	})
}

// BenchmarkNeighbour reports the longest time for which a goroutine that wants to run each millisecond did not: while nothing else is done, beside a
// goroutine that only counts, and while a wheel is filled and garbage collected. The first two last for two seconds.
func BenchmarkNeighbour(b *testing.B) {
	whileWait(b, func(b *testing.B, n int) {
		ids, times := random(n), within25h(million)
		for range b.N {
			idle := longestGap(func() { <-time.After(2 * time.Second) })
			counting := longestGap(func() {
				for end, i := time.Now().Add(2*time.Second), 0; i%10_000 != 0 || time.Now().Before(end); i++ {
				}
			})
			filling := longestGap(func() {
				w := filled(ids, times)
				runtime.GC()
				runtime.KeepAlive(w)
			})
			b.ReportMetric(micro(idle), "idle-µs")
			b.ReportMetric(micro(counting), "counting-µs")
			b.ReportMetric(micro(filling), "filling-µs")
		}
	})
}

// longestGap is the longest time between two turns of a goroutine that wants one each millisecond, while f runs.
func longestGap(f func()) (longest time.Duration) {
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		pace := time.NewTicker(time.Millisecond)
		defer pace.Stop()
		for last := time.Now(); ; {
			over := false
			select {
			case <-pace.C:
			case <-end:
				over = true
			}
			now := time.Now()
			longest, last = max(longest, now.Sub(last)), now
			if over {
				return
			}
		}
	}()
	f()
	close(end)
	<-ended
	return longest
}
