package policy

import (
	"fmt"
	"strings"
	"testing"
)

// source makes a Source of lines: "name: condition => reply or action [at_once] [observe]".
func source(lines ...string) Source {
	s := Source{DelayReject: true, Networks: networks, Lists: []NamedList{{Name: "block", Entries: []string{"192.0.2.0/24", "bad.example", "spam@bad.example"}}}}
	for _, line := range lines {
		name, rest, _ := strings.Cut(line, ": ")
		when, does, _ := strings.Cut(rest, " => ")
		r := RuleSource{Name: name, When: when}
		r.AtOnce = strings.Contains(does, " at_once")
		r.Observe = strings.Contains(does, " observe")
		does, _, _ = strings.Cut(does, " at_once")
		does, _, _ = strings.Cut(does, " observe")
		switch does {
		case "accept", "discard", "quarantine":
			r.Action = does
		case "tag":
			r.Action, r.Header = "tag", []HeaderText{{"X-Tag-" + name, "YES"}}
		default:
			r.Reply = does
		}
		s.Rules = append(s.Rules, r)
	}
	return s
}

func compile(t testing.TB, s Source) *Policy {
	t.Helper()
	p, problems := Compile(testVocabulary(t), s)
	for _, problem := range problems {
		t.Errorf("%+v", problem)
	}
	if p == nil {
		t.FailNow()
	}
	return p
}

// facts of one stage, in the order a session learns them.
type facts map[string]any

func publish(e *Evidence, at Stage, fs facts) {
	for name, v := range fs {
		switch v := v.(type) {
		case string:
			e.Publish(name, StringOf(v), at)
		case int:
			e.Publish(name, IntOf(v), at)
		case bool:
			e.Publish(name, BoolOf(v), at)
		}
	}
}

// play walks a policy through the stages; it gives "action/code rule decided spoken", or "none".
func play(p *Policy, byStage [stages]facts) string {
	e := p.NewEvidence()
	message := p.NewWalk()
	recipients := NewRecipients(message)
	for at := Connect; at <= Data; at++ {
		publish(e, at, byStage[at])
		switch at {
		case Rcpt:
			w := recipients.Walk()
			w.Step(e, at)
			if d, ok := w.Decision(); ok && d.Refuses() {
				return tell(d)
			}
			recipients.Take(w, e, true)
		case Data:
			e.PublishHeader(func(string) []string { return nil })
			recipients.Step(e, at)
			if d, ok := recipients.Ends().Decision(); ok {
				return tell(d)
			}
		default:
			message.Step(e, at)
			if d, ok := message.Decision(); ok && d.Refuses() && d.Spoken == at {
				return tell(d)
			}
		}
	}
	return "none"
}

func tell(d Decision) string {
	return fmt.Sprintf("%s %s decided %s spoken %s", d.What(), d.Rule, d.Decided, d.Spoken)
}

