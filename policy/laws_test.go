package policy

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// The laws of DESIGN.md section 1, asked of random policies: what is decided never hangs on the order in which facts arrive, nothing is
// decided before `gatepost check` says it can be or later than it must be, tags and observed rules decide nothing, and recipients that
// share a transaction share its end.

// author writes random conditions over the test vocabulary and random facts of sessions.
type author struct {
	*rand.Rand
	recipient bool // whether conditions may name the recipient
}

func (a author) pick(all ...string) string { return all[a.IntN(len(all))] }

// condition writes a condition of a given depth.
func (a author) condition(depth int) string {
	if depth == 0 {
		return a.term()
	}
	x, y := a.condition(depth-1), a.condition(a.IntN(depth))
	switch a.IntN(9) {
	case 0, 1:
		return fmt.Sprintf("(%s && %s)", x, y)
	case 2, 3:
		return fmt.Sprintf("(%s || %s)", x, y)
	case 4:
		return fmt.Sprintf("!(%s)", x)
	case 5:
		return fmt.Sprintf("(%s ? %s : %s)", a.term(), x, y)
	case 6:
		return fmt.Sprintf("((%s ? 1 : 0) + (%s ? 1 : 0) >= %d)", x, y, a.IntN(3))
	case 7:
		return fmt.Sprintf("((%s) == (%s))", x, y)
	}
	return fmt.Sprintf("((%s ? %s : %s) == \"fail\")", x, a.word(), a.word())
}

func (a author) word() string { return a.pick("client.iprev", "spf.result", "dmarc.result", `"fail"`) }

// term writes a smallest condition, over facts of every stage, some of which can be known early or can fail.
func (a author) term() string {
	if a.recipient && a.IntN(3) == 0 {
		return a.pick(`rcpt.local == "a"`, `rcpt.local in ["a", "b"]`, `rcpt.address in list.block`, `rcpt.local == author.domain`,
			`dkim.domains.exists(d, d == rcpt.local)`, `size(rcpt.local) > 1`, `["a", "b"].exists(x, x == rcpt.local && client.trusted)`)
	}
	return a.pick(`client.trusted`, `client.ip in list.block`, `client.iprev == "fail"`, `helo.name == "h"`, `over.client_messages`,
		`auth.user != ""`, `spf.result in ["fail", "softfail"]`, `sender.domain in list.block`, `dmarc.result == "fail"`,
		`message.size / 2 > 1`, `dkim.domains.exists(d, d == author.domain)`, `dkim.domains.all(d, d == sender.domain)`,
		`header("Subject").exists(s, s.contains(helo.name))`, `sender.domain == author.domain`, `6 / message.size > author.fields`,
		`1 / author.fields > 0`, `dkim.domains[0] == "a"`, `client.iprev.matches("^f")`, `sender.domain.substring(1) == ""`, `true`, `false`)
}

// policy writes up to six rules, of all kinds.
func (a author) policy() Source {
	s := Source{DelayReject: a.IntN(2) == 0, Networks: networks, Lists: []NamedList{{Name: "block", Entries: []string{"192.0.2.0/24", "a", "b.example", "a@b.example"}}}}
	for i := range 1 + a.IntN(6) {
		r := RuleSource{Name: fmt.Sprintf("r%d", i), When: a.condition(a.IntN(4)), Observe: a.IntN(5) == 0}
		switch a.IntN(6) {
		case 0:
			r.Action = a.pick("accept", "discard", "quarantine")
		case 1:
			r.Action, r.Header = "tag", []HeaderText{{r.Name, "YES"}}
		default:
			r.Reply, r.AtOnce = "550 5.7.1 no", a.IntN(3) == 0
		}
		if !r.Observe && a.IntN(4) == 0 {
			r.Share = 5000
		}
		s.Rules = append(s.Rules, r)
	}
	return s
}

