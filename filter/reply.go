package filter

import (
	"fmt"
	"slices"
	"strings"

	"gatepost.example/filter/authres"
	"gatepost.example/filter/check"
	"gatepost.example/filter/message"
	"gatepost.example/policy"
)

// This file is the only one that turns a decision into what the MTA is told.

// Verb is what a response asks of the MTA.
type Verb uint8

// The verbs.
const (
	GoOn    Verb = iota // go on with the session
	Refuse              // say Code, Enhanced and Text to the client
	Discard             // take the message and drop it
)

// Response is the answer to one milter event.
type Response struct {
	Verb     Verb
	Code     int
	Enhanced string
	Text     string
}

// Continue lets the session go on.
var Continue = Response{}

// String gives the response as the SMTP client sees it.
func (r Response) String() string {
	switch r.Verb {
	case Refuse:
		return fmt.Sprintf("%d %s %s", r.Code, r.Enhanced, r.Text)
	case Discard:
		return "discard"
	}
	return "continue"
}

// Edits is what the MTA is to change in a message that passes: first the deletions in their order, then the insertions.
type Edits struct {
	Delete []Deletion
	Insert []policy.Field // from the top of the message down
	Hold   string         // why the message goes to the hold queue; "" when it does not
}

// Deletion names a field by its name and its number among those of that name, from 1 at the top.
type Deletion struct {
	Name  string
	Index int
}

// speak encodes a refusal and logs it. What its placeholders stand for is awaited, where this stage can deliver it.
func (s *Session) speak(d policy.Decision, at policy.Stage, id, recipient string) Response {
	s.publishAwaited(d.Reply.Facts(), at)
	text := d.Reply.Fill(s.conn.evidence, id, s.settings.Footer)
	s.record(Record{ID: id, Decision: d, Spoken: at.String(), Recipient: recipient, Text: text})
	return Response{Refuse, d.Reply.Code, d.Reply.Enhanced, text}
}

// putOff answers a recipient of another class than the first taken one (RFC 3463: 4.5.3 too many recipients).
func (s *Session) putOff(id, recipient string) Response {
	text := "This recipient has rules of its own; send it in a transaction of its own (id " + id + ")"
	s.record(Record{ID: id, Spoken: policy.Rcpt.String(), Recipient: recipient, PutOff: true, Text: text})
	return Response{Refuse, 452, "4.5.3", text}
}

// spamFlag is what a refusal becomes where refusing is wrong.
var spamFlag = policy.Field{Name: "X-Spam-Flag", Value: "YES"}

// conclude encodes the decision over a whole message.
func (s *Session) conclude(t *transaction) (Response, Edits) {
	ends := t.recipients.Ends()
	d, _ := ends.Decision()
	s.decidesBy(ends)
	l := Record{ID: t.id, Decision: d, Spoken: policy.Data.String(), Woulds: ends.Woulds(), Harsher: t.recipients.Harsher()}
	tags := ends.Tags(s.conn.evidence, t.id)
	for _, tag := range tags {
		l.Tags = append(l.Tags, tag.Rule)
	}
	edits := Edits{}
	takes := d.Action == policy.None || d.Action == policy.Accept
	switch {
	case takes:
	case s.onlyWatches():
		l.Spoken = "none"
		if d.Spoken < policy.Data {
			l.After = d.Spoken.String()
		}
		l.Woulds = append(l.Woulds, policy.Would{Rule: d.Rule, What: d.What(), Decided: d.Decided, Spoken: d.Spoken})
	case d.Refuses() && s.cannotRefuse():
		l.Instead = "tag"
		tags = append(tags, spamFlag)
		if s.settings.Hold {
			l.Instead, edits.Hold = "hold", holdReason(d, t.id)
		}
	case d.Refuses():
		return s.speak(d, policy.Data, t.id, ""), edits
	case d.Action == policy.Discard:
		s.record(l)
		return Response{Verb: Discard}, edits
	case d.Action == policy.Quarantine:
		edits.Hold = holdReason(d, t.id)
	}
	s.edit(t, &edits, tags, l.Woulds)
	s.record(l)
	return Continue, edits
}

// maxDeletions bounds the fields that are removed from a message. Postfix goes through the header from its top for each: 20,000 of them, in a message
// of 300 KB, kept it busy for 35 s and ended in an error. What has more is no honest mail, and nobody is to read it as it is.
const maxDeletions = 1000

func holdReason(d policy.Decision, id string) string {
	return fmt.Sprintf("gatepost rule %s (id %s)", d.Rule, id)
}

// Names of the fields that are ours alone.
const (
	fieldResults = "Authentication-Results"
	fieldSPF     = "Received-SPF"
	fieldID      = "Gatepost-Id"
	fieldWould   = "X-Gatepost-Would"
)

