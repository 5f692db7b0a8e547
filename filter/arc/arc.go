// Package arc validates the chain of ARC seals that forwarders and lists put on a message: the check "arc". A chain that passes only says
// that nobody changed what its sealers wrote; whether to believe them is the admin's word (trust.arc_sealers).
//
// check.go is the check, set.go collects the header fields of each instance, chain.go validates them. Hashes and keys are those of
// package dkim (RFC 8617 reuses them).
//
// RFCs cited: RFC 8617 (ARC), RFC 6376 (DKIM), RFC 8601 (result words).
package arc

// Result is the chain validation status (RFC 8617 4.4).
type Result string

// The results.
const (
	None Result = "none" // the message bears no ARC fields
	Pass Result = "pass" // the whole chain validates
	Fail Result = "fail" // it does not: see the code
)

// Codes say why a chain fails.
const (
	CodeStructure = "structure"    // instances missing, double or out of range (RFC 8617 5.2)
	CodeSyntax    = "syntax"       // a field cannot be read
	CodeSaidFail  = "said-fail"    // a sealer itself found the chain broken: cv=fail
	CodeBody      = "body-changed" // the newest message signature's body hash differs
	CodeMessage   = "header-changed"
	CodeSeal      = "seal-broken"
	CodeKey       = "key"     // a key record is missing or cannot be used
	CodeDNS       = "dns"     // no answer for a key record
	CodeTimeout   = "timeout" // the time was up before the body or a key was there
)

// MaxInstance is the largest instance number (RFC 8617 4.2.1).
const MaxInstance = 50
