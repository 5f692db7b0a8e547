package policy

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"cel.dev/cel-go/common/ast"
)

// ownResults are the facts that say pass of whoever asks it of a domain of his own: they tell that a name is true, not whose it is.
var ownResults = []string{"spf.result", "dkim.result", "dmarc.result", "arc.result", "dkim.author", "helo.spf", "client.iprev"}

// anybody finds a rule that takes mail for a result that everybody has for a domain of his own. A rule for some recipients is meant so.
func (a *analysis) anybody(s *examined, i int) {
	force, otherwise := map[int]int16{}, map[int]int16{}
	var names []string
	for _, v := range slices.Sorted(maps.Keys(s.reads[i])) {
		switch at, own := a.nobodysView(v); {
		case own != "":
			names = append(names, own)
			otherwise[v] = a.vars[v].other("pass")
		case at >= 0:
			force[v], otherwise[v] = at, at
		}
	}
	for _, id := range s.policy.rules[i].facts {
		if id != headerFact && strings.HasPrefix(a.vocabulary.facts[id].Name, "rcpt.") {
			return
		}
	}
	if names == nil {
		return
	}
	if w := a.shown(s, i, force, otherwise); w != nil {
		a.find(s, i, nil, Finding{Level: Warning, Kind: "anybody", Witness: w, Problem: Problem{Text: fmt.Sprintf(
			"it takes mail for %s, which anybody has for a domain of their own; name whose it is too, as in sender.domain in list.NAME", strings.Join(names, " and "))}})
	}
}

// nobodysView gives what a variable is for somebody who is nobody to us and claims to be nobody, or the result of his own that it is; -1 where it
// may be anything.
func (a *analysis) nobodysView(i int) (at int16, own string) {
	v := a.vars[i]
	if v.fact != nil && slices.Contains(ownResults, v.fact.Name) {
		return -1, v.fact.Name
	}
	for _, group := range append(slices.Sorted(maps.Values(claims)), headerClaim) {
		if at, what := a.strangersView(i, group); what != free {
			return at, ""
		}
	}
	return -1, ""
}

// hostSuffix is the end of a domain name that does not begin at a dot.
var hostSuffix = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*(\.[a-z0-9-]+)*\.[a-z][a-z0-9-]+$`)

// parts finds a part of a name or of an address that other people's have too.
func (a *analysis) parts(s *examined, i int) {
	walkExpr(s.policy.rules[i].whole.Expr(), nil, func(e ast.Expr, _ []string) bool {
		if e.Kind() != ast.CallKind || !e.AsCall().IsMemberFunction() || len(e.AsCall().Args()) != 1 {
			return true
		}
		id, isFact := a.vocabulary.factAt(e.AsCall().Target())
		text, isText := literalText(e.AsCall().Args()[0])
		if !isFact || !isText || id == headerFact {
			return true
		}
		if said := alsoTrueOf(a.vocabulary.facts[id], e.AsCall().FunctionName(), text); said != "" {
			a.find(s, i, nil, Finding{Level: Warning, Kind: "part", Problem: Problem{Text: said}})
		}
		return true
	})
}

// alsoTrueOf says of whom a look at a part of a fact is true too who was hardly meant; "" for nobody.
func alsoTrueOf(f Fact, function, text string) string {
	call := fmt.Sprintf("%s.%s(%q)", f.Name, function, text)
	isHost := hostSuffix.MatchString(text)
	switch {
	case function == "startsWith" && f.Kind == KindIP && text != "" && !strings.ContainsAny(text[len(text)-1:], ".:"):
		return fmt.Sprintf("%s is true of addresses that go on with more digits too; put the network into a list, as in %s in list.NAME", call, f.Name)
	case function == "matches" && f.Kind == KindDomain && isHost:
		return fmt.Sprintf("%s is true of not-%s and of %s.not.example too; write == %q, or a list", call, text, text, text)
	case function == "endsWith" && f.Kind == KindDomain && isHost:
		return fmt.Sprintf("%s is true of not-%s too; write endsWith(%q), or a list with %q and %q in it", call, text, "."+text, text, "."+text)
	case function == "endsWith" && f.Kind == KindAddress && isHost:
		return fmt.Sprintf("%s is true of anybody@not-%s too; write endsWith(%q)", call, text, "@"+text)
	}
	return ""
}