// TestDecides follows DESIGN.md section 1: what is decided, where, and where it is spoken.
func TestDecides(t *testing.T) {
	listed := [stages]facts{
		Connect: {"client.ip": "192.0.2.1", "client.iprev": "pass", "client.trusted": false, "server.role": "mx"},
		Helo:    {"helo.name": "mail.example.org"},
		Mail:    {"auth.user": "", "sender.address": "a@example.org", "sender.domain": "example.org", "spf.result": "fail"},
		Rcpt:    {"rcpt.address": "u@example.net", "rcpt.local": "u", "rcpt.count": 1},
		Data:    {"message.size": 100, "author.fields": 1, "author.domain": "example.org", "dmarc.result": "fail"},
	}
	block := "block: client.ip in list.block => 554 5.7.1 no"
	for _, c := range []struct {
		why   string
		rules []string
		want  string
	}{
		{"no rules", nil, "none"},
		{"an early refusal is decided at connect and spoken at RCPT", []string{block}, "554 block decided connect spoken rcpt"},
		{"at_once speaks where it is decided", []string{block + " at_once"}, "554 block decided connect spoken connect"},
		{"a rule above that needs DMARC makes it wait till DATA",
			[]string{`exempt: dmarc.result == "pass" => accept`, block}, "554 block decided data spoken data"},
		{"swapped, it is decided at connect", []string{block, `exempt: dmarc.result == "pass" => accept`}, "554 block decided connect spoken rcpt"},
		{"a rule above that is false early does not hold it up",
			[]string{`exempt: client.trusted && dmarc.result == "pass" => accept`, block}, "554 block decided connect spoken rcpt"},
		{"unknown || true is true", []string{`either: dmarc.result == "pass" || client.ip in list.block => 550 5.7.1 no`}, "550 either decided connect spoken rcpt"},
		{"unknown && false is false", []string{`both: dmarc.result == "fail" && client.trusted => 550 5.7.1 no`, block}, "554 block decided connect spoken rcpt"},
		{"an observed rule never makes a rule below it wait",
			[]string{`watch: dmarc.result == "fail" => 550 5.7.1 no observe`, block}, "554 block decided connect spoken rcpt"},
		{"a tag neither", []string{`mark: dmarc.result == "fail" => tag`, block}, "554 block decided connect spoken rcpt"},
		{"auth.user is unknown until MAIL", []string{`ours: auth.user != "" => accept`, block}, "554 block decided mail spoken rcpt"},
		{"accept ends the rules", []string{`ok: server.role == "mx" => accept`, block}, "accept ok decided connect spoken data"},
		{"a sum waits for all its terms",
			[]string{`sum: (client.trusted ? 0 : 1) + (spf.result == "fail" ? 1 : 0) >= 2 => 550 5.7.1 no`}, "550 sum decided mail spoken rcpt"},
		{"discard waits for the end", []string{`drop: client.ip in list.block => discard`}, "discard drop decided connect spoken data"},
		{"a recipient's accept is decided at RCPT", []string{`pm: rcpt.local == "u" => accept`, block}, "accept pm decided rcpt spoken data"},
		{"a rule below a recipient's rule is that recipient's decision", []string{`pm: rcpt.local == "postmaster" => accept`, block}, "554 block decided rcpt spoken rcpt"},
		{"a condition that errs is false", []string{`err: 1 / (rcpt.count - 1) > 0 => 550 5.7.1 no`}, "none"},
		{"a field that is not there", []string{`sub: header("Subject").exists(s, s.contains("x")) => 550 5.7.1 no`}, "none"},
	} {
		if got := play(compile(t, source(c.rules...)), listed); got != c.want {
			t.Errorf("%s: got %q, want %q", c.why, got, c.want)
		}
	}
}

