package httpapi

import (
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/octoseal/octoseal/internal/relay"
	"github.com/octoseal/octoseal/internal/store"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Meters are what /metrics shows. Those of runs, polling and GitHub are told by their methods, which
// never block; whoever wires the process together hands these to who knows.
type Meters struct {
	registry  *prometheus.Registry
	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec
	runs      *prometheus.CounterVec
	runTimes  *prometheus.HistogramVec
	writes    prometheus.Counter
	delay     prometheus.Histogram
	looks     *prometheus.CounterVec
	github    *prometheus.CounterVec
	interval  *prometheus.GaugeVec
	polled    *prometheus.GaugeVec
	quota     *prometheus.GaugeVec
	queue     *prometheus.GaugeVec
	replicas  prometheus.Gauge
	hooks     *prometheus.CounterVec
	claims    *prometheus.CounterVec
	boxed     prometheus.Counter
	held      prometheus.Gauge
}

// NewMeters returns meters that have measured nothing.
func NewMeters() *Meters {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "octoseal_" + name, Help: help}, labels)
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "octoseal_" + name, Help: help}, labels)
	}
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "octoseal_" + name, Help: help, Buckets: buckets}, labels)
	}
	minutes := []float64{.1, .5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800}
	m := &Meters{
		registry:  prometheus.NewRegistry(),
		requests:  counter("http_requests_total", "Requests answered, by method, route and status.", "method", "route", "status"),
		durations: histogram("http_request_seconds", "How long answering took.", prometheus.DefBuckets, "method", "route"),
		runs:      counter("runs_total", "Runs that ended here, by outcome and trigger.", "outcome", "trigger"),
		runTimes:  histogram("run_seconds", "How long runs took.", minutes, "outcome"),
		writes:    prometheus.NewCounter(prometheus.CounterOpts{Name: "octoseal_writes_total", Help: "Writing requests that runs sent to GitHub."}),
		delay: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "octoseal_change_to_synced_seconds", Help: "From a change that was noticed until its run had ended well.", Buckets: minutes,
		}),
		looks:    counter("polls_total", "Looks at one list, by credential and outcome.", "credential", "outcome"),
		github:   counter("github_requests_total", "Requests to GitHub, billed and free ones.", "credential", "billed"),
		interval: gauge("polling_interval_seconds", "The polling interval in force, and the usual one.", "credential", "which"),
		polled:   gauge("polled_projects", "Projects that this process polls.", "credential"),
		quota:    gauge("github_quota", "GitHub's hourly quota: what is left, and the limit.", "credential", "which"),
		queue:    gauge("queue_jobs", "Jobs in the queue, by what they wait for.", "state"),
		replicas: prometheus.NewGauge(prometheus.GaugeOpts{Name: "octoseal_replicas", Help: "Processes that share the work."}),
		claims:   counter("relay_claims_total", "Claims of jobs, accepted ones and others by why they were refused.", "outcome"),
		boxed:    prometheus.NewCounter(prometheus.CounterOpts{Name: "octoseal_relay_secrets_total", Help: "Secrets that jobs sent, sealed."}),
		held:     prometheus.NewGauge(prometheus.GaugeOpts{Name: "octoseal_relay_held_bytes", Help: "Memory that sealed values take until their run ends."}),
		hooks:    counter("webhook_deliveries_total", "Webhook deliveries worked on, by subject and success.", "what", "ok"),
	}
	m.registry.MustRegister(m.requests, m.durations, m.runs, m.runTimes, m.writes, m.delay, m.looks, m.github, m.interval, m.polled,
		m.quota, m.queue, m.replicas, m.hooks, m.claims, m.boxed, m.held)
	return m
}

// RunEnded hears of a run that ended here.
func (m *Meters) RunEnded(trigger store.Trigger, outcome store.RunState, took time.Duration, writes int) {
	m.runs.WithLabelValues(string(outcome), string(trigger)).Inc()
	m.runTimes.WithLabelValues(string(outcome)).Observe(took.Seconds())
	m.writes.Add(float64(max(0, writes)))
}

// InStep hears how long a change took to reach its targets.
func (m *Meters) InStep(delay time.Duration) { m.delay.Observe(max(0, delay.Seconds())) }

// Looked hears of a look at one list.
func (m *Meters) Looked(credential, outcome string) {
	m.looks.WithLabelValues(credential, outcome).Inc()
}

// Requested hears of a request to GitHub.
func (m *Meters) Requested(credential string, billed bool) {
	m.github.WithLabelValues(credential, strconv.FormatBool(billed)).Inc()
}

// Polling hears how often a credential's lists are looked at.
func (m *Meters) Polling(credential string, projects int, inForce, usual time.Duration) {
	m.polled.WithLabelValues(credential).Set(float64(projects))
	m.interval.WithLabelValues(credential, "in_force").Set(inForce.Seconds())
	m.interval.WithLabelValues(credential, "usual").Set(usual.Seconds())
}

// Quota hears what is left of a credential's hourly quota.
func (m *Meters) Quota(credential string, remaining, limit int) {
	m.quota.WithLabelValues(credential, "remaining").Set(float64(remaining))
	m.quota.WithLabelValues(credential, "limit").Set(float64(limit))
}

// Queue hears how much waits.
func (m *Meters) Queue(d store.Depth) {
	m.queue.WithLabelValues("waiting").Set(float64(d.Waiting))
	m.queue.WithLabelValues("later").Set(float64(d.Later))
	m.queue.WithLabelValues("running").Set(float64(d.Running))
}

// Replicas hears how many processes share the work.
func (m *Meters) Replicas(live int) { m.replicas.Set(float64(live)) }

// Relay are the meters of the relay.
func (m *Meters) Relay() relay.Metrics {
	return relay.Metrics{
		Claimed: func(outcome string) { m.claims.WithLabelValues(outcome).Inc() },
		Boxed:   func(secrets int) { m.boxed.Add(float64(secrets)) },
		Held:    func(bytes int64) { m.held.Set(float64(bytes)) },
	}
}

// Delivered hears of a webhook delivery that was worked on.
func (m *Meters) Delivered(what string, ok bool) {
	m.hooks.WithLabelValues(what, strconv.FormatBool(ok)).Inc()
}

// answered counts a request. Methods and routes are those of the table, so that nobody makes labels.
func (m *Meters) answered(method, route string, status int, took time.Duration) {
	if route == "" {
		method, route = "", "none"
	}
	m.requests.WithLabelValues(method, route, strconv.Itoa(status)).Inc()
	m.durations.WithLabelValues(method, route).Observe(took.Seconds())
}

// handler shows the meters, the queue as it is at that moment.
func (m *Meters) handler(db *store.Store, log *slog.Logger) http.Handler {
	shown := promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn)})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		depth, err := db.QueueDepth(r.Context())
		if err != nil { // the other meters are needed most when the database is gone
			log.WarnContext(r.Context(), "depth of the queue unknown", "cause", err)
		} else {
			m.Queue(depth)
		}
		shown.ServeHTTP(w, r)
	})
}
