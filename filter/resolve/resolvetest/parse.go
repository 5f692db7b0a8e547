package resolvetest

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"gatepost.example/filter/resolve"
)

// Types of the wire that zone text knows besides those that the checks ask for.
const (
	typeNS    = 2
	typeCNAME = 5
	typeSOA   = 6
	typeANY   = 255
)

var typeNumbers = map[string]uint16{
	"A": uint16(resolve.A), "AAAA": uint16(resolve.AAAA), "MX": uint16(resolve.MX), "TXT": uint16(resolve.TXT), "PTR": uint16(resolve.PTR),
	"CNAME": typeCNAME, "NS": typeNS, "SOA": typeSOA, "ANY": typeANY, "*": typeANY,
}

var troubleWords = map[string]resolve.Status{
	"TIMEOUT": resolve.Timeout, "SERVFAIL": resolve.ServFail, "NXDOMAIN": resolve.NXDomain, "NODATA": resolve.NoData,
}

// defaultTTL is the TTL in seconds of a record that names none.
const defaultTTL = 300

// record is one resource record. Only the fields of its type are set.
type record struct {
	owner      string // of the answer it stands in
	kind       uint16
	ttl        uint32
	addr       netip.Addr // A, AAAA
	texts      []string   // TXT: character-strings of at most 255 raw bytes
	preference uint16     // MX
	host       string     // MX, PTR, CNAME, NS, SOA (its primary server); case as written, no trailing dot
	mailbox    string     // SOA
	numbers    [5]uint32  // SOA: serial, refresh, retry, expire, minimum
}

// Parse reads zone text. An error names the line.
func Parse(text string) (*Zone, error) {
	z := &Zone{nodes: map[string]*node{"": {}}}
	s := scanner{rest: text, line: 1}
	for {
		words, line, err := s.record()
		if err == nil && words == nil {
			break
		}
		if err == nil {
			err = z.add(words)
		}
		if err != nil {
			return nil, fmt.Errorf("zone line %d: %w", line, err)
		}
	}
	for name, n := range z.nodes {
		if err := n.check(); err != nil {
			return nil, fmt.Errorf("zone: %s: %w", name, err)
		}
	}
	return z, nil
}

// check refuses a CNAME beside other records (RFC 1034 3.6.2): servers would each answer something else.
func (n *node) check() error {
	for _, r := range n.records {
		if r.kind == typeCNAME && len(n.records) > 1 {
			return errors.New("a name with a CNAME record can have no other record")
		}
	}
	return nil
}

// add puts one line's record into the zone.
func (z *Zone) add(words []word) error {
	if len(words) < 3 {
		return errors.New("a record is NAME TYPE DATA")
	}
	owner, words := words[0], words[1:]
	r := record{ttl: defaultTTL}
	for len(words) > 1 { // TTL and class come in any order (RFC 1035 5.1)
		if seconds, err := strconv.ParseUint(words[0].text, 10, 31); err == nil {
			r.ttl = uint32(seconds)
		} else if words[0].text != "IN" {
			break
		}
		words = words[1:]
	}
	kind, ok := typeNumbers[words[0].text]
	if !ok || words[0].quoted {
		return fmt.Errorf("type %q: use A, AAAA, MX, TXT, PTR, CNAME, NS, SOA, or ANY for trouble", words[0].text)
	}
	r.kind, words = kind, words[1:]
	name, err := ownerName(owner.text, kind)
	if err != nil {
		return err
	}
	n := z.make(name)
	if status, ok := trouble(words); ok {
		n.trouble[kind] = status
		return nil
	}
	if err := r.read(words); err != nil {
		return fmt.Errorf("%s %s: %w", name, typeWord(kind), err)
	}
	n.records = append(n.records, r)
	return nil
}

func trouble(words []word) (resolve.Status, bool) {
	if len(words) != 1 || words[0].quoted {
		return 0, false
	}
	status, ok := troubleWords[words[0].text]
	return status, ok
}

