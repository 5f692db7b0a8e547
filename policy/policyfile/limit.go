package policyfile

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatepost.example/policy"
)

// Limit is one [[limit]]: how many events of a kind may come from one key, and the fact over.NAME that says whether the next one exceeds.
type Limit struct {
	Name   string
	Count  Count
	Per    []string // facts whose values together are the key
	Rate   [Bands]Rate
	Burst  [Bands]float64
	AtMost int // open sessions, where Count is sessions; else 0
	Latch  bool
	When   *policy.Condition // nil for always

	Stage policy.Stage // at which over.NAME is read first
	Scope policy.Scope
	when  string
}

// Banded reports whether rates or bursts depend on the client's reputation.
func (l *Limit) Banded() bool {
	for i := range l.Rate {
		if l.Rate[i] != l.Rate[0] || l.Burst[i] != l.Burst[0] {
			return true
		}
	}
	return false
}

// Rate is how many events drain in what time.
type Rate struct {
	Events float64
	Per    time.Duration
}

// Second gives the events that drain in a second.
func (r Rate) Second() float64 { return r.Events / r.Per.Seconds() }

// Bands is the number of bands of reputation; BandNames are their words, as rates and bursts are indexed.
const Bands = 5

// BandNames gives the words of the bands, best known first.
func BandNames() [Bands]string { return [Bands]string{"good", "neutral", "new", "poor", "bad"} }

// Count is the kind of events that a limit counts.
type Count string

// The words of count.
const (
	CountConnections Count = "connections"
	CountSessions    Count = "sessions"
	CountMessages    Count = "messages"
	CountRecipients  Count = "recipients"
	CountUnknown     Count = "unknown_recipients"
	CountRefused     Count = "refused_recipients"
	CountFirstTime   Count = "first_time_recipients"
	CountBytes       Count = "bytes"
	CountBounces     Count = "bounces"
)

// OfRecipients reports whether the events are recipients that the MTA takes.
func (c Count) OfRecipients() bool {
	return c == CountRecipients || c == CountFirstTime || c == CountBounces
}

// maxLimits bounds the limits: each costs a step of the memory for every session.
const maxLimits = 50

// allLimits reads [[limit]].
func (d *decoder) allLimits(f *File, tables []table, value any) {
	for i, values := range d.group("limit", value) {
		l, path := Limit{}, item("limit", i)
		d.keys(tables, table{"limit", []key{
			{"name", text(&l.Name, limitName)},
			{"count", word(&l.Count, CountConnections, CountSessions, CountMessages, CountRecipients, CountUnknown, CountRefused, CountFirstTime, CountBytes, CountBounces)},
			{"per", array(&l.Per, false, factText)},
			{"rate", rates(&l.Rate)},
			{"burst", bursts(&l.Burst)},
			{"at_most", number(&l.AtMost, 1, 1_000_000)},
			{"latch", flag(&l.Latch)},
			{"when", text(&l.when, anyText)},
		}}, path, values)
		d.completeLimit(f, &l, path)
		if l.when != "" {
			f.source.Conditions = append(f.source.Conditions, policy.ConditionSource{
				Path: join(path, "when"), Name: fmt.Sprintf("limit %q: when", l.Name), Expr: l.when,
			})
		}
		f.Limits = append(f.Limits, l)
	}
	if len(f.Limits) > maxLimits {
		d.wrong("limit", "there are %d limits, each of which is asked in every session; at most %d", len(f.Limits), maxLimits)
	}
}

// completeLimit looks at what must be there and what must fit together.
func (d *decoder) completeLimit(f *File, l *Limit, path string) {
	bad := func(key string) bool { return d.badBelow(join(path, key)) }
	switch {
	case l.Name == "" && !bad("name"):
		d.wrong(path, "it has no name; its fact is over.NAME: name = \"client_messages\"")
	case slices.ContainsFunc(f.Limits, func(other Limit) bool { return other.Name == l.Name && l.Name != "" }):
		d.wrong(join(path, "name"), "another limit has this name; choose a different one")
	}
	if l.Count == "" && !bad("count") {
		d.wrong(path, "it does not say what it counts: count = \"messages\"")
	}
	if len(l.Per) == 0 && !bad("per") {
		d.wrong(path, "it does not say whose events it counts: per = [\"client.network\"]")
	}
	hasRate := l.Rate[0].Per > 0
	switch {
	case bad("rate") || bad("at_most") || bad("count"):
	case l.Count == CountSessions && (l.AtMost == 0 || hasRate):
		d.wrong(path, "open sessions have at_most = 50 in place of a rate")
	case l.Count != CountSessions && l.AtMost > 0:
		d.wrong(join(path, "at_most"), "only open sessions have it (count = \"sessions\"); write rate = \"600/1h\"")
	case l.Count != CountSessions && !hasRate:
		d.wrong(path, "it has no rate; write how many in what time: rate = \"600/1h\"")
	}
	for i := range l.Burst {
		if l.Burst[i] == 0 {
			l.Burst[i] = l.Rate[i].Events
		}
	}
}

