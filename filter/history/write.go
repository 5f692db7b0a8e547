package history

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"gatepost.example/policy"
)

// Policy is a policy as the history keeps it: each one once, with those entries of files that decisions rested on.
type Policy struct {
	Identity string // names its text and the content of the files that it names
	Text     string // without secrets
	// Matches gives what facts of a record the policy's lists and tables hold. The writer calls it.
	Matches func(*Record) []Match
}

// Match is something that a list, or a table of pairs, holds.
type Match struct {
	List, Table string // one of both
	Kind        policy.Kind
	Text        string // of a pair: both, with a tab between
}

// open is the block that records are added to.
type open struct {
	id, row      int64
	records      int
	first, last  time.Time
	core, detail *encoder
	sums         []byte // of the names
	dirty        bool
}

// A block is closed when it holds so many records or bytes: one record is found by reading one block.
const (
	blockRecords = 256
	blockBytes   = 256 << 10
)

func (b *open) full() bool {
	return b.records >= blockRecords || len(b.core.out)+len(b.detail.out) >= blockBytes
}

// writing is one transaction of the writer.
type writing struct {
	*Store
	ctx    context.Context
	cancel context.CancelFunc
	conn   *sql.Conn
	tx     *sql.Tx
}

// end ends the transaction, as far as it was begun: commits it, or takes it back.
func (w *writing) end(commit bool) (err error) {
	defer w.cancel()
	err = w.rows.close()
	switch {
	case w.tx == nil:
	case commit && err == nil:
		err = w.tx.Commit()
	default:
		err = errors.Join(err, w.tx.Rollback())
	}
	if w.conn != nil {
		err = errors.Join(err, w.conn.Close())
	}
	return err
}

// rejoin leaves the open block where somebody else, as gatepost try --store does, has written behind it since the last transaction: its next row is not
// its own any more.
func (w *writing) rejoin() error {
	var last int64
	err := w.tx.QueryRowContext(w.ctx, "SELECT coalesce(max(seq), 0) FROM record").Scan(&last)
	if last >= w.block.row+int64(w.block.records) {
		w.block = nil
	}
	return err
}

