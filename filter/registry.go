package filter

import (
	"gatepost.example/filter/arc"
	"gatepost.example/filter/check"
	"gatepost.example/filter/correspondent"
	"gatepost.example/filter/dkim"
	"gatepost.example/filter/dmarc"
	"gatepost.example/filter/dnsbl"
	"gatepost.example/filter/helo"
	"gatepost.example/filter/iprev"
	"gatepost.example/filter/mx"
	"gatepost.example/filter/reputation"
	"gatepost.example/filter/spf"
	"gatepost.example/filter/state"
	"gatepost.example/filter/submission"
	"gatepost.example/policy"
)

// entry is one line of the registry.
type entry struct {
	check  check.Check
	prints bool // Authentication-Results reads it, so it runs for every message that gets one, whatever the rules say
	waits  bool // its work may wait for something that is neither an answer of DNS nor what an earlier check found

	name     string // of the check, kept because they are asked for in every session
	starts   policy.Stage
	recaller check.Recaller // the check, where it reads the memory first
	recall   string         // what the log calls that reading
	facts    []policy.Fact
	ids      []policy.FactID // of the facts
}

// memory is what checks remember with.
type memory struct {
	watch *dnsbl.Watch
	store state.Store
	own   *correspondent.Own
}

// registry lists the checks in the order of evidence and of Authentication-Results. A check may wait for those above it only.
// What depends on the policy file is made for it: a session keeps the checks with which it began.
func registry(set *Settings, m memory) []entry {
	known := reputation.Memory{Store: m.store, Rules: set.Reputation, Settle: set.Settle}
	_, isLocal := m.store.(*state.Embedded)
	afar, table := !isLocal, set.Maps != nil
	all := []entry{
		{check: iprev.New(), prints: true},
		{check: reputation.NewClient(known)},
		{check: correspondent.NewOwnHelo(m.own)},
		{check: helo.New()},
		{check: spf.NewMailFrom(), prints: true},
		{check: spf.NewHelo(), prints: true},
		{check: mx.New()},
		{check: correspondent.New(set.Correspondents)},
		{check: submission.NewSender(set.Maps), waits: table},
		{check: submission.NewAuthor(set.Maps), waits: table},
		{check: dkim.New(), prints: true},
		{check: arc.New(set.Sealers), prints: true},
		{check: dmarc.New(), prints: true},
		{check: reputation.NewDomains(known), waits: afar},
		{check: correspondent.NewOwnAuthor(m.own)},
	}
	for _, c := range dnsbl.Checks(set.Lists, m.watch) {
		all = append(all, entry{check: c})
	}
	return all
}

// Vocabulary gives the facts that the session and the checks establish: all that rules can name.
func Vocabulary() (*policy.Vocabulary, error) {
	declared := [][]policy.Fact{sessionFacts(), memoryFacts()}
	for _, e := range registry(&Settings{}, memory{}) {
		declared = append(declared, e.check.Facts())
	}
	return policy.NewVocabulary(declared...)
}
