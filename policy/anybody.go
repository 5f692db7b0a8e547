package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
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

// unrecorded is what somebody has of whom nothing is remembered, whatever good mail he sends; recorded is the best that is remembered of anybody.
var (
	unrecorded = map[string]Value{
		"client.reputation": StringOf("new"), "author.reputation": StringOf("new"), "signer.reputation": StringOf("new"), "author.known": BoolOf(false),
	}
	recorded = map[string]Value{
		"client.reputation": StringOf("good"), "author.reputation": StringOf("good"), "signer.reputation": StringOf("good"), "author.known": BoolOf(true),
	}
)

// newcomer finds a rule that refuses for good, or drops, an ordinary good message for nothing but that its sender has no record here.
func (a *analysis) newcomer(s *examined, i int, what string) {
	r := s.policy.rules[i]
	stranger, friend := newWitness(a.vocabulary), newWitness(a.vocabulary)
	for _, id := range r.facts {
		if id == headerFact {
			continue
		}
		if name := a.vocabulary.facts[id].Name; unrecorded[name] != (Value{}) {
			stranger.set(name, unrecorded[name], nil)
			stranger.told[name] = true
			friend.set(name, recorded[name], nil)
		}
	}
	if holds, _ := stranger.Truth(s.policy, r.name); !holds {
		return
	}
	if holds, _ := friend.Truth(s.policy, r.name); holds {
		return
	}
	if d, decided := stranger.Decide(s.policy); r.binds() && (!decided || d.Rule != r.name) {
		return
	}
	a.find(s, i, nil, Finding{Level: Warning, Kind: "code", Witness: stranger, Problem: Problem{Text: fmt.Sprintf(
		"%s whoever has no record here yet, so that nobody new ever gets one; greylist them, limit them by a rate for new, or ask for a sign of abuse too", what)}})
}
