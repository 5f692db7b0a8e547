package state

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

// appended carries out steps on three keys behind two results that are there, which have to stay, and gives the levels of all in their order.
func appended(s Store, steps ...Step) string {
	memory := make([]Result, 2, 3)
	memory[0].Cell.A, memory[1].Cell.A = -1, -2
	var levels []string
	for _, r := range s.Do(context.Background(), time.Now(), steps, memory) {
		levels = append(levels, fmt.Sprint(r.Cell.A))
	}
	return strings.Join(levels, " ")
}

func touch(key string) Step { return Step{Op: Touch, Table: "t", Key: key, Keep: time.Hour} }

// TestResultsAreAppended: whatever store there is, and whether it answers, wholly or in part, each step has one result, behind those that were there.
func TestResultsAreAppended(t *testing.T) {
	read := func(key string) Step { return Step{Op: Read, Table: "t", Key: key} }
	embedded := NewEmbedded(1000, time.Now())
	absent := openTest(t, RedisConfig{URL: fmt.Sprintf("redis://127.0.0.1:%d", freePort(t))}, doBound)
	for name, s := range map[string]Store{"embedded": embedded, "absent": absent} {
		for n, want := range []string{"-1 -2 1 1 2 0", "-1 -2 2 3 4 0"} {
			if got := appended(s, touch("a"), touch("b"), touch("b"), read("c")); got != want {
				t.Errorf("%s, %d: %s", name, n, got)
			}
		}
	}
	server := startRedis(t)
	r := openTest(t, RedisConfig{URL: server.url()}, calm)
	if got := appended(r, touch("a"), touch("c"), touch("c"), read("b")); got != "-1 -2 1 1 2 0" {
		t.Error("Redis:", got)
	}
	server.do("CONFIG", "SET", "maxmemory", "1") // writes fail, reads do not
	if got := appended(r, read("a"), touch("b"), read("c"), touch("b")); got != "-1 -2 1 1 2 2" {
		t.Error("Redis answers in part:", got)
	}
	if r.Status() == "" {
		t.Error("it did not fail")
	}
}
