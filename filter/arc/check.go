package arc

import (
	"context"
	"crypto"
	"slices"
	"strings"

	"gatepost.example/filter/authres"
	"gatepost.example/filter/check"
	"gatepost.example/filter/message"
	"gatepost.example/filter/resolve"
	"gatepost.example/policy"
)

const sha256Sum = crypto.SHA256

// New gives the check "arc"; sealers are the domains, in lower case A-labels, whose seals the admin trusts.
func New(sealers []string) check.Check { return arc{sealers} }

type arc struct{ sealers []string }

// Name implements check.Check.
func (arc) Name() string { return "arc" }

// Starts implements check.Check.
func (arc) Starts() policy.Stage { return policy.Data }

// Facts implements check.Check.
func (arc) Facts() []policy.Fact {
	facts := []policy.Fact{
		{Name: "arc.result", Words: []string{"none", "pass", "fail"}, Trouble: policy.StringOf("fail"), Text: "the chain of ARC seals (RFC 8617)"},
		{Name: "arc.trusted", Type: policy.Bool, Trouble: policy.BoolOf(false), Text: "the chain passes, its newest sealer is in trust.arc_sealers and signed From"},
		{Name: "arc.sealer", Kind: policy.KindDomain, Trouble: policy.StringOf(""), Text: "domain of the newest sealer of a chain that passes"},
		{Name: "arc.dmarc", Words: []string{"", "none", "pass", "fail", "temperror", "permerror"}, Trouble: policy.StringOf(""),
			Text: "what a chain that passes says of DMARC: its first sealer from which on all are trusted, or else its first; empty when it says nothing"},
	}
	for i := range facts {
		facts[i].Stage, facts[i].Scope = policy.Data, policy.OfMessage
	}
	return facts
}

// Start implements check.Check.
func (a arc) Start(in *check.Input) func(context.Context) check.Outcome {
	c := prepare(in.Header, in.Body)
	if c == nil {
		return unsealed
	}
	if c.failed == nil {
		for _, name := range c.keyNames() {
			resolve.Ahead(in.Resolver, name, resolve.TXT)
		}
	}
	header, resolver, done, sealers := in.Header, in.Resolver, in.Body.Done(), a.sealers
	return func(ctx context.Context) check.Outcome {
		var lookups []*resolve.Answer
		if c.failed == nil {
			lookups = c.fetch(ctx, resolver)
		}
		select {
		case <-done:
		case <-ctx.Done():
		}
		failed := c.validate(isClosed(done))
		if failed != nil {
			return outcome(check.Finding{Method: "arc", Result: string(Fail), Code: failed.code, Detail: failed.text, Lookups: lookups}, false, "", "")
		}
		sealer := c.seals[len(c.seals)-1].Domain
		f := check.Finding{Method: "arc", Result: string(Pass), Domain: sealer, Lookups: lookups}
		return outcome(f, c.coversFrom() && slices.Contains(sealers, sealer), sealer, dmarcOf(header, c.sets[c.believed(sealers)]))
	}
}

// unsealed is the work for a message without a chain.
func unsealed(context.Context) check.Outcome {
	return check.Outcome{Findings: []check.Finding{{Method: "arc", Result: string(None)}}, Facts: nothing}
}

// nothing is what the facts of a message without a chain say.
var nothing = facts(string(None), false, "", "")

func facts(result string, trusted bool, sealer, dmarc string) []check.Named {
	return []check.Named{
		{Name: "arc.result", Value: policy.StringOf(result)}, {Name: "arc.trusted", Value: policy.BoolOf(trusted)},
		{Name: "arc.sealer", Value: policy.StringOf(sealer)}, {Name: "arc.dmarc", Value: policy.StringOf(dmarc)},
	}
}

func isClosed(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

func outcome(f check.Finding, trusted bool, sealer, dmarc string) check.Outcome {
	return check.Outcome{Findings: []check.Finding{f}, Facts: facts(f.Result, trusted, sealer, dmarc)}
}

// keyNames gives where the key records of all signatures stand, each once.
func (c *chain) keyNames() []string {
	var names []string
	for _, s := range c.signatures() {
		if !slices.Contains(names, s.KeyName()) {
			names = append(names, s.KeyName())
		}
	}
	return names
}

// fetch asks for all key records at once.
func (c *chain) fetch(ctx context.Context, r resolve.Resolver) []*resolve.Answer {
	names := c.keyNames()
	answers := resolve.All(ctx, r, names, resolve.TXT)
	c.answers = map[string]*resolve.Answer{}
	for i, name := range names {
		c.answers[name] = answers[i]
	}
	return answers
}

// believed gives the instance, from 0, whose results are read: the first from which on the admin trusts every sealer. Anybody can put a chain of
// his own, that says what he likes, on what he sends to a list that is trusted. Without a trusted newest sealer it is the first.
func (c *chain) believed(sealers []string) int {
	i := len(c.seals)
	for i > 0 && slices.Contains(sealers, c.seals[i-1].Domain) {
		i--
	}
	if i == len(c.seals) {
		return 0
	}
	return i
}

// dmarcOf gives what the results of an instance say of DMARC. Where they say several things a fail counts: what a sealer quotes badly may be the
// words of a spoofer.
func dmarcOf(h *message.Header, instance set) string {
	_, rest, _ := strings.Cut(h.Fields[instance.results].Value, ";")
	words := slices.DeleteFunc(authres.Words(rest, "dmarc"), func(word string) bool {
		return !slices.Contains([]string{"none", "pass", "fail", "temperror", "permerror"}, word)
	})
	switch {
	case slices.Contains(words, "fail"):
		return "fail"
	case len(words) > 0:
		return words[0]
	}
	return ""
}
