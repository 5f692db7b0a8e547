package state

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestRedisOneLimit has two machines share one limit: 10,000 events, and what is let through is the limit, give or take one.
func TestRedisOneLimit(t *testing.T) {
	server := startRedis(t)
	const burst, rate, events, workers = 1000, 0.001, 10000, 8
	var passed, answered atomic.Int64
	var wg sync.WaitGroup
	for range 2 {
		r := openTest(t, RedisConfig{URL: server.url()}, calm)
		for range workers {
			wg.Go(func() {
				for range events / 2 / workers {
					result := do1(r, Step{Op: Leak, Table: "one", Key: "limit", N: 1, Rate: rate, Burst: burst})
					answered.Add(1)
					if !result.Over {
						passed.Add(1)
					}
				}
				if r.Status() != "" {
					t.Error(r.Status())
				}
			})
		}
	}
	wg.Wait()
	if n := passed.Load(); answered.Load() != events || math.Abs(float64(n-burst)) > 1 {
		t.Errorf("of %d events %d were let through, not %d", answered.Load(), n, burst)
	}
}

// TestRedisLease: a machine that dies gives its sessions back, and to enter again renews.
func TestRedisLease(t *testing.T) {
	r := openTest(t, RedisConfig{URL: startRedis(t).url()}, calm)
	enter := func(name string, keep time.Duration) Result {
		return do1(r, Step{Op: Enter, Table: "open", Key: "k", Session: name, Keep: keep})
	}
	if got := r.Do(context.Background(), time.Now(), []Step{
		{Op: Enter, Table: "open", Key: "k", Session: "dies", Keep: 20 * time.Millisecond},
		{Op: Enter, Table: "open", Key: "k", Session: "lives", Keep: time.Hour},
	}, nil); got[1].Cell.A != 2 {
		t.Errorf("%+v", got)
	}
	time.Sleep(30 * time.Millisecond)
	if got := do1(r, Step{Op: Read, Table: "open", Key: "k"}); got.Cell.A != 1 {
		t.Errorf("%+v", got)
	}
	first := enter("lives", time.Hour)
	if first.Before.A != 1 || first.Cell.A != 1 || !first.Cell.At.After(first.Before.At) || !first.Cell.Until.After(first.Before.Until) {
		t.Errorf("renewed: %+v", first)
	}
	if got := do1(r, Step{Op: Leave, Table: "open", Key: "k", Session: "dies"}); got.Cell.A != 1 {
		t.Errorf("who is gone left again: %+v", got)
	}
	// A key of the other kind does not stop anything.
	for _, op := range []Op{Touch, Enter, Leak, Leave, Weigh, Enter, Read, Clear} {
		do1(r, Step{Op: op, Table: "open", Key: "k", Session: "x", Keep: time.Hour, HalfLife: time.Hour, N: 1, Rate: 1})
	}
	if r.Status() != "" {
		t.Error(r.Status())
	}
}

// TestRedisSame runs steps through Redis and through apply at Redis's times: the arithmetic is the same.
func TestRedisSame(t *testing.T) {
	r := openTest(t, RedisConfig{URL: startRedis(t).url()}, calm)
	leak := Step{Op: Leak, Table: "same", Key: "leak", N: 0.7, Rate: 11.3, Burst: 2.1}
	latch := Step{Op: Leak, Table: "same", Key: "latch", N: 1.3, Rate: 3.7, Burst: 4.9, Latch: true}
	weigh := Step{Op: Weigh, Table: "same", Key: "weigh", A: 1.1, B: 0.3, HalfLife: 2 * time.Second}
	touch := Step{Op: Touch, Table: "same", Key: "touch", Keep: time.Minute}
	steps := []Step{leak, latch, weigh, touch}
	cells := make([]*Cell, len(steps))
	for range 300 {
		for i, got := range r.Do(context.Background(), time.Time{}, steps, nil) {
			want := steps[i].apply(cells[i], got.Cell.At)
			if !sameCell(got.Cell, want.Cell) || !sameCell(got.Before, want.Before) || got.Over != want.Over || got.Found != want.Found {
				t.Fatalf("%+v gave\n%+v, not\n%+v", steps[i], got, want)
			}
			cells[i] = &want.Cell
		}
	}
}

