package filter

import (
	"context"
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"gatepost.example/filter/check"
	"gatepost.example/policy"
)

// task is one run of a check for one connection or message. Its outcome may be read when done is closed.
type task struct {
	check   check.Check
	cancel  context.CancelFunc
	done    chan struct{}
	outcome check.Outcome
	read    *check.Outcome // what the session took for its outcome when it awaited it; nil before
	moment  int            // of the session's events, the one for which the facts were published; 0 for none
	stage   policy.Stage   // at which they were
}

// grace is how long a check that was cut off may take to give what it has.
const grace = 200 * time.Millisecond

// start runs a check on a goroutine of its own, which ends soon after the task's cancel is called or its budget is used up.
// A budget of 0 means that only cancel ends it. A panic becomes a finding: other checks and sessions never notice.
func start(c check.Check, in *check.Input, budget time.Duration, log *slog.Logger) *task {
	ctx, cancel := withBudget(budget)
	t := &task{check: c, cancel: cancel, done: make(chan struct{})}
	began := time.Now()
	work, ok := begin(c, in, log)
	if !ok {
		t.outcome = brokenOff(c, check.CodePanic)
		close(t.done)
		return t
	}
	go func() {
		defer close(t.done)
		defer cancel()
		t.outcome = run(ctx, c, work, log)
		for i := range t.outcome.Findings {
			t.outcome.Findings[i].Check = c.Name()
			t.outcome.Findings[i].Took = time.Since(began)
		}
	}()
	return t
}

func withBudget(budget time.Duration) (context.Context, context.CancelFunc) {
	if budget > 0 {
		return context.WithTimeout(context.Background(), budget)
	}
	return context.WithCancel(context.Background())
}

// begin calls a check's Start on the session's own goroutine.
func begin(c check.Check, in *check.Input, log *slog.Logger) (work func(context.Context) check.Outcome, ok bool) {
	defer func() {
		if reason := recover(); reason != nil {
			log.Error("a check panicked", "check", c.Name(), "panic", reason, "stack", string(debug.Stack()))
			ok = false
		}
	}()
	return c.Start(in), true
}

func run(ctx context.Context, c check.Check, work func(context.Context) check.Outcome, log *slog.Logger) (out check.Outcome) {
	defer func() {
		if reason := recover(); reason != nil {
			log.Error("a check panicked", "check", c.Name(), "panic", reason, "stack", string(debug.Stack()))
			out = brokenOff(c, check.CodePanic)
		}
	}()
	return work(ctx)
}

// brokenOff is the outcome of a check that gave none: each fact is its word for trouble, and a finding says why.
func brokenOff(c check.Check, code string) check.Outcome {
	f := check.Finding{Check: c.Name(), Result: "temperror", Code: code}
	if c.Name() == "arc" {
		f.Result = "fail" // ARC has no word for trouble (RFC 8617 4.4)
	}
	if method := strings.TrimSuffix(c.Name(), "-helo"); slices.Contains([]string{"iprev", "spf", "dkim", "arc", "dmarc"}, method) {
		f.Method = method
	}
	return check.Outcome{Findings: []check.Finding{f}}
}

// await waits for the task's outcome, for at most the budget from now and then a moment of grace after cutting it off. What it gives
// once it gives again: a check that ends too late changes nothing.
func (t *task) await(budget time.Duration) check.Outcome {
	if t.read == nil {
		out := t.wait(budget)
		t.read = &out
	}
	return *t.read
}

func (t *task) wait(budget time.Duration) check.Outcome {
	select {
	case <-t.done:
		return t.outcome
	default:
	}
	timer := time.NewTimer(budget)
	defer timer.Stop()
	select {
	case <-t.done:
		return t.outcome
	case <-timer.C:
	}
	t.cancel()
	timer.Reset(grace)
	select {
	case <-t.done:
		return t.outcome
	case <-timer.C:
		return brokenOff(t.check, check.CodeTimeout)
	}
}

// tasks are the checks of one connection or message, in registry order; nil for one that was not started.
type tasks []*task

// findings gives what all awaited tasks found, in registry order.
func (ts tasks) findings() []check.Finding {
	var out []check.Finding
	for _, t := range ts {
		if t != nil && t.read != nil {
			out = append(out, t.read.Findings...)
		}
	}
	return out
}

// stop cuts off what still runs. It does not wait: the goroutines end by themselves and touch nothing of the session.
func (ts tasks) stop() {
	for _, t := range ts {
		if t != nil {
			t.cancel()
		}
	}
}

// waitFor gives a check a way to read what an earlier one found for the same message.
func waitFor(all tasks) func(ctx context.Context, name string) []check.Finding {
	return func(ctx context.Context, name string) []check.Finding {
		for _, t := range all {
			if t == nil || t.check.Name() != name {
				continue
			}
			select {
			case <-t.done:
				return t.outcome.Findings
			case <-ctx.Done():
				return brokenOff(t.check, check.CodeTimeout).Findings
			}
		}
		return nil
	}
}

// publish makes the facts of check i's outcome known at a stage. A fact that the check left out gets its word for trouble.
func (s *Session) publish(i int, out check.Outcome, at policy.Stage) {
	if t := s.task(i); t.moment == 0 {
		t.moment, t.stage = s.conn.trail.moment, at
	}
	for _, f := range s.settings.checks[i].check.Facts() {
		value := f.Trouble
		if i := slices.IndexFunc(out.Facts, func(n check.Named) bool { return n.Name == f.Name }); i >= 0 {
			value = out.Facts[i].Value
		}
		s.publishMemory(f.Name, value, at)
	}
}
