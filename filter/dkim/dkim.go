// Package dkim verifies DKIM signatures as a message streams by: the check "dkim".
//
// check.go is the check, verify.go the verification of one signature, signature.go and key.go read the signature field and the key
// record, tags.go the tag lists that both are made of. Body hashes come from package message, once for each distinct canonicalization and
// length over all signatures; keys are fetched while the body is still coming.
//
// RFCs cited: RFC 6376 (DKIM), RFC 8301 (algorithms and key sizes), RFC 8463 (Ed25519), RFC 8601 (result words), RFC 6008 (header.b),
// RFC 8616 (internationalized names).
package dkim

// Result is the outcome of one signature, or of all together, in the words of RFC 8601 2.7.1.
type Result string

// The results.
const (
	None      Result = "none"      // the message bears no signature
	Pass      Result = "pass"      // the signature verifies and is acceptable
	Fail      Result = "fail"      // the signed bytes were changed, or never signed by this key
	Policy    Result = "policy"    // it verifies, but is not acceptable: see the code
	Neutral   Result = "neutral"   // the signature was not tried
	TempError Result = "temperror" // DNS gave no answer; trying again may help
	PermError Result = "permerror" // it can never be verified: no key, bad syntax
)

// Codes say why a signature has its result.
const (
	CodeBodyChanged    = "body-changed"     // fail: the body's hash differs (RFC 6376 3.7)
	CodeHeaderChanged  = "header-changed"   // fail: the signature does not fit the signed fields
	CodeNoKey          = "no-key"           // permerror: there is no key record
	CodeKeySyntax      = "key-syntax"       // permerror: the key record cannot be read
	CodeKeyRevoked     = "key-revoked"      // permerror: the key record's p= is empty (RFC 6376 3.6.1)
	CodeKeyMismatch    = "key-mismatch"     // permerror: the key record forbids this use: h=, k=, s=, t=s
	CodeKeyShort       = "key-too-short"    // policy: RSA under 1,024 bits (RFC 8301 3.2)
	CodeKeyLong        = "key-too-long"     // policy: RSA over 8,192 bits
	CodeTesting        = "testing"          // neutral: it failed and its key record says t=y (RFC 6376 3.6.1)
	CodeAlgorithm      = "algorithm"        // permerror: rsa-sha1 (RFC 8301 3.1), or an algorithm nobody knows
	CodeSyntax         = "syntax"           // permerror: the signature field cannot be read
	CodeNoFrom         = "from-not-signed"  // permerror: h= does not name From (RFC 6376 5.4)
	CodeIdentity       = "identity"         // permerror: i= is not within d= (RFC 6376 3.5)
	CodeExpired        = "expired"          // policy: x= has passed (RFC 6376 3.5)
	CodeFuture         = "from-the-future"  // policy: t= is to come
	CodeBeyondLength   = "beyond-length"    // policy: the body goes on behind l= (RFC 6376 8.2)
	CodeLengthTooLong  = "length-too-long"  // permerror: l= is larger than the body (RFC 6376 3.5)
	CodeDNS            = "dns"              // temperror: no answer for the key record
	CodeTimeout        = "timeout"          // temperror: the time was up before the body or the key was there
	CodeTooMany        = "too-many"         // neutral: more signatures than MaxSignatures
	CodeManyNames      = "too-many-names"   // permerror: h= has more names than MaxNames
	CodeHeaderTooLarge = "header-too-large" // permerror: the header was cut, so that nothing over it can be verified
)

// Bounds on hostile input.
const (
	MaxSignatures = 20      // tried for one message; the others are one neutral finding
	MaxNames      = 1000    // in h=
	MaxSigned     = 4 << 20 // bytes of canonicalized header that all signatures of a message may hash together
	MinRSABits    = 1024    // RFC 8301 3.2
	MaxRSABits    = 8192    // RFC 8301 3.2 asks for 4,096; larger ones cost milliseconds each
)
