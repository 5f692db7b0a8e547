package message

import "crypto"

// Canon is a body canonicalization of RFC 6376 3.4.
type Canon uint8

// The body canonicalizations.
const (
	Simple  Canon = iota // RFC 6376 3.4.3
	Relaxed              // RFC 6376 3.4.4
)

// BodyHasher hashes a body as its chunks arrive, once for each distinct (canonicalization, hash, length) that was asked for.
type BodyHasher struct{}

// BodySum is one hash that was asked for; it may be read when Done is closed.
type BodySum struct{}

// Need asks for a hash over the first length bytes of the canonicalized body, all of them for a negative length.
// It must be called before the first Write.
func (b *BodyHasher) Need(c Canon, h crypto.Hash, length int64) *BodySum { return nil }

// Write takes the next chunk of the body; it never fails and does not keep p.
func (b *BodyHasher) Write(p []byte) (int, error) { return len(p), nil }

// Close ends the body: sums are final and Done is closed.
func (b *BodyHasher) Close() error { return nil }

// Done is closed when the body has ended.
func (b *BodyHasher) Done() <-chan struct{} { return nil }
