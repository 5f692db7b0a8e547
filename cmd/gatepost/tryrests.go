package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"gatepost.example/filter"
	"gatepost.example/filter/history"
	"gatepost.example/policy"
	"gatepost.example/policy/policyfile"
)

// This file finds out which decisions over delivered mail rest on what a mailbox does not tell: who was known then, and what limits said.

// other is a value that a fact of the memory may have had when a message came.
type other struct {
	said     string // NAME = VALUE
	worse    bool   // it says nothing of mail that is not taken
	possible func(*history.Record) bool
	replayer *filter.Replayer
}

// othersOf gives what may have been otherwise, of what the policy reads. A message is judged as if its sender were new, in a settled memory, and
// over no limit.
func othersOf(file *policyfile.File) []other {
	var out []other
	add := func(fact string, v policy.Value, worse bool, possible func(*history.Record) bool) {
		if file.Policy.Wants([]policy.Fact{{Name: fact}}) {
			given := map[string]policy.Value{fact: v}
			out = append(out, other{fmt.Sprintf("%s = %s", fact, v.Text()), worse, possible, filter.NewReplayer(filter.SettingsOf(file), given, false)})
		}
	}
	always := func(*history.Record) bool { return true }
	add("client.reputation", policy.StringOf("good"), false, always)
	add("client.reputation", policy.StringOf("bad"), true, always)
	add("signer.reputation", policy.StringOf("good"), false, isSigned)
	add("author.reputation", policy.StringOf("good"), false, isAuthors)
	add("author.known", policy.BoolOf(true), false, always)
	add("memory.settled", policy.BoolOf(false), false, always)
	add("sender.correspondent", policy.BoolOf(true), false, func(r *history.Record) bool { return r.Sender.Address != "" })
	for _, l := range file.Limits {
		add("over."+l.Name, policy.BoolOf(true), true, always)
	}
	return out
}

// judged gives the domains as which a message is authenticated.
func judged(r *history.Record) (domains []string) {
	for _, o := range r.Outcomes {
		if o.Check == "reputation-domains" {
			for _, f := range o.Findings {
				domains = append(domains, f.Domain)
			}
		}
	}
	return domains
}

func isSigned(r *history.Record) bool { return len(judged(r)) > 0 }

func isAuthors(r *history.Record) bool {
	return r.Message != nil && slices.Contains(judged(r), r.Message.AuthorDomain)
}

// restsOn gives what alone, had it been so, would have changed what becomes of a message.
func restsOn(all []other, rec *history.Record, became outcome) []string {
	var out []string
	for _, o := range all {
		if !o.possible(rec) || o.worse && became != taken {
			continue
		}
		if got := o.replayer.Decide(rec); got.Further || got.Unknown == "" && len(got.Changes(rec, false)) > 0 {
			out = append(out, o.said)
		}
	}
	return out
}

// lastKept keeps the newest record of a judge, and hands all on.
type lastKept struct {
	next   filter.Keeper // nil for nobody
	record *history.Record
}

// Add implements filter.Keeper.
func (k *lastKept) Add(r *history.Record, p *history.Policy) {
	if k.record = r; k.next != nil {
		k.next.Add(r, p)
	}
}

// restsText says of how many messages of a group the outcome would have been another.
func restsText(rests map[string]int) string {
	said := slices.SortedFunc(maps.Keys(rests), func(a, b string) int { return cmp.Or(cmp.Compare(rests[b], rests[a]), cmp.Compare(a, b)) })
	for i, s := range said {
		said[i] = fmt.Sprintf("%s (%d)", s, rests[s])
	}
	return strings.Join(said, ", ")
}
