package filter

import (
	"context"
	"slices"
	"strings"
	"time"

	"gatepost.example/filter/check"
	"gatepost.example/filter/correspondent"
	"gatepost.example/filter/greylist"
	"gatepost.example/filter/limit"
	"gatepost.example/filter/reputation"
	"gatepost.example/filter/state"
	"gatepost.example/policy"
	"gatepost.example/policy/policyfile"
)

// This file is what a session asks of the memory at RCPT, and what it learns at its end.

// memoryFacts declares the facts that sessions ask of the memory themselves, because they belong to one recipient.
func memoryFacts() []policy.Fact {
	facts := []policy.Fact{
		{Name: "greylist.wait", Type: policy.Bool, Trouble: policy.BoolOf(false), Text: "this sender is to come back later; asked by rules with action greylist only"},
		{Name: "greylist.retry", Trouble: policy.StringOf(""), Text: "how long the sender is still to wait, such as 5m; empty when it need not"},
		{Name: "rcpt.relayed", Type: policy.Bool, Trouble: policy.BoolOf(false), Text: "the recipient's domain is none of ours, as learned; so for a while after the first mail"},
	}
	for i := range facts {
		facts[i].Stage, facts[i].Scope = policy.Rcpt, policy.OfRecipient
	}
	return facts
}

// clock gives the time of the message, or of the connection before MAIL.
func (s *Session) clock() time.Time {
	if s.msg != nil {
		return s.msg.now
	}
	return s.conn.now
}

func (s *Session) id() string {
	if s.msg != nil {
		return s.msg.id
	}
	return s.conn.id
}

// publishMemory makes a fact known that rests on the memory or on others.
func (s *Session) publishMemory(name string, v policy.Value, at policy.Stage) {
	s.conn.evidence.Publish(name, v, at)
}

// greylist asks for greylist.wait where a rule waits for nothing else, and walks on.
func (s *Session) greylist(w *policy.Walk) {
	e := s.conn.evidence
	for waits := w.GreylistWaits(); len(waits) > 0 && s.publishAwaited(waits, policy.Rcpt); waits = w.GreylistWaits() {
		w.Step(e, policy.Rcpt)
	}
	if !w.Greylists() {
		return
	}
	s.publishAwaited([]string{"spf.result"}, policy.Rcpt)
	domain := ""
	if e.Text("spf.result") == "pass" {
		domain = e.Text("spf.domain")
	}
	if s.past != nil {
		s.past.greylist(s)
		s.advance(policy.Rcpt, w, w.Step)
		return
	}
	key := greylist.Key(e.Text("client.network"), domain, e.Text("sender.address"), e.Text("rcpt.address"))
	seen := s.remember([]state.Step{greylist.Look(key)}, &s.room.results)[0]
	wait, visit := s.settings.Greylist.Judge(key, seen, seen.At)
	s.remember(visit, &s.room.results) // at once: it says since when the sender waits
	s.publishMemory("greylist.wait", policy.BoolOf(wait > 0), policy.Rcpt)
	s.publishMemory("greylist.retry", policy.StringOf(limit.Text(wait)), policy.Rcpt)
	s.advance(policy.Rcpt, w, w.Step)
}

// meetRecipient asks the memory about a recipient that the MTA takes, before the rules do.
func (s *Session) meetRecipient() {
	t, e := s.msg, s.conn.evidence
	if s.past != nil {
		s.past.meetRecipient(s)
		return
	}
	domain := e.Text("rcpt.domain")
	stranger := s.conn.role == roleMX && !s.conn.trusted && t.from.User == ""
	relayed := stranger && s.server.own.Any() && !s.server.own.Has(domain)
	s.publishMemory("rcpt.relayed", policy.BoolOf(relayed), policy.Rcpt)
	if relayed && s.server.own.Seasoned() {
		s.log.Warn("the MTA takes a stranger's recipient of a domain that is not known as ours: an open relay, unless the domain is new or this is a gateway",
			"domain", printable(domain), "client", s.conn.Addr.String(), "id", t.id)
	}
	if stranger {
		s.rememberLater(s.server.own.Took(domain))
	}
	o := occasion{at: policy.Rcpt}
	if !s.settings.countsNewcomers || t.from.User == "" {
		s.askLimits(o, nil, nil)
		return
	}
	asked := slices.DeleteFunc(s.readyLimits(o), func(q question) bool { return q.limit.Count == policyfile.CountFirstTime && !q.limit.Latch })
	results := s.remember(s.appendSteps([]state.Step{correspondent.LookUser(t.from.User, e.Text("rcpt.address"))}, asked), &s.room.results)
	o.newcomer = !results[0].Found
	s.askLimits(o, asked, results[1:])
}

