package filter

import (
	"fmt"
	"slices"
	"strings"

	"gatepost.example/filter/check"
	"gatepost.example/filter/history"
	"gatepost.example/filter/limit"
	"gatepost.example/policy"
	"gatepost.example/policy/policyfile"
)

// Explanation is why a recorded message or connection ended as it did.
type Explanation struct {
	Record *history.Record
	Line   *history.Line // the decision that is explained; nil where nothing was decided

	What    string // what was done, to whom
	Because string // the rule, and what it rests on
	Unless  string // what would have made it different
	DNS     string // the answers that it rests on, as they were then
	Mend    string // the command that makes it different next time

	Rules    []policy.RuleTrace // in their order, with the values that they read
	Facts    []policy.FactTrace // all that were known when it was decided
	Findings []check.Finding    // of all checks
	Trouble  string             // why the rules cannot be walked again; "" when they were
}

// Explain explains a record by the policy that it was decided under. The file is nil where that is not known any more: then only what was
// recorded is told. Of several decisions it explains the one over a recipient, by its index, or with -1 the one over the message.
func Explain(file *policyfile.File, rec *history.Record, recipient int) *Explanation {
	x := &Explanation{Record: rec, Line: rec.Final()}
	for i := range rec.Lines {
		if l := &rec.Lines[i]; recipient >= 0 && l.Recipient == recipient {
			x.Line = l
		}
	}
	for _, o := range rec.Outcomes {
		x.Findings = append(x.Findings, o.Findings...)
	}
	if file == nil {
		x.Trouble = "the policy that decided is not in the history"
	} else {
		x.walk(SettingsOf(file))
	}
	w := &words{x: x, file: file, rule: x.ruleOf(x.deciding())}
	x.What, x.Because, x.Unless, x.DNS, x.Mend = Visible(w.what()), Visible(w.because()), Visible(w.unless()), Visible(w.dns()), Visible(unhidden(w.mend()))
	x.tellRefusedByMTA(recipient)
	return x
}

// walk decides the record again and keeps what stood behind the decision.
func (x *Explanation) walk(set *Settings) {
	s := NewReplayer(set, nil, false).session(x.Record)
	s.past.explain = true
	s.replay()
	n := 0
	for i := range x.Record.Lines {
		if x.Line == &x.Record.Lines[i] {
			n = i
		}
	}
	switch {
	case s.past.unknown != "":
		x.Trouble = "the record does not have the fact " + s.past.unknown
	case !history.SameLines(s.past.lines, x.Record.Lines) || n >= len(s.past.told):
		x.Trouble = "this version of gatepost decides otherwise"
	default:
		x.Rules, x.Facts = s.past.told[n].rules, s.past.told[n].facts
	}
}

// ruleOf gives a rule by its name, nil where there is none.
func (x *Explanation) ruleOf(name string) *policy.RuleTrace {
	i := slices.IndexFunc(x.Rules, func(r policy.RuleTrace) bool { return r.Name == name })
	if i < 0 {
		return nil
	}
	return &x.Rules[i]
}

