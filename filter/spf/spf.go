// Package spf says whether a host may send mail for a domain: the checks "spf" (MAIL FROM) and "spf-helo".
//
// check.go holds the checks, evaluate.go the check_host() function, record.go reads records, macro.go expands what they hold.
// Each verdict tells the term that matched, the way of includes to it, and every question it cost.
//
// RFCs cited: RFC 7208 (SPF), RFC 5321 (SMTP), RFC 8601 (result words).
package spf

import (
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/idna"

	"gatepost.example/filter/resolve"
)

// Result is an SPF result (RFC 7208 2.6).
type Result string

// The results.
const (
	None      Result = "none"      // no domain to ask, or it publishes no record
	Neutral   Result = "neutral"   // the domain says that it says nothing
	Pass      Result = "pass"      // the host may send for the domain
	Fail      Result = "fail"      // it may not
	SoftFail  Result = "softfail"  // it probably may not
	TempError Result = "temperror" // DNS gave no answer; trying again may help
	PermError Result = "permerror" // the domain must mend its record
)

// Codes say why a verdict is none, temperror or permerror.
const (
	CodeNoDomain     = "no-domain"      // none: the identity has no domain that DNS could know (RFC 7208 4.3)
	CodeNoRecord     = "no-record"      // none: no v=spf1 record
	CodeDNS          = "dns"            // temperror
	CodeTwoRecords   = "two-records"    // permerror (RFC 7208 4.5)
	CodeSyntax       = "syntax"         // permerror (RFC 7208 4.6)
	CodeLookups      = "too-many-terms" // permerror: over 10 terms that ask DNS (RFC 7208 4.6.4)
	CodeVoid         = "too-many-voids" // permerror: over 2 empty answers (RFC 7208 4.6.4)
	CodeManyHosts    = "too-many-hosts" // permerror: an mx with over 10 hosts (RFC 7208 4.6.4)
	CodeIncludeNone  = "include-none"   // permerror: include of a domain without a record (RFC 7208 5.2)
	CodeRedirectNone = "redirect-none"  // permerror: redirect to a domain without a record (RFC 7208 6.1)
)

// Limits of RFC 7208 4.6.4.
const (
	maxTerms = 10 // terms that ask DNS, over all records
	maxVoids = 2  // questions with an empty answer
	maxHosts = 10 // names of one mx or ptr
)

// MaxQuestions bounds the questions of one identity: the record, per term its own, a macro's and those for its names, and the same once
// more for an explanation.
const MaxQuestions = 1 + maxTerms*(2+maxHosts) + 1 + maxHosts + 1

// Query is what is asked.
type Query struct {
	Client   netip.Addr
	Helo     string    // as the client said it
	Sender   string    // MAIL FROM without brackets; "" for the null sender
	Receiver string    // our name, for %{r}
	Now      time.Time // for %{t}
}

// Verdict is what came of it.
type Verdict struct {
	Result      Result
	Domain      string // that was asked about, in lower case A-labels; "" when there is none
	Term        string // the directive that matched, as written; "default" when none did
	Path        string // the includes and redirects on the way to it: "example.org include:_spf.example.net"
	Explanation string // of a fail, when the domain gives one: text of a stranger, printable ASCII
	Code        string
	Detail      string // for the log; may quote the record
	Lookups     []*resolve.Answer
}

// splitSender gives local part and domain of a sender: the last @ divides them, as a quoted local part may hold others
// (RFC 5321 4.1.2). An empty local part is postmaster (RFC 7208 4.3).
func splitSender(sender string) (local, domain string) {
	i := strings.LastIndexByte(sender, '@')
	local, domain = sender[:max(i, 0)], sender[i+1:]
	if local == "" {
		local = "postmaster"
	}
	return local, domain
}

// cleanDomain gives a domain in lower case A-labels; false for one that RFC 7208 4.3 does not let us ask about: malformed, an address
// literal, a single label. What stands in quotes or parentheses is malformed: programs disagree about where such a domain ends.
func cleanDomain(name string) (string, bool) {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if strings.ContainsFunc(name, func(r rune) bool { return r >= 0x80 }) {
		ascii, err := idna.Lookup.ToASCII(name)
		if err != nil {
			return name, false
		}
		name = strings.TrimSuffix(ascii, ".") // of a full stop in another script
	}
	return name, len(name) <= 253 && strings.Contains(name, ".") && resolve.IsHostName(name)
}
