package dkim

import (
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"strings"

	"gatepost.example/filter/resolve"
)

// Key is a key record, read (RFC 6376 3.6.1).
type Key struct {
	RSA     *rsa.PublicKey
	Ed25519 ed25519.PublicKey
	Strict  bool // t=s: i= must be in d= itself
	Testing bool // t=y: the domain is only trying DKIM
}

// Bits gives the size of the key.
func (k *Key) Bits() int {
	switch {
	case k.RSA != nil:
		return k.RSA.N.BitLen()
	case k.Ed25519 != nil:
		return 8 * ed25519.PublicKeySize
	}
	return 0
}

// maxRecord bounds a key record: a key of MaxRSABits has 1,400 bytes.
const maxRecord = 4096

// KeyName gives the name at which a signature's key record stands (RFC 6376 3.6.2.1).
func (s *Signature) KeyName() string { return s.Selector + "._domainkey." + s.Domain }

// KeyFrom reads the answer for a signature's key record. Of several records the first that is a usable key counts; without one, the
// first problem, with the key where there is one that only must not be used.
func (s *Signature) KeyFrom(a *resolve.Answer) (*Key, *Problem) {
	switch {
	case a.Trouble():
		return nil, problem(CodeDNS, "%s", a.Detail)
	case a.Status != resolve.Found:
		return nil, problem(CodeNoKey, "there is no key record")
	}
	read := a.Note(s.Algorithm, func() any { return readKeys(a.Texts, s.Algorithm) }).(keyRead)
	return read.key, read.wrong
}

// keyRead is what the records of an answer say for signatures of one algorithm.
type keyRead struct {
	key   *Key
	wrong *Problem
}

func readKeys(texts []string, algorithm string) keyRead {
	var first keyRead
	for _, text := range texts {
		key, wrong := ParseKey(text, algorithm)
		if wrong == nil {
			return keyRead{key: key}
		}
		if first.wrong == nil {
			first = keyRead{key, wrong}
		}
	}
	return first
}

// ParseKey reads a key record for signatures of an algorithm.
func ParseKey(text, algorithm string) (*Key, *Problem) {
	if len(text) > maxRecord {
		return nil, problem(CodeKeySyntax, "the key record has over %d bytes", maxRecord)
	}
	tags, err := ParseTags(text)
	if err != nil {
		return nil, problem(CodeKeySyntax, "%v", err)
	}
	key, kind, p, hasP := &Key{}, "rsa", "", false
	for i, t := range tags {
		switch t.Name {
		case "v":
			if i != 0 || t.Value != "DKIM1" { // RFC 6376 3.6.1: first, and exactly this
				return nil, problem(CodeKeySyntax, "v= is not DKIM1 or not first")
			}
		case "k":
			kind = strings.ToLower(t.Value)
		case "h":
			if !hasWord(t.Value, "sha256") {
				return nil, problem(CodeKeyMismatch, "h= does not allow sha256")
			}
		case "s":
			if !hasWord(t.Value, "*") && !hasWord(t.Value, "email") {
				return nil, problem(CodeKeyMismatch, "s= does not allow email")
			}
		case "t":
			key.Strict, key.Testing = hasWord(t.Value, "s"), hasWord(t.Value, "y")
		case "p":
			p, hasP = unspace(strings.ReplaceAll(t.Value, `"`, "")), true // quotes of a zone file that were pasted into a form
		}
	}
	switch {
	case !hasP:
		return nil, problem(CodeKeySyntax, "p= is missing")
	case p == "":
		return nil, problem(CodeKeyRevoked, "the key is revoked")
	case kind+"-sha256" != algorithm:
		return key, problem(CodeKeyMismatch, "k=%s does not fit a=%s", kind, algorithm)
	}
	wrong := key.decode(p, kind)
	if wrong != nil && wrong.Code == CodeKeySyntax {
		return nil, wrong
	}
	return key, wrong
}

func (k *Key) decode(p, kind string) *Problem {
	der, err := base64.StdEncoding.DecodeString(p)
	if err == nil && kind == "ed25519" {
		if len(der) != ed25519.PublicKeySize { // RFC 8463 4.2
			return problem(CodeKeySyntax, "an Ed25519 key has 32 bytes")
		}
		k.Ed25519 = der
		return nil
	}
	if err == nil {
		k.RSA, err = parseRSA(der)
	}
	switch {
	case err != nil:
		return problem(CodeKeySyntax, "p=: %v", err)
	case k.Bits() < MinRSABits: // RFC 8301 3.2
		return problem(CodeKeyShort, "the key has %d bits; %d are needed", k.Bits(), MinRSABits)
	case k.Bits() > MaxRSABits:
		return problem(CodeKeyLong, "the key has %d bits; at most %d are tried", k.Bits(), MaxRSABits)
	}
	return nil
}

// parseRSA reads a SubjectPublicKeyInfo, as the record should have, or a bare RSAPublicKey, as RFC 6376 3.6.1 literally says.
func parseRSA(der []byte) (*rsa.PublicKey, error) {
	if key, err := x509.ParsePKIXPublicKey(der); err == nil {
		if k, ok := key.(*rsa.PublicKey); ok {
			return k, nil
		}
		return nil, errors.New("the key is not RSA")
	}
	return x509.ParsePKCS1PublicKey(der)
}
