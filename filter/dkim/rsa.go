package dkim

import (
	"bytes"
	"crypto/rsa"
	"math"

	"filippo.io/bigmod"
)

// rsaKey verifies signatures by one RSA key. crypto/rsa does the same and is its oracle in tests, but works out anew for each signature what it
// needs to reduce by the key's modulus, which is a third of its time. A key stands for many messages, so here that is done once.
type rsaKey struct {
	modulus  *bigmod.Modulus
	exponent uint
}

// newRSAKey gives nil for a key by which nothing verifies.
func newRSAKey(k *rsa.PublicKey) *rsaKey {
	if k.N.Bit(0) == 0 || k.E < 2 || k.E&1 == 0 || k.E > math.MaxInt32 {
		return nil
	}
	modulus, err := bigmod.NewModulus(k.N.Bytes())
	if err != nil {
		return nil
	}
	return &rsaKey{modulus, uint(k.E)}
}

// sha256Info stands before a SHA-256 hash in what is signed (RFC 8017 9.2, note 1).
const sha256Info = "\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20"

// verify reports whether a signature is one over a SHA-256 hash (RFC 8017 8.2.2). Nothing of the signature's content is parsed: there is one form
// that it may have, and it is compared with that. All values are public, so the time may tell them.
func (k *rsaKey) verify(hash, signature []byte) bool {
	if k == nil || len(signature) != k.modulus.Size() {
		return false
	}
	s, err := bigmod.NewNat().SetBytes(signature, k.modulus)
	if err != nil { // not below the modulus
		return false
	}
	signed := bigmod.NewNat().ExpShortVarTime(s, k.exponent, k.modulus).Bytes(k.modulus)
	padding := len(signed) - 3 - len(sha256Info) - len(hash)
	if padding < 8 {
		return false
	}
	head, info, digest := signed[:2+padding], signed[2+padding:len(signed)-len(hash)], signed[len(signed)-len(hash):]
	return head[0] == 0 && head[1] == 1 && bytes.Count(head[2:], ones) == padding && string(info) == "\x00"+sha256Info && bytes.Equal(digest, hash)
}

// ones is a byte of the padding (RFC 8017 9.2).
var ones = []byte{0xff}