// limits finds out from when each limit can be read, and gives the vocabulary with their facts.
func (d *decoder) limits(f *File, base *policy.Vocabulary) *policy.Vocabulary {
	for i := range f.Limits {
		f.Limits[i].stages(base)
	}
	guess, err := policy.NewVocabulary(base.Facts(), overFacts(f.Limits))
	if err != nil {
		return base // a name that is none was reported
	}
	conditions := policy.Conditions(guess, f.withTables())
	next := 0
	for i := range f.Limits {
		l := &f.Limits[i]
		d.keysOf(l, base, item("limit", i))
		if l.when == "" {
			continue
		}
		if c := conditions[next]; c != nil {
			l.after(c.Stage(), c.Scope())
			at := join(item("limit", i), "when")
			if slices.ContainsFunc(c.Facts(), func(name string) bool { return strings.HasPrefix(name, "over.") }) {
				d.wrong(at, "a limit cannot ask for another one; leave over.* out")
			}
			for _, name := range c.Facts() {
				if fact, known := base.Fact(name); known {
					d.fits(l, fact, at)
				}
			}
		}
		next++
	}
	final, err := policy.NewVocabulary(base.Facts(), overFacts(f.Limits))
	if err != nil {
		return base
	}
	return final
}

// keysOf looks at the facts of the key.
func (d *decoder) keysOf(l *Limit, base *policy.Vocabulary, path string) {
	for i, name := range l.Per {
		fact, known := base.Fact(name)
		at := item(join(path, "per"), i)
		switch {
		case !known:
			near := nearest(name, namesOf(base))
			if near != "" {
				near = fmt.Sprintf(" (did you mean %s?)", near)
			}
			d.wrong(at, "unknown fact %q%s", name, near)
		case fact.Type != policy.String:
			d.wrong(at, "%s is %s and no text; a key is made of texts, such as client.network or auth.user", name, fact.Type)
		case (l.Count == CountSessions || l.Count == CountConnections) && fact.Stage > policy.Connect:
			d.wrong(at, "%s is not known at connect, where %s are counted; use client.ip or client.network", name, l.Count)
		default:
			d.fits(l, fact, at)
		}
	}
}

// fits looks whether a fact is there for what is counted: each recipient is counted when it is named, the bytes of a message once.
func (d *decoder) fits(l *Limit, fact policy.Fact, at string) {
	switch {
	case l.Count == CountBytes && fact.Scope == policy.OfRecipient:
		d.wrong(at, "%s belongs to one recipient, and bytes are those of a whole message; count recipients by it", fact.Name)
	case (l.Count.OfRecipients() || l.Count == CountUnknown || l.Count == CountRefused) && fact.Stage == policy.Data:
		d.wrong(at, "%s is not known at RCPT, where %s are counted; count messages by it", fact.Name, l.Count)
	}
}

func namesOf(v *policy.Vocabulary) []string {
	var out []string
	for _, f := range v.Facts() {
		out = append(out, f.Name)
	}
	return out
}

// stages gives the stage and scope of over.NAME by what is counted and by the key. A message's limit is read anew for every message.
func (l *Limit) stages(base *policy.Vocabulary) {
	l.Stage, l.Scope = policy.Connect, policy.OfMessage
	switch {
	case l.Count == CountConnections || l.Count == CountSessions:
		l.Scope = policy.OfConnection
	case l.Count.OfRecipients():
		l.after(policy.Rcpt, policy.OfRecipient)
	case l.Count == CountBytes:
		l.after(policy.Data, policy.OfMessage)
	}
	for _, name := range l.Per {
		if fact, known := base.Fact(name); known {
			l.after(fact.Stage, fact.Scope)
		}
	}
}

