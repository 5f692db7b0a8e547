package mx

import (
	"context"

	"gatepost.example/filter/check"
	"gatepost.example/filter/resolve"
	"gatepost.example/policy"
)

var words = check.NewChoice("sender.mx", OK, Null, None, TempError)

// mx is the check. It holds nothing, so one value serves all sessions.
type mx struct{}

// New gives the check "mx".
func New() check.Check { return mx{} }

// Name is the check's word.
func (mx) Name() string { return "mx" }

// Starts at MAIL FROM, which names the domain.
func (mx) Starts() policy.Stage { return policy.Mail }

// Facts declares what rules can read.
func (mx) Facts() []policy.Fact {
	return []policy.Fact{{
		Name:    "sender.mx",
		Type:    policy.String,
		Stage:   policy.Mail,
		Scope:   policy.OfMessage,
		Words:   words.Words(),
		Trouble: policy.StringOf(TempError),
		Text:    "can the sender's domain take mail: ok, null (it says no, RFC 7505), none (not found), temperror",
	}}
}

// Start takes the domain. Without one there is nothing to ask and no finding: the null sender takes no bounce by design, and a sender
// that is a user of this machine (root) has no domain that could be missing. Both are ok.
func (mx) Start(in *check.Input) func(context.Context) check.Outcome {
	domain, resolver := in.SenderDomain, in.Resolver
	return func(ctx context.Context) check.Outcome {
		if domain == "" {
			return check.Outcome{Facts: words.Only(OK)}
		}
		ledger := resolve.NewLedger(resolver)
		result := Verify(ctx, ledger, domain)
		return check.Outcome{Facts: words.Only(result.Word), Findings: []check.Finding{{ // without Method: Authentication-Results has no such entry
			Result:  result.Word,
			Code:    result.Code,
			Domain:  domain,
			Detail:  result.Detail,
			Lookups: ledger.Answers(),
		}}}
	}
}
