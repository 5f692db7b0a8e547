package policyfile

import (
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// Bounds on lists: each costs a question for every session.
const (
	maxLists  = 30
	maxPoints = 1000
)

// allLists reads [[dnsbl]].
func (d *decoder) allLists(f *File, tables []table, value any) {
	for i, values := range d.group("dnsbl", value) {
		l, path := DNSBL{Query: QueryClientIP}, item("dnsbl", i)
		d.keys(tables, table{"dnsbl", []key{
			{"name", text(&l.Name, listName)},
			{"zone", zone(&l.Zone)},
			{"query", word(&l.Query, QueryClientIP, QueryHeloName, QuerySenderDomain, QueryAuthorDomain, QueryDKIMDomains)},
			{"url", text(&l.URL, page)},
			{"weight", weights(&l.Weight)},
			{"test", text(&l.Test, testPoint)},
		}}, path, values)
		d.complete(f, l, path)
		f.DNSBL = append(f.DNSBL, l)
	}
	if len(f.DNSBL) > maxLists {
		d.wrong("dnsbl", "there are %d lists, each of which is asked for every session; at most %d", len(f.DNSBL), maxLists)
	}
}

// complete looks at what must be there and what must fit together. Nothing is said of a key that is wrong already.
func (d *decoder) complete(f *File, l DNSBL, path string) {
	bad := func(key string) bool { return d.badBelow(join(path, key)) }
	switch {
	case l.Name == "" && !bad("name"):
		d.wrong(path, "it has no name; write what people are to see: name = \"zen\"")
	case slices.ContainsFunc(f.DNSBL, func(other DNSBL) bool { return other.Name == l.Name && l.Name != "" }):
		d.wrong(join(path, "name"), "another list has this name; choose a different one")
	}
	if l.Zone == "" && !bad("zone") {
		d.wrong(path, "it has no zone; write the DNS zone that is asked: zone = \"bl.example\"")
	}
	if len(l.Weight) == 0 && !bad("weight") {
		d.wrong(path, "it has no weight, so nothing that it says would count; write weight = { \"127.0.0.2\" = 4 }")
	}
	rest := strings.ReplaceAll(l.URL, "{"+string(l.Query)+"}", "")
	if strings.ContainsAny(rest, "{}") && !bad("url") && !bad("query") {
		d.wrong(join(path, "url"), "its only placeholder is {%s}, which is what the list is asked about", l.Query)
	}
	if _, err := netip.ParseAddr(l.Test); l.Test != "" && (err == nil) != (l.Query == QueryClientIP) && !bad("test") && !bad("query") {
		d.wrong(join(path, "test"), "a list that is asked about %s is tested with %s", l.Query, testKind(l.Query))
	}
}

func testKind(q Query) string {
	if q == QueryClientIP {
		return "an address"
	}
	return "a domain"
}

// listName demands what can stand in replies and logs.
func listName(s string) error {
	if s == "" || len(s) > 40 || strings.Trim(s, bareKey+".") != "" {
		return fmt.Errorf("%q is no name for a list; use up to 40 letters, digits, dots, _ and -", s)
	}
	return nil
}

// zone reads the name of a zone. It may hold a key, so no error shows it.
func zone(into *string) reader {
	return func(d *decoder, path string, value any) {
		s, ok := value.(string)
		if !ok {
			d.wrong(path, "it is %s; write a text in quotes", describe(value))
			return
		}
		name, err := domain(strings.TrimSuffix(s, "."))
		if err != nil || len(name) > 150 { // leaves room for an IPv6 address in front
			d.wrong(path, "it is no name of a DNS zone; write it as the list's operator does, such as \"bl.example\"")
			return
		}
		*into = name
	}
}

// redisURL demands a URL of Redis. It may hold a password, so no error shows it.
func redisURL(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "redis" && u.Scheme != "rediss" {
		return fmt.Errorf("it is no address of Redis; write redis://127.0.0.1:6379/0, or rediss:// with TLS")
	}
	return nil
}

// fieldName demands the name of a header field, or nothing.
func fieldName(s string) error {
	if strings.Trim(s, bareKey) != "" || len(s) > 76 {
		return fmt.Errorf("%q is no name for a header field; use letters, digits and -", s)
	}
	return nil
}

// plainText demands one line of printable ASCII.
func plainText(s string) error {
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) {
		return fmt.Errorf("write one line of plain ASCII")
	}
	return nil
}

// weightsOf reads a section of weights.
func weightsOf(into map[string]*float64) reader {
	return func(d *decoder, path string, value any) {
		section, ok := d.tableOf(path, value)
		if !ok {
			return
		}
		for _, name := range d.ordered(path, section) {
			weight, known := into[name]
			if !known {
				d.wrong(join(path, name), "unknown key %q; there are %s", name, listed(slices.Sorted(maps.Keys(into))))
				continue
			}
			share(weight, 0, 100)(d, join(path, name), section[name])
		}
	}
}

// page demands an address of the web.
func page(s string) error {
	u, err := url.Parse(strings.NewReplacer("{", "", "}", "").Replace(s))
	if s != "" && (err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http") {
		return fmt.Errorf("%q is no address of a web page; begin it with https://", s)
	}
	return nil
}

// testPoint demands an address or a domain.
func testPoint(s string) error {
	if _, err := netip.ParseAddr(s); err == nil || s == "" {
		return nil
	}
	_, err := domain(s)
	return err
}

// weights reads weight = { "127.0.0.2" = 4 }, in the order of the file.
func weights(into *[]CodeWeight) reader {
	return func(d *decoder, path string, value any) {
		table, ok := value.(map[string]any)
		if !ok {
			d.wrong(path, "it is %s; write what each code counts: { \"127.0.0.2\" = 4 }", describe(value))
			return
		}
		for _, code := range d.ordered(path, table) {
			set, err := parseCodes(code)
			if err != nil {
				d.wrong(join(path, code), "%v", err)
				continue
			}
			points, isNumber := table[code].(int64)
			if !isNumber || points < -maxPoints || points > maxPoints {
				d.wrong(join(path, code), "it counts %s; write a whole number from %d to %d", describe(table[code]), -maxPoints, maxPoints)
				continue
			}
			*into = append(*into, CodeWeight{Codes: set, Points: int(points)})
		}
	}
}
