package policy

import (
	"fmt"
	"slices"
	"testing"
)

// TestSecondMessage: what rests on a message's facts is asked anew for the next message, what rests on the connection's is not;
// a limit read at connect belongs to the first message only.
func TestSecondMessage(t *testing.T) {
	v, err := NewVocabulary([]Fact{
		{Name: "client.bad", Type: Bool, Trouble: BoolOf(false)},
		{Name: "over.messages", Type: Bool, Scope: OfMessage, Trouble: BoolOf(false)}, // known at connect, anew at each MAIL
		{Name: "sender.bad", Type: Bool, Stage: Mail, Scope: OfMessage, Trouble: BoolOf(false)},
	})
	if err != nil {
		t.Fatal(err)
	}
	p, problems := Compile(v, source(`sender: client.bad && sender.bad => 550 5.7.1 no`, `limit: over.messages => 421 4.7.0 no`, `rest: !client.bad => accept`))
	if p == nil {
		t.Fatal(problems)
	}
	e, conn := p.NewEvidence(), p.NewWalk()
	publish(e, Connect, facts{"client.bad": false, "over.messages": true})
	conn.Step(e, Connect)
	if d, _ := conn.Decision(); d.Rule != "limit" || d.Decided != Connect {
		t.Fatalf("at connect: %+v", d)
	}
	for _, c := range []struct {
		over bool
		want string
	}{{false, "rest"}, {true, "limit"}, {false, "rest"}} {
		e.Forget(OfMessage)
		w := conn.Clone()
		if w.Step(e, Mail); w.decided {
			t.Errorf("decided by %q before the limit was read anew", w.decision.Rule)
		}
		publish(e, Mail, facts{"over.messages": c.over, "sender.bad": true})
		w.Step(e, Mail)
		if d, _ := w.Decision(); d.Rule != c.want {
			t.Errorf("over %v: decided by %q, want %q", c.over, d.Rule, c.want)
		}
	}
	if d, _ := conn.Decision(); d.Rule != "limit" {
		t.Error("a message changed its connection's walk")
	}
}

// TestClones: walks that come from one never change each other, nor what the others wait for.
func TestClones(t *testing.T) {
	p := compile(t, source(`t: client.trusted && dmarc.result == "fail" => tag`, `r: spf.result == "fail" || message.size > 5 => 550 5.7.1 no`))
	e, base := p.NewEvidence(), p.NewWalk()
	publish(e, Connect, facts{"client.trusted": true})
	before := fmt.Sprint(base.Step(e, Connect))
	other := p.NewEvidence()
	publish(other, Mail, facts{"client.trusted": true, "spf.result": "pass"})
	for range 3 {
		c := base.Clone()
		if got := fmt.Sprint(c.Step(other, Mail)); got != "[message.size]" {
			t.Errorf("the clone waits for %s", got)
		}
		publish(other, Data, facts{"message.size": 9})
		if c.Step(other, Data); !c.decided {
			t.Error("the clone does not decide")
		}
		other.Forget(OfMessage)
		publish(other, Mail, facts{"spf.result": "pass"})
	}
	if got := fmt.Sprint(base.Step(e, Connect)); got != before || base.decided {
		t.Errorf("the first walk waits for %s, before its clones for %s", got, before)
	}
}

