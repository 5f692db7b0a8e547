package policy

import (
	"fmt"
	"math"
	"testing"
)

// TestParseShare: shares as policy.toml writes them, and what is none.
func TestParseShare(t *testing.T) {
	for text, want := range map[string]string{
		"10%": "10%", "0.5%": "0.5%", "0.05%": "0.05%", "12.50%": "12.5%", "100%": "100%", "0%": "0%", "007%": "7%",
	} {
		if s, err := ParseShare(text); err != nil || s.String() != want {
			t.Errorf("ParseShare(%q) = %s, %v; want %s", text, s, err, want)
		}
	}
	for _, text := range []string{"", "10", "%", "101%", "100.01%", "-1%", "1.234%", "10 %", "ten%", "1e1%"} {
		if s, err := ParseShare(text); err == nil {
			t.Errorf("ParseShare(%q) = %s, want an error", text, s)
		}
	}
}

// shareSource has one rule that can be true at RCPT and one that cannot before DATA, each for a share of senders.
func shareSource(early, late Share) Source {
	return Source{DelayReject: true, Rules: []RuleSource{
		{Name: "early", When: `sender.domain == "bad.example"`, Reply: "550 5.7.1 no", Share: early},
		{Name: "late", When: `dmarc.result == "fail"`, Reply: "550 5.7.1 no", Share: late},
	}}
}

// meet gives the rule that decides over a sender, where, and what the observed ones would have done.
func meet(p *Policy, network, author, sender string) (rule string, at Stage, woulds []Would) {
	e, w := p.NewEvidence(), p.NewWalk()
	for at := Connect; at <= Data; at++ {
		publish(e, at, map[Stage]facts{
			Connect: {"client.network": network}, Mail: {"sender.domain": sender}, Data: {"author.domain": author, "dmarc.result": "fail"},
		}[at])
		w.Step(e, at)
	}
	d, _ := w.Decision()
	return d.Rule, d.Decided, w.Woulds()
}

// TestShareOfSenders: of 4,000 senders about as many meet the enforced side as the share says (five standard deviations), each of them
// always, those of a smaller share also under a larger one, and the rest leaves a would-be.
func TestShareOfSenders(t *testing.T) {
	small, large := compile(t, shareSource(1000, 1000)), compile(t, shareSource(3000, 3000))
	const n = 4000
	hits := map[string]int{}
	for i := range n {
		network, author := fmt.Sprintf("10.%d.%d.0/24", i>>8&255, i&255), fmt.Sprintf("d%d.example", i%500)
		for _, sender := range []string{"bad.example", "good.example"} {
			rule, at, woulds := meet(small, network, author, sender)
			again, _, _ := meet(small, network, author, sender)
			larger, _, _ := meet(large, network, author, sender)
			if again != rule || rule != "" && larger == "" {
				t.Fatalf("%s %s: rule %q, then %q; under the larger share %q", network, author, rule, again, larger)
			}
			if rule == "" && (len(woulds) == 0 || woulds[0].Share != 1000) {
				t.Fatalf("%s %s meets no rule, and would have met %v", network, author, woulds)
			}
			if rule == "early" && at != Mail || rule == "late" && at != Data {
				t.Fatalf("%s decided at %s", rule, at)
			}
			hits[sender+" "+rule]++
		}
	}
	for key, share := range map[string]float64{"bad.example early": 0.1, "good.example late": 0.1} {
		if off := math.Abs(float64(hits[key]) - share*n); off > 5*math.Sqrt(share*(1-share)*n) {
			t.Errorf("%s: %d of %d, want about %.0f", key, hits[key], n, share*n)
		}
	}
	if both := hits["bad.example late"]; both < n*7/100 || both > n*11/100 {
		t.Errorf("%d of %d meet the second rule and not the first; two rules must not pick the same senders", both, n)
	}
}

// TestShareKey: a rule that may be true before DATA goes by the network alone, whoever the author is, so that a refusal is spoken at RCPT;
// one that needs DATA goes by network and author domain.
func TestShareKey(t *testing.T) {
	p := compile(t, shareSource(5000, 5000))
	byAuthor := map[string]bool{}
	for i := range 200 {
		network, author := fmt.Sprintf("10.0.%d.0/24", i/20), fmt.Sprintf("d%d.example", i)
		first, _, _ := meet(p, network, "a.example", "bad.example")
		if rule, _, _ := meet(p, network, author, "bad.example"); (rule == "early") != (first == "early") {
			t.Fatalf("%s: %q for one author and %q for another", network, first, rule)
		}
		rule, _, _ := meet(p, "192.0.2.0/24", author, "good.example")
		byAuthor[rule] = true
	}
	if !byAuthor["late"] || !byAuthor[""] {
		t.Errorf("authors of one network: %v", byAuthor)
	}
}

// TestShareDelaysNobody: rules below one with a share are reached where they are without it by those whom it only observes, and a rule that
// is always true hides nothing when it is for a share.
func TestShareDelaysNobody(t *testing.T) {
	s := Source{DelayReject: true, Rules: []RuleSource{
		{Name: "all", When: "true", Reply: "550 5.7.1 no", Share: 1},
		{Name: "below", When: `client.ip == "192.0.2.1"`, Reply: "550 5.7.1 no"},
	}}
	p := compile(t, s)
	if r := p.Report()[1]; r.Dead != "" || r.Decides != Connect {
		t.Errorf("the rule below: %+v", r)
	}
	e, w := p.NewEvidence(), p.NewWalk()
	publish(e, Connect, facts{"client.ip": "192.0.2.1", "client.network": "192.0.2.0/24"})
	if w.Step(e, Connect); w.decision.Rule != "below" {
		t.Errorf("decided by %q, want below", w.decision.Rule)
	}
	late := compile(t, Source{DelayReject: true, Rules: []RuleSource{{Name: "all", When: "true", Reply: "550 5.7.1 no", Share: 5000}}})
	e, w = late.NewEvidence(), late.NewWalk() // a relay's client, whose network DATA tells
	if waits := w.Step(e, Connect); w.decided || len(waits) != 1 || waits[0] != "client.network" {
		t.Errorf("it waits for %v, decided %v", waits, w.decided)
	}
}
