package policy

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

// knownFacts tells which of the facts are known, one of each scope and stage.
func knownFacts(e *Evidence) string {
	var out []string
	for _, name := range []string{"client.ip", "over.client_messages", "helo.name", "sender.domain", "rcpt.local", "dmarc.result"} {
		if e.Known(name) {
			out = append(out, name)
		}
	}
	if e.header != nil {
		out = append(out, "header")
	}
	return strings.Join(out, " ")
}

// TestForget: each scope drops itself and the narrower ones; a second HELO keeps what was known at connect.
func TestForget(t *testing.T) {
	p := compile(t, source(`r: header("Subject") == [] => accept`))
	for _, c := range []struct {
		why    string
		forget func(*Evidence)
		want   string
	}{
		{"the next recipient", func(e *Evidence) { e.Forget(OfRecipient) }, "client.ip over.client_messages helo.name sender.domain dmarc.result header"},
		{"the end of a message", func(e *Evidence) { e.Forget(OfMessage) }, "client.ip helo.name"},
		{"the end of a connection", func(e *Evidence) { e.Forget(OfConnection) }, ""},
		{"a second HELO", func(e *Evidence) { e.ForgetHelo() }, "client.ip"},
	} {
		e := p.NewEvidence()
		publish(e, Connect, facts{"client.ip": "192.0.2.1", "over.client_messages": true})
		publish(e, Data, facts{"helo.name": "h", "sender.domain": "d", "rcpt.local": "r", "dmarc.result": "fail"})
		e.PublishHeader(func(string) []string { return nil })
		if got, want := knownFacts(e), "client.ip over.client_messages helo.name sender.domain rcpt.local dmarc.result header"; got != want {
			t.Fatalf("published %q", got)
		}
		c.forget(e)
		if got := knownFacts(e); got != c.want {
			t.Errorf("%s: known is %q, want %q", c.why, got, c.want)
		}
		if e.Text("rcpt.local") != "" {
			t.Errorf("%s: a forgotten fact has a text", c.why)
		}
		if _, known := e.PublishedAt("rcpt.local"); known {
			t.Errorf("%s: a forgotten fact has a stage", c.why)
		}
	}
}

func TestText(t *testing.T) {
	v, err := NewVocabulary([]Fact{
		{Name: "a.string", Trouble: StringOf("")}, {Name: "a.bool", Type: Bool, Trouble: BoolOf(false)}, {Name: "a.int", Type: Int, Trouble: IntOf(0)},
		{Name: "a.double", Type: Double, Trouble: DoubleOf(0)}, {Name: "a.strings", Type: Strings, Trouble: StringsOf(nil)},
	})
	if err != nil {
		t.Fatal(err)
	}
	p, _ := Compile(v, Source{})
	for _, c := range []struct {
		name  string
		value Value
		want  string
	}{
		{"a.string", StringOf("é\n"), "é\n"}, {"a.string", StringOf(""), ""},
		{"a.bool", BoolOf(true), "true"}, {"a.bool", BoolOf(false), "false"},
		{"a.int", IntOf(-7), "-7"}, {"a.int", IntOf(1 << 40), "1099511627776"},
		{"a.double", DoubleOf(0.5), "0.5"}, {"a.double", DoubleOf(1e21), "1e+21"}, {"a.double", DoubleOf(3), "3"},
		{"a.strings", StringsOf([]string{"x", "y"}), "x, y"}, {"a.strings", StringsOf(nil), ""},
	} {
		e := p.NewEvidence()
		e.Publish(c.name, c.value, Mail)
		if got := e.Text(c.name); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
		if at, known := e.PublishedAt(c.name); !known || at != Mail || !e.Known(c.name) {
			t.Errorf("%s: known %v at %s", c.name, known, at)
		}
	}
	e := p.NewEvidence()
	if e.Text("a.bool") != "" || e.Text("no.fact") != "" || e.Known("no.fact") || e.Known("a.bool") {
		t.Error("what is not published has a text")
	}
	if v := (Value{}); !v.IsZero() || StringOf("").IsZero() {
		t.Error("the zero Value and an empty text are confused")
	}
}

// TestPublishPanics: a fact that nobody declared is a mistake in a check.
func TestPublishPanics(t *testing.T) {
	defer func() {
		if r := recover(); r == nil || !strings.Contains(fmt.Sprint(r), "no.fact") {
			t.Errorf("recovered %v", r)
		}
	}()
	compile(t, source()).NewEvidence().Publish("no.fact", BoolOf(true), Connect)
}

