package ops

import (
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// register adds the server's own series to reg: who the program is, how each check
// stands, and the runtime's figures.
func register(reg prometheus.Registerer, b Build, checks []Check) {
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: "reminder_worker", Name: "build_info",
		Help: "Always 1; the labels say which program this is.",
		ConstLabels: prometheus.Labels{
			"version": b.Version, "revision": b.Revision, "goversion": runtime.Version(),
		},
	})
	info.Set(1)
	reg.MustRegister(info, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, c := range checks {
		reg.MustRegister(checkGauge(c))
	}
}

// checkGauge asks the check's own probe at every scrape.
func checkGauge(c Check) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "reminder_worker", Name: "check_ok",
		Help:        "1 while the check is ok, 0 while it is degraded or failed.",
		ConstLabels: prometheus.Labels{"check": c.Name},
	}, func() float64 {
		if c.find().verdict() == OK {
			return 1
		}
		return 0
	})
}