func sameCell(a, b Cell) bool {
	close := func(x, y float64) bool { return math.Abs(x-y) <= 1e-9*(1+math.Abs(y)) }
	// A bucket's time to drain is told in whole seconds: a level that differs in its last digit may move it by one.
	until := a.Until.Sub(b.Until).Abs() <= time.Second
	return close(a.A, b.A) && close(a.B, b.B) && a.At.Equal(b.At) && a.First.Equal(b.First) && until && a.Mark == b.Mark
}

// TestRedisRestart kills the server in mid-load and starts it again.
func TestRedisRestart(t *testing.T) {
	server := startRedis(t)
	var log logBuffer
	r := openTest(t, RedisConfig{URL: server.url(), Log: log.logger()}, doBound)
	step := Step{Op: Leak, Table: "t", Key: "k", N: 1, Rate: 1e-6, Burst: 1e9}
	waitFor(t, "Redis said when it began", func() bool { return r.Born().After(time.Unix(2000, 0)) })
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if result := do1(r, step); result.Cell.A < 1 || result.Over {
					t.Errorf("%+v", result)
					return
				}
			}
		})
	}
	waitFor(t, "load in Redis", func() bool { v, err := server.try("EXISTS", redisKey("t", "k")); return err == nil && v == "1" })
	server.kill()
	waitFor(t, "away", func() bool { return r.Status() != "" })
	waitFor(t, "counted here", func() bool { return r.local.Len() == 1 })
	server.start()
	waitFor(t, "back", func() bool { return r.Status() == "" })
	waitFor(t, "load in Redis again", func() bool { v, err := server.try("EXISTS", redisKey("t", "k")); return err == nil && v == "1" })
	close(stop)
	wg.Wait()
	for _, word := range []string{"level=ERROR msg=\"Redis is away", "level=INFO msg=\"Redis is back"} {
		if !strings.Contains(log.String(), word) {
			t.Errorf("the log does not say %s:\n%s", word, log.String())
		}
	}
}

// TestRedisLeavesBehind: what began or tripped while Redis was away, and ended when it was back, does not count when it is away again.
func TestRedisLeavesBehind(t *testing.T) {
	server := startRedis(t)
	r := openTest(t, RedisConfig{URL: server.url()}, calm)
	waitFor(t, "Redis said when it began", func() bool { return r.Born().After(time.Unix(2000, 0)) })
	latch := Step{Op: Leak, Table: "latch", Key: "anna", N: 2, Rate: 1, Burst: 1, Latch: true}
	for range 2 {
		server.kill()
		do1(r, Step{Table: "t", Key: "k"})
		waitFor(t, "away", func() bool { return r.Status() != "" })
		enter := Step{Op: Enter, Table: "open", Key: "k", Session: "s", Keep: time.Hour}
		if result := do1(r, enter); result.Cell.A != 1 {
			t.Errorf("one session counts as %v", result.Cell.A)
		}
		if result := do1(r, latch); result.Before.Mark || !result.Cell.Mark {
			t.Errorf("latched before: %+v", result)
		}
		server.start()
		waitFor(t, "back", func() bool { return r.Status() == "" })
		enter.Op = Leave
		r.Do(context.Background(), time.Now(), []Step{enter, {Op: Clear, Table: "latch", Key: "anna"}}, nil)
	}
}

// TestRedisPaused stops the server in the middle, connections and all.
func TestRedisPaused(t *testing.T) {
	server := startRedis(t)
	r := openTest(t, RedisConfig{URL: server.url()}, doBound)
	touch := Step{Op: Touch, Table: "t", Key: "k", Keep: time.Hour}
	waitFor(t, "in Redis", func() bool {
		v, err := server.try("EXISTS", redisKey("t", "k"))
		do1(r, touch)
		return err == nil && v == "1"
	})
	waitFor(t, "calm", func() bool { return r.Status() == "" })
	server.pause()
	here := func() float64 { return do1(r.local, Step{Op: Read, Table: "t", Key: "k"}).Cell.A }
	before := here()
	done := make(chan Result, 50)
	for range cap(done) {
		go func() { done <- do1(r, touch) }()
	}
	for range cap(done) {
		select {
		case result := <-done:
			if result.Cell.A < 1 {
				t.Errorf("%+v", result)
			}
		case <-time.After(waitMost): // far beyond the 50 ms; without a bound it would be never
			t.Fatal("a Do does not come back")
		}
	}
	if r.Status() == "" || here() != before+float64(cap(done)) {
		t.Errorf("status %q, %v were counted here", r.Status(), here()-before)
	}
	server.resume()
	waitFor(t, "back", func() bool { return r.Status() == "" })
}