// TestErrors: a condition that fails is false, is named once a rule, and what a sender wrote into it comes out clean and short.
func TestErrors(t *testing.T) {
	p := compile(t, source(`number: int(helo.name) > 3 => 550 5.7.1 no`, `part: message.size / rcpt.count > 3 => 550 5.7.1 no`, `last: true => accept`))
	e := p.NewEvidence()
	for _, name := range []string{"x\r\nFAKE LOG LINE", strings.Repeat("y", 10_000), "é"} {
		w := p.NewWalk().ForRecipient()
		publish(e, Data, facts{"helo.name": name, "message.size": 1, "rcpt.count": 0})
		w.Step(e, Data)
		if d, _ := w.Decision(); d.Rule != "last" {
			t.Errorf("decided by %q", d.Rule)
		}
	}
	got := e.Errors()
	if len(got) != 2 || !strings.HasPrefix(got[0], `rule "number": `) || got[1] != `rule "part": division by zero` {
		t.Fatalf("got %q", got)
	}
	if strings.ContainsAny(got[0], "\r\n") || len(got[0]) > 250 {
		t.Errorf("got %q", got[0])
	}
}

// TestHeader: only the fields that rules name are asked for, under one name however they are written.
func TestHeader(t *testing.T) {
	p := compile(t, source(`a: header("SUBJECT").exists(s, s.contains("x")) || header("subject") == ["y"] || header("X-Spam").size() > 1 => accept`))
	var asked []string
	e, w := p.NewEvidence(), p.NewWalk()
	if waits := w.Step(e, Mail); !slices.Equal(waits, []string{headerVariable}) {
		t.Errorf("waits for %v", waits)
	}
	e.PublishHeader(func(name string) []string {
		asked = append(asked, name)
		return map[string][]string{"subject": {"y"}}[name]
	})
	slices.Sort(asked)
	if !slices.Equal(asked, []string{"subject", "x-spam"}) {
		t.Errorf("asked for %v", asked)
	}
	w.Step(e, Data)
	if d, _ := w.Decision(); d.Rule != "a" {
		t.Errorf("decided by %q", d.Rule)
	}
}

// TestConcurrentSessions: sessions share a policy and nothing else (run with -race).
func TestConcurrentSessions(t *testing.T) {
	p := compileContract(t)
	var sessions sync.WaitGroup
	for range 8 {
		sessions.Go(func() {
			for i := range 50 {
				want := "554 blocked decided rcpt spoken rcpt"
				session := contractSession()
				if i%2 == 1 {
					session[Connect]["client.ip"], want = "192.0.2.7", "none"
				}
				if got := play(p, session); got != want {
					t.Errorf("got %q, want %q", got, want)
					return
				}
				p.Report()
				p.Delivers(Rcpt)
			}
		})
	}
	sessions.Wait()
}

// contractSession is a stranger's session under the contract's rules: a listed address, all else good.
func contractSession() [stages]facts {
	return [stages]facts{
		Connect: {
			"client.ip": "203.0.113.7", "client.network": "203.0.113.0/24", "client.iprev": "pass", "client.reputation": "neutral", "client.dnsbls": "",
			"client.dnsbl_url": "", "server.role": "mx", "client.dnsbl_score": 0, "client.trusted": false, "over.client_sessions": false,
			"memory.settled": true, "over.harvest": false, "over.client_messages": false,
		},
		Mail: {
			"auth.user": "", "sender.address": "a@example.org", "sender.domain": "example.org", "sender.mx": "yes", "spf.result": "pass",
			"sender.owned": true, "sender.correspondent": false, "sender.empty": false,
		},
		Rcpt: {"rcpt.local": "u", "over.user_recipients": false, "over.user_strangers": false, "over.local_recipients": false},
		Data: {
			"author.domain": "example.org", "author.reputation": "neutral", "signer.reputation": "neutral", "dkim.author": "pass", "dkim.result": "pass",
			"dmarc.result": "pass", "dmarc.policy": "reject", "arc.dmarc": "", "author.owned": true, "author.ours": false, "arc.trusted": false,
			"author.fields": 1, "author.domains": 1,
		},
	}
}
