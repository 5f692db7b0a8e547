package dkim

import (
	"bytes"
	"crypto/rsa"

	"filippo.io/bigmod"
)

// rsaKey is an RSA key made ready to verify with. crypto/rsa makes a key ready anew for each signature, which takes a quarter of the whole; here
// it is done once for as long as the key's record is in the cache. The arithmetic is crypto/rsa's own: bigmod is its package, published.
type rsaKey struct {
	modulus  *bigmod.Modulus
	exponent uint
}

// maxExponent is the largest public exponent that crypto/rsa takes.
const maxExponent = 1<<31 - 1

// readyRSA gives nil for a key that no signature can fit: the factors of a modulus, and so the exponent, are odd (RFC 8017 3.1).
func readyRSA(k *rsa.PublicKey) *rsaKey {
	if k.N.Bit(0) == 0 || k.E < 2 || k.E%2 == 0 || k.E > maxExponent {
		return nil
	}
	modulus, err := bigmod.NewModulus(k.N.Bytes())
	if err != nil {
		return nil
	}
	return &rsaKey{modulus, uint(k.E)}
}

// sha256Info stands before a SHA-256 hash in what is signed (RFC 8017 9.2, note 1).
var sha256Info = []byte{0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20}

// verify reports whether a signature fits a SHA-256 hash: RSASSA-PKCS1-v1_5 (RFC 8017 8.2.2). As there, what ought to have been signed is made and
// compared as a whole; nothing that came with the signature is parsed.
func (k *rsaKey) verify(hash, signature []byte) bool {
	if k == nil || len(signature) != k.modulus.Size() {
		return false
	}
	s, err := bigmod.NewNat().SetBytes(signature, k.modulus)
	if err != nil { // as large as the modulus
		return false
	}
	signed := bigmod.NewNat().ExpShortVarTime(s, k.exponent, k.modulus).Bytes(k.modulus)
	return bytes.Equal(signed, encoded(hash, len(signed)))
}

// encoded gives a hash as a key of a size in bytes signs it (RFC 8017 9.2): 0, 1, bytes of all ones, 0, the hash's algorithm, the hash.
func encoded(hash []byte, size int) []byte {
	out := bytes.Repeat([]byte{0xff}, size)
	info := out[size-len(sha256Info)-len(hash):]
	out[0], out[1], out[size-len(info)-1] = 0, 1, 0
	copy(info[copy(info, sha256Info):], hash)
	return out
}
