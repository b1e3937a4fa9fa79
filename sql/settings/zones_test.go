package settings

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestZones(t *testing.T) {
	t.Parallel()
	var z Zones
	fallback := time.FixedZone("fallback", 3600)
	for _, name := range []string{"Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5", "America/Port-au-Prince", "UTC"} {
		zone := z.Find(name, fallback)
		if zone.String() != name || z.Find(name, nil) != zone {
			t.Errorf("%s: found %s", name, zone)
		}
	}
	for _, name := range []string{
		"", "Local", "local", "localtime", "Europe/Nowhere", "Europe", "../Europe/Berlin", "Europe/../Europe/Berlin", "Europe//Berlin", "/Europe/Berlin",
		"Europe/Berlin/", "Europe/./Berlin", "Europe\\Berlin", "Europe/Berlin\x00", " Europe/Berlin", "Zürich", strings.Repeat("a/", 1<<16),
	} {
		if zone := z.Find(name, fallback); zone != fallback {
			t.Errorf("%.40q: found %s", name, zone)
		}
		if zone := z.Find(name, nil); zone != time.UTC {
			t.Errorf("%.40q without a fallback: found %s", name, zone)
		}
	}
	if len(z.known) != 5 {
		t.Errorf("%d zones are kept, want the 5 that exist", len(z.known))
	}
}

func TestZonesKeepNoMoreThanThereCanBe(t *testing.T) {
	t.Parallel()
	var z Zones
	for i := range 2 * maxZones {
		z.keep(fmt.Sprint(i), time.UTC)
	}
	if len(z.known) != maxZones {
		t.Errorf("%d zones are kept, want %d", len(z.known), maxZones)
	}
}

func TestZonesAtOnce(t *testing.T) {
	t.Parallel()
	var z Zones
	var wg sync.WaitGroup
	found := make([]*time.Location, 16)
	for i := range found {
		wg.Go(func() { found[i] = z.Find("Asia/Tokyo", nil) })
	}
	wg.Wait()
	for _, zone := range found {
		if zone != found[0] {
			t.Error("one name, two zones")
		}
	}
}

func BenchmarkZonesFind(b *testing.B) {
	var z Zones
	for _, name := range []string{"Europe/Berlin", "Europe/Nowhere"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				z.Find(name, time.UTC)
			}
		})
	}
}