// TestRedisAbsent opens stores where nobody listens, and where somebody listens and never answers.
func TestRedisAbsent(t *testing.T) {
	local := NewEmbedded(100, time.Unix(1000, 0))
	r := openTest(t, RedisConfig{URL: fmt.Sprintf("redis://127.0.0.1:%d", freePort(t)), Local: local}, doBound)
	if !r.Born().Equal(time.Unix(1000, 0)) {
		t.Errorf("born %v", r.Born())
	}
	awayWith(t, r, "refused")
	if entries, err := r.Entries(context.Background(), time.Now(), "t", "", 10); err != nil || len(entries) != 1 {
		t.Errorf("%v, %v", entries, err)
	}
	silent := openTest(t, RedisConfig{URL: "redis://" + silentServer(t)}, doBound)
	if result := do1(silent, Step{Op: Touch, Table: "t", Key: "k", Keep: time.Hour}); result.Cell.A != 1 {
		t.Errorf("%+v", result)
	}
	if silent.Status() == "" {
		t.Error("a server that never answers is not away")
	}
}

// TestRedisRefuses has servers that answer with errors: nothing of them reaches a decision, and no password a log.
func TestRedisRefuses(t *testing.T) {
	const secret = "s3cret-Pa55"
	server := startRedis(t, "--requirepass", secret)
	open := func(user string) (*Redis, *logBuffer) {
		var log logBuffer
		return openTest(t, RedisConfig{URL: "redis://" + user + "@" + server.addr(), Log: log.logger()}, doBound), &log
	}
	const wrong = "wr0ng-Pa55"
	for _, c := range []struct{ name, user, word string }{
		{"wrong", ":" + wrong, "WRONGPASS"}, {"wrong with a user", "default:" + wrong, "WRONGPASS"}, {"none", "default", "NOAUTH"},
	} {
		r, log := open(c.user)
		awayWith(t, r, c.word)
		if said := log.String() + r.Status(); strings.Contains(said, wrong) || strings.Contains(said, secret) || !strings.Contains(said, "is away") {
			t.Errorf("%s: %s", c.name, said)
		}
	}
	r, _ := open(":" + secret)
	waitFor(t, "in Redis with the right password", func() bool {
		do1(r, Step{Op: Touch, Table: "t", Key: "k", Keep: time.Hour})
		return r.Status() == "" && r.Born().After(time.Unix(2000, 0))
	})
}

// TestRedisReadOnly covers a replica, a server without room, and one that takes no writes after its disk failed.
func TestRedisReadOnly(t *testing.T) {
	server := startRedis(t)
	r := openTest(t, RedisConfig{URL: server.url()}, doBound)
	for _, c := range []struct {
		word     string
		on, back []any
	}{
		{"READONLY", []any{"REPLICAOF", "127.0.0.1", "1"}, []any{"REPLICAOF", "NO", "ONE"}},
		{"OOM", []any{"CONFIG", "SET", "maxmemory", "1"}, []any{"CONFIG", "SET", "maxmemory", "0"}},
	} {
		waitFor(t, "calm", func() bool { return r.Status() == "" })
		server.do(c.on...)
		awayWith(t, r, c.word)
		r.try() // a trial that only reads would come through
		if !strings.Contains(r.Status(), c.word) {
			t.Errorf("%s: back without being: %q", c.word, r.Status())
		}
		server.do(c.back...)
		waitFor(t, "back", func() bool { r.try(); return r.Status() == "" })
	}
}

