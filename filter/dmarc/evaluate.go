package dmarc

import (
	"slices"
	"strings"

	"gatepost.example/filter/check"
)

// aligned says whether an authenticated domain stands for the author domain.
type aligned int

const (
	no      aligned = iota
	maybe           // DNS owes the answer
	certain         // it does
)

// align compares an authenticated domain with the author domain (RFC 9989 4.10.2): equal, or, unless strict, of one organization.
func (w *walker) align(author, domain string, strict bool) aligned {
	switch {
	case domain == author:
		return certain
	case strict || domain == "":
		return no
	case !sameTop(author, domain):
		return no // no walk can join names of different top-level domains
	}
	a, b := w.walk(author), w.walk(domain)
	if a.trouble != nil || b.trouble != nil {
		return maybe
	}
	if a.organizational(author) == b.organizational(domain) {
		return certain
	}
	return no
}

func sameTop(a, b string) bool { return top(a) == top(b) }

func top(name string) string {
	for i := len(name) - 1; i >= 0; i-- {
		if name[i] == '.' {
			return name[i+1:]
		}
	}
	return name
}

// evidence is what SPF and DKIM found.
type evidence struct {
	spf  []check.Finding
	dkim []check.Finding
}

// related reports whether the author domain, or one above or below it, or another of its family, is authenticated: relaxed alignment would
// take those, if DNS did not owe the record that asks for it.
func (e evidence) related(author, family string) bool {
	passes := func(f check.Finding) bool {
		return f.Result == string(Pass) && (inLine(author, f.Domain) || family != "" && strings.HasSuffix(f.Domain, "."+family))
	}
	return slices.ContainsFunc(e.spf, passes) || slices.ContainsFunc(e.dkim, passes)
}

// inLine reports whether two names are the same, or one is below the other.
func inLine(a, b string) bool {
	return a != "" && b != "" && (a == b || strings.HasSuffix(a, "."+b) || strings.HasSuffix(b, "."+a))
}

// verdict is what DMARC says of a message.
type verdict struct {
	result Result
	by     string // "", "spf", "dkim" or "both"
	code   string
	detail string
}

// evaluate compares (RFC 9989 4.6): one aligned pass is enough, whatever else failed. Without one, an answer that DNS owes, and that could
// have made it pass, makes the result temperror.
func (w *walker) evaluate(author string, d discovery, e evidence) verdict {
	bySPF, owedSPF := w.supports(author, e.spf, d.record.StrictSPF)
	byDKIM, owedDKIM := w.supports(author, e.dkim, d.record.StrictDKIM)
	switch {
	case bySPF && byDKIM:
		return verdict{result: Pass, by: "both"}
	case bySPF:
		return verdict{result: Pass, by: "spf"}
	case byDKIM:
		return verdict{result: Pass, by: "dkim"}
	case owedSPF || owedDKIM:
		return verdict{result: TempError, code: CodeAuthentication, detail: "DNS owes an answer that could have made it pass"}
	}
	return verdict{result: Fail}
}

// supports reports whether some finding is an aligned pass, and whether one could still become one. A temperror without a domain may be of any.
func (w *walker) supports(author string, findings []check.Finding, strict bool) (pass, owed bool) {
	for _, f := range findings {
		temporary := f.Result == string(TempError)
		if f.Result != string(Pass) && !temporary {
			continue
		}
		a := w.align(author, f.Domain, strict)
		if temporary && f.Domain == "" {
			a = maybe
		}
		switch {
		case a == certain && !temporary:
			return true, owed
		case a != no:
			owed = true
		}
	}
	return false, owed
}

// rank orders the words of dkim.author, the best last.
func rank(word string) int { return slices.Index(ranking, word) }

var ranking = []string{"none", "fail", "temperror", "pass"}

// signedBy gives dkim.author: the best signature whose domain aligns with the author domain. A broken one counts only when its key record
// exists: anybody can write a signature field.
func (w *walker) signedBy(author string, findings []check.Finding, strict bool) string {
	best := "none"
	for _, f := range findings {
		word := "none"
		switch {
		case f.Result == "pass" || f.Result == "temperror":
			word = f.Result
		case f.KeyFound:
			word = "fail"
		}
		if rank(word) <= rank(best) {
			continue
		}
		a := w.align(author, f.Domain, strict)
		if f.Domain == "" && word == "temperror" {
			a = certain
		}
		switch {
		case a == certain, a == maybe && word == "fail" && inLine(author, f.Domain): // a trace of a forwarder, whatever DNS owes
			best = word
		case a == maybe && rank(best) < rank("temperror"):
			best = "temperror"
		}
	}
	return best
}
