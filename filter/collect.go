package filter

import (
	"context"
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"gatepost.example/filter/check"
	"gatepost.example/filter/resolve"
	"gatepost.example/policy"
)

// task is one run of a check for one connection or message. It is the resolver of its check: while it is tried, it gives only what is
// at hand.
type task struct {
	check    check.Check
	work     func(context.Context) check.Outcome // what its Start gave
	resolver resolve.Resolver                    // for a run that may wait
	hand     resolve.AtHand                      // for one that may not; nil where the resolver knows nothing by itself
	log      *slog.Logger
	session  *Session // whose earlier tasks are read while it is tried
	earlier  tasks    // those to read on a goroutine of its own

	found func(context.Context, string) []check.Finding // its findings, as a value; made once, as the task keeps its place

	trying  bool
	missed  atomic.Bool // while it was tried it asked for something that was not at hand
	ended   bool        // outcome is there, without a goroutine
	cancel  context.CancelFunc
	done    chan struct{} // closed when the goroutine has ended; nil without
	took    time.Duration // of the run
	outcome check.Outcome
	read    *check.Outcome // what the session took for its outcome when it awaited it; nil before
	moment  int            // of the session's events, the one for which the facts were published; 0 for none
	stage   policy.Stage   // at which they were
}

// grace is how long a check that was cut off may take to give what it has.
const grace = 200 * time.Millisecond

func (t *task) wipe() { *t = task{found: t.found} }

// begin calls a check's Start on the session's own goroutine.
func (t *task) begin(in *check.Input) {
	defer t.caught(&t.ended)
	if t.found == nil {
		t.found = t.findings
	}
	in.Resolver, in.Findings = t, t.found
	t.work = t.check.Start(in)
}

// caught is to be deferred: it makes a panic the task's outcome, and says so. Other checks and sessions never notice.
func (t *task) caught(panicked *bool) {
	if reason := recover(); reason != nil {
		t.log.Error("a check panicked", "check", t.check.Name(), "panic", reason, "stack", string(debug.Stack()))
		t.outcome, *panicked = brokenOff(t.check, check.CodePanic), true
	}
}

// pending is the answer to what is not at hand. Nobody reads the outcome of a run that got it.
func pending(name string, t resolve.Type) *resolve.Answer {
	return &resolve.Answer{Name: name, Type: t, Status: resolve.Timeout, Detail: "not asked yet"}
}

// try runs the work here and now, if it need not wait for anything. It reports whether it has ended.
func (t *task) try(began time.Time) bool {
	if t.ended {
		return true
	}
	t.trying = true
	t.run(context.Background(), began, &t.ended)
	t.trying = false
	if t.ended { // it panicked: what it had begun at once may go on, and reads this
		t.session.room.lent = true
	}
	t.ended = t.ended || !t.missed.Load()
	return t.ended
}

// run does the work and keeps its outcome.
func (t *task) run(ctx context.Context, began time.Time, panicked *bool) {
	defer t.caught(panicked)
	t.outcome = t.work(ctx)
	t.sign(began)
}

// sign notes in the findings whose they are.
func (t *task) sign(began time.Time) {
	t.took = time.Since(began)
	for i := range t.outcome.Findings {
		t.outcome.Findings[i].Check, t.outcome.Findings[i].Took = t.check.Name(), t.took
	}
}

// launch runs the work on a goroutine of its own, which ends soon after the task's cancel is called or its budget is used up.
// A budget of 0 means that only cancel ends it. Of earlier tasks the work may read what they found.
func (t *task) launch(budget time.Duration, earlier tasks) {
	if t.ended {
		return
	}
	ctx, cancel := withBudget(budget)
	t.cancel, t.earlier, t.done = cancel, earlier, make(chan struct{})
	go func() {
		defer close(t.done)
		defer cancel()
		t.run(ctx, time.Now(), new(bool))
	}()
}

func withBudget(budget time.Duration) (context.Context, context.CancelFunc) {
	if budget > 0 {
		return context.WithTimeout(context.Background(), budget)
	}
	return context.WithCancel(context.Background())
}

// Lookup implements resolve.Resolver.
func (t *task) Lookup(ctx context.Context, name string, kind resolve.Type) *resolve.Answer {
	if !t.trying {
		return t.resolver.Lookup(ctx, name, kind)
	}
	if a := t.AtHand(name, kind); a != nil {
		return a
	}
	return pending(name, kind)
}

