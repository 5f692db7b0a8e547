package spf

import (
	"context"
	"fmt"

	"gatepost.example/filter/check"
	"gatepost.example/policy"
)

// NewMailFrom gives the check "spf": may this client send mail for the domain of MAIL FROM?
func NewMailFrom() check.Check { return mailFrom{} }

// NewHelo gives the check "spf-helo": may this client greet with this name?
func NewHelo() check.Check { return helo{} }

type mailFrom struct{}

type helo struct{}

// The facts that are a result.
var (
	ofSender = check.NewChoice("spf.result", words...)
	ofHelo   = check.NewChoice("helo.spf", words...)
)

// words are all results, as facts list them.
var words = []string{"pass", "fail", "softfail", "neutral", "none", "temperror", "permerror"}

// Name implements check.Check.
func (mailFrom) Name() string { return "spf" }

// Starts implements check.Check.
func (mailFrom) Starts() policy.Stage { return policy.Mail }

// Facts implements check.Check.
func (mailFrom) Facts() []policy.Fact {
	return []policy.Fact{
		{Name: "spf.result", Stage: policy.Mail, Scope: policy.OfMessage, Words: words, Trouble: policy.StringOf(string(TempError)),
			Text: "SPF of MAIL FROM; of the HELO name when MAIL FROM is empty"},
		{Name: "spf.domain", Stage: policy.Mail, Scope: policy.OfMessage, Kind: policy.KindDomain, Trouble: policy.StringOf(""),
			Text: "the domain that SPF was asked of"},
		{Name: "spf.term", Stage: policy.Mail, Scope: policy.OfMessage, Trouble: policy.StringOf(""),
			Text: "the term of the SPF record that matched, such as ip4:192.0.2.0/24 or -all; default when none did"},
	}
}

// Start implements check.Check.
func (mailFrom) Start(in *check.Input) func(context.Context) check.Outcome {
	q, r := queryOf(in), in.Resolver
	return func(ctx context.Context) check.Outcome {
		v := CheckMailFrom(ctx, r, q)
		identity := "mailfrom"
		if q.Sender == "" {
			identity = "helo"
		}
		findings := v.findings(identity)
		if q.Sender == "" { // Authentication-Results names the HELO identity once, from the other check
			findings[0].Method = ""
		}
		return check.Outcome{Findings: findings, Facts: []check.Named{
			ofSender.Of(string(v.Result)),
			{Name: "spf.domain", Value: policy.StringOf(v.Domain)},
			{Name: "spf.term", Value: policy.StringOf(v.Term)},
		}}
	}
}

// Name implements check.Check.
func (helo) Name() string { return "spf-helo" }

// Starts implements check.Check.
func (helo) Starts() policy.Stage { return policy.Helo }

// Facts implements check.Check.
func (helo) Facts() []policy.Fact {
	return []policy.Fact{{Name: "helo.spf", Stage: policy.Helo, Words: words, Trouble: policy.StringOf(string(TempError)), Text: "SPF of the HELO name"}}
}

// Start implements check.Check.
func (helo) Start(in *check.Input) func(context.Context) check.Outcome {
	q, r := queryOf(in), in.Resolver
	return func(ctx context.Context) check.Outcome {
		v := CheckHelo(ctx, r, q)
		return check.Outcome{Findings: v.findings("helo"), Facts: ofHelo.Only(string(v.Result))}
	}
}

func queryOf(in *check.Input) Query {
	return Query{Client: in.Client, Helo: in.Helo, Sender: in.Sender, Receiver: in.Receiver, Now: in.Now}
}

func (v *Verdict) findings(identity string) []check.Finding {
	f := check.Finding{
		Method: "spf", Result: string(v.Result), Code: v.Code, Identity: identity, Domain: v.Domain, Lookups: v.Lookups,
	}
	f.Detail = v.Term
	if v.Detail != "" {
		f.Detail = v.Detail
	}
	if v.Path != "" {
		f.Detail = v.Path + ": " + f.Detail
	}
	if v.Explanation != "" {
		f.Detail += fmt.Sprintf(" (the domain says: %q)", v.Explanation)
	}
	return check.Alone(f, check.Property{Type: "smtp", Name: identity, Value: v.Domain})
}
