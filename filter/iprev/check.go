package iprev

import (
	"context"

	"gatepost.example/filter/check"
	"gatepost.example/filter/resolve"
	"gatepost.example/policy"
)

// none is the fact's value for a client without an address, such as mail from this machine. It is no result of RFC 8601: there is
// nothing to judge, so there is no finding either.
const none = "none"

var words = check.NewChoice("client.iprev", Pass, Fail, PermError, TempError, none)

// iprev is the check. It holds nothing, so one value serves all sessions.
type iprev struct{}

// New gives the check "iprev".
func New() check.Check { return iprev{} }

// Name is the check's word.
func (iprev) Name() string { return "iprev" }

// Starts when the client connects: its address is all that is needed.
func (iprev) Starts() policy.Stage { return policy.Connect }

// Facts declares what rules can read.
func (iprev) Facts() []policy.Fact {
	return []policy.Fact{{
		Name:    "client.iprev",
		Type:    policy.String,
		Stage:   policy.Connect,
		Scope:   policy.OfConnection,
		Words:   words.Words(),
		Trouble: policy.StringOf(TempError),
		Text:    "does a name of the client's address lead back to it: pass, fail, permerror (no name), temperror, none (no address)",
	}}
}

// Start takes what it needs out of the session and leaves the asking to the work it gives back.
func (iprev) Start(in *check.Input) func(context.Context) check.Outcome {
	ip, address, resolver := in.Client, in.ClientIP, in.Resolver
	return func(ctx context.Context) check.Outcome {
		if !ip.IsValid() {
			return check.Outcome{Facts: words.Only(none)}
		}
		ledger := resolve.NewLedger(resolver)
		result := Verify(ctx, ledger, ip)
		f := check.Finding{
			Method:  "iprev",
			Result:  result.Word,
			Code:    result.Code,
			Domain:  result.Name,
			Detail:  result.Detail,
			Lookups: ledger.Answers(),
		}
		property := check.Property{Type: "policy", Name: "iprev", Value: address} // RFC 8601 2.7.3
		return check.Outcome{Facts: words.Only(result.Word), Findings: check.Alone(f, property)}
	}
}