// after makes the limit be read no earlier than a stage, in no wider scope.
func (l *Limit) after(stage policy.Stage, scope policy.Scope) {
	l.Stage, l.Scope = max(l.Stage, stage), max(l.Scope, scope)
	if l.Scope == policy.OfRecipient {
		l.Stage = max(l.Stage, policy.Rcpt)
	}
}

// overFacts declares over.NAME and over.NAME.retry of each limit.
func overFacts(limits []Limit) []policy.Fact {
	var out []policy.Fact
	declared := map[string]bool{}
	for _, l := range limits {
		if limitName(l.Name) != nil || declared[l.Name] {
			continue // reported
		}
		declared[l.Name] = true
		fact := policy.Fact{
			Name: "over." + l.Name, Type: policy.Bool, Stage: l.Stage, Scope: l.Scope, Trouble: policy.BoolOf(false),
			Text: fmt.Sprintf("limit %s: would the next of its %s exceed", l.Name, l.Count),
		}
		retry := policy.Fact{
			Name: fact.Name + ".retry", Stage: l.Stage, Scope: l.Scope, Trouble: policy.StringOf(""),
			Text: fmt.Sprintf("limit %s: how long until one more fits, such as 5m; empty while it does", l.Name),
		}
		out = append(out, fact, retry)
	}
	return out
}

// limitName demands what over.NAME can be.
func limitName(s string) error {
	if s == "" || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" || s[0] < 'a' {
		return fmt.Errorf("%q is no name for a limit; use lower-case letters, digits and _", s)
	}
	if slices.Contains([]string{"null", "true", "false", "in"}, s) {
		return fmt.Errorf("%q is a word of the expression language; choose another name for the limit", s)
	}
	return nil
}

func factText(s string) (string, error) { return s, nil }

// rates reads "600/1h", or one for each band.
func rates(into *[Bands]Rate) reader {
	return func(d *decoder, path string, value any) {
		d.banded(path, value, "\"600/1h\"", func(i int, at string, one any) {
			text, _ := one.(string)
			rate, err := parseRate(text)
			if err != nil {
				d.wrong(at, "%v", err)
			}
			into[i] = rate
		})
	}
}

// bursts reads 600, or one for each band.
func bursts(into *[Bands]float64) reader {
	return func(d *decoder, path string, value any) {
		d.banded(path, value, "600", func(i int, at string, one any) {
			n, ok := one.(int64)
			if !ok || n < 1 || n > maxEvents {
				d.wrong(at, "it is %s; write a whole number from 1 to %d", describe(one), int64(maxEvents))
			}
			into[i] = float64(n)
		})
	}
}

// banded reads one value for all bands, or a table with one for each.
func (d *decoder) banded(path string, value any, example string, take func(i int, at string, one any)) {
	table, isTable := value.(map[string]any)
	if !isTable {
		for i := range Bands {
			if i == 0 || !d.bad[path] {
				take(i, path, value)
			}
		}
		return
	}
	names := BandNames()
	for _, name := range d.ordered(path, table) {
		i := slices.Index(names[:], name)
		if i < 0 {
			d.wrong(join(path, name), "%q is no band of reputation; there are %s", name, listed(names[:]))
			continue
		}
		take(i, join(path, name), table[name])
	}
	for _, name := range names {
		if _, there := table[name]; !there && !d.badBelow(path) {
			d.wrong(path, "band %s is missing; write all of %s, or one value for all: %s", name, listed(names[:]), example)
		}
	}
}

// maxEvents bounds a rate and a burst.
const maxEvents = 1 << 50

// parseRate reads "600/1h"; bytes may be written as "200MB/1d".
func parseRate(s string) (Rate, error) {
	wrong := fmt.Errorf("%q is no rate; write how many in what time, such as \"600/1h\" or \"500/1d\"", s)
	amount, per, found := strings.Cut(s, "/")
	if !found {
		return Rate{}, wrong
	}
	unit := 1.0
	for name, size := range map[string]float64{"kB": 1e3, "MB": 1e6, "GB": 1e9} {
		if n, ok := strings.CutSuffix(amount, name); ok {
			amount, unit = n, size
		}
	}
	n, err := strconv.ParseUint(strings.TrimSpace(amount), 10, 50)
	t, wrongTime := ParseLong(strings.TrimSpace(per))
	if err != nil || wrongTime != nil || n == 0 || t < time.Second || t > 400*24*time.Hour {
		return Rate{}, wrong
	}
	return Rate{Events: float64(n) * unit, Per: t}, nil
}