// TestRedisEmptied loses everything in the server, the script too: it begins anew and says when.
func TestRedisEmptied(t *testing.T) {
	server := startRedis(t)
	r := openTest(t, RedisConfig{URL: server.url()}, calm)
	other := openTest(t, RedisConfig{URL: server.url()}, calm)
	r.try()
	other.try()
	born := r.Born()
	if !born.Equal(other.Born()) || time.Since(born).Abs() > time.Hour {
		t.Errorf("born %v and %v", born, other.Born())
	}
	touch := Step{Op: Touch, Table: "t", Key: "k", Keep: time.Hour}
	do1(r, touch)
	server.do("FLUSHALL")
	server.do("SCRIPT", "FLUSH")
	results := r.Do(context.Background(), time.Now(), []Step{touch, touch, touch}, nil)
	if results[0].Found || results[2].Cell.A != 3 || r.Status() != "" {
		t.Errorf("%+v, %q", results, r.Status())
	}
	r.try()
	if !r.Born().After(born) {
		t.Errorf("born %v, before it was emptied %v", r.Born(), born)
	}
	// What somebody else wrote there is no cell.
	server.do("SET", redisKey("t", "k"), "1 2 x")
	if result := do1(r, touch); result.Found || result.Cell.A != 1 || r.Status() != "" {
		t.Errorf("%+v, %q", result, r.Status())
	}
	if ttl := server.do("PTTL", redisKey("t", "k")); ttl == "-1" {
		t.Error("the key never expires")
	}
}

// TestRedisClockLeaps: what is asked when the memory in Redis began finds a server that was off for months, or whose clock leapt, and one whose
// clock is right again.
func TestRedisClockLeaps(t *testing.T) {
	server := startRedis(t)
	r := openTest(t, RedisConfig{URL: server.url()}, calm)
	r.try()
	born, now := r.Born(), time.Now()
	seen := func(at, was time.Time) {
		server.do("SET", bornKey, fmt.Sprintf("%d %d %d", born.UnixMicro(), at.UnixMicro(), was.UnixMicro()))
		r.try()
	}
	seen(now.Add(-29*24*time.Hour), time.UnixMicro(0))
	if !r.Born().Equal(born) {
		t.Errorf("after weeks: born %v, want %v", r.Born(), born)
	}
	seen(now.Add(-90*24*time.Hour), time.UnixMicro(0))
	if !r.Born().After(born) {
		t.Errorf("after months: born %v, as before", r.Born())
	}
	was := now.Add(-300 * 24 * time.Hour)
	seen(now.Add(90*24*time.Hour), was)
	if !r.Born().Equal(time.UnixMicro(was.UnixMicro())) {
		t.Errorf("the clock is right again: born %v, want %v", r.Born(), was)
	}
}

// TestRedisGivenUp: who asks without waiting says nothing about Redis.
func TestRedisGivenUp(t *testing.T) {
	r := openTest(t, RedisConfig{URL: startRedis(t).url()}, calm)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if result := r.Do(ctx, time.Now(), []Step{{Op: Touch, Table: "t", Key: "k", Keep: time.Hour}}, nil)[0]; result.Cell.A != 1 || r.Status() != "" {
		t.Errorf("%+v, %q", result, r.Status())
	}
	for range 2 {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	if result := do1(r, Step{Op: Touch, Table: "t", Key: "k", Keep: time.Hour}); result.Cell.A != 2 || r.Status() != "" {
		t.Errorf("after close: %+v, %q", result, r.Status())
	}
}

// TestRedisMany has more keys than Entries looks at.
func TestRedisMany(t *testing.T) {
	server := startRedis(t)
	r := openTest(t, RedisConfig{URL: server.url()}, calm)
	for i := range 60 { // in parts: while a script runs, a slow machine would take the server for away
		server.do("EVAL", `for i = 1, 500 do redis.call('SET', 'other:' .. ARGV[1] .. ':' .. i, '') end return 1`, "0", strconv.Itoa(i))
	}
	do1(r, Step{Op: Touch, Table: "t", Key: "k", Keep: time.Hour})
	entries, err := r.Entries(context.Background(), time.Now(), "t", "", 10)
	if err != ErrPart || len(entries) > 1 || r.Status() != "" {
		t.Errorf("%v, %v, %q", entries, err, r.Status())
	}
}
