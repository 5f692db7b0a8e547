package filter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"gatepost.example/filter/history"
)

// Change is one decision that comes out otherwise under another policy.
type Change struct {
	From, To         string // what was done and what would be: "550", "accept", "accept tagged", "accept (would 550)"
	FromRule, ToRule string
	Recipient        string // whom it is about; "" for the whole message
}

// word gives what a decision comes to for the client, in few words.
func word(l *history.Line) string {
	out := l.What
	switch {
	case l.Spoken == "none" && l.Code != 0 && len(l.Woulds) == 0:
		out = "left"
	case out == "none":
		out = "accept"
	}
	if len(l.Tags) > 0 {
		out += " tagged"
	}
	var woulds []string
	for _, w := range l.Woulds {
		if !slices.Contains(woulds, w.What) {
			woulds = append(woulds, w.What)
		}
	}
	if len(woulds) > 0 {
		out += " (would " + strings.Join(woulds, ", ") + ")"
	}
	return out
}

// ruleWord names the rule that decided, or, where none did, those that would have.
func ruleWord(l *history.Line) string {
	if l.Rule != "" || len(l.Woulds) == 0 {
		return l.Rule
	}
	var rules []string
	for _, w := range l.Woulds {
		if !slices.Contains(rules, w.Rule) {
			rules = append(rules, w.Rule)
		}
	}
	return strings.Join(rules, ", ")
}

// Changes gives the decisions of a record that come out otherwise. Exact asks for the same policy: then the smallest difference counts.
func (r Replayed) Changes(rec *history.Record, exact bool) []Change {
	if exact && !history.SameLines(r.Lines, rec.Lines) {
		return r.differences(rec)
	}
	var out []Change
	for i := -1; i < len(rec.Recipients); i++ {
		was, is := lineOver(rec.Lines, i), lineOver(r.Lines, i)
		if i >= 0 && was == nil && is == nil {
			continue
		}
		if i >= 0 && was == nil { // it met what the message did
			was = lineOver(rec.Lines, -1)
		}
		if i >= 0 && is == nil {
			is = lineOver(r.Lines, -1)
		}
		c := Change{From: "accept", To: "accept"}
		if i >= 0 {
			c.Recipient = rec.Recipients[i].Address
		}
		if was != nil {
			c.From, c.FromRule = word(was), ruleWord(was)
		}
		if is != nil {
			c.To, c.ToRule = word(is), ruleWord(is)
		}
		if i < 0 && (was == nil || is == nil) && (r.Ended || !rec.Whole()) {
			switch {
			case was == nil && is == nil, r.Ended && is == nil, r.Further && is == nil:
				continue // the recipients tell
			case was == nil:
				c.From = history.Left
			case is == nil:
				c.To = history.Left
			}
		}
		if c.From != c.To {
			out = append(out, c)
		}
	}
	return out
}

// differences gives a change for a record that the same policy decides otherwise.
func (r Replayed) differences(rec *history.Record) []Change {
	c := Change{From: "as recorded", To: "otherwise"}
	if l := rec.Final(); l != nil {
		c.From, c.FromRule = word(l), l.Rule
	}
	again := history.Record{Lines: r.Lines}
	if l := again.Final(); l != nil {
		c.To, c.ToRule = word(l), l.Rule
	}
	return []Change{c}
}

// lineOver gives the decision over a recipient, -1 for the one over the message or connection.
func lineOver(lines []history.Line, recipient int) *history.Line {
	for i := len(lines) - 1; i >= 0; i-- {
		if lines[i].Recipient == recipient {
			return &lines[i]
		}
	}
	return nil
}

// Group is the changes of one kind.
type Group struct {
	From     string   `json:"from"`
	To       string   `json:"to"`
	FromRule string   `json:"from_rule,omitempty"`
	ToRule   string   `json:"to_rule,omitempty"`
	Author   string   `json:"author,omitempty"` // the author domain, or the sender's where the message did not come so far
	Count    int      `json:"count"`
	IDs      []string `json:"examples"`
}

// Report is what came of many records.
type Report struct {
	Records int           `json:"records"`
	Same    int           `json:"same"`
	Changed int           `json:"changed"` // records with a decision that changes
	Further int           `json:"further"` // records that would have gone on past their recorded end
	Unknown int           `json:"unknown"` // records that lack a fact
	Changes []Group       `json:"changes,omitempty"`
	Goes    []Group       `json:"goes_further,omitempty"`
	Lacks   []Group       `json:"lacks,omitempty"` // To names the fact
	Took    time.Duration `json:"took_ns"`
}

// maxExamples bounds the ids of one group.
const maxExamples = 5

// groupKey is what the changes of a group have in common.
type groupKey struct{ from, to, fromRule, toRule, author string }

// groups collects changes.
type groups map[groupKey]*Group

func (g groups) add(k groupKey, count int, ids ...string) {
	one := g[k]
	if one == nil {
		// Texts of a record are parts of its block: kept as they are, each would keep a whole block.
		k = groupKey{strings.Clone(k.from), strings.Clone(k.to), strings.Clone(k.fromRule), strings.Clone(k.toRule), strings.Clone(k.author)}
		one = &Group{From: k.from, To: k.to, FromRule: k.fromRule, ToRule: k.toRule, Author: k.author}
		g[k] = one
	}
	one.Count += count
	for _, id := range ids {
		if len(one.IDs) < maxExamples && !slices.Contains(one.IDs, id) {
			one.IDs = append(one.IDs, strings.Clone(id))
		}
	}
}

