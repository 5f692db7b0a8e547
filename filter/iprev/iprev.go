// Package iprev asks whether a client's address has a name that leads back to the address: the check "iprev".
//
// An honest mail server has one: the owner of the network names it (a PTR record), and the owner of the name agrees (an A or AAAA
// record). A hijacked PC often has none, or one that nobody agrees with. It proves nothing about who sends; it is one sign among others.
//
// This is the smallest check, and all are built like it:
//
//	iprev.go       the standard: Verify answers the question with a resolver and nothing else
//	check.go       the contract: which fact it establishes, at which stage it starts, what the finding says
//	iprev_test.go  one line a case, asked of a zone written as text
//
// Standards: RFC 8601 (section 2.7.3 has the results, section 3 the procedure), RFC 7208 (the bound on names).
package iprev

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"gatepost.example/filter/resolve"
)

// The results of RFC 8601 2.7.3.
const (
	Pass      = "pass"      // a name of the address leads back to it
	Fail      = "fail"      // the address has names, none leads back
	PermError = "permerror" // the address has no name
	TempError = "temperror" // DNS did not say; asking again may help
)

// Codes say why a result is what it is.
const (
	CodeNoPTR        = "no-ptr"         // permerror: nobody has named the address
	CodeMismatch     = "mismatch"       // fail: no name leads back
	CodeTooManyNames = "too-many-names" // fail: none of the first maxNames names leads back, there are more
	CodeDNS          = "dns"            // temperror: a question got no answer
)

// maxNames is how many names of an address are looked at, as RFC 7208 4.6.4 bounds the same lookups: the owner of a network
// can publish thousands, each of which would cost a question.
const maxNames = 10

// MaxQuestions bounds the questions: for the names of the address, and for the addresses of each.
const MaxQuestions = 1 + maxNames

// Result is what Verify found.
type Result struct {
	Word   string // Pass, Fail, PermError or TempError
	Name   string // with Pass the name that leads back, lower case, no trailing dot
	Code   string // "" with Pass
	Detail string // for people; quotes what strangers publish: log it, never put it in a reply
}

// Verify reports whether a name of the address leads back to it (RFC 8601 3). It asks at most 1 + maxNames questions, one after the
// other, and stops at the first name that does, or when ctx ends, which gives TempError.
func Verify(ctx context.Context, r resolve.Resolver, ip netip.Addr) Result {
	ip = ip.Unmap().WithZone("")
	reverse := r.Lookup(ctx, resolve.ReverseName(ip), resolve.PTR)
	switch {
	case reverse.Trouble():
		return Result{Word: TempError, Code: CodeDNS, Detail: reverse.Detail}
	case reverse.Status != resolve.Found:
		return Result{Word: PermError, Code: CodeNoPTR, Detail: "no PTR record for " + ip.String()}
	}
	names := reverse.Hosts[:min(len(reverse.Hosts), maxNames)]
	trouble := ""
	for _, name := range names {
		forward := r.Lookup(ctx, name, addressType(ip))
		if slices.Contains(forward.Addrs, ip) {
			return Result{Word: Pass, Name: name}
		}
		if forward.Trouble() {
			trouble = forward.Detail // another name may still lead back
		}
	}
	switch {
	case trouble != "": // the name that was not answered could be the one
		return Result{Word: TempError, Code: CodeDNS, Detail: trouble}
	case len(names) < len(reverse.Hosts):
		return Result{Word: Fail, Code: CodeTooManyNames, Detail: fmt.Sprintf("%d names, none of the first %d leads back", len(reverse.Hosts), maxNames)}
	}
	return Result{Word: Fail, Code: CodeMismatch, Detail: fmt.Sprintf("none of %q leads back", names)}
}

// addressType is the type of the record that can hold the address.
func addressType(ip netip.Addr) resolve.Type {
	if ip.Is4() {
		return resolve.A
	}
	return resolve.AAAA
}
