// Package mx asks whether a sender's domain could take a bounce: the check "mx".
//
// A domain that says it takes no mail (a null MX), or that is nowhere to be found, sends none either: its name in MAIL FROM is made up,
// or a reply to the mail would have nowhere to go.
//
// Standards: RFC 5321 (section 5.1: where mail for a domain goes), RFC 7505 (the null MX).
package mx

import (
	"context"
	"strings"

	"gatepost.example/filter/resolve"
)

// The words of the fact sender.mx.
const (
	OK        = "ok"        // mail for the domain has somewhere to go
	Null      = "null"      // the domain says that it takes no mail
	None      = "none"      // the domain does not exist, or has neither MX nor address records
	TempError = "temperror" // DNS did not say; asking again may help
)

// Codes say why a word is what it is.
const (
	CodeNullMX    = "null-mx"    // null: its only MX record is "."
	CodeBadName   = "bad-name"   // none: it is no name that DNS could hold
	CodeNoDomain  = "no-domain"  // none: the name does not exist
	CodeNoAddress = "no-address" // none: the name exists, without MX, A and AAAA records
	CodeDNS       = "dns"        // temperror: a question got no answer
)

// Result is what Verify found.
type Result struct {
	Word   string // OK, Null, None or TempError
	Code   string // "" with OK
	Detail string // for people, where DNS had trouble
}

// Verify reports whether mail for a domain has somewhere to go (RFC 5321 5.1). It asks at most three questions.
//
// A domain with MX records is OK even when none of their hosts has an address: that costs a question for each host to learn, all of
// which the domain's owner chooses, and says more about a slip than about who sends.
func Verify(ctx context.Context, r resolve.Resolver, domain string) Result {
	if strings.HasPrefix(domain, "[") { // RFC 5321 4.1.3: an address literal goes to that address
		return Result{Word: OK}
	}
	mx := r.Lookup(ctx, domain, resolve.MX)
	switch {
	case mx.Trouble():
		return Result{Word: TempError, Code: CodeDNS, Detail: mx.Detail}
	case mx.Status == resolve.BadName:
		return Result{Word: None, Code: CodeBadName}
	case mx.Status == resolve.NXDomain:
		return Result{Word: None, Code: CodeNoDomain}
	case mx.Status == resolve.Found && isNull(mx.MXs):
		return Result{Word: Null, Code: CodeNullMX}
	case mx.Status == resolve.Found:
		return Result{Word: OK}
	}
	return hasAddress(ctx, r, domain)
}

// isNull reports whether the records say that the domain takes no mail (RFC 7505 3). Where "." stands beside other records, which it
// must not, those count: the domain does name a host.
func isNull(records []resolve.Mailserver) bool {
	for _, record := range records {
		if record.Host != "" {
			return false
		}
	}
	return len(records) > 0
}

// hasAddress looks at a domain without MX records, which then is its own mail server (RFC 5321 5.1, "implicit MX").
func hasAddress(ctx context.Context, r resolve.Resolver, domain string) Result {
	result := Result{Word: None, Code: CodeNoAddress}
	for _, t := range []resolve.Type{resolve.A, resolve.AAAA} {
		a := r.Lookup(ctx, domain, t)
		if a.Status == resolve.Found {
			return Result{Word: OK}
		}
		if a.Trouble() { // the other type may still be there
			result = Result{Word: TempError, Code: CodeDNS, Detail: a.Detail}
		}
	}
	return result
}
