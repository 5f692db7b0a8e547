package arc

import (
	"crypto/sha256"
	"hash"
	"slices"

	"gatepost.example/filter/dkim"
	"gatepost.example/filter/message"
	"gatepost.example/filter/resolve"
)

// chain is a message's sets, read, with all that is needed to validate them when keys and the body are there.
type chain struct {
	sets    []set
	newest  *signature   // the message signature of the last instance
	seals   []*signature // by instance
	hash    []byte       // over the fields that the newest message signature covers
	hashes  [][]byte     // over the sets that each seal covers
	sum     *message.BodySum
	failed  *failure
	answers map[string]*resolve.Answer
}

// prepare reads the chain of a header and hashes what its signatures cover; the body is hashed as it comes (RFC 8617 5.2, steps 1 to 4).
func prepare(h *message.Header, body *message.BodyHasher) *chain {
	sets, failed := collect(h)
	if len(sets) == 0 && failed == nil {
		return nil
	}
	c := &chain{sets: sets, failed: failed}
	if c.failed == nil && h.Truncated() {
		c.failed = fail(CodeStructure, "the header has over %d bytes", message.MaxHeader)
	}
	if c.failed != nil {
		return c
	}
	for i := range c.sets {
		seal, failed := read(h.Fields[c.sets[i].seal])
		if c.failed = failed; failed != nil {
			return c
		}
		if c.failed = judgeSeal(seal, i+1); c.failed != nil {
			return c
		}
		c.seals = append(c.seals, seal)
	}
	c.hashes = sealHashes(h, c.sets)
	last := c.sets[len(c.sets)-1]
	if c.newest, c.failed = read(h.Fields[last.signed]); c.failed != nil {
		return c
	}
	if !c.newest.has["bh"] || !c.newest.has["h"] || slices.Contains(c.newest.names, "arc-seal") { // RFC 8617 4.1.2
		c.failed = fail(CodeSyntax, "the message signature lacks bh= or h=, or covers a seal")
		return c
	}
	var ok bool
	if c.hash, ok = dkim.NewSigned(h).Hash(c.newest.names, c.newest.HeaderC, last.signed); !ok {
		c.failed = fail(CodeStructure, "the message signature covers over %d bytes of header", dkim.MaxSigned)
		return c
	}
	c.sum = body.Need(c.newest.BodyC, sha256Sum, c.newest.Length)
	return c
}

// judgeSeal: the first seal says cv=none, each later one cv=pass, and none has h= (RFC 8617 4.1.3, 5.1.1).
func judgeSeal(s *signature, i int) *failure {
	want := "pass"
	if i == 1 {
		want = "none"
	}
	switch {
	case s.has["h"]:
		return fail(CodeSyntax, "seal %d has h=", i)
	case s.chain == "fail":
		return fail(CodeSaidFail, "seal %d says that the chain was broken", i)
	case s.chain != want:
		return fail(CodeStructure, "seal %d says cv=%s", i, s.chain)
	}
	return nil
}

// sealHashes gives the hash that the seal of each set covers: results, message signature and seal of every instance up to its own,
// relaxed, its own seal without the signature (RFC 8617 5.1.1). Each field is hashed at most twice, however long the chain.
func sealHashes(h *message.Header, sets []set) [][]byte {
	var out [][]byte
	all := sha256.New()
	for _, s := range sets {
		message.HashField(all, message.Relaxed, h.Fields[s.results], false)
		message.HashField(all, message.Relaxed, h.Fields[s.signed], false)
		seal := h.Fields[s.seal]
		if own, err := all.(hash.Cloner).Clone(); err == nil { // SHA-256 always can
			message.HashField(own, message.Relaxed, message.Field{Name: seal.Name, Value: dkim.Unsigned(seal.Value)}, true)
			out = append(out, own.Sum(nil))
		}
		message.HashField(all, message.Relaxed, seal, false)
	}
	return out
}

// coversFrom reports whether the newest message signature covers From. A chain passes without, but who has such a message can write any author over it.
func (c *chain) coversFrom() bool { return slices.Contains(c.newest.names, "from") }

// signatures gives all whose keys are needed: the newest message signature and every seal.
func (c *chain) signatures() []*signature {
	return append([]*signature{c.newest}, c.seals...)
}

// validate judges the chain when keys and body are there (RFC 8617 5.2, steps 4 to 6).
func (c *chain) validate(ended bool) *failure {
	switch {
	case c.failed != nil:
		return c.failed
	case !ended:
		return fail(CodeTimeout, "the body did not end in time")
	case !slices.Equal(c.sum.Digest(), c.newest.BodyHash):
		return fail(CodeBody, "the body was changed behind the last sealer")
	}
	if failed := c.check(c.newest, c.hash, CodeMessage); failed != nil {
		return failed
	}
	if c.sum.Beyond() || c.sum.Short() {
		return fail(CodeBody, "l= is not the length of the body")
	}
	for i := len(c.seals) - 1; i >= 0; i-- {
		if failed := c.check(c.seals[i], c.hashes[i], CodeSeal); failed != nil {
			return failed
		}
	}
	return nil
}

func (c *chain) check(s *signature, hash []byte, code string) *failure {
	key, wrong := s.KeyFrom(c.answers[s.KeyName()])
	switch {
	case wrong != nil && wrong.Code == dkim.CodeDNS:
		return fail(CodeDNS, "%s", wrong.Text)
	case wrong != nil:
		return fail(CodeKey, "%s: %s", s.KeyName(), wrong.Text)
	case !key.Verify(hash, s.Signature.Signature):
		return fail(code, "the signature of %s does not fit", s.Domain)
	}
	return nil
}
