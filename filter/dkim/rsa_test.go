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

// sameAsRSA asks crypto/rsa about a signature too, and reports whether it fits.
func sameAsRSA(t *testing.T, k *rsa.PublicKey, hash, signature []byte) bool {
	t.Helper()
	want := rsa.VerifyPKCS1v15(k, crypto.SHA256, hash, signature) == nil
	if got := readyRSA(k).verify(hash, signature); got != want {
		t.Errorf("e=%d, N=%x: %t for %x over %x; crypto/rsa: %t", k.E, k.N, got, signature, hash, want)
	}
	return want
}

// TestRSA: what crypto/rsa takes for a signature this does, and nothing else, for keys of all sizes, also odd ones.
func TestRSA(t *testing.T) {
	hash := sha256.Sum256([]byte("what is signed"))
	other := sha256.Sum256([]byte("what is not"))
	for _, size := range []int{1024, 1025, 1032, 2047, 2048, 3072, 4096} {
		key, err := rsa.GenerateKey(rand.Reader, size)
		if err != nil {
			t.Fatal(err)
		}
		signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, hash[:])
		if err != nil {
			t.Fatal(err)
		}
		k := &key.PublicKey
		if !sameAsRSA(t, k, hash[:], signature) {
			t.Errorf("%d bits: a good signature fails", size)
		}
		for i := range signature { // each byte changed
			wrong := bytes.Clone(signature)
			wrong[i] ^= 1
			if sameAsRSA(t, k, hash[:], wrong) {
				t.Errorf("%d bits: byte %d of the signature does not count", size, i)
			}
		}
		for _, wrong := range [][]byte{nil, {}, signature[1:], signature[:len(signature)-1], append([]byte{0}, signature...), make([]byte, len(signature)), k.N.Bytes(), bytes.Repeat([]byte{0xff}, k.Size())} {
			sameAsRSA(t, k, hash[:], wrong)
		}
		larger := new(big.Int).Add(new(big.Int).SetBytes(signature), k.N) // the same number to the modulus
		if larger.BitLen() <= 8*k.Size() && sameAsRSA(t, k, hash[:], larger.FillBytes(make([]byte, k.Size()))) {
			t.Errorf("%d bits: a signature above the modulus fits", size)
		}
		sameAsRSA(t, k, other[:], signature)
		for _, e := range []int{0, 1, 2, 3, 17, 65536, 1<<31 - 1, 1 << 31, -1} {
			sameAsRSA(t, &rsa.PublicKey{N: k.N, E: e}, hash[:], signature)
		}
		sameAsRSA(t, &rsa.PublicKey{N: new(big.Int).Sub(k.N, big.NewInt(1)), E: k.E}, hash[:], signature)
	}
}

// TestPaddings: what an owner of a key signs otherwise than RFC 8017 9.2 says, as forgers with e=3 do, fits for nobody.
func TestPaddings(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	hash := sha256.Sum256([]byte("what is signed"))
	good := encoded(hash[:], key.Size())
	signs := func(block []byte) []byte {
		return new(big.Int).Exp(new(big.Int).SetBytes(block), key.D, key.N).FillBytes(make([]byte, key.Size()))
	}
	if !sameAsRSA(t, &key.PublicKey, hash[:], signs(good)) {
		t.Error("the right padding fails")
	}
	for i := range good {
		for _, bit := range []byte{1, 0x80} {
			block := bytes.Clone(good)
			if block[i] ^= bit; block[0] == 0 && sameAsRSA(t, &key.PublicKey, hash[:], signs(block)) {
				t.Errorf("byte %d of the padding does not count", i)
			}
		}
	}
	short := append(bytes.Clone(good[:10]), 0) // the hash right behind a short padding, and anything behind it
	short = append(append(append(short, sha256Info...), hash[:]...), bytes.Repeat([]byte{7}, 128)...)[:key.Size()]
	withoutNull := append(bytes.Repeat([]byte{0xff}, 2), good...)[:key.Size()]
	copy(withoutNull, []byte{0, 1})
	for _, block := range [][]byte{short, withoutNull} {
		if sameAsRSA(t, &key.PublicKey, hash[:], signs(block)) {
			t.Errorf("%x fits", block)
		}
	}
}

// FuzzRSA: any key that is large enough, and any bytes as its signature, are the same to crypto/rsa.
func FuzzRSA(f *testing.F) {
	k := keys().rsa
	hash := sha256.Sum256([]byte("what is signed"))
	signature, err := rsa.SignPKCS1v15(nil, k, crypto.SHA256, hash[:])
	if err != nil {
		f.Fatal(err)
	}
	f.Add(k.N.Bytes(), k.E, hash[:], signature)
	f.Fuzz(func(t *testing.T, n []byte, e int, hash, signature []byte) {
		if size := new(big.Int).SetBytes(n).BitLen(); size < MinRSABits || size > 2*2048 {
			return
		}
		if sum := sha256.Sum256(hash); len(hash) != sha256.Size {
			hash = sum[:]
		}
		sameAsRSA(t, &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: e}, hash, signature)
	})
}

func BenchmarkRSA(b *testing.B) {
	key := keys().rsa
	hash := sha256.Sum256([]byte("what is signed"))
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, hash[:])
	if err != nil {
		b.Fatal(err)
	}
	ready := readyRSA(&key.PublicKey)
	b.Run("ready", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			ready.verify(hash[:], signature)
		}
	})
	b.Run("crypto-rsa", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, hash[:], signature)
		}
	})
}
