package filter

import (
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gatepost.example/filter/check"
	"gatepost.example/filter/correspondent"
	"gatepost.example/filter/dnsbl"
	"gatepost.example/filter/history"
	"gatepost.example/filter/metric"
	"gatepost.example/filter/milter"
	"gatepost.example/filter/resolve"
	"gatepost.example/filter/state"
	"gatepost.example/policy"
	"gatepost.example/policy/policyfile"
)

// Server is what all sessions share: the settings in force, the checks, the resolver.
type Server struct {
	settings     atomic.Pointer[Settings]
	resolver     resolve.Resolver
	watch        *dnsbl.Watch
	store        state.Store
	own          *correspondent.Own
	recent       recent
	probes       probes
	leases       leases
	overflow     overflow
	metrics      *metric.Metrics
	given        map[string]policy.Value
	log          *slog.Logger
	now          func() time.Time
	newID        func() string
	onRecord     func(Record)
	pause        atomic.Pointer[time.Time] // until when everything is accepted; nil for never
	history      Keeper
	rooms        sync.Pool                              // *room
	transactions sync.Pool                              // *transaction
	attrs        sync.Pool                              // *[]slog.Attr, wiped, for lines of the log
	withheld     func(name string, v policy.Value) bool // of records that are decided again; nil for nothing

	mu     sync.Mutex
	warned map[string]bool
}

// Deps is what a server needs from outside.
type Deps struct {
	Resolver resolve.Resolver
	Watch    *dnsbl.Watch            // tests the blocklists; nil where every list is to be used untested
	Store    state.Store             // the memory; nil for one that ends with the server
	Given    map[string]policy.Value // values that facts have whatever the session says; nil for none
	Metrics  *metric.Metrics         // nil counts nothing
	Log      *slog.Logger
	Now      func() time.Time // nil for the clock
	NewID    func() string    // nil for random ids
	OnRecord func(Record)     // gets every decision, on the session's goroutine; nil for nobody
	History  Keeper           // gets every message with its evidence; nil for nobody
}

// Keeper keeps what is needed to explain a decision and to take it again. Add must not wait, and what it gets does not change any more.
type Keeper interface {
	Add(*history.Record, *history.Policy)
}

// NewServer gives a server that follows settings until Reload.
func NewServer(settings *Settings, d Deps) *Server {
	s := &Server{
		resolver: d.Resolver, watch: d.Watch, store: d.Store, given: d.Given, log: d.Log, now: d.Now, newID: d.NewID, onRecord: d.OnRecord, metrics: d.Metrics, history: d.History,
		warned: map[string]bool{}, rooms: sync.Pool{New: func() any { return new(room) }}, transactions: sync.Pool{New: func() any { return new(transaction) }}, attrs: sync.Pool{New: newAttrs},
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.newID == nil {
		s.newID = NewID
	}
	if s.store == nil {
		s.store = state.NewEmbedded(defaultCells, s.now())
	}
	s.own = ownDomains(s.store, s.now())
	s.Reload(settings)
	return s
}

// Reload makes new sessions follow other settings. Sessions under way finish under those they began with.
func (s *Server) Reload(settings *Settings) {
	p := settings.Policy
	settings.silent = milter.Stages{
		Connect: !p.Delivers(policy.Connect), Helo: !p.Delivers(policy.Helo), Mail: !p.Delivers(policy.Mail), Rcpt: !p.Delivers(policy.Rcpt),
	}
	settings.checks = registry(settings, memory{s.watch, s.store, s.own})
	settings.wanted, settings.counted = make([]bool, len(settings.checks)), make([]bool, len(settings.checks))
	settings.own = slices.Clip(append([]string{fieldID, fieldWould}, p.Headers()...)) // a message's tags are added to a copy
	settings.owner = map[string]owner{}
	settings.starting = [policy.Data + 1][]int{}
	for i := range settings.checks {
		entry := &settings.checks[i]
		entry.name, entry.starts, entry.facts = entry.check.Name(), entry.check.Starts(), entry.check.Facts()
		entry.recaller, _ = entry.check.(check.Recaller)
		entry.recall = "what " + entry.name + " reads first"
		settings.starting[entry.starts] = append(settings.starting[entry.starts], i)
		settings.wanted[i] = p.Wants(entry.facts)
		for _, f := range entry.facts {
			id := p.IDs(f.Name)[0]
			entry.ids = append(entry.ids, id)
			settings.owner[f.Name] = owner{i, id}
		}
	}
	for i := range settings.limits {
		l := &settings.limits[i]
		l.ids, l.perIDs = p.IDs(l.fact, l.retry), p.IDs(l.Per...)
		l.wanted = p.Wants([]policy.Fact{{Name: l.fact}, {Name: l.retry}})
		settings.countsNewcomers = settings.countsNewcomers || l.Count == policyfile.CountFirstTime
		for _, name := range append(l.needs(), l.Per...) {
			if of, isCheck := settings.owner[name]; isCheck {
				settings.wanted[of.check], settings.counted[of.check] = true, true
			}
		}
	}
	if settings.Signals.Correspondent > 0 && settings.remembers() {
		i := settings.owner["sender.correspondent"].check
		settings.wanted[i], settings.counted[i] = true, true
	}
	if s.watch != nil {
		s.watch.Follow(settings.Lists)
	}
	s.settings.Store(settings)
}

// newEvidence gives the evidence of a new connection.
func (s *Server) newEvidence(p *policy.Policy) *policy.Evidence {
	e := p.NewEvidence()
	e.Give(s.given)
	e.Withhold(s.withheld)
	return e
}

// NewSession gives the session of a new connection.
func (s *Server) NewSession() *Session {
	return &Session{server: s, settings: s.settings.Load(), log: s.log}
}

// maxWarnings bounds how many different warnings are remembered as said.
const maxWarnings = 1000

// warnOnce logs what an admin or we should mend, once in the life of the process.
func (s *Server) warnOnce(log *slog.Logger, what string) {
	if s.first(what) {
		log.Warn("evaluation", "problem", what)
	}
}

// first reports whether something is said for the first time.
func (s *Server) first(what string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	said := s.warned[what] || len(s.warned) >= maxWarnings
	if !said { // what is remembered is bounded: a warning may hold what a sender wrote
		s.warned[what] = true
	}
	return !said
}

// idLetters has no letter that is mistaken for another on the phone.
const idLetters = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// NewID gives eight random letters that one can read on the phone: "7K3Q-9MXA".
func NewID() string {
	bits := rand.Uint64() // ChaCha8, seeded by the system
	id := []byte("0000-0000")
	for i := range id {
		if id[i] != '-' {
			id[i] = idLetters[bits%32]
			bits /= 32
		}
	}
	return string(id)
}