func TestDelayRejectOff(t *testing.T) {
	s := source("block: client.ip in list.block => 554 5.7.1 no")
	s.DelayReject = false
	got := play(compile(t, s), [stages]facts{Connect: {"client.ip": "192.0.2.1"}})
	if want := "554 block decided connect spoken connect"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestDefinitions: a definition is a name for an expression, used as often as one likes and by other definitions, with Kleene's logic inside.
func TestDefinitions(t *testing.T) {
	s := source(`r: bad >= 2 && bad < 5 => 550 5.7.1 no`, `s: !known => 551 5.7.1 no`)
	s.Define = []Definition{
		{"bad", `points + (client.iprev == "fail" ? 1 : 0)`},
		{"points", `spf.result == "fail" ? 1 : 0`},
		{"known", `client.trusted || dmarc.result == "pass"`},
	}
	p := compile(t, s)
	base := [stages]facts{Connect: {"client.iprev": "fail", "client.trusted": true}, Mail: {"spf.result": "fail"}, Data: {"dmarc.result": "fail"}}
	if got, want := play(p, base), "550 r decided mail spoken rcpt"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	base[Mail] = facts{"spf.result": "pass"}
	if got, want := play(p, base), "none"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	base[Connect] = facts{"client.iprev": "fail", "client.trusted": false}
	if got, want := play(p, base), "551 s decided data spoken data"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestWaits: a step names what it waits for, so that only that is awaited.
func TestWaits(t *testing.T) {
	p := compile(t, source(`a: client.iprev == "fail" && spf.result == "fail" => 550 5.7.1 no`, `b: dmarc.result == "fail" => 550 5.7.1 no`))
	e, w := p.NewEvidence(), p.NewWalk()
	if got := fmt.Sprint(w.Step(e, Connect)); got != "[client.iprev spf.result]" && got != "[spf.result client.iprev]" {
		t.Errorf("waits for %s", got)
	}
	publish(e, Mail, facts{"spf.result": "pass"})
	if got := fmt.Sprint(w.Step(e, Mail)); got != "[dmarc.result]" {
		t.Errorf("a rule that became false still waits: %s", got)
	}
}

// TestClasses: recipients that rules may treat differently never share a transaction, others do.
func TestClasses(t *testing.T) {
	s := source(`pm: rcpt.local in ["postmaster", "abuse"] => accept`, `spoof: dmarc.result == "fail" && rcpt.local != "list" => 550 5.7.1 no`)
	p := compile(t, s)
	for _, c := range []struct {
		why   string
		rcpts string
		taken string
	}{
		{"one class", "a b c", "yyy"},
		{"postmaster first", "postmaster a b", "ynn"},
		{"postmaster among others", "a postmaster b", "yny"},
		{"both of the accepted class", "postmaster abuse", "yy"},
		{"a later term that names the recipient", "a list b", "yny"},
		{"after three put off the rest is taken", "a postmaster abuse list list a", "ynnnyy"},
		{"but no accept is shared", "a postmaster abuse list postmaster a", "ynnnny"},
		{"whoever comes first", "postmaster a b c d abuse", "ynnnny"},
	} {
		e := p.NewEvidence()
		r := NewRecipients(p.NewWalk())
		taken := ""
		for _, local := range strings.Fields(c.rcpts) {
			e.Forget(OfRecipient)
			publish(e, Rcpt, facts{"rcpt.local": local})
			w := r.Walk()
			w.Step(e, Rcpt)
			if r.Take(w, e, true) {
				taken += "y"
			} else {
				taken += "n"
			}
		}
		if taken != c.taken {
			t.Errorf("%s: %s: taken %s, want %s", c.why, c.rcpts, taken, c.taken)
		}
	}
}

// TestMildestHolds: where recipients of several classes are taken, nobody is harmed for another's rule.
func TestMildestHolds(t *testing.T) {
	s := source(`pm: rcpt.local == "postmaster" => accept`, `spoof: dmarc.result == "fail" => 550 5.7.1 no`)
	s.Mildest = true
	p := compile(t, s)
	e := p.NewEvidence()
	r := NewRecipients(p.NewWalk())
	for _, local := range []string{"a", "postmaster"} {
		e.Forget(OfRecipient)
		publish(e, Rcpt, facts{"rcpt.local": local})
		w := r.Walk()
		w.Step(e, Rcpt)
		if !r.Take(w, e, true) {
			t.Fatalf("%s was put off", local)
		}
	}
	publish(e, Data, facts{"dmarc.result": "fail"})
	r.Step(e, Data)
	if d, _ := r.Ends().Decision(); d.Rule != "pm" {
		t.Errorf("decided by %q, want pm", d.Rule)
	}
}

func TestEffects(t *testing.T) {
	p := compile(t, source(`t1: client.trusted => tag`, `w: spf.result == "fail" => 451 4.7.1 later observe`, `ok: server.role == "mx" => accept`, `t2: true => tag`))
	e, w := p.NewEvidence(), p.NewWalk()
	publish(e, Connect, facts{"client.trusted": true, "server.role": "mx"})
	w.Step(e, Connect)
	publish(e, Mail, facts{"spf.result": "fail"})
	w.Step(e, Mail)
	if got := fmt.Sprint(w.Tags(e, "X")); got != "[{X-Tag-t1 YES t1}]" {
		t.Errorf("tags %s", got)
	}
	if got := fmt.Sprint(w.Woulds()); got != "[451 at rcpt by w]" {
		t.Errorf("would %s", got)
	}
}

// TestRulePanics: a rule whose evaluation panics counts as false, says so once with where it was, and the rules below it decide.
func TestRulePanics(t *testing.T) {
	p := compile(t, source("broken: client.trusted => 550 5.7.1 broken", `below: sender.domain == "bad.example" => 550 5.7.1 below`))
	p.rules[0].quick = func(*quick) truth { panic("a rule is broken") }
	for range 2 {
		e := p.NewEvidence()
		w := p.NewWalk()
		publish(e, Connect, facts{"client.trusted": true})
		w.Step(e, Connect)
		publish(e, Mail, facts{"sender.domain": "bad.example"})
		w.Step(e, Mail)
		if d, decided := w.Decision(); !decided || d.Rule != "below" {
			t.Errorf("decided %v by %q, want the rule below", decided, d.Rule)
		}
		if errors := e.Errors(); len(errors) != 1 || errors[0] != `rule "broken": panicked: a rule is broken` || !strings.Contains(e.Stack(), "TestRulePanics") {
			t.Errorf("errors %q, stack %q", errors, e.Stack())
		}
	}
}
