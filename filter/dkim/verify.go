package dkim

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"strings"
	"time"

	"gatepost.example/filter/message"
)

// Signed gives the SHA-256 over the signed fields of a signature (RFC 6376 3.7): those that h= names, and the signature field itself
// without the value of b=.
type Signed struct {
	index map[string][]int // fields by lower-case name, from the top
	h     *message.Header
	spent int
}

// NewSigned prepares the fields of a header for any number of signatures.
func NewSigned(h *message.Header) *Signed {
	s := &Signed{index: map[string][]int{}, h: h}
	for i, f := range h.Fields {
		name := strings.ToLower(strings.TrimRight(f.Name, " \t"))
		s.index[name] = append(s.index[name], i)
	}
	return s
}

// Hash gives the hash for the signature that stands in field number self of the header. It reports false when all signatures together
// would hash over MaxSigned bytes.
func (s *Signed) Hash(names []string, c message.Canon, self int) ([]byte, bool) {
	h := sha256.New()
	taken := map[string]int{}
	for _, name := range names {
		at, ok := s.take(name, taken, self)
		if !ok {
			continue
		}
		f := s.h.Fields[at]
		if s.spent += len(f.Name) + len(f.Value); s.spent > MaxSigned {
			return nil, false
		}
		message.HashField(h, c, f, false)
	}
	own := s.h.Fields[self]
	own.Value = Unsigned(own.Value)
	message.HashField(h, c, own, true)
	return h.Sum(nil), true
}

// take gives the next field of a name, from the bottom up; a name without one more signs its absence (RFC 6376 5.4.2). The signature's
// own field was not there when it was made.
func (s *Signed) take(name string, taken map[string]int, self int) (int, bool) {
	fields := s.index[name]
	for {
		next := len(fields) - 1 - taken[name]
		taken[name]++
		if next < 0 {
			return 0, false
		}
		if fields[next] != self {
			return fields[next], true
		}
	}
}

// Verify reports whether a signature fits a hash.
func (k *Key) Verify(hash, signature []byte) bool {
	if k.RSA != nil {
		return rsa.VerifyPKCS1v15(k.RSA, crypto.SHA256, hash, signature) == nil
	}
	return len(signature) == ed25519.SignatureSize && ed25519.Verify(k.Ed25519, hash, signature) // RFC 8463 3: over the hash
}

// allowance is how far clocks may differ.
const allowance = 5 * time.Minute

// timely judges t= and x= at a moment.
func (s *Signature) timely(now time.Time) *Problem {
	switch {
	case s.Expires >= 0 && s.Expires < 1<<40 && now.After(time.Unix(s.Expires, 0).Add(allowance)): // RFC 6376 3.5
		return problem(CodeExpired, "it expired at %s", time.Unix(s.Expires, 0).UTC().Format(time.RFC3339))
	case s.Time > now.Add(allowance).Unix(): // RFC 6376 3.5 lets verifiers ignore such signatures
		return problem(CodeFuture, "it is dated in the future")
	}
	return nil
}

// judgeBody compares the body's hash and length.
func (s *Signature) judgeBody(sum *message.BodySum) (Result, *Problem) {
	switch {
	case sum.Short():
		return PermError, problem(CodeLengthTooLong, "l=%d, but the body has %d bytes", s.Length, sum.Length()) // RFC 6376 3.5
	case subtle.ConstantTimeCompare(sum.Digest(), s.BodyHash) != 1:
		return Fail, problem(CodeBodyChanged, "the body was changed behind the signature")
	}
	return Pass, nil
}

// judgeKey asks whether the key may be used for this signature.
func (s *Signature) judgeKey(k *Key) *Problem {
	if k.Strict && s.Within != s.Domain { // RFC 6376 3.6.1: t=s
		return problem(CodeKeyMismatch, "t=s forbids i= in a subdomain")
	}
	return nil
}

// resultOf gives the word for a problem.
func resultOf(p *Problem) Result {
	switch p.Code {
	case CodeDNS, CodeTimeout:
		return TempError
	case CodeKeyShort, CodeKeyLong, CodeExpired, CodeFuture, CodeBeyondLength:
		return Policy
	case CodeTooMany:
		return Neutral
	}
	return PermError
}
