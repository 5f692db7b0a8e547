package policy

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
)

// parts finds terms that say by themselves what was hardly meant: a part of a name or of an address that other people's have too, a size in
// megabytes, a list without an entry that could fit.
func (a *analysis) parts(s *examined, i int) {
	asked := map[string][]ast.Expr{}
	walkExpr(s.policy.rules[i].whole.Expr(), nil, func(e ast.Expr, _ []string) bool {
		if e.Kind() != ast.CallKind {
			return true
		}
		if said := a.alsoTrue(e.AsCall()); said != "" {
			a.find(s, i, nil, Finding{Level: Warning, Kind: "part", Problem: Problem{Text: said}})
		}
		if said := a.megabytes(e.AsCall()); said != "" {
			a.find(s, i, e, Finding{Level: Warning, Kind: "part", Problem: Problem{Text: said}})
		}
		if name, _, ok := membership(a.vocabulary, e); ok {
			asked[name] = append(asked[name], e)
		}
		return true
	})
	for _, l := range s.source.Lists {
		a.unfit(s, i, l, asked[l.Name])
	}
}

// hostSuffix is the end of a domain name that does not begin at a dot.
var hostSuffix = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*(\.[a-z0-9-]+)*\.[a-z][a-z0-9-]+$`)

// alsoTrue says what a look at a part of a fact is true of too; "" for any other call, or where nothing is to be said.
func (a *analysis) alsoTrue(call ast.CallExpr) string {
	if !call.IsMemberFunction() || len(call.Args()) != 1 {
		return ""
	}
	id, isFact := a.vocabulary.factAt(call.Target())
	text, isText := literalText(call.Args()[0])
	if !isFact || !isText || id == headerFact {
		return ""
	}
	return alsoTrueOf(a.vocabulary.facts[id], call.FunctionName(), text)
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

// leastSize is a number of bytes below which hardly a message is, its header alone being longer.
const leastSize = 256

// megabytes says of a comparison of message.size with a small number that the number was hardly meant in bytes; "" for any other call.
func (a *analysis) megabytes(call ast.CallExpr) string {
	operator := call.FunctionName()
	if mirrored[operator] == "" {
		return ""
	}
	left, right := call.Args()[0], call.Args()[1]
	if left.Kind() == ast.LiteralKind {
		left, right, operator = right, left, mirrored[operator]
	}
	id, isFact := a.vocabulary.factAt(left)
	if !isFact || id == headerFact || a.vocabulary.facts[id].Name != "message.size" || right.Kind() != ast.LiteralKind {
		return ""
	}
	n, isInt := right.AsLiteral().(types.Int)
	if !isInt || n < 1 || n >= leastSize {
		return ""
	}
	return fmt.Sprintf("message.size is in bytes, and hardly a mail has as few as %d; %d MB are message.size %s %d",
		n, n, strings.Trim(operator, "_"), n*1_000_000)
}

// unfit finds a list that a condition asks for kinds of entries of which it has none, though it has others. An empty list waits for its
// entries, as does one whose files are empty; a list of mixed entries is asked for several kinds, one of which it has.
func (a *analysis) unfit(s *examined, i int, l NamedList, asked []ast.Expr) {
	list := s.language.lists[l.Name]
	held := list.kinds()
	if len(asked) == 0 || len(held) == 0 || len(l.More) == 0 && slices.ContainsFunc(l.Entries, isFile) {
		return
	}
	for _, e := range asked {
		if list.mayHold(a.kindAsked(e)) {
			return
		}
	}
	kind := a.kindAsked(asked[0])
	_, fact, _ := membership(a.vocabulary, asked[0])
	a.find(s, i, asked[0], Finding{Level: Warning, Kind: "part", Problem: Problem{Text: fmt.Sprintf(
		"%s in list.%s is never true: the list has %s in it and no %s; %s", fact, l.Name, several(held), kindWords[kind].one, kindWords[kind].remedy)}})
}

// kindAsked gives the kind of the fact that FACT in list.NAME asks for.
func (a *analysis) kindAsked(e ast.Expr) Kind {
	id, _ := a.vocabulary.factAt(e.AsCall().Args()[0])
	return a.vocabulary.facts[id].Kind
}

func several(kinds []Kind) string {
	var out []string
	for _, k := range kinds {
		out = append(out, kindWords[k].many)
	}
	return listed(out)
}

// kindWords are what people call entries of a kind, and what may have been meant where a list has none.
var kindWords = map[Kind]struct{ one, many, remedy string }{
	KindIP:      {"network", "networks", "put networks into it, or ask for a name, as in sender.domain or client.name"},
	KindAddress: {"address or domain", "addresses", "put addresses or domains into it, or ask for another fact"},
	KindDomain:  {"domain", "domains", "put domains into it, which have a dot (compare other names by ==), or ask for an address, as in sender.address or client.ip"},
	KindUser:    {"user", "users", `put users into it, where one whose name has a dot or @ is written "user:NAME"`},
}
