package main

import (
	"fmt"
	"math"
	"time"

	"gatepost.example/filter/reputation"
)

// check prints what must hold of the shipped policy, and whether all of it does.
func check(r, alone *run, all []*mail) bool {
	ok := true
	say := func(holds bool, format string, args ...any) {
		word := "ok "
		if !holds {
			word, ok = "NOT", false
		}
		fmt.Println(word, fmt.Sprintf(format, args...))
	}
	rows := r.rows(all)
	sent, deferred, refused := 0, 0, 0
	for k, row := range rows[:freshESP+1] {
		refused += row.refused + row.gaveUp
		if kind(k) != freshESP { // made to be deferred
			sent, deferred = sent+row.sent, deferred+row.deferred
		}
	}
	say(refused == 0, "wanted mail refused or given up: %d of %d", refused, sent+rows[freshESP].sent)
	say(deferred*100 < sent, "wanted mail deferred, but for the new ESP: %d of %d, %.2f %%, to be under 1 %%; %d of them in the first two weeks",
		deferred, sent, 100*float64(deferred)/float64(sent), r.deferredBefore(all, 14*day))
	with, without := r.cell(reputation.TableDomain, bank), alone.cell(reputation.TableDomain, bank)
	say(near(with.A, without.A) && near(with.B, without.B) && r.bank == alone.bank,
		"the spoofer changes nothing for %s: evidence %.2f for, %.2f against, author and signer %v; without spoofer %.2f, %.2f, %v", bank, with.A, with.B, r.bank, without.A, without.B, alone.bank)
	say(r.borrows == 0, "spoofs that borrowed the author's reputation: %d", r.borrows)
	band := reputation.Judge(r.cell(reputation.TableIP, "10.50.1.10"), r.cell(reputation.TableNetwork, "10.50.1.0/24"))
	signer := reputation.Judge(r.cell(reputation.TableDomain, "freshbrand.example"), r.cell(reputation.TableDomain, ""))
	say(rows[freshESP].deferred >= 1000, "messages of the new ESP that were deferred: %d, to be 1000 at least so that the next line says something", rows[freshESP].deferred)
	say(atLeastNeutral(band.Band) && atLeastNeutral(signer.Band), "the deferred ESP ends as %s (its author domain: %s)", band.Band, signer.Band)
	for _, m := range meetings {
		after, code := r.firsts[m.kind].deferred, "4xx"
		if m.hard {
			after, code = r.firsts[m.kind].refused, "5xx"
		}
		after -= r.firsts[m.kind].seen
		say(after >= 0 && after <= m.within, "%s: first %s after %s, to be within %s", kindNames[m.kind], code, after.Round(time.Minute), m.within)
	}
	return ok
}

// meeting is what an attacker is to meet, and within what time of its first message.
type meeting struct {
	kind   kind
	hard   bool // a 5xx
	within time.Duration
}

// meetings: no 5xx that rests on a record comes before the memory has settled, on day 14.
var meetings = []meeting{
	{dictionary, false, 5 * time.Minute}, {dictionary, true, 14 * day}, {cracked, false, 15 * time.Minute}, {spoofer, true, time.Minute},
	{snowshoe, false, 10 * day}, {snowshoe, true, 14 * day}, {botnet, false, day},
}

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-6*math.Max(1, math.Abs(b)) }

func atLeastNeutral(band string) bool { return band == reputation.Good || band == reputation.Neutral }

// deferredBefore counts the wanted messages, but for those of the new ESP, that came before a moment and were deferred.
func (r *run) deferredBefore(all []*mail, end time.Duration) int {
	n := 0
	for _, m := range all {
		if f := r.fates[m.number]; m.kind < freshESP && f.deferred && f.first < end {
			n++
		}
	}
	return n
}
