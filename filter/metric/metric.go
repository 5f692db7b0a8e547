// Package metric counts what the daemon does, for Prometheus: sessions, messages, decisions, results of checks, times. The words behind
// a label come from closed lists and from the policy's own names, so that no sender can make new series.
//
// The session and the daemon call the methods of Metrics; Handler gives what they counted. A nil *Metrics counts nothing.
package metric

import (
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics holds the counters of one daemon. It is safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry

	sessions     prometheus.Counter
	open         prometheus.Gauge
	messages     *prometheus.CounterVec
	bytes        prometheus.Counter
	decisions    *prometheus.CounterVec
	woulds       *prometheus.CounterVec
	results      *prometheus.CounterVec
	reputations  *prometheus.CounterVec
	tripped      *prometheus.CounterVec
	stageTime    *prometheus.HistogramVec
	checkTime    *prometheus.HistogramVec
	reloads      *prometheus.CounterVec
	policy       *prometheus.GaugeVec
	panics       prometheus.Counter
	stageTimings map[string]prometheus.Observer

	findingsMu sync.RWMutex
	findings   map[[2]string]finding // by check and result, from closed lists both

	openNow, ends, endTime atomic.Int64 // the same for those who ask this process
}

// stages are the words of the label stage.
var stages = [...]string{"connect", "helo", "mail", "rcpt", "data"}

// seconds are the upper bounds of the times of stages and checks: from what a cached answer takes to the budget of a stage.
var seconds = []float64{.0001, .0005, .001, .005, .01, .05, .1, .5, 1, 2.5, 5, 10, 30}

// New gives counters at zero, for a daemon of a version.
func New(version, revision, goVersion string) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(), findings: map[[2]string]finding{},
		sessions: counter("sessions_total", "SMTP sessions that the MTA told of."),
		open:     prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "gatepost", Name: "sessions", Help: "SMTP sessions under way."}),
		messages: counters("messages_total", "Messages that came to their end, by the role of the service and what became of them: the action, or the class of the reply (4xx, 5xx).", "role", "action"),
		bytes:    counter("message_bytes_total", "Bytes of those messages, header and body."),
		decisions: counters("decisions_total", "Decisions over a connection, a message or a recipient, by the rule that decided (none without one), the stage at which it was spoken and what was done.",
			"rule", "stage", "action"),
		woulds:      counters("would_total", "What observed rules, or a policy in observe mode, would have done: by rule, stage and action.", "rule", "stage", "action"),
		results:     counters("check_results_total", "Findings of checks, by check and result.", "check", "result"),
		reputations: counters("client_reputation_total", "Messages by the reputation of the client, where a rule asked for it.", "reputation"),
		tripped:     counters("limit_over_total", "Events beyond a limit.", "limit"),
		stageTime:   histograms("stage_seconds", "How long the MTA waited for an answer, by stage.", "stage"),
		checkTime:   histograms("check_seconds", "How long checks ran, by check; those of the message wait for the body too.", "check"),
		reloads:     counters("policy_reloads_total", "Attempts to load the policy anew, by outcome: taken or refused.", "outcome"),
		policy:      prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "gatepost", Name: "policy_info", Help: "1 for the policy in force, by its hash and mode."}, []string{"hash", "mode"}),
		panics:      counter("panics_total", "Panics caught: each is a fault of Gatepost; the log has the stack."),
	}
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "gatepost", Name: "build_info", Help: "1, with what this program was built from."}, []string{"version", "revision", "goversion"})
	build.WithLabelValues(version, revision, goVersion).Set(1)
	m.registry.MustRegister(m.sessions, m.open, m.messages, m.bytes, m.decisions, m.woulds, m.results, m.reputations, m.tripped, m.stageTime, m.checkTime,
		m.reloads, m.policy, m.panics, build, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.stageTimings = map[string]prometheus.Observer{}
	for _, s := range stages {
		m.stageTimings[s] = m.stageTime.WithLabelValues(s)
	}
	for _, outcome := range []string{"taken", "refused"} {
		m.reloads.WithLabelValues(outcome) // so that a first one is seen as an increase
	}
	return m
}

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "gatepost", Name: name, Help: help})
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "gatepost", Name: name, Help: help}, labels)
}

func histograms(name, help, label string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "gatepost", Name: name, Help: help, Buckets: seconds}, []string{label})
}

// SessionBegan counts a session and notes that it is under way.
func (m *Metrics) SessionBegan() {
	if m != nil {
		m.sessions.Inc()
		m.open.Inc()
		m.openNow.Add(1)
	}
}

// SessionEnded notes that one session less is under way.
func (m *Metrics) SessionEnded() {
	if m != nil {
		m.open.Dec()
		m.openNow.Add(-1)
	}
}

