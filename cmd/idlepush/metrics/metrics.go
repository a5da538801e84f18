// Package metrics tells Prometheus what the program does. It is a package of its own because it is
// the only one that knows Prometheus: what happens is handed to it by functions of the others.
package metrics

import (
	"cmp"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"idlepush"
	"idlepush/codes"
	"idlepush/promise"
	"idlepush/push"
	"idlepush/registry"
	"idlepush/watcher"
	"idlepush/watcher/discover"
)

// Metrics counts what happens. A label has one of few values, and none that tells about a person:
// no address, name or token, and no host that anybody may run.
type Metrics struct {
	registry *prometheus.Registry

	pushes      *prometheus.CounterVec
	pushTime    *prometheus.HistogramVec
	mailToPush  *prometheus.HistogramVec
	toReceipt   *prometheus.HistogramVec
	sessionEnds *prometheus.CounterVec
	commitTime  prometheus.Histogram
}

// others is the value of a label for hosts without a name.
const others = "other"

// seconds are the bounds of histograms, from a moment to a day.
var seconds = []float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600, 6 * 3600, 24 * 3600}

// New returns metrics of the program of that version.
func New(version string) *Metrics {
	r := prometheus.NewRegistry()
	auto := promauto.With(r)
	m := &Metrics{
		registry: r,
		pushes: auto.NewCounterVec(prometheus.CounterOpts{Name: "idlepush_pushes_total",
			Help: "Tries to send a queued delivery, by transport, host of the push service and outcome."}, []string{"transport", "service", "outcome"}),
		pushTime: auto.NewHistogramVec(prometheus.HistogramOpts{Name: "idlepush_push_seconds", Buckets: seconds[:9],
			Help: "How long a push service took to answer."}, []string{"transport", "service"}),
		mailToPush: auto.NewHistogramVec(prometheus.HistogramOpts{Name: "idlepush_mail_to_push_seconds", Buckets: seconds,
			Help: "Time from when a mail was found until the push service accepted it, of mail that was not held back."}, []string{"transport"}),
		toReceipt: auto.NewHistogramVec(prometheus.HistogramOpts{Name: "idlepush_push_to_receipt_seconds", Buckets: seconds,
			Help: "Time from when a push service accepted a push until a device received it, of devices that report."}, []string{"transport"}),
		sessionEnds: auto.NewCounterVec(prometheus.CounterOpts{Name: "idlepush_session_ends_total",
			Help: "Sessions with mail servers that have ended, by provider and reason."}, []string{"provider", "code"}),
		commitTime: auto.NewHistogram(prometheus.HistogramOpts{Name: "idlepush_store_commit_seconds",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14), Help: "How long a commit of the store took."}),
	}
	auto.NewGaugeFunc(prometheus.GaugeOpts{Name: "idlepush_build_info", Help: "Always 1.", ConstLabels: prometheus.Labels{"version": version}},
		func() float64 { return 1 })
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Sent counts a try to send.
func (m *Metrics) Sent(s push.Sent) {
	transport, service := string(s.Transport), cmp.Or(s.Service, others)
	m.pushes.WithLabelValues(transport, service, string(s.Result)).Inc()
	m.pushTime.WithLabelValues(transport, service).Observe(s.Took.Seconds())
	if s.AfterMail > 0 {
		m.mailToPush.WithLabelValues(transport).Observe(s.AfterMail.Seconds())
	}
}

// Received counts a push that a device reports, and how long it took from the push service.
func (m *Metrics) Received(t idlepush.Transport, took time.Duration) {
	m.toReceipt.WithLabelValues(string(t)).Observe(took.Seconds())
}

// Ended counts a session that has ended.
func (m *Metrics) Ended(host string, why codes.Code) {
	m.sessionEnds.WithLabelValues(cmp.Or(discover.Provider(host), others), string(why)).Inc()
}

// Committed counts a commit of the store.
func (m *Metrics) Committed(took time.Duration) { m.commitTime.Observe(took.Seconds()) }

// Collect adds what the store, the pool and the machine say at each request.
func (m *Metrics) Collect(store *registry.Store, pool *watcher.Pool, at Machine) {
	m.registry.MustRegister(&collector{store, pool, at})
}

// Machine is what the program knows of itself and of the machine that it runs on.
type Machine struct {
	Room   func() (bytes uint64, known bool) // that may be written to the disk of the store
	Looked func() time.Duration              // since a loop of the program has last gone round
	Broken func(now time.Time) []promise.Broken
}

// Handler returns the handler of GET /metrics. It answers one request at a time, and 503 to others.
// What cannot be read is logged and left out: that the store fails must not hide itself.
func (m *Metrics) Handler(log *slog.Logger) http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(log.Handler(), slog.LevelError),
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: 1,
		Timeout:             10 * time.Second,
	})
}
