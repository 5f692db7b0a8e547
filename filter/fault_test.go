package filter

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"gatepost.example/filter/check"
	"gatepost.example/filter/history"
	"gatepost.example/filter/resolve"
	"gatepost.example/filter/state"
)

// faulty is a check whose work panics.
type faulty struct{ check.Check }

func (faulty) Start(*check.Input) func(context.Context) check.Outcome {
	return func(context.Context) check.Outcome { panic("a check is broken") }
}

// AppendRecalls implements check.Recaller.
func (faulty) AppendRecalls([]state.Step, *check.Input) []state.Step {
	panic("what a check reads first is broken")
}

// notingKeeper keeps records, or panics.
type notingKeeper struct {
	broken bool
	kept   []*history.Record
}

func (k *notingKeeper) Add(r *history.Record, _ *history.Policy) {
	if k.broken {
		panic("the history is broken")
	}
	k.kept = append(k.kept, r)
}

// TestPanicsEndNoSession: whatever panics, a check on the session's own goroutine or the record of a message, the client gets the answer of the
// rules, and so does its next message.
func TestPanicsEndNoSession(t *testing.T) {
	s := newSite(t, `
[[rule]]
name = "verdict"
when = 'spf.result == "temperror" && header("X-Verdict").exists(v, v == "NO")'
reply = "451 4.7.1 no"
`)
	var log strings.Builder
	s.server.log = slog.New(slog.NewTextHandler(&log, nil))
	s.server.history = &notingKeeper{broken: true}
	set := s.server.settings.Load()
	for i := range set.checks {
		if set.checks[i].name == "spf" {
			broken := faulty{set.checks[i].check}
			set.checks[i].check, set.checks[i].recaller = broken, broken
		}
	}
	session, _ := s.open("192.0.2.1")
	for range 2 {
		code, at := s.mail(session, "", "u@example.net")
		s.want(fmt.Sprint(code, " ", at), "451 data", "a message whose check panics")
	}
	session.Mail(Sender{Address: "a@example.org"})
	session.Abort()
	session.Close()
	for _, text := range []string{"a check is broken", "what a check reads first is broken", "the history is broken"} {
		if !strings.Contains(log.String(), text) {
			t.Errorf("the log does not say %q", text)
		}
	}
}

// TestPanicLeavesItsMemory: what a check had begun beside the work that panicked may go on when the session has ended; no other session gets the memory
// that it reads.
func TestPanicLeavesItsMemory(t *testing.T) {
	s := newSite(t, harsh)
	set := s.server.settings.Load()
	goesOn, ended := make(chan struct{}), make(chan struct{})
	for i := range set.checks {
		if e := &set.checks[i]; e.name == "iprev" {
			set.wanted[i], e.check = true, begins{e.check, goesOn, ended}
		}
	}
	first, _ := s.open("192.0.2.1")
	left := first.conn.tasks[0]
	first.Close()
	for range 20 {
		session, _ := s.open("192.0.2.2")
		if session.conn.tasks[0] == left {
			t.Error("another session has the task")
		}
		session.Close()
	}
	close(goesOn)
	<-ended
}

// begins is a check that begins work of its own, which asks for something later, and panics.
type begins struct {
	check.Check
	goesOn, ended chan struct{}
}

func (b begins) Start(in *check.Input) func(context.Context) check.Outcome {
	r, first := in.Resolver, in.Client.String() == "192.0.2.1"
	return func(ctx context.Context) check.Outcome {
		if first {
			go func() {
				<-b.goesOn
				r.Lookup(ctx, "example.org", resolve.A)
				close(b.ended)
			}()
		}
		panic("a check is broken")
	}
}

// TestEachCheckPanics: whichever check panics, its finding says so, its facts have their words for trouble, its stack is in the log, and the session
// and all other checks go on.
func TestEachCheckPanics(t *testing.T) {
	for _, entry := range newSite(t, harsh).server.settings.Load().checks {
		s := newSite(t, harsh)
		var log strings.Builder
		s.server.log = slog.New(slog.NewTextHandler(&log, nil))
		k := &notingKeeper{}
		s.server.history = k
		set := s.server.settings.Load()
		broke := false
		for i := range set.checks {
			set.wanted[i] = true
			if set.checks[i].name == entry.name {
				set.checks[i].check, broke = faulty{set.checks[i].check}, true
			}
		}
		session, _ := s.open("192.0.2.1")
		for range 2 {
			code, at := s.mail(session, "", "u@example.net")
			s.want(fmt.Sprint(code, " ", at), "0 ", entry.name+" panics, and no rule refuses for it")
		}
		session.Close()
		said := 0
		for _, r := range k.kept {
			for _, o := range r.Outcomes {
				for _, f := range o.Findings {
					if o.Check == entry.name && f.Code == check.CodePanic {
						said++
					}
				}
			}
		}
		if !broke || said == 0 || !strings.Contains(log.String(), "check="+entry.name+" ") || !strings.Contains(log.String(), "faulty") || len(k.kept) != 2 {
			t.Errorf("%s: broken %v, %d findings say so, %d messages kept, log:\n%.600s", entry.name, broke, said, len(k.kept), log.String())
		}
	}
}

// TestWarningsAreBounded: a warning may hold what a sender wrote, so what is remembered as said does not grow for ever.
func TestWarningsAreBounded(t *testing.T) {
	s := newSite(t, "")
	for i := range 3 * maxWarnings {
		s.server.warnOnce(s.server.log, fmt.Sprint("a field named ", i))
	}
	if n := len(s.server.warned); n > maxWarnings {
		t.Errorf("%d warnings are remembered, at most %d should be", n, maxWarnings)
	}
}

// atHand is a resolver that has every answer at hand.
type atHand struct{ resolve.Resolver }

func (a atHand) AtHand(name string, t resolve.Type) *resolve.Answer {
	return a.Lookup(context.Background(), name, t)
}
func (atHand) Ahead(string, resolve.Type) {}

// TestUnreadOutcomesAreKept: what a check found is kept for another policy, also when it ran at once and no rule came to read it.
func TestUnreadOutcomesAreKept(t *testing.T) {
	s := newSite(t, harsh)
	k := &notingKeeper{}
	s.server.history, s.server.resolver = k, atHand{s.server.resolver}
	s.want(s.visit("192.0.2.1", "", "nobody@example.net"), "550 rcpt", "the recipient")
	if len(k.kept) != 1 || !slices.ContainsFunc(k.kept[0].Outcomes, func(o history.Outcome) bool { return o.Check == "spf" }) {
		t.Errorf("kept %+v, want the outcome of SPF", k.kept)
	}
}