// edit fills in what is removed from and added to a message that passes.
func (s *Session) edit(t *transaction, edits *Edits, tags []policy.Field, woulds []policy.Would) {
	if s.past != nil {
		return
	}
	id := s.settings.authservID(s.conn.MTA)
	edits.Delete = s.deletions(t, id, tags)
	if n := len(edits.Delete); n > maxDeletions {
		s.log.Warn("a message has more forged fields than can be removed; it is held", "id", t.id, "fields", n)
		edits.Delete = edits.Delete[n-maxDeletions:] // those at the top
		edits.Hold = fmt.Sprintf("gatepost: %d forged fields (id %s)", n, t.id)
	}
	edits.Insert = make([]policy.Field, 0, 3+len(woulds)+len(tags))
	if s.printsResults() {
		t.findings = s.appendFindings(t.findings[:0])
		findings := t.findings
		t.results = authres.AppendFindings(t.results[:0], withoutSilentHelo(findings))
		edits.Insert = append(edits.Insert, policy.Field{Name: fieldResults, Value: authres.Format(authres.Field{ID: id, Results: t.results})})
		if s.settings.ReceivedSPF {
			edits.Insert = append(edits.Insert, s.receivedSPF(findings, id)...)
		}
	}
	edits.Insert = append(edits.Insert, policy.Field{Name: fieldID, Value: t.id})
	for _, w := range woulds {
		edits.Insert = append(edits.Insert, policy.Field{Name: fieldWould, Value: w.String()})
	}
	edits.Insert = append(edits.Insert, tags...)
}

// withoutSilentHelo leaves out a HELO name that publishes no SPF record where MAIL FROM has a result: it says nothing, and later filters
// that look for one spf result would find two. It changes the slice.
func withoutSilentHelo(findings []check.Finding) []check.Finding {
	sender := slices.ContainsFunc(findings, func(f check.Finding) bool { return f.Method == "spf" && f.Identity == "mailfrom" })
	if !sender {
		return findings
	}
	return slices.DeleteFunc(findings, func(f check.Finding) bool {
		return f.Method == "spf" && f.Identity == "helo" && f.Result == "none"
	})
}

// receivedSPF gives the Received-SPF field of the identity that counts (RFC 7208 9.1).
func (s *Session) receivedSPF(findings []check.Finding, receiver string) []policy.Field {
	client, _, helo := s.who()
	for _, f := range findings {
		if f.Check != "spf" {
			continue
		}
		return []policy.Field{{Name: fieldSPF, Value: authres.ReceivedSPF(authres.SPF{
			Result: f.Result, Client: client.String(), Sender: s.msg.from.Address, Helo: helo, Receiver: receiver,
			Identity: f.Identity, Mechanism: s.conn.evidence.Text("spf.term"),
		})}}
	}
	return nil
}

// deletions finds the fields that only we may write: Authentication-Results under our own name (RFC 8601 5), our id, and copies of what
// rules add. They go from the last to the first, so that no deletion moves the number of a later one.
func (s *Session) deletions(t *transaction, id string, tags []policy.Field) []Deletion {
	keepResults := s.conn.trusted && s.settings.KeepFromTrusted && s.conn.role == roleMX
	ours := s.settings.own
	for _, tag := range tags {
		ours = append(ours, tag.Name)
	}
	var out []Deletion
	seen := map[string]int{}
	for _, f := range t.header.Fields {
		own, results, spf := isOneOf(f.Name, ours), authres.IsName(f.Name), s.isOurSPF(f.Name)
		if !own && !results && !spf {
			continue
		}
		name := strings.ToLower(f.Name)
		seen[name]++
		forged := results && authres.Claims(f.Value, id) || spf && strings.Contains(strings.ToLower(f.Value), strings.ToLower(id))
		if own || forged && !keepResults {
			out = append(out, Deletion{f.Name, seen[name]})
		}
	}
	for name, n := range t.header.Beyond() { // nobody has read them, so none of them may be one of ours
		for i := range n {
			if isOneOf(name, ours) || (authres.IsName(name) || s.isOurSPF(name)) && !keepResults {
				out = append(out, Deletion{name, seen[name] + i + 1})
			}
		}
	}
	slices.Reverse(out)
	return out
}

// isOurSPF reports whether a field is a Received-SPF, where we write one: those that name us as their receiver are forged.
func (s *Session) isOurSPF(name string) bool {
	return s.settings.ReceivedSPF && isOneOf(name, []string{fieldSPF})
}

func isOneOf(name string, list []string) bool {
	bare := message.Field{Name: name}.Bare()
	return slices.ContainsFunc(list, func(own string) bool { return len(bare) == len(own) && strings.EqualFold(bare, own) })
}

// watches reports whether a field's name is one that may have to be removed.
func (s *Session) watches(name string) bool {
	return authres.IsName(name) || s.isOurSPF(name) || isOneOf(name, s.settings.own) || isOneOf(name, []string{spamFlag.Name})
}
