package main

import (
	"context"
	"crypto"
	crand "crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"

	"gatepost.example/filter"
	"gatepost.example/filter/dkim"
	"gatepost.example/filter/message"
	"gatepost.example/filter/resolve"
	"gatepost.example/filter/resolve/resolvetest"
)

// world is who exists: hosts, domains and their DNS.
type world struct {
	zone strings.Builder
	rng  *rand.Rand
	key  *rsa.PrivateKey // of all domains: nobody in this world steals one
}

// newWorld gives an empty world. Its key is of the weakest kind that passes (RFC 8301 3.2) and the cheapest to verify; what a key is like
// changes nothing of what is printed.
func newWorld(seed uint64) (*world, error) {
	key, err := rsa.GenerateKey(crand.Reader, dkim.MinRSABits)
	return &world{rng: rand.New(rand.NewPCG(seed, 1)), key: key}, err
}

// domain is a name as which mail is written: every message of it has the same header and body, so that it is signed once.
type domain struct {
	name   string
	fields []message.Field
}

// The bodies: as it was sent, and as a list or forwarder leaves it.
var (
	wholeBody  = []byte("The quick brown fox jumps over the lazy dog.\r\n")
	footedBody = append(append([]byte{}, wholeBody...), "-- \r\nforwarded for you\r\n"...)
)

// domain adds a domain. A record is left out where its text is empty.
func (w *world) domain(name, spf, dmarc string, signed bool) domain {
	fmt.Fprintf(&w.zone, "%s MX 10 mx.%s\nmx.%s A 192.0.2.99\n", name, name, name)
	if spf != "" {
		fmt.Fprintf(&w.zone, "%s TXT %q\n", name, spf)
	}
	if dmarc != "" {
		fmt.Fprintf(&w.zone, "_dmarc.%s TXT %q\n", name, "v=DMARC1; p="+dmarc)
	}
	d := domain{name: name, fields: letter(name)}
	if signed {
		d.fields = append([]message.Field{w.sign(name)}, d.fields...)
	}
	return d
}

// letter gives an unsigned header with an author.
func letter(author string) []message.Field {
	return []message.Field{{Name: "From", Value: " a@" + author}, {Name: "Subject", Value: " hello"}, {Name: "To", Value: " u@" + ourDomain}}
}

// sign gives a signature over From, Subject and the body (RFC 6376 3.7) and puts its key into DNS.
func (w *world) sign(name string) message.Field {
	public := base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PublicKey(&w.key.PublicKey))
	fmt.Fprintf(&w.zone, "s._domainkey.%s TXT \"v=DKIM1; k=rsa; p=%s\"\n", name, public)
	body := sha256.Sum256(wholeBody)
	field := fmt.Sprintf("v=1; a=rsa-sha256; c=relaxed/relaxed; d=%s; s=s; h=From:Subject; bh=%s; b=", name, base64.StdEncoding.EncodeToString(body[:]))
	signed := sha256.Sum256([]byte("from:a@" + name + "\r\nsubject:hello\r\ndkim-signature:" + field))
	signature, err := rsa.SignPKCS1v15(nil, w.key, crypto.SHA256, signed[:])
	if err != nil {
		panic(err) // of a key that was made for it
	}
	return message.Field{Name: "DKIM-Signature", Value: " " + field + base64.StdEncoding.EncodeToString(signature)}
}

// host gives a client with a name that is right in both directions.
func (w *world) host(addr, name string) filter.Client {
	fmt.Fprintf(&w.zone, "%s PTR %s\n%s A %s\n", addr, name, name, addr)
	return filter.Client{Addr: netip.MustParseAddr(addr), Name: name, PTR: name, DaemonPort: "25", MTA: "mx." + ourDomain}
}

// stray gives a client somewhere in a /8, without a name.
func (w *world) stray(first int) filter.Client {
	addr := netip.AddrFrom4([4]byte{byte(first), byte(w.rng.IntN(256)), byte(w.rng.IntN(256)), byte(1 + w.rng.IntN(254))})
	return filter.Client{Addr: addr, DaemonPort: "25", MTA: "mx." + ourDomain}
}

// answers keeps what a zone said, so that it is asked once for each name.
type answers struct {
	zone *resolvetest.Zone
	mu   sync.RWMutex
	kept map[question]*resolve.Answer
}

type question struct {
	name string
	kind resolve.Type
}

func newAnswers(zone *resolvetest.Zone) *answers {
	return &answers{zone: zone, kept: map[question]*resolve.Answer{}}
}

// Lookup implements resolve.Resolver.
func (a *answers) Lookup(_ context.Context, name string, t resolve.Type) *resolve.Answer {
	a.mu.RLock()
	kept := a.kept[question{name, t}]
	a.mu.RUnlock()
	if kept != nil {
		return kept
	}
	answer := a.zone.Lookup(context.Background(), name, t)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.kept[question{name, t}] = answer
	return answer
}
