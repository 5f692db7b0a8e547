package resolve_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"gatepost.example/filter/resolve"
	"gatepost.example/filter/resolve/resolvetest"
)

// TestKeeping walks a clock along one answer after the other: how long each is kept, and what it says of its TTL and age.
func TestKeeping(t *testing.T) {
	const text = zone + `
ages.test          SOA ns.ages.test h.ages.test 1 2 3 4 999999
ages.test          999999 A 192.0.2.8
`
	for _, test := range []struct {
		name string
		kind resolve.Type
		kept time.Duration
		why  string
	}{
		{"host.example.org", resolve.A, 300 * time.Second, "its TTL"},
		{"www.example.org", resolve.A, 30 * time.Second, "the least TTL of the chain"},
		{"zero.example.org", resolve.A, 5 * time.Second, "TTL 0 is kept for the floor"},
		{"ages.test", resolve.A, 24 * time.Hour, "a long TTL is capped"},
		{"example.org", resolve.PTR, 60 * time.Second, "NoData for the SOA's time (RFC 2308 5)"},
		{"no.example.org", resolve.A, 60 * time.Second, "NXDomain too"},
		{"no.ages.test", resolve.A, 300 * time.Second, "the TTL of the SOA record itself counts as well"},
		{"nosoa.test", resolve.TXT, 5 * time.Second, "a negative answer without SOA for the floor only"},
		{"sick.example.org", resolve.A, 5 * time.Second, "trouble is kept shortly (RFC 9520)"},
		{"slow.example.org", resolve.A, 5 * time.Second, "a timeout too"},
	} {
		t.Run(test.why, func(t *testing.T) {
			t.Parallel()
			s, err := resolvetest.NewServer(resolvetest.Must(text))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(s.Close)
			now := time.Now()
			c := resolve.New(resolve.Config{Servers: []string{s.Addr()}, Timeout: time.Second, Now: func() time.Time { return now }})
			t.Cleanup(c.Close)
			fresh := c.Lookup(context.Background(), test.name, test.kind)
			asked := len(s.Queries())
			now = now.Add(test.kept - time.Second)
			again := c.Lookup(context.Background(), test.name, test.kind)
			if len(s.Queries()) != asked {
				t.Errorf("asked again after %s", test.kept-time.Second)
			}
			if show(again) != show(fresh) || again.Detail != fresh.Detail {
				t.Errorf("kept %s, was %s", show(again), show(fresh))
			}
			if again.Age != test.kept-time.Second || again.TTL != max(0, fresh.TTL-again.Age) {
				t.Errorf("age %s, TTL %s, at first TTL %s", again.Age, again.TTL, fresh.TTL)
			}
			now = now.Add(time.Second)
			if late := c.Lookup(context.Background(), test.name, test.kind); late.Age != 0 || len(s.Queries()) == asked {
				t.Errorf("after %s: age %s, want it asked anew", test.kept, late.Age)
			}
		})
	}
}

// TestBadNamesAreNotAsked: they cost nothing and are not kept.
func TestBadNamesAreNotAsked(t *testing.T) {
	c, servers := start(t, 1, nil)
	for range 3 {
		c.Lookup(context.Background(), "a..b", resolve.A)
	}
	if n, s := len(servers[0].Queries()), c.Stats(); n != 0 || s.Entries != 0 || s.Questions != 3 {
		t.Errorf("%d queries, stats %+v", n, s)
	}
}

// TestNothingKept: negative durations turn the cache off.
func TestNothingKept(t *testing.T) {
	c, servers := start(t, 1, func(config *resolve.Config) {
		config.MinTTL, config.MaxTTL, config.MaxNegative, config.Trouble = -1, -1, -1, -1
	})
	for range 3 {
		for _, name := range []string{"host.example.org", "no.example.org", "sick.example.org"} {
			c.Lookup(context.Background(), name, resolve.A)
		}
	}
	if n := len(servers[0].Queries()); n != 9 {
		t.Errorf("%d queries for 9 questions", n)
	}
}

// TestCacheIsBounded: strangers can choose how many names we ask for and how large the answers are.
func TestCacheIsBounded(t *testing.T) {
	var text strings.Builder
	for i := range 40 {
		fmt.Fprintf(&text, "n%d.example.org TXT \"%s\"\n", i, strings.Repeat("x", 3000))
	}
	s, err := resolvetest.NewServer(resolvetest.Must(text.String()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	c := resolve.New(resolve.Config{Servers: []string{s.Addr()}, Entries: 20})
	t.Cleanup(c.Close)
	for i := range 40 {
		c.Lookup(context.Background(), fmt.Sprintf("n%d.example.org", i), resolve.TXT)
	}
	if got := c.Stats(); got.Bytes > 20*1024 || got.Entries > 7 || got.Entries < 4 {
		t.Errorf("20 KiB hold %d answers of 3 KB in %d bytes", got.Entries, got.Bytes)
	}
	for i := range 40 {
		c.Lookup(context.Background(), fmt.Sprintf("none%d.example.org", i), resolve.A)
	}
	if got := c.Stats(); got.Entries != 20 || got.Bytes <= 0 || got.Bytes > 20*1024 {
		t.Errorf("%d small answers in %d bytes, want 20", got.Entries, got.Bytes)
	}
}
