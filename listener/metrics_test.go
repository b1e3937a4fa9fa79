package listener

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestEverySeriesExistsFromTheStart(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewPedanticRegistry()
	m := NewMetrics(reg)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range families {
		got = append(got, f.GetName())
	}
	want := []string{
		"reminder_worker_listener_changes_total",
		"reminder_worker_listener_connected",
		"reminder_worker_listener_failures_total",
		"reminder_worker_listener_gaps_total",
		"reminder_worker_listener_heard_total",
		"reminder_worker_listener_last_change_timestamp_seconds",
		"reminder_worker_listener_last_proof_timestamp_seconds",
		"reminder_worker_listener_queue_usage_ratio",
		"reminder_worker_listener_reconnects_total",
		"reminder_worker_listener_round_trip_seconds",
		"reminder_worker_listener_silences_total",
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if n := testutil.CollectAndCount(m.changes); n != len(causes) {
		t.Errorf("%d causes shown, want %d", n, len(causes))
	}
	problems, err := testutil.GatherAndLint(reg)
	if err != nil || len(problems) > 0 {
		t.Errorf("lint: %v %v", problems, err)
	}
}

func TestMetricsFollowTheListener(t *testing.T) {
	t.Parallel()
	m := NewMetrics(nil)
	l := New(nil, DefaultConfig(), zeroLog(), m)
	l.began()
	l.heard(&acks{}, Message{Position: 1})
	_ = l.stopped(t.Context(), ErrNoProof)
	l.began()
	for what, c := range map[string]struct {
		got  float64
		want float64
	}{
		"connected":  {testutil.ToFloat64(m.connected), 1},
		"reconnects": {testutil.ToFloat64(m.reconnects), 1},
		"failures":   {testutil.ToFloat64(m.failures), 1},
		"heard":      {testutil.ToFloat64(m.heard), 1},
	} {
		if c.got != c.want {
			t.Errorf("%s is %v, want %v", what, c.got, c.want)
		}
	}
	_ = l.stopped(t.Context(), nil)
	if v := testutil.ToFloat64(m.connected); v != 0 {
		t.Errorf("connected is %v after the end", v)
	}
}