// facts invents a session's facts.
func (a author) facts(v *Vocabulary) map[string]Value {
	out := map[string]Value{}
	for _, f := range v.Facts() {
		switch {
		case f.Name == "client.ip":
			out[f.Name] = StringOf(a.pick("192.0.2.1", "198.51.100.1", ""))
		case f.Name == "rcpt.address":
			out[f.Name] = StringOf(a.pick("a@b.example", "x@example.org"))
		case f.Words != nil:
			out[f.Name] = StringOf(a.pick("fail", "softfail", "pass"))
		case f.Type == Bool:
			out[f.Name] = BoolOf(a.IntN(2) == 0)
		case f.Type == Int:
			out[f.Name] = IntOf(a.IntN(4))
		case f.Type == Strings:
			out[f.Name] = StringsOf([]string{"a", "b", "b.example"}[:a.IntN(4)])
		default:
			out[f.Name] = StringOf(a.pick("", "a", "b", "h", "b.example"))
		}
	}
	return out
}

func publishAll(e *Evidence, all map[string]Value, which func(Fact) bool) {
	for _, f := range e.policy.vocabulary.Facts() {
		if which(f) {
			e.Publish(f.Name, all[f.Name], f.Stage)
		}
	}
}

func subject(string) []string { return []string{"a", "hb"} }

// end tells all that a walk came to.
func end(w *Walk, e *Evidence) string {
	d, _ := w.Decision()
	var woulds []string
	for _, would := range w.Woulds() {
		woulds = append(woulds, would.Rule)
	}
	return fmt.Sprintf("%s %q tags %v would %v", d.What(), d.Rule, w.Tags(e, ""), woulds)
}

// atOnce gives the end of a walk that sees all facts together.
func atOnce(p *Policy, all map[string]Value) string {
	e := p.NewEvidence()
	publishAll(e, all, func(Fact) bool { return true })
	e.PublishHeader(subject)
	w := p.NewWalk().ForRecipient()
	w.Step(e, Data)
	return end(w, e)
}

// lawOfOrder: facts in any order, one by one, lead to the same end, and a decision once taken stays.
func lawOfOrder(t *testing.T, a author, p *Policy) {
	all := a.facts(p.vocabulary)
	names := []string{headerVariable}
	for _, f := range p.vocabulary.Facts() {
		names = append(names, f.Name)
	}
	slices.Sort(names)
	a.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	e, w := p.NewEvidence(), p.NewWalk().ForRecipient()
	first := ""
	for i, name := range names {
		if name == headerVariable {
			e.PublishHeader(subject)
		} else {
			e.Publish(name, all[name], Data)
		}
		if a.IntN(4) == 0 && i < len(names)-1 {
			continue // several at a time
		}
		waits := w.Step(e, Data)
		for _, waited := range waits {
			if slices.Contains(names[:i+1], waited) {
				t.Fatalf("it waits for %s, which is there", waited)
			}
		}
		d, decided := w.Decision()
		if first == "" && decided {
			first = d.Rule
		}
		if first != "" && d.Rule != first {
			t.Fatalf("first %s decided, then %s", first, d.Rule)
		}
	}
	if got, want := end(w, e), atOnce(p, all); got != want {
		t.Fatalf("in the order %v it ends in %s, all at once in %s", names, got, want)
	}
}

