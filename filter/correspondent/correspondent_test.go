package correspondent_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"gatepost.example/filter/check"
	"gatepost.example/filter/correspondent"
	"gatepost.example/filter/state"
	"gatepost.example/policy"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

var rules = correspondent.Rules{Keep: 180 * 24 * time.Hour, Freemail: map[string]bool{"gmail.com": true}}

// ask gives sender.correspondent.
func ask(s state.Store, sender, spf string, at time.Time) bool {
	in := &check.Input{Now: at, Sender: sender, Memory: s, Findings: func(context.Context, string) []check.Finding { return []check.Finding{{Result: spf}} }}
	return correspondent.New(rules).Start(in)(context.Background()).Facts[0].Value == policy.BoolOf(true)
}

// TestLearnAndAsk: an address counts by itself, a domain only where SPF passes and it is no freemail.
func TestLearnAndAsk(t *testing.T) {
	s := state.NewEmbedded(1000, noon)
	for _, to := range []string{"Ann@Partner.example", "bob@gmail.com"} {
		s.Do(context.Background(), noon, rules.Wrote("alice", to), nil)
	}
	for _, test := range []struct {
		sender, spf string
		after       time.Duration
		want        bool
		why         string
	}{
		{"ann@partner.example", "none", 0, true, "the address"},
		{"ANN@partner.EXAMPLE", "fail", 0, true, "case does not matter"},
		{"carl@partner.example", "pass", 0, true, "the domain with SPF"},
		{"carl@partner.example", "none", 0, false, "the domain without SPF"},
		{"carl@partner.example", "softfail", 0, false, "the domain with softfail"},
		{"carl@sub.partner.example", "pass", 0, false, "another domain"},
		{"bob@gmail.com", "none", 0, true, "an address at a freemail provider"},
		{"eve@gmail.com", "pass", 0, false, "another address there"},
		{"", "pass", 0, false, "the null sender"},
		{"ann@partner.example", "pass", 180 * 24 * time.Hour, true, "after 180 days"},
		{"ann@partner.example", "pass", 181 * 24 * time.Hour, false, "after more"},
	} {
		if got := ask(s, test.sender, test.spf, noon.Add(test.after)); got != test.want {
			t.Errorf("%s: %v", test.why, got)
		}
	}
}

// TestLookUser: whom one user wrote to says nothing of another.
func TestLookUser(t *testing.T) {
	s := state.NewEmbedded(1000, noon)
	s.Do(context.Background(), noon, rules.Wrote("Alice", "ann@partner.example"), nil)
	for user, want := range map[string]bool{"alice": true, "bob": false} {
		if got := s.Do(context.Background(), noon, []state.Step{correspondent.LookUser(user, "ANN@partner.example")}, nil)[0].Found; got != want {
			t.Errorf("%s: %v", user, got)
		}
	}
}

// TestOwn: ours is a domain with ten of the last thousand recipients, of no domain more than twenty.
func TestOwn(t *testing.T) {
	own := correspondent.NewOwn(nil)
	if own.Any() {
		t.Error("something is ours at the beginning")
	}
	took := func(domain string, times int) {
		for range times {
			own.Took(domain)
		}
	}
	took("a.test", 9)
	if own.Has("a.test") || own.Any() {
		t.Error("nine are enough")
	}
	took("a.test", 1)
	if !own.Has("a.test") || !own.Any() {
		t.Error("ten are not enough")
	}
	took("b.test", 980)
	if own.Seasoned() {
		t.Error("990 recipients are a window")
	}
	took("b.test", 10)
	if !own.Has("a.test") || !own.Has("b.test") || !own.Seasoned() {
		t.Error("a domain that is named again and again pushes out another")
	}
	for i := range 99 {
		took(fmt.Sprintf("d%d.test", i), 10)
	}
	if own.Has("a.test") || !own.Has("d0.test") || !own.Has("d98.test") {
		t.Error("the window does not slide")
	}
	took("b.test", 10)
	took("", 2000)
	if !own.Has("b.test") || own.Has("") {
		t.Error("a recipient without a domain counts")
	}
}

// TestOwnAfterRestart: what Took gives to remember is enough to know the domain again.
func TestOwnAfterRestart(t *testing.T) {
	s, own := state.NewEmbedded(1000, noon), correspondent.NewOwn(nil)
	for i := range 1000 {
		domain := "a.test"
		if i%20 == 0 {
			domain = "b.test"
		}
		s.Do(context.Background(), noon, own.Took(domain), nil)
	}
	s.Do(context.Background(), noon, own.Took("c.test"), nil)
	entries, err := s.Entries(context.Background(), noon, correspondent.OwnTable(), "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	again := correspondent.NewOwn(entries)
	for domain, want := range map[string]bool{"a.test": true, "b.test": true, "c.test": false} {
		if got := again.Has(domain); got != want {
			t.Errorf("%s: %v", domain, got)
		}
	}
}

// TestManyOwnAfterRestart: of more domains than a window holds those with the most mail are known again.
func TestManyOwnAfterRestart(t *testing.T) {
	var entries []state.Entry
	for i := range 300 {
		entries = append(entries, state.Entry{Key: fmt.Sprintf("d%d.test", i), Cell: state.Cell{A: float64(1000 - i)}})
	}
	own := correspondent.NewOwn(entries)
	for domain, want := range map[string]bool{"d0.test": true, "d99.test": true, "d100.test": false, "d299.test": false} {
		if got := own.Has(domain); got != want {
			t.Errorf("%s: %v", domain, got)
		}
	}
}

// FuzzOwn: Has is what counting the last thousand says, without those of a domain that has twenty of them.
func FuzzOwn(f *testing.F) {
	f.Add([]byte("aaaaaaaaaabbbbbbbbbc"), uint16(120))
	f.Fuzz(func(t *testing.T, pattern []byte, repeat uint16) {
		if len(pattern) == 0 || len(pattern)*int(repeat) > 5000 {
			return
		}
		own, all := correspondent.NewOwn(nil), []byte{}
		for range repeat {
			for _, c := range pattern {
				own.Took(name(c))
				if bytes.Count(all[max(0, len(all)-1000):], []byte{c % 16}) < 20 {
					all = append(all, c%16)
				}
			}
		}
		counts := map[byte]int{}
		for _, c := range all[max(0, len(all)-1000):] {
			counts[c]++
		}
		for c := range byte(16) {
			if got, want := own.Has(name(c)), counts[c] >= 10; got != want {
				t.Errorf("%s: %v with %d", name(c), got, counts[c])
			}
		}
	})
}

func name(c byte) string { return fmt.Sprintf("d%d.test", c%16) }
