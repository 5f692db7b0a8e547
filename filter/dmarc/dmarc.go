// Package dmarc asks whether the author domain of a message is authenticated, and what its owner wants done if not: the check "dmarc".
//
// check.go is the check, discover.go finds the policy and organizational domains by DNS tree walk, record.go reads records, evaluate.go
// compares what SPF and DKIM found with the author domain. The public suffix list is used nowhere.
//
// RFCs cited: RFC 9989 (DMARC), RFC 8601 (result words), RFC 3986 (URIs).
package dmarc

// Result is a DMARC result (RFC 8601 2.7; RFC 9989 4.6).
type Result string

// The results.
const (
	None      Result = "none"      // no policy applies: no record, or not exactly one author domain
	Pass      Result = "pass"      // an authenticated domain is aligned with the author domain
	Fail      Result = "fail"      // none is
	TempError Result = "temperror" // DNS owes an answer that could have changed the result
	PermError Result = "permerror" // the author domain's own record is no valid one
)

// Codes say why.
const (
	CodeNoRecord       = "no-record"       // none
	CodeNoAuthor       = "no-author"       // none: no author domain that can be read
	CodeSeveralAuthors = "several-authors" // none: more than one author domain, or From field
	CodeBadRecord      = "bad-record"      // permerror: no valid p and no rua
	CodeDNS            = "dns"             // temperror: the policy's question has no answer
	CodeAuthentication = "authentication"  // temperror: SPF or DKIM of an aligned domain has no answer
)