// lawOfStages: a decision falls where Report says at the earliest, and where all facts of the rules up to it are known at the latest;
// the MTA waits for our answer wherever a refusal is spoken.
func lawOfStages(t *testing.T, a author, p *Policy) {
	all := a.facts(p.vocabulary)
	e, w := p.NewEvidence(), p.NewWalk()
	for at := Connect; at <= Data; at++ {
		publishAll(e, all, func(f Fact) bool { return f.Stage == at })
		if at == Rcpt {
			w = w.ForRecipient()
		}
		if at == Data {
			e.PublishHeader(subject)
		}
		if waits := w.Step(e, at); at == Data && waits != nil {
			t.Fatalf("at the end it waits for %v", waits)
		}
	}
	d, decided := w.Decision()
	if !decided {
		return
	}
	latest := Connect
	for i, r := range p.rules[:d.index+1] {
		if report := p.Report()[i]; i == d.index && (d.Decided < report.Decides || report.Dead != "") {
			t.Fatalf("%s decided at %s, but %+v", d.Rule, d.Decided, report)
		}
		if r.final() {
			latest = max(latest, r.span.settled)
		}
	}
	if d.Decided > latest {
		t.Fatalf("%s decided at %s, all is known at %s", d.Rule, d.Decided, latest)
	}
	if d.Refuses() && !p.Delivers(d.Spoken) {
		t.Fatalf("%s is spoken at %s, where nobody waits for it", d.Rule, d.Spoken)
	}
}

// lawOfTags: without its tags and observed rules a policy decides the same.
func lawOfTags(t *testing.T, a author, source Source, p *Policy) {
	source.Rules = slices.DeleteFunc(slices.Clone(source.Rules), func(r RuleSource) bool { return r.Action == "tag" || r.Observe })
	bare := compile(t, source)
	all := a.facts(p.vocabulary)
	with, _, _ := strings.Cut(atOnce(p, all), " tags")
	without, _, _ := strings.Cut(atOnce(bare, all), " tags")
	if with != without {
		t.Fatalf("%s with tags, %s without", with, without)
	}
}

// lawOfClasses: of two recipients that may share a transaction, both meet the same decision, whatever DATA brings.
func lawOfClasses(t *testing.T, a author, p *Policy) {
	all := a.facts(p.vocabulary)
	e, message := p.NewEvidence(), p.NewWalk()
	for at := Connect; at <= Mail; at++ {
		publishAll(e, all, func(f Fact) bool { return f.Stage == at })
		message.Step(e, at)
	}
	shared := NewRecipients(message)
	var alone []*Recipients
	for range 2 {
		other := a.facts(p.vocabulary)
		e.Forget(OfRecipient)
		publishAll(e, other, func(f Fact) bool { return f.Scope == OfRecipient && f.Name != "rcpt.count" })
		w := shared.Walk()
		w.Step(e, Rcpt)
		own := NewRecipients(message)
		own.Take(w, e, true)
		alone = append(alone, own)
		if !shared.Take(w.copy(), e, true) {
			return
		}
	}
	for range 5 {
		data := a.facts(p.vocabulary)
		publishAll(e, data, func(f Fact) bool { return f.Stage == Data })
		e.PublishHeader(subject)
		var ends [2]string
		for i, r := range alone {
			fresh := &Recipients{message: message, members: []member{{walk: r.members[0].walk.copy(), facts: r.members[0].facts}}}
			fresh.Step(e, Data)
			d, _ := fresh.Ends().Decision()
			ends[i] = d.Rule
		}
		if ends[0] != ends[1] {
			t.Fatalf("recipients %v and %v share a transaction, but end in %q and %q",
				alone[0].members[0].facts, alone[1].members[0].facts, ends[0], ends[1])
		}
	}
}

func checkLaws(t *testing.T, seed uint64) {
	a := author{rand.New(rand.NewPCG(seed, 1)), seed%2 == 0}
	source := a.policy()
	p := compile(t, source)
	defer func() {
		if t.Failed() {
			for _, r := range source.Rules {
				t.Logf("%+v", r)
			}
		}
	}()
	for range 3 {
		lawOfOrder(t, a, p)
		lawOfStages(t, a, p)
		lawOfTags(t, a, source, p)
		if a.recipient {
			lawOfClasses(t, a, p)
		}
	}
}

func TestLaws(t *testing.T) {
	for seed := range uint64(150) {
		checkLaws(t, seed)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func FuzzLaws(f *testing.F) {
	f.Add(uint64(1))
	f.Add(uint64(2))
	f.Fuzz(checkLaws)
}