func (g groups) join(other groups) {
	for k, one := range other {
		g.add(k, one.Count, one.IDs...)
	}
}

// list gives the groups, the largest first.
func (g groups) list() []Group {
	out := make([]Group, 0, len(g))
	for _, one := range g {
		out = append(out, *one)
	}
	slices.SortFunc(out, func(a, b Group) int {
		return cmp.Or(b.Count-a.Count, strings.Compare(a.From+a.To, b.From+b.To), strings.Compare(a.FromRule+a.ToRule+a.Author, b.FromRule+b.ToRule+b.Author))
	})
	return out
}

// tally is one worker's part of a report.
type tally struct {
	Report
	changes, goes, lacks groups
	seen                 func(*history.Record, []Change)
}

func newTally() *tally { return &tally{changes: groups{}, goes: groups{}, lacks: groups{}} }

func authorOf(rec *history.Record) string {
	if rec.Message != nil && rec.Message.AuthorDomain != "" {
		return rec.Message.AuthorDomain
	}
	return mailDomain(rec.Sender.Address)
}

// note counts what came of a record.
func (t *tally) note(rec *history.Record, got Replayed, exact bool) {
	t.Records++
	if got.Unknown != "" {
		t.Unknown++
		t.lacks.add(groupKey{to: got.Unknown, author: authorOf(rec)}, 1, rec.ID)
		return
	}
	changes := got.Changes(rec, exact)
	if got.Further {
		t.Further++
		k := groupKey{from: history.Left, to: "goes further", author: authorOf(rec)}
		if l := rec.Final(); l != nil {
			k.from, k.fromRule = word(l), l.Rule
		}
		t.goes.add(k, 1, rec.ID)
		return
	}
	if len(changes) == 0 {
		t.Same++
		return
	}
	t.Changed++
	for _, c := range changes {
		t.changes.add(groupKey{c.From, c.To, c.FromRule, c.ToRule, authorOf(rec)}, 1, rec.ID)
	}
	if t.seen != nil {
		t.seen(rec, changes)
	}
}

func (t *tally) join(other *tally) {
	t.Records, t.Same, t.Changed = t.Records+other.Records, t.Same+other.Same, t.Changed+other.Changed
	t.Further, t.Unknown = t.Further+other.Further, t.Unknown+other.Unknown
	t.changes.join(other.changes)
	t.goes.join(other.goes)
	t.lacks.join(other.lacks)
}

// Replay says what to decide again.
type Replay struct {
	Since, Until time.Time
	Workers      int // 0 for one; with limits counted anew there is one
	// Under gives the replayer for records that were decided under a policy, and whether it is the same policy: then the smallest difference counts.
	Under func(identity string) (r *Replayer, same bool, err error)
	Seen  func(*history.Record, []Change) // gets every record that changes; nil for nobody. It is called by one worker at a time
}

// Run decides the history again. Records that were written out of the order of their time are decided in the order in which they were written.
func (p Replay) Run(ctx context.Context, from *history.Reader) (*Report, error) {
	began := time.Now()
	workers := max(1, p.Workers)
	blocks := make(chan history.Block, 2*workers)
	results, failures := make([]*tally, workers), make([]error, workers+1)
	var mu sync.Mutex
	var work sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for i := range workers {
		results[i] = newTally()
		if p.Seen != nil {
			results[i].seen = func(rec *history.Record, c []Change) {
				mu.Lock()
				defer mu.Unlock()
				p.Seen(rec, c)
			}
		}
		work.Go(func() {
			if failures[i] = p.blocks(blocks, results[i], &mu); failures[i] != nil {
				cancel()
			}
			for range blocks { // the reader must not wait for one who has gone
			}
		})
	}
	failures[workers] = from.Blocks(ctx, p.Since, func(b history.Block) error {
		select {
		case blocks <- b:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	close(blocks)
	work.Wait()
	all := newTally()
	for _, t := range results {
		all.join(t)
	}
	all.Changes, all.Goes, all.Lacks, all.Took = all.changes.list(), all.goes.list(), all.lacks.list(), time.Since(began)
	return &all.Report, errors.Join(failures...)
}

// blocks is one worker. A panic is an error: the daemon decides again too, for its page.
func (p Replay) blocks(blocks <-chan history.Block, into *tally, mu *sync.Mutex) (err error) {
	defer func() {
		if reason := recover(); reason != nil {
			err = fmt.Errorf("a fault in deciding again: %v\n%s", reason, debug.Stack())
		}
	}()
	unpacker, err := history.NewUnpacker()
	if err != nil {
		return err
	}
	type under struct {
		r    *Replayer
		same bool
	}
	known := map[string]under{}
	for b := range blocks {
		var wrong error
		err := unpacker.Records(b, func(rec *history.Record) {
			if wrong != nil || rec.Time.Before(p.Since) || !p.Until.IsZero() && !rec.Time.Before(p.Until) {
				return
			}
			u, ok := known[rec.Policy]
			if !ok {
				mu.Lock()
				u.r, u.same, wrong = p.Under(strings.Clone(rec.Policy))
				mu.Unlock()
				if wrong != nil {
					return
				}
				known[strings.Clone(rec.Policy)] = u
			}
			into.note(rec, u.r.Decide(rec), u.same)
		})
		if err = errors.Join(err, wrong); err != nil {
			return err
		}
	}
	return nil
}
