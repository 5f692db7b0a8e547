package dkim

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"hash"
	"hash/maphash"
	"math/bits"
	"slices"
	"time"

	"gatepost.example/filter/message"
)

// Signed gives the SHA-256 over the signed fields of a signature (RFC 6376 3.7): those that h= names, and the signature field itself
// without the value of b=.
type Signed struct {
	h     *message.Header
	seed  maphash.Seed
	names []signedName // by the hash of a lower-case name, the next free place where its own is taken
	above []int32      // by field: the next one of its name towards the top, -1 for none
	round int32        // the number of the signature that is hashed
	spent int

	sum    hash.Hash
	buffer []byte // the canonical form of one field
}

// signedName is a name that fields of the header have.
type signedName struct {
	hash  uint64
	last  int32 // the last field of the name
	next  int32 // the one that the signature of the round takes next, -1 when it has taken all
	round int32 // 0 for a free place
}

// NewSigned prepares the fields of a header for any number of signatures.
func NewSigned(h *message.Header) *Signed {
	s := newSigned()
	s.prepare(h)
	return s
}

func newSigned() *Signed { return &Signed{seed: maphash.MakeSeed(), sum: sha256.New()} }

// prepare takes the fields of a header in the place of those of another.
func (s *Signed) prepare(h *message.Header) {
	s.h, s.spent, s.round = h, 0, 1
	places := 1 << bits.Len(uint(len(h.Fields))) // more than there are fields
	s.names = slices.Grow(s.names[:0], places)[:places]
	clear(s.names)
	s.above = slices.Grow(s.above[:0], len(h.Fields))[:len(h.Fields)]
	for i, f := range h.Fields {
		hash := s.hash(f.Bare())
		n := s.name(hash)
		if s.above[i] = -1; n.round > 0 {
			s.above[i] = n.last
		}
		*n = signedName{hash: hash, last: int32(i), round: s.round, next: int32(i)}
	}
}

// maxKept bounds what is kept of the memory that a header needed, in names and in bytes of a field.
const maxKept = 4 << 10

// forget drops all that is the header's. It reports whether what is left is worth being used again.
func (s *Signed) forget() bool {
	s.h = nil
	s.sum.Reset()
	clear(s.names)
	clear(s.buffer[:cap(s.buffer)])
	return len(s.names) <= maxKept && cap(s.buffer) <= maxKept
}

// name gives the place of the name with a hash, a free one where no field has it.
func (s *Signed) name(hash uint64) *signedName {
	for i := hash; ; i++ {
		if n := &s.names[i%uint64(len(s.names))]; n.round == 0 || n.hash == hash {
			return n
		}
	}
}

// hash gives the hash of a name in lower case, which needs no memory of its own.
func (s *Signed) hash(name string) uint64 {
	var lower [64]byte
	if len(name) <= len(lower) {
		return maphash.Bytes(s.seed, lowered(&lower, name))
	}
	var h maphash.Hash
	h.SetSeed(s.seed)
	for len(name) > 0 {
		part := lowered(&lower, name)
		h.Write(part)
		name = name[len(part):]
	}
	return h.Sum64()
}

// lowered puts as much of a name as there is room for into room, in lower case.
func lowered(room *[64]byte, name string) []byte {
	part := room[:copy(room[:], name)]
	for i, c := range part {
		if c >= 'A' && c <= 'Z' {
			part[i] = c | 0x20
		}
	}
	return part
}

// Hash gives the hash for the signature that stands in field number self of the header. It reports false when all signatures together
// would hash over MaxSigned bytes.
func (s *Signed) Hash(names []string, c message.Canon, self int) ([]byte, bool) {
	s.sum.Reset()
	s.round++
	for _, name := range names {
		at := s.take(s.hash(name), int32(self))
		if at < 0 {
			continue
		}
		f := s.h.Fields[at]
		if s.spent += len(f.Name) + len(f.Value); s.spent > MaxSigned {
			return nil, false
		}
		s.buffer = message.AppendField(s.buffer[:0], c, f, false)
		s.sum.Write(s.buffer)
	}
	own := s.h.Fields[self]
	own.Value = Unsigned(own.Value)
	s.buffer = message.AppendField(s.buffer[:0], c, own, true)
	s.sum.Write(s.buffer)
	return s.sum.Sum(nil), true
}

// take gives the next field of a name, from the bottom up, -1 for none: a name without one more signs its absence (RFC 6376 5.4.2). The
// signature's own field was not there when it was made.
func (s *Signed) take(name uint64, self int32) int32 {
	n := s.name(name)
	if n.round == 0 {
		return -1
	}
	if n.round != s.round {
		n.round, n.next = s.round, n.last
	}
	at := n.next
	if at == self {
		at = s.above[at]
	}
	if n.next = -1; at >= 0 {
		n.next = s.above[at]
	}
	return at
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
