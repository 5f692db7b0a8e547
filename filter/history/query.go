package history

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"gatepost.example/filter/state"
)

// Reader reads the history, also while the daemon writes it. It is safe for one goroutine.
type Reader struct {
	db       *sql.DB
	unpacker *zstd.Decoder
	summed   func() (bool, error) // whether all blocks have sums of names; asked once
}

// ErrNone says that there is no such record.
var ErrNone = errors.New("the history has no such record")

// OpenReader opens the history to be read. The error says when there is none.
func OpenReader(path string) (*Reader, error) {
	db, err := state.ReadDatabase(path)
	if err != nil {
		return nil, fmt.Errorf("there is no history to read: %w", err)
	}
	if err := sameVersion(db); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	unpacker, err := newUnpacker()
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &Reader{db, unpacker, sync.OnceValues(func() (bool, error) { return hasSums(db) })}, nil
}

// sameVersion gives an error for a history that another version of this program writes.
func sameVersion(db *sql.DB) error {
	for _, read := range []string{columns + " FROM record", "first, last, records, core, detail FROM block"} {
		rows, err := db.Query("SELECT " + read + " LIMIT 0")
		if err != nil {
			return fmt.Errorf("the history is that of another version of gatepost; use the one that the daemon runs: %w", err)
		}
		rows.Close()
	}
	return nil
}

// Close ends the reader.
func (r *Reader) Close() error {
	r.unpacker.Close()
	return r.db.Close()
}

// Filter says which records are wanted; zero fields ask for nothing. Texts are compared without regard to case.
type Filter struct {
	Since, Until time.Time
	Action       string       // of any decision of the record: "550", "accept", "452", "left", or "would-550"
	Rule         string       // that decided, tagged or would have decided anything of the record
	Client       netip.Prefix // the client's network
	Sender       string       // an address, a domain, or a part of one
	Recipient    string       // the same
	Author       string       // the author domain or one above it
	Text         string       // in any column
	Key          []byte       // under which local parts are hidden; an address, and as a text a login, is then looked for in both forms
	Refused      bool         // only records of which something was not accepted
	After        int64        // only what was added later than the row with this number, as Last of an earlier answer gives it
	Oldest       bool         // the oldest first; else the newest
	Most         int          // rows; 0 for all
}

// Last gives the number of a row, for Filter.After.
func (row *Row) Last() int64 { return row.seq }

// where gives the SQL of a filter, but for the client.
func (f Filter) where() (string, []any) {
	terms, values := []string{"seq > ?"}, []any{f.After}
	add := func(term string, v ...any) { terms, values = append(terms, term), append(values, v...) }
	if !f.Since.IsZero() {
		// Blocks stand in the order of time, but for a clock that was set back and for messages that took long.
		add("time >= ? AND seq >= coalesce((SELECT min(row) FROM block WHERE last >= ?), 0)", f.Since.UnixMilli(), f.Since.UnixMilli())
	}
	if !f.Until.IsZero() {
		add("time < ?", f.Until.UnixMilli())
	}
	if f.Action != "" {
		add("(action = ? OR instr(words, ?))", f.Action, " "+f.Action+" ")
	}
	if f.Rule != "" {
		add("instr(words, ?)", " "+f.Rule+" ")
	}
	if f.Refused {
		add("accepted = 0")
	}
	for column, text := range map[string]string{"sender": f.Sender, "recipients": f.Recipient} {
		if text == "" {
			continue
		}
		text = strings.ToLower(text)
		hidden := text
		if i := strings.LastIndexByte(text, '@'); i > 0 && f.Key != nil {
			hidden = HideAddress(text, f.Key)
		}
		add("(instr(lower("+column+"), ?) OR instr("+column+", ?))", text, hidden)
	}
	if f.Author != "" {
		add("(lower(author) = ? OR lower(author) LIKE ? ESCAPE '\\')", strings.ToLower(f.Author), "%."+escaped(f.Author))
	}
	if f.Text != "" {
		const all, has = "lower(id||' '||queue||' '||message||words||client||' '||name||' '||helo||' '||user||' '||sender||' '||recipients||' '||author)", "LIKE ? ESCAPE '\\'"
		hidden := f.Text
		if f.Key != nil {
			hidden = HideAddress(f.Text, f.Key)
		}
		add("("+all+" "+has+" OR "+all+" "+has+")", "%"+escaped(f.Text)+"%", "%"+escaped(hidden)+"%")
	}
	return strings.Join(terms, " AND "), values
}

