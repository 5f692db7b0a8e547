package dkim

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"math/big"
	"testing"
)

// fits is what crypto/rsa says.
func fits(k *rsa.PublicKey, hash, signature []byte) bool {
	return rsa.VerifyPKCS1v15(k, crypto.SHA256, hash, signature) == nil
}

func rsaKeyOf(t testing.TB, bits int) *rsa.PrivateKey {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// encoded gives what a signature over a hash holds (RFC 8017 9.2), for keys of so many bytes.
func encoded(hash []byte, size int) []byte {
	out := append([]byte{0, 1}, bytes.Repeat([]byte{0xff}, size-3-len(sha256Info)-len(hash))...)
	return append(append(append(out, 0), sha256Info...), hash...)
}

// signRaw signs bytes as they are.
func signRaw(k *rsa.PrivateKey, bytes []byte) []byte {
	s := new(big.Int).Exp(new(big.Int).SetBytes(bytes), k.D, k.N)
	return s.FillBytes(make([]byte, k.Size()))
}

// TestRSA: what the holder of a key may sign by hand verifies only in the one form that RFC 8017 8.2.2 has, as with crypto/rsa.
func TestRSA(t *testing.T) {
	hash := sha256.Sum256([]byte("signed"))
	for _, bits := range []int{1024, 1031, 2048} {
		k := rsaKeyOf(t, bits)
		size, own := k.Size(), newRSAKey(&k.PublicKey)
		right := encoded(hash[:], size)
		change := func(at int, to byte) []byte {
			out := bytes.Clone(right)
			out[at] = to
			return out
		}
		info := size - 32 - len(sha256Info)
		short := append(append(append([]byte{0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0}, sha256Info...), hash[:]...), make([]byte, size-11-32-len(sha256Info))...)
		noNull := append([]byte{0, 1}, bytes.Repeat([]byte{0xff}, size-3-32-17)...)
		noNull = append(append(append(noNull, 0), "\x30\x2f\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x04\x20"...), hash[:]...)
		for name, content := range map[string][]byte{
			"right": right, "the first byte": change(1, 2), "of block type 0": change(1, 0), "a hole in the padding": change(20, 0), "padding of another byte": change(2, 0xfe),
			"no end of the padding": change(info-1, 0xff), "another hash function": change(info+14, 2), "another hash": change(size-1, hash[31]^1),
			"a short padding and rubbish behind": short, "no parameters": noNull,
		} {
			signature := signRaw(k, content)
			if got, want := own.verify(hash[:], signature), fits(&k.PublicKey, hash[:], signature); got != want || got != (name == "right") {
				t.Errorf("%d bits, %s: %v, crypto/rsa has %v", bits, name, got, want)
			}
		}
		good := signRaw(k, right)
		above := new(big.Int).Add(new(big.Int).SetBytes(good), k.N)
		for name, signature := range map[string][]byte{
			"empty": nil, "one byte less": good[:size-1], "one byte more": append([]byte{0}, good...), "nothing but ones": bytes.Repeat([]byte{0xff}, size),
			"the modulus": k.N.Bytes(), "zero": make([]byte, size), "not below the modulus": above.Bytes(),
		} {
			if own.verify(hash[:], signature) || fits(&k.PublicKey, hash[:], signature) {
				t.Errorf("%d bits, %s: it fits", bits, name)
			}
		}
	}
}

// TestUselessRSAKeys: nothing verifies by a key that crypto/rsa does not take, and nothing breaks.
func TestUselessRSAKeys(t *testing.T) {
	k := rsaKeyOf(t, 1024)
	hash := sha256.Sum256(nil)
	signature := signRaw(k, encoded(hash[:], k.Size()))
	even := new(big.Int).Sub(k.N, big.NewInt(1))
	for name, public := range map[string]*rsa.PublicKey{
		"an even modulus": {N: even, E: k.E}, "exponent 1": {N: k.N, E: 1}, "an even exponent": {N: k.N, E: 65536}, "a large exponent": {N: k.N, E: 1<<31 + 1}, "no modulus": {N: new(big.Int), E: 3},
	} {
		if newRSAKey(public).verify(hash[:], signature) || fits(public, hash[:], signature) {
			t.Errorf("%s: it fits", name)
		}
	}
}

// FuzzRSA: whatever stands in a signature and whatever the exponent, crypto/rsa says the same.
func FuzzRSA(f *testing.F) {
	k := rsaKeyOf(f, 1024)
	hash := sha256.Sum256([]byte("signed"))
	f.Add(encoded(hash[:], k.Size()), true, 65537)
	f.Add(signRaw(k, encoded(hash[:], k.Size())), false, 65537)
	f.Add(encoded(hash[:], k.Size()), true, 3)
	f.Fuzz(func(t *testing.T, content []byte, signs bool, exponent int) {
		signature := content
		if signs {
			signature = signRaw(k, content)
		}
		public := &rsa.PublicKey{N: k.N, E: exponent}
		if got, want := newRSAKey(public).verify(hash[:], signature), fits(public, hash[:], signature); got != want {
			t.Errorf("%x by exponent %d: %v, crypto/rsa has %v", signature, exponent, got, want)
		}
	})
}