func typeWord(kind uint16) string {
	for word, n := range typeNumbers {
		if n == kind && word != "*" {
			return word
		}
	}
	return resolve.Type(kind).String()
}

// ownerName checks a record's name. An address before PTR stands for its reverse name.
func ownerName(text string, kind uint16) (string, error) {
	if addr, err := netip.ParseAddr(text); err == nil && kind == uint16(resolve.PTR) {
		return resolve.ReverseName(addr), nil
	}
	if strings.HasPrefix(text, "$") || text == "@" {
		return "", fmt.Errorf("%q: directives and relative names are not understood, write names in full", text)
	}
	name, ok := resolve.CleanName(text)
	if !ok {
		return "", fmt.Errorf("%q is no name", text)
	}
	return name, nil
}

// make gives the node at a name and lets the names above it exist.
func (z *Zone) make(name string) *node {
	for above := name; above != ""; _, above, _ = strings.Cut(above, ".") {
		if z.nodes[above] == nil {
			z.nodes[above] = &node{trouble: map[uint16]resolve.Status{}}
		}
	}
	return z.nodes[name]
}

// read takes the record's data from the words behind its type.
func (r *record) read(words []word) (err error) {
	want := map[uint16]int{uint16(resolve.MX): 2, typeSOA: 7, uint16(resolve.TXT): len(words)}[r.kind]
	if want == 0 {
		want = 1
	}
	if len(words) != want || want == 0 {
		return fmt.Errorf("%d words of data where %d are expected", len(words), want)
	}
	switch r.kind {
	case uint16(resolve.A), uint16(resolve.AAAA):
		r.addr, err = netip.ParseAddr(words[0].text)
		if err != nil || r.addr.Is4() != (r.kind == uint16(resolve.A)) || r.addr.Zone() != "" {
			return fmt.Errorf("%q is no address of this type", words[0].text)
		}
	case uint16(resolve.TXT):
		return r.readTexts(words)
	case uint16(resolve.MX):
		var n uint64
		if n, err = strconv.ParseUint(words[0].text, 10, 16); err != nil {
			return fmt.Errorf("preference %q is no number from 0 to 65535", words[0].text)
		}
		r.preference = uint16(n)
		r.host, err = target(words[1].text)
	case typeSOA:
		return r.readSOA(words)
	case typeANY:
		return errors.New("ANY takes TIMEOUT, SERVFAIL, NXDOMAIN or NODATA")
	default:
		r.host, err = target(words[0].text)
	}
	return err
}

// readTexts keeps character-strings; one over 255 bytes, which the wire cannot carry, becomes several.
func (r *record) readTexts(words []word) error {
	for _, w := range words {
		if !w.quoted && len(words) > 1 {
			return fmt.Errorf("put the text in quotes: blanks outside quotes separate strings (at %q)", w.text)
		}
		text := w.text
		for len(text) > 255 {
			r.texts = append(r.texts, text[:255])
			text = text[255:]
		}
		r.texts = append(r.texts, text)
	}
	return nil
}

func (r *record) readSOA(words []word) (err error) {
	if r.host, err = target(words[0].text); err != nil {
		return err
	}
	if r.mailbox, err = target(words[1].text); err != nil {
		return err
	}
	for i, w := range words[2:] {
		n, err := strconv.ParseUint(w.text, 10, 32)
		if err != nil {
			return fmt.Errorf("%q is no number", w.text)
		}
		r.numbers[i] = uint32(n)
	}
	return nil
}

// target checks a name inside a record's data. "." is the root: a null MX (RFC 7505).
func target(text string) (string, error) {
	if text == "." {
		return "", nil
	}
	if _, ok := resolve.CleanName(text); !ok {
		return "", fmt.Errorf("%q is no name", text)
	}
	return strings.TrimSuffix(text, "."), nil
}

func asciiLower(name string) string {
	clean, _ := resolve.CleanName(name)
	return clean
}