// TestPending: at the end of DATA tags and observed rules above a decision are still followed, those below are not.
func TestPending(t *testing.T) {
	p := compile(t, source(`t: dmarc.result == "fail" => tag`, `o: message.size > 5 => 550 5.7.1 no observe`, `a: client.trusted => accept`, `u: author.fields > 1 => tag`))
	e, w := p.NewEvidence(), p.NewWalk()
	publish(e, Connect, facts{"client.trusted": true})
	if waits := w.Step(e, Connect); waits != nil || !w.decided {
		t.Fatalf("decided %v, waits for %v", w.decided, waits)
	}
	if got := fmt.Sprint(w.Step(e, Data)); got != "[dmarc.result message.size]" {
		t.Errorf("at the end it waits for %s", got)
	}
	publish(e, Data, facts{"dmarc.result": "fail", "message.size": 9, "author.fields": 2})
	if waits := w.Step(e, Data); waits != nil {
		t.Errorf("waits for %v", waits)
	}
	if got, want := end(w, e), `accept "a" tags [{X-Tag-t YES t}] would [o]`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// recipient walks one recipient and takes it, if it is not refused.
func recipient(e *Evidence, r *Recipients, local string, count int) (taken bool) {
	e.Forget(OfRecipient)
	publish(e, Rcpt, facts{"rcpt.local": local, "rcpt.count": count})
	w := r.Walk()
	w.Step(e, Rcpt)
	if d, _ := w.Decision(); d.Refuses() {
		return false
	}
	return r.Take(w, e, true)
}

// TestClassOfRules: two rules of the same shape about two recipients are not the same rule.
func TestClassOfRules(t *testing.T) {
	p := compile(t, source(`a: rcpt.local == "a" && dmarc.result == "fail" => 550 5.7.1 no`, `b: rcpt.local == "b" && dmarc.result == "fail" => discard`))
	e := p.NewEvidence()
	r := NewRecipients(p.NewWalk())
	if !recipient(e, r, "a", 1) || recipient(e, r, "b", 2) {
		t.Error("a and b share a transaction, though only b's mail is to be dropped")
	}
}

// TestClassOfSums: where a recipient counts in a sum, only what is asked of it makes a class, not its name.
func TestClassOfSums(t *testing.T) {
	for _, c := range []struct{ rule, taken string }{
		{`(rcpt.local == "abuse" ? 0 : 1) + (dmarc.result == "fail" ? 1 : 0) >= 2`, "ynyy"},
		{`size(rcpt.local) + (dmarc.result == "fail" ? 1 : 0) >= 5`, "ynny"},
		{`dkim.domains.exists(d, d == rcpt.local)`, "ynny"},
		{`client.trusted && rcpt.local == "abuse" && dmarc.result == "fail"`, "yyyy"}, // false for everybody
		{`rcpt.count > 2 && dmarc.result == "fail"`, "yyyy"},
	} {
		p := compile(t, source("r: "+c.rule+" => 550 5.7.1 no"))
		e := p.NewEvidence()
		publish(e, Connect, facts{"client.trusted": false})
		r := NewRecipients(p.NewWalk())
		taken := ""
		for i, local := range []string{"info", "abuse", "sales", "info"} {
			taken += map[bool]string{true: "y", false: "n"}[recipient(e, r, local, i+1)]
		}
		if taken != c.taken {
			t.Errorf("%s: taken %s, want %s", c.rule, taken, c.taken)
		}
	}
}

// TestClassBelow: a rule above that waits for DATA hides neither the classes of rules below it nor makes some of its own.
func TestClassBelow(t *testing.T) {
	p := compile(t, source(`good: dmarc.result == "pass" => accept`, `abuse: rcpt.local == "abuse" => accept`, `block: client.ip in list.block => 550 5.7.1 no`))
	e := p.NewEvidence()
	publish(e, Connect, facts{"client.ip": "192.0.2.1"})
	r := NewRecipients(p.NewWalk())
	if !recipient(e, r, "info", 1) || !recipient(e, r, "sales", 2) || recipient(e, r, "abuse", 3) {
		t.Error("info and sales belong together, abuse does not")
	}
	if waits := fmt.Sprint(r.Step(e, Data)); waits != "[dmarc.result]" {
		t.Errorf("waits for %s", waits)
	}
	publish(e, Data, facts{"dmarc.result": "fail"})
	r.Step(e, Data)
	if d, _ := r.Ends().Decision(); d.Rule != "block" {
		t.Errorf("decided by %q", d.Rule)
	}
}

// TestTagsOfRecipients: a tag about the recipient makes no class; it holds for the message when it holds for any recipient, in whatever
// order they come, also when it waits for DATA.
func TestTagsOfRecipients(t *testing.T) {
	p := compile(t, source(`boss: rcpt.local == "boss" => tag`, `late: rcpt.local == "boss" && dmarc.result == "fail" => tag`,
		`grey: rcpt.local == "new" => 451 4.7.1 later observe`, `junk: dmarc.result == "none" => tag`))
	for _, order := range [][]string{{"boss", "new", "clerk"}, {"clerk", "boss", "new"}, {"new", "clerk", "boss"}} {
		e := p.NewEvidence()
		r := NewRecipients(p.NewWalk())
		for i, local := range order {
			if !recipient(e, r, local, i+1) {
				t.Fatalf("%v: %s is put off", order, local)
			}
		}
		publish(e, Data, facts{"dmarc.result": "fail"})
		if waits := r.Step(e, Data); waits != nil {
			t.Errorf("waits for %v", waits)
		}
		if got, want := end(r.Ends(), e), `none "" tags [{X-Tag-boss YES boss} {X-Tag-late YES late}] would [grey]`; got != want {
			t.Errorf("%v: got %s, want %s", order, got, want)
		}
	}
}

// TestEndsSpeaksOfItsRecipient: after the last step placeholders speak of the recipient whose decision holds.
func TestEndsSpeaksOfItsRecipient(t *testing.T) {
	s := source(`a: rcpt.local == "a" && dmarc.result == "fail" => 450 4.7.1 not for {rcpt.local}`, `b: dmarc.result == "fail" => 550 5.7.1 not for {rcpt.local}`)
	s.Mildest = true
	p := compile(t, s)
	e := p.NewEvidence()
	r := NewRecipients(p.NewWalk())
	if r.Taken() || !recipient(e, r, "a", 1) || !recipient(e, r, "b", 2) || !r.Taken() {
		t.Fatal("not all are taken")
	}
	publish(e, Data, facts{"dmarc.result": "fail"})
	r.Step(e, Data)
	if d, _ := r.Ends().Decision(); d.Reply.Fill(e, "", "") != "not for a" {
		t.Errorf("%s speaks of %q", d.Rule, d.Reply.Fill(e, "", ""))
	}
}

// TestMildest: of several decisions the one that harms least holds; a discarded sender is told nothing, so that is the harshest.
func TestMildest(t *testing.T) {
	rules := []string{`none: rcpt.local == "none" && false => accept`, `accept: rcpt.local == "accept" => accept`, `hold: rcpt.local == "hold" => quarantine`,
		`later: rcpt.local == "later" && dmarc.result == "fail" => 451 4.7.1 no`, `never: rcpt.local == "never" && dmarc.result == "fail" => 550 5.7.1 no`,
		`drop: rcpt.local == "drop" => discard`}
	order := []string{"drop", "never", "later", "hold"}
	s := source(rules...)
	s.Mildest = true
	p := compile(t, s)
	for i := range order {
		e := p.NewEvidence()
		r := NewRecipients(p.NewWalk())
		for n, local := range order[:i+1] {
			recipient(e, r, local, n+1)
		}
		publish(e, Data, facts{"dmarc.result": "fail"})
		r.Step(e, Data)
		if d, _ := r.Ends().Decision(); d.Rule != order[i] {
			t.Errorf("%v: decided by %q", order[:i+1], d.Rule)
		}
		var harsher []string
		for _, d := range r.Harsher() {
			harsher = append(harsher, d.Rule)
		}
		if !slices.Equal(harsher, order[:i]) {
			t.Errorf("%v: harsher are %v", order[:i+1], harsher)
		}
	}
}

// TestNobodyPays: without a rule about the recipient all recipients follow the message's own walk.
func TestNobodyPays(t *testing.T) {
	message := compile(t, source(`r: client.trusted => accept`)).NewWalk()
	if r := NewRecipients(message); r.Walk() != message || r.Ends() != message {
		t.Error("a recipient has a walk of its own")
	}
}
