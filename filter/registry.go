package filter

import (
	"gatepost.example/filter/arc"
	"gatepost.example/filter/check"
	"gatepost.example/filter/dkim"
	"gatepost.example/filter/dmarc"
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
func registry() []entry {
	return []entry{
		{iprev.New(), true},
		{spf.NewMailFrom(), true},
		{spf.NewHelo(), true},
		{mx.New(), false},
		{dkim.New(), true},
		{arc.New(), true},
		{dmarc.New(), true},
	}
}

// Vocabulary gives the facts that the session and the checks establish: all that rules can name.
func Vocabulary() (*policy.Vocabulary, error) {
	declared := [][]policy.Fact{sessionFacts()}
	for _, e := range registry() {
		declared = append(declared, e.check.Facts())
	}
	return policy.NewVocabulary(declared...)
}
