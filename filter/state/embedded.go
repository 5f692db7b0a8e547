package state

import (
	"context"
	"hash/maphash"
	"math"
	"slices"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// shards is how many parts the memory has, each with its own lock.
const shards = 64

// Embedded is a store in this process's memory. File gives one that survives it.
type Embedded struct {
	seed  maphash.Seed
	born  atomic.Pointer[time.Time]
	most  int         // cells of one shard
	spare atomic.Bool // the clock has leapt: what has expired is not forgotten for being read
	late  atomic.Bool // the file could not be opened yet
	parts [shards]part
	file  *file // nil without
}

// part is one shard.
type part struct {
	mu    sync.Mutex
	cells map[cellKey]*place

	// What the file is to be told of, without one nothing.
	round   uint32           // how often it was asked, from 1; 0 without a file
	changed []cellKey        // cells that changed in this round
	gone    map[cellKey]bool // those that the file has or may have and that were forgotten
}

type cellKey struct{ table, key string }

// place holds the cell of a key.
type place struct {
	Cell
	noted uint32 // the round in which it was last noted for the file
	filed bool   // the file may have it
	op    Op     // what last changed it
}

// NewEmbedded gives an empty memory that holds at most a number of cells, some hundred bytes each.
func NewEmbedded(most int, now time.Time) *Embedded {
	e := &Embedded{seed: maphash.MakeSeed(), most: max(1, most/shards)}
	e.born.Store(&now)
	for i := range e.parts {
		e.parts[i].cells = map[cellKey]*place{}
	}
	return e
}

func (e *Embedded) part(k cellKey) *part {
	return &e.parts[maphash.String(e.seed, k.key)%shards] // of several tables too: hashing both costs several times as much
}

// Born implements Store.
func (e *Embedded) Born() time.Time { return *e.born.Load() }

// Do implements Store. It does no I/O.
func (e *Embedded) Do(_ context.Context, now time.Time, steps []Step, out []Result) []Result {
	out = slices.Grow(out, len(steps))
	for i := range steps {
		out = append(out, e.do(now, &steps[i]))
	}
	return out
}

// do carries out one step.
func (e *Embedded) do(now time.Time, s *Step) Result {
	k := cellKey{s.Table, cut(s.Key)}
	p := e.part(k)
	p.mu.Lock()
	defer p.mu.Unlock()
	at := p.cells[k]
	if at != nil && !at.Until.IsZero() && now.After(at.Until) {
		if s.Op != Read || !e.spare.Load() {
			p.forget(k)
		}
		at = nil
	}
	var cell *Cell
	if at != nil {
		cell = &at.Cell
	}
	r := s.apply(cell, now)
	r.At = now
	switch {
	case s.Op == Read:
	case s.Op == Clear, (s.Op == Leave || s.Op == Renew) && r.Cell.A == 0:
		if r.Found {
			p.forget(k)
		}
		if s.Op == Clear && e.late.Load() {
			r.Found = p.clearLate(k, e.most)
		}
	case r.Found:
		at.Cell, at.op = r.Cell, s.Op
		p.note(k, at)
	case !p.room(e.most, k, s, &r.Cell, now):
		r.Full = true
	default:
		if at != nil { // of a limit that is another one now
			p.forget(k)
		}
		k.key = strings.Clone(k.key) // it may be a part of a whole header field
		at = &place{Cell: r.Cell, op: s.Op}
		p.cells[k] = at
		p.note(k, at)
	}
	return r
}

// note keeps for the file that a cell has changed. Open sessions are not kept: after a restart there are none.
func (p *part) note(k cellKey, at *place) {
	if !at.Open && at.noted != p.round {
		at.noted = p.round
		p.changed = append(p.changed, k)
	}
}

// takeIn takes in a cell of the file. Where its key was met before the file could be opened, both count. Where strangers have filled the memory
// meanwhile, they make room.
func (p *part) takeIn(k cellKey, c Cell, most int, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch at := p.cells[k]; {
	case p.gone[k]: // forgotten since it was written
	case at == nil && (len(p.cells) < most || p.round > 0 && p.room(most, k, &Step{}, &c, now)):
		p.cells[k] = &place{Cell: c, filed: true}
	case at == nil, at.filed: // no room, or taken in already
	case at.Open: // another limit by now
		at.filed = true
	default:
		at.Cell, at.filed = at.Cell.joined(c, at.op), true
	}
}

// clearLate notes a key that is cleared before the file could be opened, so that it does not come back out of it. Nobody knows whether it is there: it
// reports that it was, but where there is no room to note it.
func (p *part) clearLate(k cellKey, most int) bool {
	if len(p.gone) >= most {
		return false
	}
	k.key = strings.Clone(k.key)
	p.gone[k] = true
	return true
}

func (p *part) forget(k cellKey) {
	at := p.cells[k]
	delete(p.cells, k)
	if at != nil && at.filed {
		p.gone[k] = true
	}
}

// mostChanged bounds the memory for keys that a part keeps from one round to the next.
const mostChanged = 1000

// change is a key to write for the file.
type change struct {
	key  cellKey
	gone bool // the cell was forgotten; another one may be there since
}

// take appends what has changed, and begins another round. A key may be there twice.
func (p *part) take(out []change) []change {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, k := range p.changed {
		out = append(out, change{key: k})
	}
	for k := range p.gone {
		out = append(out, change{k, true})
	}
	if clear(p.changed); cap(p.changed) > mostChanged {
		p.changed = nil
	}
	p.changed = p.changed[:0]
	clear(p.gone)
	p.round++
	return out
}

// tidy drops notes of cells that are gone, when there are many. It is for the time when nothing can be written: taking all and giving it back each
// second would cost as much as a flood.
func (p *part) tidy() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.changed) <= 2*len(p.cells) {
		return
	}
	all := p.changed
	p.changed = p.changed[:0]
	p.round++
	for _, k := range all {
		if at := p.cells[k]; at != nil {
			p.note(k, at)
		}
	}
	clear(all[len(p.changed):])
}

