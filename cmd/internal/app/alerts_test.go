package app

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/rs/zerolog"

	"github.com/parentpal/reminder-worker/cmd/internal/ops"
)

// A series as rules and dashboards name it, and a matcher of its labels.
var (
	named     = regexp.MustCompile(`\b(reminder_worker_[a-z0-9_]+)(?:\{([^}]*)\})?`)
	alertName = regexp.MustCompile(`alertname="([A-Za-z]+)"`)
	matcher   = regexp.MustCompile(`([a-z_]+)(=~|=|!=|!~)\\?"([^"\\]*)\\?"`)
)

// What rules and dashboard ask for is there from the start of a worker, before anything has happened: series, labels, and their values.
func TestRulesAndDashboardNameWhatIsThere(t *testing.T) {
	t.Parallel()
	there := gather(t)
	for _, path := range []string{"../../../deploy/prometheus/rules.yaml", "../../../deploy/prometheus/rules_test.yaml", "../../../deploy/grafana/dashboard.json"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		found := named.FindAllStringSubmatch(string(text), -1)
		if len(found) < 20 {
			t.Errorf("%s names only %d series", path, len(found))
		}
		for _, m := range found {
			if complaint := there.misses(m[1], m[2]); complaint != "" {
				t.Errorf("%s: %s%s: %s", path, m[1], m[2], complaint)
			}
		}
	}
}

// series are the label values of each, by name and label.
type series map[string]map[string]map[string]bool

func gather(t *testing.T) series {
	t.Helper()
	cfg, err := Load([]string{"DATABASE_URL=postgres://nobody@127.0.0.1:1/none", "GOOGLE_CLIENT_ID=client", "GOOGLE_CLIENT_SECRET=client-secret"}, "")
	if err != nil {
		t.Fatal(err)
	}
	a, err := New(cfg, ops.Build{Version: "test"}, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.close)
	families, err := prometheus.Gatherer(a.reg).Gather()
	if err != nil {
		t.Fatal(err)
	}
	there := series{}
	for _, f := range families {
		names := []string{f.GetName()}
		if f.GetType() == dto.MetricType_HISTOGRAM {
			names = []string{f.GetName() + "_bucket", f.GetName() + "_sum", f.GetName() + "_count"}
		}
		for _, name := range names {
			labels := map[string]map[string]bool{}
			for _, m := range f.GetMetric() {
				for _, l := range m.GetLabel() {
					if labels[l.GetName()] == nil {
						labels[l.GetName()] = map[string]bool{}
					}
					labels[l.GetName()][l.GetValue()] = true
				}
			}
			there[name] = labels
		}
	}
	return there
}

// misses says what is not there of a name and its matchers.
func (s series) misses(name, matchers string) string {
	labels, known := s[name]
	if !known {
		return "no such series"
	}
	for _, m := range matcher.FindAllStringSubmatch(matchers, -1) {
		label, values := m[1], m[3]
		if label == "instance" || label == "job" || label == "le" || strings.HasPrefix(values, "$") {
			continue // Prometheus's own, and a dashboard's choice
		}
		for v := range strings.SplitSeq(values, "|") {
			if !labels[label][v] {
				return "no " + label + " " + v
			}
		}
	}
	return ""
}
