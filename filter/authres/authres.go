// Package authres reads and writes the Authentication-Results field: the one writer through which what a sender wrote reaches a header.
//
// format.go writes, parse.go reads, scan.go has the tokens of the grammar, claims.go finds forged fields. Parse(Format(x)) gives x again.
//
// RFCs cited: RFC 8601 (Authentication-Results), RFC 5322 (header fields), RFC 2045 (values), RFC 7208 (Received-SPF).
package authres

import (
	"slices"
	"strings"

	"gatepost.example/filter/check"
)

// Field is the content of one Authentication-Results field (RFC 8601 2.2).
type Field struct {
	ID      string // authserv-id
	Version int    // 0 when none is written; there is only 1
	Results []Result
}

// Result is what one method found.
type Result struct {
	Method  string // "spf"
	Version int    // of the method, 0 when none is written
	Value   string // "pass"
	Reason  string
	Props   []check.Property
}

// AppendFindings adds the results of findings, in their order; findings without a method are left out.
func AppendFindings(out []Result, findings []check.Finding) []Result {
	out = slices.Grow(out, len(findings))
	for i := range findings {
		if f := &findings[i]; f.Method != "" {
			out = append(out, Result{Method: f.Method, Value: f.Result, Props: withoutClaims(f.Props)})
		}
	}
	return out
}

// withoutClaims masks what looks like a result within a value. Filters in mailboxes look for "dmarc=pass" anywhere in the field, and a HELO name or a
// tag of a signature that cannot be read is whatever the sender wrote. No domain has a =, and base64 at its end only.
func withoutClaims(props []check.Property) []check.Property {
	looks := func(p check.Property) bool { return strings.Contains(strings.TrimRight(p.Value, "="), "=") }
	if !slices.ContainsFunc(props, looks) {
		return props
	}
	out := slices.Clone(props)
	for i := range out {
		if looks(out[i]) {
			out[i].Value = strings.ReplaceAll(out[i].Value, "=", "?")
		}
	}
	return out
}
