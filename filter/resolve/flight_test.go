package resolve_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost.example/filter/resolve"
	"gatepost.example/filter/resolve/resolvetest"
)

// TestOneQueryForAll: ten thousand sessions that ask the same at once make one query; those whose time is up do not disturb it.
func TestOneQueryForAll(t *testing.T) {
	c, servers := start(t, 1, func(config *resolve.Config) { config.Timeout = 20 * time.Second })
	servers[0].Misbehave(resolvetest.Delay(300 * time.Millisecond))
	hasty, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	results := make(chan string, 10_000)
	for i := range 10_000 {
		ctx := context.Background()
		if i%2 == 0 {
			ctx = hasty
		}
		all.Go(func() { results <- show(c.Lookup(ctx, "host.example.org", resolve.A)) })
	}
	cancel()
	all.Wait()
	close(results)
	count := map[string]int{}
	for r := range results {
		count[r]++
	}
	if count["found 192.0.2.3"] < 5000 || count["found 192.0.2.3"]+count["timeout"] != 10_000 {
		t.Errorf("answers: %v", count)
	}
	if n := len(servers[0].Queries()); n != 1 {
		t.Errorf("%d queries, want 1", n)
	}
	if s := c.Stats(); s.Questions != 10_000 || s.Misses != 1 || s.GivenUp+s.Joined+s.Hits < 9_999 {
		t.Errorf("stats %+v", s)
	}
}

// TestCallerGivesUp: the caller's time ends before the answer comes; the answer is there for the next one.
func TestCallerGivesUp(t *testing.T) {
	c, servers := start(t, 1, nil)
	servers[0].Misbehave(resolvetest.Delay(100 * time.Millisecond))
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if a := c.Lookup(ctx, "host.example.org", resolve.A); a.Status != resolve.Timeout || !strings.Contains(a.Detail, "host.example.org A") {
		t.Errorf("got %s (%s)", a.Status, a.Detail)
	}
	if got := show(c.Lookup(context.Background(), "host.example.org", resolve.A)); got != "found 192.0.2.3" {
		t.Errorf("then %s", got)
	}
	if n := len(servers[0].Queries()); n != 1 {
		t.Errorf("%d queries, want the first one to go on", n)
	}
}

func TestClose(t *testing.T) {
	c, servers := start(t, 1, func(config *resolve.Config) { config.Timeout = time.Minute })
	servers[0].Misbehave(resolvetest.Silent)
	done := make(chan *resolve.Answer)
	go func() { done <- c.Lookup(context.Background(), "example.org", resolve.A) }()
	for range 1000 {
		if len(servers[0].Queries()) > 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	c.Close()
	if a := <-done; a.Status != resolve.ServFail {
		t.Errorf("a question under way ended as %s (%s)", a.Status, a.Detail)
	}
	if a := c.Lookup(context.Background(), "example.org", resolve.MX); a.Status != resolve.ServFail || a.Detail != "the resolver is closed" {
		t.Errorf("a later one as %s (%s)", a.Status, a.Detail)
	}
}