// AtHand implements resolve.AtHand.
func (t *task) AtHand(name string, kind resolve.Type) *resolve.Answer {
	if t.hand != nil && !t.missed.Load() {
		if a := t.hand.AtHand(name, kind); a != nil {
			return a
		}
	}
	if t.trying {
		t.missed.Store(true)
	}
	return nil
}

// Ahead implements resolve.AtHand.
func (t *task) Ahead(name string, kind resolve.Type) {
	if t.hand != nil {
		t.hand.Ahead(name, kind)
	}
}

// findings gives the work what an earlier task found for the same message.
func (t *task) findings(ctx context.Context, name string) []check.Finding {
	if !t.trying {
		return t.earlier.foundBy(ctx, name)
	}
	other := t.session.taskOf(name)
	switch {
	case other == nil:
		return nil
	case other.read != nil: // it may have come too late
		return other.read.Findings
	case !other.over():
		t.missed.Store(true)
		return nil
	}
	return other.outcome.Findings
}

// over reports whether the outcome is there.
func (t *task) over() bool {
	if t.ended || t.done == nil {
		return t.ended
	}
	select {
	case <-t.done:
		return true
	default:
		return false
	}
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
func (t *task) await(budget time.Duration) *check.Outcome {
	if t.read == nil {
		t.read = t.wait(budget)
	}
	return t.read
}

func (t *task) wait(budget time.Duration) *check.Outcome {
	if t.over() {
		return &t.outcome
	}
	late := brokenOff(t.check, check.CodeTimeout)
	if t.done == nil {
		return &late
	}
	timer := time.NewTimer(budget)
	defer timer.Stop()
	select {
	case <-t.done:
		return &t.outcome
	case <-timer.C:
	}
	t.cancel()
	timer.Reset(grace)
	select {
	case <-t.done:
		return &t.outcome
	case <-timer.C:
		return &late
	}
}

// tasks are the checks of one connection or message, in registry order; nil for one that was not started.
type tasks []*task

// appendFindings adds what all awaited tasks found, in registry order.
func (s *Session) appendFindings(out []check.Finding) []check.Finding {
	out = slices.Grow(out, len(s.settings.checks)) // most find one thing
	for i := range s.settings.checks {
		if t := s.task(i); t != nil && t.read != nil {
			out = append(out, t.read.Findings...)
		}
	}
	return out
}

// stop cuts off what still runs. It does not wait: the goroutines end by themselves and touch nothing of the session.
func (ts tasks) stop() {
	for _, t := range ts {
		t.stop()
	}
}

func (t *task) stop() {
	if t != nil && t.cancel != nil {
		t.cancel()
	}
}

// foundBy waits for what the task of a check found; nil without such a task. Where ctx ends first a finding says so.
func (ts tasks) foundBy(ctx context.Context, name string) []check.Finding {
	for _, t := range ts {
		if t == nil || t.check.Name() != name {
			continue
		}
		if t.ended {
			return t.outcome.Findings
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

// publish makes the facts of check i's outcome known at a stage. A fact that the check left out gets its word for trouble.
func (s *Session) publish(i int, out *check.Outcome, at policy.Stage) {
	if t := s.task(i); t.moment == 0 {
		t.moment, t.stage = s.conn.trail.moment, at
	}
	entry := &s.settings.checks[i]
	for n := range entry.facts {
		f := &entry.facts[n]
		value := f.Trouble
		if n < len(out.Facts) && out.Facts[n].Name == f.Name { // most checks give them as they declare them
			value = out.Facts[n].Value
		} else if i := slices.IndexFunc(out.Facts, func(n check.Named) bool { return n.Name == f.Name }); i >= 0 {
			value = out.Facts[i].Value
		}
		s.conn.evidence.PublishID(entry.ids[n], value, at)
	}
}

// input gives the checks what is known of the session. It is good until the checks of the stage have begun.
func (s *Session) input(now time.Time) *check.Input {
	if s.past != nil {
		return nil // nothing is asked
	}
	addr, name, helo := s.who()
	ip, network := s.conn.ip, s.conn.network
	if s.conn.relay {
		ip, network = s.settings.textsOf(addr)
	}
	in := &s.room.input
	*in = check.Input{
		Now: now, Receiver: s.settings.authservID(s.conn.MTA), Resolver: s.server.resolver,
		Client: addr, ClientIP: ip, ClientNetwork: network, ClientName: domainOf(name), Helo: helo, Memory: s.server.store,
	}
	if s.msg != nil {
		in.Sender, in.SenderDomain, in.User = s.msg.from.Address, s.msg.senderDomain, s.msg.from.User
		in.SenderResolved = s.msg.from.whole()
	}
	return in
}
