package filter

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatepost.example/filter/check"
	"gatepost.example/filter/resolve"
	"gatepost.example/filter/resolve/resolvetest"
	"gatepost.example/policy"
)

// stubborn is a check that does what a test wants.
type stubborn struct {
	start func(*check.Input) func(context.Context) check.Outcome
}

func (s stubborn) Name() string         { return "dkim" }
func (s stubborn) Starts() policy.Stage { return policy.Data }
func (s stubborn) Facts() []policy.Fact {
	return []policy.Fact{{Name: "dkim.result", Stage: policy.Data, Scope: policy.OfMessage, Trouble: policy.StringOf("temperror")}}
}
func (s stubborn) Start(in *check.Input) func(context.Context) check.Outcome { return s.start(in) }

func outcomeOf(c check.Check, budget, patience time.Duration, log *strings.Builder) check.Outcome {
	t := started(c, budget, slog.New(slog.NewTextHandler(log, nil)))
	return *t.await(patience)
}

func started(c check.Check, budget time.Duration, log *slog.Logger) *task {
	t := &task{check: c, log: log}
	t.begin(&check.Input{})
	t.launch(budget, nil)
	return t
}

// TestBrokenChecks: a check that panics, hangs or comes late leaves a trace that Authentication-Results and rules see; it never
// looks like one that found nothing (DESIGN.md section 8).
func TestBrokenChecks(t *testing.T) {
	never := func(ctx context.Context) check.Outcome {
		time.Sleep(time.Hour)
		return check.Outcome{Findings: []check.Finding{{Method: "dkim", Result: "pass"}}}
	}
	polite := func(ctx context.Context) check.Outcome {
		<-ctx.Done()
		return check.Outcome{Findings: []check.Finding{{Method: "dkim", Result: "temperror", Code: "partial"}}}
	}
	for name, c := range map[string]struct {
		start func(*check.Input) func(context.Context) check.Outcome
		code  string
		logs  string
	}{
		"panics at start": {func(*check.Input) func(context.Context) check.Outcome { panic("at start") }, check.CodePanic, "at start"},
		"panics at work": {func(*check.Input) func(context.Context) check.Outcome {
			return func(context.Context) check.Outcome { panic("at work") }
		}, check.CodePanic, "at work"},
		"hangs":              {func(*check.Input) func(context.Context) check.Outcome { return never }, check.CodeTimeout, ""},
		"gives what it has":  {func(*check.Input) func(context.Context) check.Outcome { return polite }, "partial", ""},
		"has no work at all": {func(*check.Input) func(context.Context) check.Outcome { return nil }, check.CodePanic, "nil pointer"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log strings.Builder
				out := outcomeOf(stubborn{c.start}, 0, time.Second, &log)
				if len(out.Findings) != 1 || out.Findings[0].Method != "dkim" || out.Findings[0].Result != "temperror" || out.Findings[0].Code != c.code {
					t.Errorf("findings %+v, want one temperror of dkim with code %q", out.Findings, c.code)
				}
				if !strings.Contains(log.String(), c.logs) {
					t.Errorf("the log does not say %q: %s", c.logs, log.String())
				}
				time.Sleep(2 * time.Hour) // until the one that hangs has ended
			})
		})
	}
}

// TestLateChangesNothing: what a check says after it was cut off is not heard, so that the same session always ends the same.
func TestLateChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late := stubborn{func(*check.Input) func(context.Context) check.Outcome {
			return func(context.Context) check.Outcome {
				time.Sleep(time.Minute)
				return check.Outcome{Findings: []check.Finding{{Method: "dkim", Result: "pass"}}}
			}
		}}
		task := started(late, 0, slog.New(slog.DiscardHandler))
		task.await(time.Second)
		time.Sleep(2 * time.Minute)
		if out := task.await(time.Second); out.Findings[0].Code != check.CodeTimeout {
			t.Errorf("findings %+v", out.Findings)
		}
	})
}

// overslept is a check that does its work an hour late, whatever its deadline.
type overslept struct{ check.Check }

func (o overslept) Start(in *check.Input) func(context.Context) check.Outcome {
	work := o.Check.Start(in)
	return func(context.Context) check.Outcome {
		time.Sleep(time.Hour)
		return work(context.Background())
	}
}

// TestLateChangesNoOtherCheck: nor is it heard by a later check: DMARC rests on the SPF that rules and Authentication-Results have.
func TestLateChangesNoOtherCheck(t *testing.T) {
	zone := resolvetest.Must("example.org TXT \"v=spf1 ip4:192.0.2.0/24 -all\"\n_dmarc.example.org TXT \"v=DMARC1; p=reject\"\n")
	for how, resolver := range map[string]resolve.Resolver{
		"on a goroutine of its own": &slow{zone: atHand{zone}, atHand: func(string) bool { return false }}, "at once": atHand{zone},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(t, `
[[rule]]
name = "spf"
when = 'spf.result == "fail"'
reply = "550 5.7.23 no"
[[rule]]
name = "dmarc"
when = 'dmarc.result == "pass"'
reply = "550 5.7.1 passes"
`)
			s.server.resolver = resolver
			set := s.server.settings.Load()
			for i := range set.checks {
				if set.checks[i].name == "spf" {
					set.checks[i].check, set.checks[i].waits = overslept{set.checks[i].check}, true
				}
			}
			session, _ := s.open("192.0.2.1")
			session.Mail(Sender{Address: "a@example.org"})
			session.Rcpt(to("u@example.net")[0])
			time.Sleep(2 * time.Hour) // SPF has ended, and passes
			session.HeaderField("From", " a@example.org")
			session.EndOfHeader()
			if r, _ := session.EndOfMessage(""); r.Verb != GoOn {
				t.Errorf("%s: %v", how, r)
			}
			session.Close()
		})
	}
}