// Message counts a message that came to its end. reputation is the client's band, "" where nobody asked.
func (m *Metrics) Message(role, action, reputation string, bytes int) {
	if m == nil {
		return
	}
	m.messages.WithLabelValues(role, action).Inc()
	m.bytes.Add(float64(bytes))
	if reputation != "" {
		m.reputations.WithLabelValues(reputation).Inc()
	}
}

// Decision counts a decision: rule "" is none.
func (m *Metrics) Decision(rule, stage, action string) {
	if m == nil {
		return
	}
	if rule == "" {
		rule = "none"
	}
	m.decisions.WithLabelValues(rule, stage, action).Inc()
}

// Would counts what would have been done.
func (m *Metrics) Would(rule, stage, action string) {
	if m != nil {
		m.woulds.WithLabelValues(rule, stage, action).Inc()
	}
}

// Finding counts a check's result and the time it took.
func (m *Metrics) Finding(check, result string, took time.Duration) {
	if m != nil {
		f := m.finding(check, result)
		f.results.Inc()
		f.times.Observe(took.Seconds())
	}
}

// finding is what counts one result of a check. A message has a dozen: to find each by its labels costs several times as much.
type finding struct {
	results prometheus.Counter
	times   prometheus.Observer
}

func (m *Metrics) finding(check, result string) finding {
	key := [2]string{check, result}
	m.findingsMu.RLock()
	f, known := m.findings[key]
	m.findingsMu.RUnlock()
	if !known {
		f = finding{m.results.WithLabelValues(check, result), m.checkTime.WithLabelValues(check)}
		m.findingsMu.Lock()
		m.findings[key] = f
		m.findingsMu.Unlock()
	}
	return f
}

// Over counts an event beyond a limit.
func (m *Metrics) Over(limit string) {
	if m != nil {
		m.tripped.WithLabelValues(limit).Inc()
	}
}

// Stage notes how long the MTA waited for an answer at a stage, one of the five.
func (m *Metrics) Stage(stage string, took time.Duration) {
	if m == nil {
		return
	}
	if t := m.stageTimings[stage]; t != nil {
		t.Observe(took.Seconds())
	}
	if stage == "data" {
		m.ends.Add(1)
		m.endTime.Add(int64(took))
	}
}

// Open gives the sessions under way.
func (m *Metrics) Open() int { return int(m.openNow.Load()) }

// Ends gives how often the MTA waited at the end of a message since the start, and how many seconds in all.
func (m *Metrics) Ends() (messages, seconds float64) {
	return float64(m.ends.Load()), time.Duration(m.endTime.Load()).Seconds()
}

// Policy notes the policy that is in force from now on.
func (m *Metrics) Policy(hash, mode string) {
	if m != nil {
		m.policy.Reset()
		m.policy.WithLabelValues(hash, mode).Set(1)
	}
}

// Reload counts an attempt to load the policy.
func (m *Metrics) Reload(taken bool) {
	switch {
	case m == nil:
	case taken:
		m.reloads.WithLabelValues("taken").Inc()
	default:
		m.reloads.WithLabelValues("refused").Inc()
	}
}

// Panic counts a panic that was caught.
func (m *Metrics) Panic() {
	if m != nil {
		m.panics.Inc()
	}
}

// Value is one number that is read when Prometheus asks.
type Value struct {
	Label string // the value of the label, where the metric has one
	Now   float64
}

// Read adds a metric whose values are read when Prometheus asks: name without the prefix gatepost_, label "" for a single value. A name
// that ends in _total is a counter, any other a gauge. read is called from any goroutine, and returns at once.
func (m *Metrics) Read(name, help, label string, read func() []Value) {
	kind, labels := prometheus.GaugeValue, []string(nil)
	if len(name) > 6 && name[len(name)-6:] == "_total" {
		kind = prometheus.CounterValue
	}
	if label != "" {
		labels = []string{label}
	}
	m.registry.MustRegister(&reader{prometheus.NewDesc("gatepost_"+name, help, labels, nil), kind, label != "", read})
}

// reader is a collector over a function.
type reader struct {
	desc    *prometheus.Desc
	kind    prometheus.ValueType
	labeled bool
	read    func() []Value
}

// Describe implements prometheus.Collector.
func (r *reader) Describe(to chan<- *prometheus.Desc) { to <- r.desc }

// Collect implements prometheus.Collector.
func (r *reader) Collect(to chan<- prometheus.Metric) {
	for _, v := range r.read() {
		if r.labeled {
			to <- prometheus.MustNewConstMetric(r.desc, r.kind, v.Now, v.Label)
			continue
		}
		to <- prometheus.MustNewConstMetric(r.desc, r.kind, v.Now)
	}
}

// Handler gives the metrics over HTTP.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second})
}
