// Command simulate sends a month of mail, 200,000 messages, through sessions of the filter under a simulated clock, once under the shipped
// policy.toml in enforce mode and once under fixed limits without reputation, and prints what became of each kind of sender.
//
//	world.go    hosts, domains, DNS
//	traffic.go  what a visit and a message are; honest.go and attack.go: who sends what
//	run.go      one pass: sessions, retries
//	table.go    what is printed
//	checks.go   what must hold
//
// The same seed gives the same month. It needs no network and no MTA.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"gatepost.example/filter/resolve/resolvetest"
)

// fixedLimits is what one would write without a memory.
const fixedLimits = `
mode = "enforce"

[[limit]]
name  = "messages"
count = "messages"
per   = ["client.network"]
rate  = "600/1h"
when  = 'server.role == "mx" && !client.trusted'

[[limit]]
name  = "unknown"
count = "unknown_recipients"
per   = ["client.network"]
rate  = "20/1h"
when  = 'server.role == "mx" && !client.trusted'

[[rule]]
name  = "harvest"
when  = 'server.role == "mx" && !client.trusted && over.unknown'
reply = "421 4.7.0 Too many unknown recipients from {client.network}; try again later"
at_once = true

[[rule]]
name  = "too-much"
when  = 'server.role == "mx" && !client.trusted && over.messages'
reply = "421 4.7.0 Too much from {client.network}; try again later"
`

// shipped gives policy.toml in enforce mode, with a content filter whose verdict it reads.
func shipped() (string, error) {
	text, err := os.ReadFile("policy.toml")
	if err != nil {
		return "", fmt.Errorf("run this in the repository's root: %w", err)
	}
	policy := string(text)
	for old, put := range map[string]string{`mode = "observe"`: `mode = "enforce"`, "\n#header = \"\"": "\nheader = \"X-Content-Verdict\""} {
		if strings.Count(policy, old) != 1 {
			return "", fmt.Errorf("policy.toml has %q not once", old)
		}
		policy = strings.Replace(policy, old, put, 1)
	}
	return policy, nil
}

// memoryLimit is what a month fits into, in bytes.
const memoryLimit = 700 << 20

func main() {
	seed := flag.Uint64("seed", 1, "of the traffic")
	flag.Parse()
	debug.SetGCPercent(250) // sessions are short-lived: most of what they need is garbage soon
	debug.SetMemoryLimit(memoryLimit)
	ok, err := simulate(*seed)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if !ok {
		os.Exit(1)
	}
}

func simulate(seed uint64) (bool, error) {
	start := time.Now()
	policy, err := shipped()
	if err != nil {
		return false, err
	}
	w, err := newWorld(seed)
	if err != nil {
		return false, err
	}
	t := makeTraffic(w)
	zone, err := resolvetest.Parse(t.zone.String())
	if err != nil {
		return false, err
	}
	dns := newAnswers(zone)
	var runs []*run
	silent := newAnswers(resolvetest.Must("")) // fixed limits read nothing of what DNS says
	for _, p := range []struct {
		name, policy string
		dns          *answers
	}{{"policy.toml, enforced", policy, dns}, {"fixed limits, no reputation", fixedLimits, silent}, {"policy.toml, the bank alone", policy, dns}} {
		r, err := newRun(p.name, p.policy, p.dns, t.count)
		if err != nil {
			return false, err
		}
		runs = append(runs, r)
	}
	runs[1].bare = true
	playAll(runs, t)
	fmt.Printf("%d messages in 30 days; the content filter judged %.0f %% of them, and took %.1f %% of the wanted ones for spam\n\n", t.count, 100*judgedPart, 100*falsePart)
	all := mailsOf(t.visits)
	for _, r := range runs[:2] {
		fmt.Println(r.table(r.rows(all)))
	}
	ok := check(runs[0], runs[2], all)
	fmt.Fprintf(os.Stderr, "took %s\n", time.Since(start).Round(time.Second))
	return ok, nil
}

// playAll lets the runs go side by side. The last one has the bank's own mail and what is forwarded of it, and no spoofer.
func playAll(runs []*run, t *traffic) {
	var group sync.WaitGroup
	for i, r := range runs {
		visits := t.visits
		if i == 2 {
			visits = onlyBank(visits)
		}
		group.Go(func() { r.play(visits) })
	}
	group.Wait()
}

// onlyBank leaves the visits that carry mail of the bank itself.
func onlyBank(visits []*visit) []*visit {
	var out []*visit
	for _, v := range visits {
		if m := v.mails[0]; m.from == "a@"+bank && m.kind != spoofer {
			out = append(out, v)
		}
	}
	return out
}

func mailsOf(visits []*visit) []*mail {
	var out []*mail
	for _, v := range visits {
		out = append(out, v.mails...)
	}
	return out
}
