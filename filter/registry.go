package filter

import (
	"gatepost.example/filter/arc"
	"gatepost.example/filter/check"
	"gatepost.example/filter/dkim"
	"gatepost.example/filter/dmarc"
	"gatepost.example/filter/dnsbl"
	"gatepost.example/filter/helo"
	"gatepost.example/filter/iprev"
	"gatepost.example/filter/mx"
	"gatepost.example/filter/spf"
	"gatepost.example/policy"
)

// entry is one line of the registry.
type entry struct {
	check  check.Check
	prints bool // Authentication-Results reads it, so it runs for every message that gets one, whatever the rules say
}

// registry lists the checks in the order of evidence and of Authentication-Results. A check may wait for those above it only.
// What depends on the policy file is made for it: a session keeps the checks with which it began.
func registry(set *Settings, watch *dnsbl.Watch) []entry {
	all := []entry{
		{iprev.New(), true},
		{helo.New(), false},
		{spf.NewMailFrom(), true},
		{spf.NewHelo(), true},
		{mx.New(), false},
		{dkim.New(), true},
		{arc.New(set.Sealers), true},
		{dmarc.New(), true},
	}
	for _, c := range dnsbl.Checks(set.Lists, watch) {
		all = append(all, entry{c, false})
	}
	return all
}

// Vocabulary gives the facts that the session and the checks establish: all that rules can name.
func Vocabulary() (*policy.Vocabulary, error) {
	declared := [][]policy.Fact{sessionFacts()}
	for _, e := range registry(&Settings{}, nil) {
		declared = append(declared, e.check.Facts())
	}
	return policy.NewVocabulary(declared...)
}