func escaped(text string) string {
	return strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`).Replace(strings.ToLower(text))
}

// Rows calls visit for the rows that a filter asks for, until it gives false.
func (r *Reader) Rows(ctx context.Context, f Filter, visit func(*Row) bool) error {
	where, values := f.where()
	order := "DESC"
	if f.Oldest {
		order = "ASC"
	}
	n := 0
	return r.each(ctx, where+" ORDER BY seq "+order, values, func(row *Row) bool {
		if f.Client.IsValid() && !f.hasClient(row.Client) {
			return true
		}
		n++
		return visit(row) && n != f.Most
	})
}

// each calls visit for the rows of which something is true, until it gives false.
func (r *Reader) each(ctx context.Context, where string, values []any, visit func(*Row) bool) error {
	rows, err := r.db.QueryContext(ctx, "SELECT "+columns+" FROM record WHERE "+where, values...)
	if err != nil {
		return fmt.Errorf("the history cannot be read: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		row := &Row{}
		if err := row.scan(rows); err != nil {
			return fmt.Errorf("the history cannot be read: %w", err)
		}
		if !visit(row) {
			break
		}
	}
	return rows.Err()
}

func (f Filter) hasClient(text string) bool {
	addr, err := netip.ParseAddr(text)
	return err == nil && f.Client.Contains(addr)
}

// LastRefused gives the row of the last record of which something was not accepted, or would not have been but for mode observe or a pause. What a
// single observed rule would have done is none, unless it is among those that are held back.
func (r *Reader) LastRefused(ctx context.Context, heldBack []string) (*Row, error) {
	var last *Row
	err := r.each(ctx, "(accepted = 0 OR would <> '') AND action <> ? ORDER BY seq DESC", []any{Left}, func(row *Row) bool {
		if !row.accepted || row.spared(heldBack) {
			last = row
		}
		return last == nil
	})
	switch {
	case last != nil:
		return last, nil
	case err != nil:
		return nil, err
	}
	return nil, ErrNone
}

// spared reports whether the rule that decided, or one that is held back, would have refused, deferred, held or dropped the message, and did nothing.
func (row *Row) spared(heldBack []string) bool {
	words := strings.Split(row.words, " ")
	for i, word := range words {
		what, would := strings.CutPrefix(word, "would-")
		if !would || i == 0 || what == "accept" || what == "tag" {
			continue
		}
		if strings.Contains(row.words, " none "+words[i-1]+" ") || slices.Contains(heldBack, words[i-1]) {
			return true
		}
	}
	return false
}

// Record gives the record of a row, with its findings.
func (r *Reader) Record(ctx context.Context, row *Row) (*Record, error) {
	b := Block{}
	if err := r.db.QueryRowContext(ctx, "SELECT core, detail FROM block WHERE id = ?", row.block).Scan(&b.core, &b.detail); err != nil {
		if errors.Is(err, sql.ErrNoRows) {
			return nil, ErrNone
		}
		return nil, fmt.Errorf("the history cannot be read: %w", err)
	}
	return b.record(r.unpacker, row.place)
}

// PolicyText gives the text of a policy by its identity, and what the files that it names had in them, as far as decisions rested on it.
func (r *Reader) PolicyText(ctx context.Context, identity string) (text string, matched []Match, err error) {
	var packed []byte
	if err := r.db.QueryRowContext(ctx, "SELECT text FROM policy WHERE identity = ?", identity).Scan(&packed); err != nil {
		return "", nil, fmt.Errorf("the policy %s is not in the history: %w", identity, err)
	}
	raw, err := r.unpacker.DecodeAll(packed, nil)
	if err != nil {
		return "", nil, fmt.Errorf("the policy %s: %w", identity, errBroken)
	}
	rows, err := r.db.QueryContext(ctx, "SELECT list, pairs, text FROM entry WHERE identity = ?", identity)
	if err != nil {
		return "", nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var m Match
		if err := rows.Scan(&m.List, &m.Table, &m.Text); err != nil {
			return "", nil, err
		}
		matched = append(matched, m)
	}
	return string(raw), matched, rows.Err()
}

// Block is some records as they are kept, the oldest first. Reading is left to whoever has time for it.
type Block struct {
	Records      int
	core, detail []byte
}

// Blocks calls visit for the blocks that may have records since a time, in their order, without what only people read.
func (r *Reader) Blocks(ctx context.Context, since time.Time, visit func(Block) error) error {
	first := int64(0)
	if !since.IsZero() {
		first = since.UnixMilli()
	}
	rows, err := r.db.QueryContext(ctx, "SELECT records, core FROM block WHERE last >= ? ORDER BY id", first)
	if err != nil {
		return fmt.Errorf("the history cannot be read: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var b Block
		if err := rows.Scan(&b.Records, &b.core); err != nil {
			return fmt.Errorf("the history cannot be read: %w", err)
		}
		if err := visit(b); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Unpacker reads blocks. It is safe for one goroutine.
type Unpacker struct{ decoder *zstd.Decoder }

// NewUnpacker gives an unpacker.
func NewUnpacker() (*Unpacker, error) {
	d, err := newUnpacker()
	return &Unpacker{d}, err
}

// Records calls visit for each record of a block, without findings. The record is only visit's own until it returns.
func (u *Unpacker) Records(b Block, visit func(*Record)) error {
	raw, err := u.decoder.DecodeAll(b.core, nil)
	if err != nil {
		return errBroken
	}
	d := newDecoder(raw)
	var r Record
	for d.more() {
		d.core(&r)
		if d.wrong {
			break
		}
		visit(&r)
	}
	if d.wrong {
		return errBroken
	}
	return nil
}

// record gives the record at a place of the block.
func (b Block) record(unpacker *zstd.Decoder, place int) (*Record, error) {
	core, err := unpacker.DecodeAll(b.core, nil)
	if err != nil {
		return nil, errBroken
	}
	detail, err := unpacker.DecodeAll(b.detail, nil)
	if err != nil {
		return nil, errBroken
	}
	d, more := newDecoder(core), newDecoder(detail)
	r := &Record{}
	for range place {
		d.core(r)
		more.skim()
	}
	d.core(r)
	more.detail(r)
	if d.wrong || more.wrong {
		return nil, errBroken
	}
	return r, nil
}