// noteAll notes everything, for a file that may be a new one.
func (e *Embedded) noteAll() {
	for i := range e.parts {
		e.parts[i].noteAll()
	}
}

func (p *part) noteAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.changed)
	p.changed = p.changed[:0]
	p.round++
	for k, at := range p.cells {
		p.note(k, at)
	}
}

// kept gives the cell of a key as the file is to have it, and whether it is to have one.
func (p *part) kept(k cellKey) (Cell, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at := p.cells[k]; at != nil && !at.Open {
		at.filed = true
		return at.Cell, true
	}
	return Cell{}, false
}

// giveBack notes what could not be written. A cell that was forgotten since, and that the file may have, is noted already: of others nothing is kept,
// however long nothing can be written. What was gone stays noted also where the key has another cell by now: that one may be forgotten before the file
// has it in the old one's place.
func (p *part) giveBack(c change) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.gone {
		p.gone[c.key] = true
	} else if at := p.cells[c.key]; at != nil && !at.Open {
		p.note(c.key, at)
	}
}

// says is how much would be lost with a cell: of a limit that is over, or stands for many, more than of any other.
func (c *Cell) says() float64 {
	if c.Over || c.Wide {
		return math.MaxFloat32 * (1 + c.A)
	}
	return c.A + c.B
}

// sample is how many cells are looked at to find one to forget, and mostSample how many where none of them says as little as the new one.
const (
	sample     = 32
	mostSample = 8 * sample
)

// room makes place for the new cell of a step: what has expired goes first, then, among a few at random, what says least, of the same table
// where there is one: who floods a table forgets its own keys, and not whom our users write to. It reports false when none of them
// may go: latched limits stay, and the buckets of a limit that are over stay for a new key of it, but not for a wider one.
func (p *part) room(most int, new cellKey, s *Step, cell *Cell, now time.Time) bool {
	if len(p.cells) < most || new.key == Everybody {
		return true
	}
	var least cellKey
	var leastCell *Cell
	looked, table, held := 0, new.table, false
	for k, c := range p.cells {
		suits := leastCell != nil && least.table == table && leastCell.says() <= cell.says()
		if looked++; looked > sample && suits || looked > mostSample {
			break
		}
		if now.After(c.Until) {
			least, leastCell = k, &c.Cell
			break
		}
		counts := k.table == table && (c.Over || c.Wide)
		held = held || counts && !s.Wide
		if c.Mark || counts && (c.Wide || !s.Wide) {
			continue
		}
		same, leastSame := k.table == table, leastCell != nil && least.table == table
		if leastCell == nil || same && !leastSame || same == leastSame && c.says() < leastCell.says() {
			least, leastCell = k, &c.Cell
		}
	}
	if leastCell == nil || held && least.table != table && !now.After(leastCell.Until) {
		return false
	}
	p.forget(least)
	return true
}

// Entries implements Store: the largest A first.
func (e *Embedded) Entries(_ context.Context, now time.Time, table, prefix string, most int) ([]Entry, error) {
	var out []Entry
	for i := range e.parts {
		p := &e.parts[i]
		p.mu.Lock()
		for k, c := range p.cells {
			if k.table == table && strings.HasPrefix(k.key, prefix) && !now.After(c.Until) {
				out = append(out, Entry{k.key, c.Cell})
			}
		}
		p.mu.Unlock()
	}
	sort.Slice(out, func(i, j int) bool {
		if out[i].Cell.A != out[j].Cell.A {
			return out[i].Cell.A > out[j].Cell.A
		}
		return out[i].Key < out[j].Key
	})
	return out[:min(len(out), most)], nil
}

// sweep forgets what has expired in one shard.
func (e *Embedded) sweep(i int, now time.Time) {
	p := &e.parts[i%shards]
	p.mu.Lock()
	defer p.mu.Unlock()
	for k, c := range p.cells {
		if now.After(c.Until) {
			p.forget(k)
		}
	}
}

// Len gives the number of cells.
func (e *Embedded) Len() int {
	n := 0
	for i := range e.parts {
		e.parts[i].mu.Lock()
		n += len(e.parts[i].cells)
		e.parts[i].mu.Unlock()
	}
	return n
}

// Status implements Store.
func (e *Embedded) Status() string {
	if e.file == nil {
		return ""
	}
	return e.file.status()
}

// Close implements Store.
func (e *Embedded) Close() error {
	if e.file == nil {
		return nil
	}
	return e.file.close()
}
