// Package helo asks whether the name that a client greets with exists: the check "helo".
//
// RFC 5321 4.1.1.1 wants the client's own name or address there. Honest servers name a host that can be found; much abuse names a
// Windows machine, or nothing that ever was. It proves nothing about who sends: RFC 5321 4.1.4 forbids to refuse mail for it alone
// where the name is merely not the client's.
//
// Standard: RFC 5321.
package helo

import (
	"context"
	"strings"

	"gatepost.example/filter/check"
	"gatepost.example/filter/resolve"
	"gatepost.example/policy"
)

// The words of the fact helo.resolves.
const (
	Yes       = "yes"       // the name has an address or a mail server, or it is an address literal
	No        = "no"        // it has none of them, or is no name that DNS could hold
	TempError = "temperror" // DNS did not say; asking again may help
)

// Verify reports whether a HELO name can be found: an A, AAAA or MX record, as reject_unknown_helo_hostname of Postfix asks. It asks
// at most three questions, and stops at the first that finds one.
func Verify(ctx context.Context, r resolve.Resolver, name string) (word, detail string) {
	if strings.HasPrefix(name, "[") { // RFC 5321 4.1.3: an address literal stands for the address
		return Yes, ""
	}
	word = No
	for _, t := range []resolve.Type{resolve.A, resolve.AAAA, resolve.MX} {
		answer := r.Lookup(ctx, name, t)
		switch {
		case answer.Status == resolve.Found:
			return Yes, ""
		case answer.Status == resolve.NXDomain, answer.Status == resolve.BadName: // true of every type (RFC 8020 2)
			return word, detail
		case answer.Trouble():
			word, detail = TempError, answer.Detail
		}
	}
	return word, detail
}

var words = check.NewChoice("helo.resolves", Yes, No, TempError)

// helo is the check. It holds nothing, so one value serves all sessions.
type helo struct{}

// New gives the check "helo".
func New() check.Check { return helo{} }

// Name implements check.Check.
func (helo) Name() string { return "helo" }

// Starts implements check.Check.
func (helo) Starts() policy.Stage { return policy.Helo }

// Facts implements check.Check.
func (helo) Facts() []policy.Fact {
	return []policy.Fact{{
		Name: "helo.resolves", Stage: policy.Helo, Words: words.Words(), Trouble: policy.StringOf(TempError),
		Text: "can the HELO name be found in DNS: yes (an A, AAAA or MX record, or an address literal), no, temperror",
	}}
}

// Start implements check.Check.
func (helo) Start(in *check.Input) func(context.Context) check.Outcome {
	name, resolver := in.Helo, in.Resolver
	return func(ctx context.Context) check.Outcome {
		ledger := resolve.NewLedger(resolver)
		word, detail := Verify(ctx, ledger, name)
		f := check.Finding{Result: word, Domain: strings.ToLower(strings.TrimSuffix(name, ".")), Detail: detail, Lookups: ledger.Answers()}
		return check.Outcome{Facts: words.Only(word), Findings: []check.Finding{f}}
	}
}
