// Package dnsbl asks blocklists and allowlists that are published as DNS zones: the checks "dnsbl", "dnsbl-helo", "dnsbl-sender",
// "dnsbl-author" and "dnsbl-dkim", one for each thing that a list can be asked about.
//
// A zone holds a name for each address or domain that it lists: 192.0.2.1 is listed by bl.example when 1.2.0.192.bl.example has an
// address record. The record's value is a code within 127.0.0.0/8 that says why, and the admin gives each code a weight.
//
//	dnsbl.go   the standard: Ask puts one question to one list
//	weight.go  what codes count
//	watch.go   test points: a list that answers wrongly is not used
//	check.go   the contract: facts and findings
//
// A list can go wrong in ways that would refuse all mail: it ends and its domain is sold, it answers "you ask too much" with an address,
// a resolver answers for it with an advertisement. So an answer outside of 127.0.0.0/8, or in 127.255.255.0/24, is a fault and never a
// listing, and a list is used only while its test points answer right.
//
// The zone may hold the admin's secret key. It leaves this package in questions to DNS only; findings name the list by its name.
//
// Standard: RFC 5782.
package dnsbl

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"gatepost.example/filter/resolve"
)

// Subject is what a list is asked about, in the words of policy.toml.
type Subject string

// The subjects.
const (
	ClientIP     Subject = "client.ip"
	HeloName     Subject = "helo.name"
	SenderDomain Subject = "sender.domain"
	AuthorDomain Subject = "author.domain"
	DKIMDomains  Subject = "dkim.domains" // the domains of signatures that pass: a signature that fails proves nothing about its domain
)

// List is one blocklist or allowlist.
type List struct {
	Name    string // what people see
	Zone    string // what is asked; secret
	Subject Subject
	URL     string   // where people read about a listing, with the subject in braces: "https://bl.example/{client.ip}"; "" for none
	Weights []Weight // what the codes count
	Test    string   // the address or domain that the list must have; "" for the one of RFC 5782 5
}

// The results of a question.
const (
	Listed    = "listed"    // the zone has a code for the subject
	None      = "none"      // it has none
	TempError = "temperror" // DNS did not say, or what it said is no answer of a list
)

// Codes say why a result is temperror.
const (
	CodeDNS   = "dns"   // the question got no answer
	CodeFault = "fault" // the answer says that the list does not work, or not for us
	CodeUnfit = "unfit" // the list is out of use: its test points answer wrongly, or not yet
)

// Listing is what Ask found.
type Listing struct {
	Result string // Listed, None or TempError
	Code   string // "" but with TempError
	Score  int    // the weight of the code that counts most; 0 when no code has one
	Detail string // for people: the codes, or what happened
	Lookup *resolve.Answer
}

// Ask puts one question. A subject that no name can hold is None. The answer is shown with the list's name in place of its zone.
func Ask(ctx context.Context, r resolve.Resolver, l List, subject string) Listing {
	name := question(subject) + "." + l.Zone
	if _, ok := resolve.CleanName(name); !ok {
		return Listing{Result: None}
	}
	answer := r.Lookup(ctx, name, resolve.A)
	out := Listing{Result: None, Lookup: masked(answer, l)}
	switch {
	case answer.Trouble():
		out.Result, out.Code, out.Detail = TempError, CodeDNS, answer.Detail
	case answer.Status != resolve.Found:
	case isFault(answer.Addrs):
		out.Result, out.Code = TempError, CodeFault
		out.Detail = fmt.Sprintf("%s is no listing but an error of the list or of a resolver in between", joined(answer.Addrs))
	default:
		out.Result, out.Score, out.Detail = Listed, score(l.Weights, answer.Addrs), joined(answer.Addrs)
	}
	return out
}

// masked gives a copy of an answer that shows the list's name where the zone stood.
func masked(a *resolve.Answer, l List) *resolve.Answer {
	shown := *a
	zone := strings.ToLower(l.Zone)
	shown.Name = strings.TrimSuffix(a.Name, zone) + l.Name
	shown.Detail = strings.ReplaceAll(a.Detail, zone, l.Name)
	return &shown
}

// question gives the labels in front of the zone: addresses turned around (RFC 5782 2.1, 2.4), domains as they are (3).
func question(subject string) string {
	addr, err := netip.ParseAddr(subject)
	if err != nil {
		return strings.TrimSuffix(subject, ".")
	}
	name := resolve.ReverseName(addr)
	if addr.Is4In6() { // the test points of RFC 5782 5 for IPv6 are such addresses
		name = mappedName(addr)
	}
	return strings.TrimSuffix(strings.TrimSuffix(name, ".in-addr.arpa"), ".ip6.arpa")
}

// mappedName turns a v4-mapped address around as an IPv6 address.
func mappedName(addr netip.Addr) string {
	var b strings.Builder
	raw := addr.As16()
	for i := len(raw) - 1; i >= 0; i-- {
		fmt.Fprintf(&b, "%x.%x.", raw[i]&0xf, raw[i]>>4)
	}
	return strings.TrimSuffix(b.String(), ".")
}

var (
	codes      = netip.MustParsePrefix("127.0.0.0/8")      // RFC 5782 2.1
	complaints = netip.MustParsePrefix("127.255.255.0/24") // by convention of the large lists: refused, blocked, mistyped
)

// isFault reports whether one address of an answer is none that a list gives for a listing. The others then count no more.
func isFault(answer []netip.Addr) bool {
	for _, code := range answer {
		if !codes.Contains(code) || complaints.Contains(code) {
			return true
		}
	}
	return len(answer) == 0
}

// score gives the weight that counts most among the codes of one zone, whether it speaks for or against the subject. Of two that count
// as much, the one against it.
func score(weights []Weight, answer []netip.Addr) int {
	best := 0
	for _, code := range answer {
		points := weigh(weights, code)
		if abs(points) > abs(best) || points > best && abs(points) == abs(best) {
			best = points
		}
	}
	return best
}

func abs(n int) int {
	if n < 0 {
		return -n
	}
	return n
}

func joined(addrs []netip.Addr) string {
	texts := make([]string, 0, len(addrs))
	for _, a := range addrs[:min(len(addrs), maxShown)] {
		texts = append(texts, a.String())
	}
	return strings.Join(texts, ", ")
}

// maxShown bounds how many codes of one answer are written down.
const maxShown = 10

// testTime bounds the two questions of one test.
const testTime = 10 * time.Second