// Fact gives the value of a fact as people read it, "" where it was not known.
func (x *Explanation) Fact(name string) string {
	for _, f := range x.Facts {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

// words makes the five lines.
type words struct {
	x    *Explanation
	file *policyfile.File
	rule *policy.RuleTrace // that decided, or would have
}

func (w *words) what() string {
	rec, l := w.x.Record, w.x.Line
	whom := "a connection from " + clientWords(rec)
	if rec.Number > 0 {
		whom = fmt.Sprintf("mail from <%s> to %s, from %s", rec.Sender.Address, w.recipients(), clientWords(rec))
	}
	when := rec.Time.Format("2006-01-02 15:04:05")
	switch {
	case l == nil:
		return fmt.Sprintf("nothing was decided: the client left at %s; %s, %s", rec.Reached, whom, when)
	case l.Spoken == "none" && l.After == "" && l.Action != policy.None && len(l.Woulds) == 0:
		done, besides := w.verdict()
		return fmt.Sprintf("not spoken: the client left before it could be told %s%s; %s, %s", done, besides, whom, when)
	}
	done, besides := w.verdict()
	return fmt.Sprintf("%s at %s%s; %s, %s%s", done, spokenWord(l), besides, whom, when, w.others())
}

func spokenWord(l *history.Line) string {
	if l.Spoken == "none" {
		return policy.Data.String()
	}
	return l.Spoken
}

// maxOthers bounds the recipients that are told beside.
const maxOthers = 3

// others tells what recipients got a decision of their own.
func (w *words) others() string {
	var out []string
	for i := range w.x.Record.Lines {
		if l := &w.x.Record.Lines[i]; l != w.x.Line && l.Recipient >= 0 {
			text := fmt.Sprintf("%s to <%s>", l.What, w.x.Record.Recipients[l.Recipient].Address)
			if l.Rule != "" {
				text += " by rule " + l.Rule
			}
			out = append(out, text)
		}
	}
	if more := len(out) - maxOthers; more > 0 {
		out = append(out[:maxOthers], fmt.Sprintf("%d more", more))
	}
	if out == nil {
		return ""
	}
	return "; besides " + strings.Join(out, ", ")
}

// verdict says what was done, and what is to be said besides.
func (w *words) verdict() (done, besides string) {
	l := w.x.Line
	done = map[string]string{
		"none": "taken", "accept": "taken", "discard": "taken and dropped", "quarantine": "held", "tag": "taken and marked in the place of a refusal",
		"hold": "held in the place of a refusal",
	}[l.What]
	switch {
	case l.Refuses():
		done = strings.TrimSpace(fmt.Sprintf("%d %s %s", l.Code, l.Enhanced, l.Text))
	case l.Spoken == "none" && l.Action == policy.Answer && len(l.Woulds) == 0:
		done = fmt.Sprint(l.Code)
	case l.Spoken == "none":
		done = "taken"
	case done == "":
		done = l.What
	}
	if len(l.Tags) > 0 {
		besides += ", tagged by " + strings.Join(l.Tags, " and ")
	}
	if len(l.Woulds) > 0 {
		var woulds []string
		for _, would := range l.Woulds {
			woulds = append(woulds, would.String())
		}
		besides += ", would have been " + strings.Join(woulds, "; ")
	}
	if len(l.Harsher) > 0 {
		besides += ", where other recipients by themselves would have met " + strings.Join(l.Harsher, "; ")
	}
	if l.Paused {
		besides += ", for everything was accepted in a pause"
	}
	return done, besides
}

// recipients names whom a decision is about: one, or those of the message who met nothing of their own.
func (w *words) recipients() string {
	rec := w.x.Record
	if i := w.x.Line; i != nil && i.Recipient >= 0 {
		return "<" + rec.Recipients[i.Recipient].Address + ">"
	}
	var shared []string
	for i, one := range rec.Recipients {
		if !one.Refused && lineOver(rec.Lines, i) == nil {
			shared = append(shared, one.Address)
		}
	}
	if shared == nil {
		for _, one := range rec.Recipients {
			shared = append(shared, one.Address)
		}
	}
	n := len(shared)
	if n == len(rec.Recipients) {
		n += rec.Dropped // those that were not kept
	}
	switch n {
	case 0:
		return "nobody yet"
	case 1:
		return "<" + shared[0] + ">"
	default:
		return fmt.Sprintf("<%s> and %d more", shared[0], n-1)
	}
}

func clientWords(rec *history.Record) string {
	addr, name := rec.Client.Addr, rec.Client.Name
	if rec.Message != nil && rec.Message.HopAddr.IsValid() {
		return fmt.Sprintf("%s (%s) by way of the relay %s", rec.Message.HopAddr, dashed(rec.Message.HopName), addr)
	}
	switch {
	case !addr.IsValid():
		return "this machine"
	case rec.Sender.User != "":
		return fmt.Sprintf("%s (user %s)", addr, rec.Sender.User)
	}
	return fmt.Sprintf("%s (%s)", addr, dashed(name))
}

func dashed(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func (w *words) because() string {
	l := w.x.Line
	switch {
	case l == nil:
		return "no rule had decided yet"
	case l.PutOff:
		return "other rules can apply to this recipient than to the first one taken, and a message gets one answer: it comes back by itself in a transaction of its own ([recipients] mixed)"
	case l.Rule == "" && len(l.Tags) > 0:
		return "no rule decided; " + w.reasons(l.Tags[len(l.Tags)-1])
	case l.Rule == "" && w.rule != nil:
		return "no rule decided; only watched was " + w.reasons(w.rule.Name)
	case l.Rule == "":
		return "no rule matched, so that the message is taken"
	case w.rule == nil:
		return fmt.Sprintf("rule %s, decided at %s; its condition cannot be shown: %s", l.Rule, l.Decided, w.x.Trouble)
	}
	return w.reasons(l.Rule)
}

// reasons says what a rule that was true rests on, in words and with the values.
func (w *words) reasons(name string) string {
	rule := w.x.ruleOf(name)
	if rule == nil {
		return "rule " + name
	}
	decisive := decisiveFacts(rule)
	var said, values []string
	for _, name := range decisive {
		if text := w.x.sentence(name); text != "" && !slices.Contains(said, text) {
			said = append(said, text)
		}
		values = append(values, fmt.Sprintf("%s = %q", name, w.x.Fact(name)))
	}
	text := "rule " + name + ": " + strings.Join(said, "; ")
	if len(said) == 0 {
		text = "rule " + name
	}
	if len(values) > 0 {
		text += " (" + strings.Join(values, ", ") + ")"
	}
	return text
}

// maxDecisive bounds the facts that one line names.
const maxDecisive = 8

// decisiveFacts gives the facts that a rule's truth hangs on: of the terms each of which would turn it around, or, where there is none, all.
func decisiveFacts(r *policy.RuleTrace) []string {
	var out []string
	add := func(name string) {
		if !slices.Contains(out, name) && len(out) < maxDecisive {
			out = append(out, name)
		}
	}
	for _, c := range r.Unless {
		for _, name := range c.Facts {
			add(name)
		}
	}
	if out == nil {
		for _, f := range r.Reads {
			if f.Known {
				add(f.Name)
			}
		}
	}
	return out
}

// maxChanges bounds the changes that one line names.
const maxChanges = 6

func (w *words) unless() string {
	switch {
	case w.x.Line != nil && w.x.Line.PutOff:
		return "it had come alone, or the rules named no recipient"
	case w.rule != nil && len(w.rule.Unless) > 0:
		return alternatives(w.rule.Unless)
	case w.rule != nil:
		return "several of the values above had been others at the same time"
	case w.x.Rules == nil:
		return "that cannot be told: " + dashed(w.x.Trouble)
	}
	var near []string
	for _, r := range w.x.Rules {
		if r.State == policy.NotMatched && r.Final && len(r.Unless) > 0 && r.What != "accept" && len(near) < 2 {
			near = append(near, fmt.Sprintf("%s by rule %s if %s", r.What, r.Name, alternatives(r.Unless)))
		}
	}
	if near == nil {
		return "no rule was near: for each of them several things had to be different"
	}
	return strings.Join(near, "; ")
}

func alternatives(changes []policy.Change) string {
	var out []string
	for _, c := range changes {
		if len(out) < maxChanges && !slices.Contains(out, c.Term) {
			out = append(out, c.Term)
		}
	}
	return strings.Join(out, ", or ")
}

// maxAnswers bounds the answers that one line names.
const maxAnswers = 4

func (w *words) dns() string {
	var facts []string
	switch {
	case w.rule != nil:
		facts = decisiveFacts(w.rule)
	case w.x.Line != nil && len(w.x.Line.Tags) > 0:
		for i := range w.x.Rules {
			if w.x.Rules[i].Name == w.x.Line.Tags[0] {
				facts = decisiveFacts(&w.x.Rules[i])
			}
		}
	default:
		facts = []string{"spf.result", "dmarc.result"}
	}
	if slices.Contains(facts, "dmarc.result") {
		facts = append(slices.Clone(facts), "spf.result", "dkim.result") // it rests on them
	}
	var out []string
	for _, o := range w.x.Record.Outcomes {
		if !slices.ContainsFunc(o.Facts, func(n check.Named) bool { return slices.Contains(facts, n.Name) }) {
			continue
		}
		for _, f := range o.Findings {
			for _, a := range f.Lookups {
				if text := fmt.Sprintf("%s %s: %s", a.Type, a.Name, a); len(out) < maxAnswers && !slices.Contains(out, text) {
					out = append(out, text)
				}
			}
		}
	}
	if out == nil {
		return "no DNS answer bears on it"
	}
	return strings.Join(out, "; ")
}

// limitKey gives the key under which a limit of the policy counts this record.
func (w *words) limitKey(name string) string {
	for i := range w.file.Limits {
		if l := &w.file.Limits[i]; l.Name == name {
			values := make([]string, len(l.Per))
			for n, fact := range l.Per {
				values[n] = w.x.Fact(fact)
			}
			return limit.Key(values)
		}
	}
	return ""
}
