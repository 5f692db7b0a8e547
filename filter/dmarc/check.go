package dmarc

import (
	"context"
	"strings"

	"gatepost.example/filter/check"
	"gatepost.example/filter/message"
	"gatepost.example/filter/resolve"
	"gatepost.example/policy"
)

// New gives the check "dmarc". It reads what the checks "spf" and "dkim" found, and also establishes dkim.author, because only here
// organizational domains are known.
func New() check.Check { return dmarc{} }

type dmarc struct{}

// The facts that are one of few words.
var (
	results  = check.NewChoice("dmarc.result", "pass", "fail", "none", "temperror", "permerror")
	policies = check.NewChoice("dmarc.policy", "", "none", "quarantine", "reject")
	aligners = check.NewChoice("dmarc.aligned_by", "", "spf", "dkim", "both")
	ofAuthor = check.NewChoice("dkim.author", "none", "pass", "fail", "temperror")
)

// Name implements check.Check.
func (dmarc) Name() string { return "dmarc" }

// Starts implements check.Check.
func (dmarc) Starts() policy.Stage { return policy.Data }

// Facts implements check.Check.
func (dmarc) Facts() []policy.Fact {
	facts := []policy.Fact{
		{Name: "dmarc.result", Words: results.Words(), Trouble: policy.StringOf("temperror"),
			Text: "DMARC of the author domain (RFC 9989)"},
		{Name: "dmarc.policy", Words: policies.Words(), Trouble: policy.StringOf(""),
			Text: "what the author domain asks for when DMARC fails, after sp, np and t; empty without a record"},
		{Name: "dmarc.domain", Kind: policy.KindDomain, Trouble: policy.StringOf(""), Text: "the domain whose DMARC record applies"},
		{Name: "dmarc.aligned_by", Words: aligners.Words(), Trouble: policy.StringOf(""), Text: "what made DMARC pass"},
		{Name: "dkim.author", Words: ofAuthor.Words(), Trouble: policy.StringOf("temperror"),
			Text: "the best DKIM signature of the author domain: none at all is what a spoof looks like, a broken one what a forwarder leaves"},
	}
	for i := range facts {
		facts[i].Stage, facts[i].Scope = policy.Data, policy.OfMessage
	}
	return facts
}

// Start implements check.Check.
func (dmarc) Start(in *check.Input) func(context.Context) check.Outcome {
	author, resolver, findings := in.Author, in.Resolver, in.Findings
	if author.Domain != "" {
		resolve.Ahead(resolver, label+author.Domain, resolve.TXT)
	}
	return func(ctx context.Context) check.Outcome {
		ledger := resolve.NewLedger(resolver)
		w := newWalker(ctx, ledger)
		o := judge(ctx, w, author, findings)
		o.finding.Lookups = ledger.Answers()
		return o.outcome()
	}
}

// outcome is all that the check says.
type outcome struct {
	verdict
	policy  Policy
	domain  string
	signed  string // dkim.author
	finding check.Finding
}

func judge(ctx context.Context, w *walker, author message.Author, findings func(context.Context, string) []check.Finding) outcome {
	if author.Domain == "" {
		code := CodeSeveralAuthors
		if author.Fields == 0 || author.Fields == 1 && len(author.Domains) <= 1 {
			code = CodeNoAuthor
		}
		return outcome{verdict: verdict{result: None, code: code}, signed: signedByAny(ctx, w, author, findings)}
	}
	d := w.discover(author.Domain) // while SPF and DKIM are still at work
	e := evidence{spf: findings(ctx, "spf"), dkim: findings(ctx, "dkim")}
	o := outcome{policy: d.policy, domain: d.domain}
	strict := d.record != nil && d.record.StrictDKIM
	o.signed = w.signedBy(author.Domain, e.dkim, strict)
	switch d.code {
	case CodeNoRecord:
		o.verdict = verdict{result: None, code: d.code}
	case CodeBadRecord:
		o.verdict = verdict{result: PermError, code: d.code}
	case CodeDNS:
		o.verdict = verdict{result: TempError, code: d.code, detail: d.trouble.Detail}
		if e.related(author.Domain, d.family) {
			o.policy = "" // it is no spoof that the policy of a domain above would stop
		}
	default:
		o.verdict = w.evaluate(author.Domain, d, e)
	}
	o.finding.Domain = author.Domain
	return o
}

// maxAuthors bounds the author domains for which signatures are looked at when there are several: each may cost tree walks.
const maxAuthors = 4

// signedByAny gives dkim.author of a message with several author domains: the best over the first of them.
func signedByAny(ctx context.Context, w *walker, author message.Author, findings func(context.Context, string) []check.Finding) string {
	best := "none"
	for _, domain := range author.Domains[:min(len(author.Domains), maxAuthors)] {
		if !strings.Contains(domain, ".") { // one that nobody can read
			continue
		}
		if word := w.signedBy(domain, findings(ctx, "dkim"), false); best == "none" || word == "pass" {
			best = word
		}
	}
	return best
}

func (o outcome) outcome() check.Outcome {
	f := o.finding
	f.Method, f.Result, f.Code, f.Detail = "dmarc", string(o.result), o.code, o.detail
	if o.by != "" {
		f.Detail = strings.TrimSpace("aligned by " + o.by + " " + f.Detail)
	}
	from := check.Property{Type: "header", Name: "from", Value: f.Domain}
	asked := check.Property{Type: "policy", Name: "dmarc", Value: string(o.policy)}
	return check.Outcome{Findings: check.Alone(f, from, asked), Facts: []check.Named{
		results.Of(string(o.result)),
		policies.Of(string(o.policy)),
		{Name: "dmarc.domain", Value: policy.StringOf(o.domain)},
		aligners.Of(o.by),
		ofAuthor.Of(o.signed),
	}}
}