func (w *writing) add(one added) error {
	r := one.record
	if err := w.policy(one.policy, r); err != nil {
		return err
	}
	if w.key != nil {
		r = hide(r, w.key)
	}
	if w.block != nil && w.block.full() {
		if err := w.flush(); err != nil {
			return err
		}
		w.block = nil
	}
	if w.block == nil {
		if err := w.begin(r.Time); err != nil {
			return err
		}
	}
	b := w.block
	row := rowOf(r)
	row.seq, row.block, row.place = b.row+int64(b.records), b.id, b.records
	b.core.core(r)
	b.detail.detail(r)
	b.sums = appendSums(b.sums, &row)
	b.records, b.dirty = b.records+1, true
	b.first, b.last = earlier(b.first, r.Time), later(b.last, r.Time)
	return w.rows.add(&row)
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// begin begins a new block.
func (w *writing) begin(at time.Time) error {
	b := &open{first: at, last: at, core: w.core, detail: w.detail, sums: make([]byte, 0, blockRecords*recordSums)}
	b.core.begin()
	b.detail.begin()
	const next = "SELECT (SELECT coalesce(max(id), 0) + 1 FROM block), (SELECT coalesce(max(seq), 0) + 1 FROM record)"
	if err := w.tx.QueryRowContext(w.ctx, next).Scan(&b.id, &b.row); err != nil {
		return err
	}
	w.block = b
	return nil
}

// flush writes the rows that wait, and the block as it is now, over what an earlier commit wrote of it.
func (w *writing) flush() error {
	b := w.block
	if b == nil || !b.dirty {
		return nil
	}
	if err := w.rows.rest(); err != nil {
		return err
	}
	core := w.packer.EncodeAll(b.core.out, w.packed[:0])
	both := w.packer.EncodeAll(b.detail.out, core)
	w.packed = both // for the next block
	core, detail := both[:len(core)], both[len(core):]
	if _, err := w.tx.ExecContext(w.ctx, "INSERT OR REPLACE INTO block VALUES (?, ?, ?, ?, ?, ?, ?)",
		b.id, b.first.UnixMilli(), b.last.UnixMilli(), b.row, b.records, core, detail); err != nil {
		return err
	}
	b.dirty = false
	_, err := w.tx.ExecContext(w.ctx, "INSERT OR REPLACE INTO name VALUES (?, ?, ?)", b.id, b.row, b.sums)
	return err
}

// policy keeps the policy's text, and what in files the record's facts were found in.
func (w *writing) policy(p *Policy, r *Record) error {
	if p == nil {
		return nil
	}
	if !w.known[known{policy: p.Identity}] {
		if _, err := w.tx.ExecContext(w.ctx, "INSERT INTO policy VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
			p.Identity, r.Time.UnixMilli(), w.packer.EncodeAll([]byte(p.Text), nil)); err != nil {
			return err
		}
		w.known[known{policy: p.Identity}] = true
	}
	if p.Matches == nil {
		return nil
	}
	for _, m := range p.Matches(r) {
		if w.key != nil {
			m = hideMatch(m, w.key)
		}
		key := known{p.Identity, m.List, m.Table, entryText(m)}
		if w.known[key] {
			continue
		}
		if _, err := w.tx.ExecContext(w.ctx, "INSERT INTO entry VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", key.policy, key.list, key.table, key.text); err != nil {
			return err
		}
		if len(w.known) < maxKnown {
			key.text = strings.Clone(key.text) // it may be a part of a whole header field
			w.known[key] = true
		}
	}
	return nil
}

// known is a policy, or an entry of one of its lists or tables, that the database has.
type known struct{ policy, list, table, text string }

// entryText gives what was matched as a list writes it.
func entryText(m Match) string {
	if m.Kind == policy.KindUser {
		return "user:" + m.Text
	}
	return m.Text
}

// maxKnown bounds what the writer remembers of the database.
const maxKnown = 100_000

// deleteMost bounds the blocks that one commit deletes.
const deleteMost = 200

// expire deletes the oldest blocks: those that ended before a time, and those beyond the size. One behind a block that is not so old stays with it,
// whatever its own time says: it was written later, under a clock that was set back.
func (w *writing) expire(before, now time.Time) error {
	// What is ahead of now holds nothing back: its clock was wrong.
	const held = "(SELECT coalesce(min(id), 9223372036854775807) FROM block WHERE last BETWEEN ?1 AND ?2)"
	const old = "(SELECT id FROM block WHERE last < ?1 AND id < " + held + " AND id <> ?3 ORDER BY id LIMIT ?4)"
	// The rows go with their blocks here: a block before them, of a clock that was ahead, may stay, and sweep leaves what is behind the first.
	for _, deletes := range []string{
		"DELETE FROM record WHERE seq IN (SELECT seq FROM block AS b CROSS JOIN record ON seq BETWEEN b.row AND b.row + b.records - 1 WHERE b.id IN " + old + ")",
		"DELETE FROM block WHERE id IN " + old,
	} {
		if _, err := w.tx.ExecContext(w.ctx, deletes, before.UnixMilli(), now.UnixMilli(), w.openID(), deleteMost); err != nil {
			return err
		}
	}
	for range deleteMost {
		over, err := w.over()
		if err != nil || !over {
			return firstError(err, w.sweep())
		}
		if _, err := w.tx.ExecContext(w.ctx, "DELETE FROM block WHERE id = (SELECT min(id) FROM block) AND id <> ?", w.openID()); err != nil {
			return err
		}
		if err := w.sweep(); err != nil {
			return err
		}
	}
	return nil
}

func firstError(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

func (w *writing) openID() int64 {
	if w.block == nil {
		return 0
	}
	return w.block.id
}

// sweep deletes the rows of blocks that are gone, and gives the room back.
func (w *writing) sweep() error {
	if _, err := w.tx.ExecContext(w.ctx, "DELETE FROM record WHERE seq < (SELECT coalesce(min(row), 9223372036854775807) FROM block)"); err != nil {
		return err
	}
	rows, err := w.tx.QueryContext(w.ctx, "PRAGMA incremental_vacuum(2000)")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() { // each step frees a page
	}
	return rows.Err()
}

// over reports whether what the file holds is beyond its size.
func (w *writing) over() (bool, error) {
	var pages, free, size, blocks int64
	for pragma, into := range map[string]*int64{"page_count": &pages, "freelist_count": &free, "page_size": &size} {
		if err := w.tx.QueryRowContext(w.ctx, "PRAGMA "+pragma).Scan(into); err != nil {
			return false, err
		}
	}
	if err := w.tx.QueryRowContext(w.ctx, "SELECT count(*) FROM (SELECT 1 FROM block LIMIT 2)").Scan(&blocks); err != nil {
		return false, err
	}
	return blocks > 1 && (pages-free)*size > w.config.Size, nil
}