// refuseRecipient counts a recipient that the MTA itself refused: 5.1.x is one that does not exist (RFC 3463 3.2).
func (s *Session) refuseRecipient(r Recipient) {
	if s.conn.relay {
		return
	}
	unknown := strings.HasPrefix(r.Host, "5.1.")
	if unknown {
		s.msg.unknown++
	}
	e := s.conn.evidence
	e.Forget(policy.OfRecipient) // those of the recipient before it
	s.msg.publishRecipient(e, r)
	s.askLimits(occasion{at: policy.Rcpt, refused: true, unknown: unknown}, nil, nil)
	e.Forget(policy.OfRecipient)
}

// maxLearned bounds the recipients of one message that are remembered as correspondents.
const maxLearned = 1000

// learn keeps what a message, or the part of it that there was, says for later. Our own answers are no evidence.
func (s *Session) learn(t *transaction, whole bool) {
	if s.past != nil {
		return
	}
	switch {
	case s.conn.relay: // nothing is counted
	case s.conn.role != roleMX || s.conn.trusted || t.from.User != "":
		switch {
		case t.from.User == "":
		case whole && !t.refused:
			s.remember(s.wrote(t), &s.room.results) // at once: the answer may come while the user's program still holds the session open
		case s.settings.countsNewcomers:
			s.remember(s.named(t), &s.room.results)
		}
	default:
		s.conn.putOff = s.appendEvidence(s.conn.putOff, t, whole)
		s.rememberLater(nil)
	}
}

// wrote gives what is learned from a message of a user: whom it went to.
func (s *Session) wrote(t *transaction) []state.Step {
	var steps []state.Step
	for _, recipient := range t.all {
		steps = append(steps, s.settings.Correspondents.Wrote(t.from.User, recipient)...)
	}
	return steps
}

// named gives what is learned from one that did not go: whom the user named.
func (s *Session) named(t *transaction) []state.Step {
	steps := make([]state.Step, len(t.all))
	for i, recipient := range t.all {
		steps[i] = s.settings.Correspondents.Named(t.from.User, recipient)
	}
	return steps
}

// appendEvidence adds what a stranger's message says for and against who sent it.
func (s *Session) appendEvidence(steps []state.Step, t *transaction, whole bool) []state.Step {
	set := s.settings
	ev := reputation.Evidence{IP: s.conn.ip, Network: s.conn.network, Recipients: t.count, Unknown: t.unknown, Unwanted: float64(t.unknown) * set.Signals.UnknownRecipient}
	steps = set.Reputation.AppendSteps(steps, ev) // of the recipients: they say nothing of domains
	if !whole {
		return steps
	}
	domains := reputation.Authenticated(s.foundBy("spf"), s.foundBy("dkim"))
	for i, domain := range domains {
		domains[i] = strings.Clone(domain) // it may be a part of a whole header field, and the memory may be told long after the message
	}
	signals := reputation.Evidence{IP: ev.IP, Network: ev.Network, Domains: domains}
	if set.Signals.Header != "" {
		switch verdict := strings.TrimSpace(t.header.First(set.Signals.Header)); {
		case hasPrefixFold(verdict, set.Signals.Spam):
			signals.Unwanted += set.Signals.SpamWeight
		case verdict != "":
			signals.Wanted += set.Signals.Ham
		}
	}
	if s.conn.evidence.Text("sender.correspondent") == "true" && slices.Contains(domains, t.senderDomain) {
		signals.Wanted += set.Signals.Correspondent
	}
	s.server.recent.add(Lesson{ID: t.id, IP: ev.IP, Domains: domains})
	return reputation.AppendKnows(set.Reputation.AppendSteps(steps, signals), domains)
}

// foundBy gives what an awaited check found.
func (s *Session) foundBy(name string) []check.Finding {
	if t := s.taskOf(name); t != nil && t.read != nil {
		return t.read.Findings
	}
	return nil
}

// defaultCells bounds a memory: some hundred bytes each.
const defaultCells = 1_000_000

// ownDomains gives what a memory knows of own domains.
func ownDomains(store state.Store, now time.Time) *correspondent.Own {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	entries, err := store.Entries(ctx, now, correspondent.OwnTable(), "", 1000)
	if err != nil {
		entries = nil // learned anew
	}
	return correspondent.NewOwn(entries)
}

// needs gives the facts that the limit's condition and bands rest on.
func (l *boundLimit) needs() []string {
	var out []string
	if l.When != nil {
		out = append(out, l.When.Facts()...)
	}
	if l.Banded() {
		out = append(out, "client.reputation")
	}
	return out
}

// remembers reports whether the policy asks the memory for reputations, so that evidence is worth gathering.
func (set *Settings) remembers() bool {
	for _, name := range []string{"client.reputation", "signer.reputation", "author.reputation"} {
		if set.wanted[set.owner[name].check] {
			return true
		}
	}
	return false
}

func hasPrefixFold(text, prefix string) bool {
	return len(text) >= len(prefix) && strings.EqualFold(text[:len(prefix)], prefix)
}
