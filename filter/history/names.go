package history

import (
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"strings"
)

// A record is looked for by three names: its own id, the MTA's queue id, the message id. An index of each would cost a walk through a tree as large as the
// history for every record, and somebody looks for one a few times a day. So a block keeps a sum of two bytes of each name of its records, which costs
// next to nothing to write, and who looks for a record reads the sums of all blocks, the newest first: some megabytes for a million records.

// nameKind is one of the names of a record.
type nameKind int

const (
	byID nameKind = iota
	byQueue
	byMessage
	names
)

func (n nameKind) column() string { return [names]string{"id", "queue", "message"}[n] }

// recordSums is the bytes of the sums of one record.
const recordSums = 2 * int(names)

// appendSums adds the sums of a record's names.
func appendSums(sums []byte, row *Row) []byte {
	for _, name := range [names]string{row.ID, row.Queue, row.Message} {
		sums = binary.BigEndian.AppendUint16(sums, sumOf(name))
	}
	return sums
}

// sumOf gives the sum of a name: FNV-1a, folded to two bytes. That of no name is 0, which no name has.
func sumOf(name string) uint16 {
	if name == "" {
		return 0
	}
	h := uint32(0x811c9dc5)
	for i := range len(name) {
		h = (h ^ uint32(name[i])) * 0x01000193
	}
	return max(1, uint16(h>>16)^uint16(h))
}

// hasSums reports whether all blocks of a database have sums: an earlier version wrote none, and had indexes.
func hasSums(db *sql.DB) (has bool, err error) {
	err = db.QueryRow("SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'name')").Scan(&has)
	if err == nil && has {
		err = db.QueryRow("SELECT NOT EXISTS (" + nameless + ")").Scan(&has)
	}
	if err != nil {
		return false, fmt.Errorf("the history cannot be read: %w", err)
	}
	return has, nil
}

// takeOver gives sums to the blocks that an earlier version wrote, and drops its indexes. That takes some seconds for a million records, which wait
// meanwhile as they do for a slow disk. There may be no room for it: then the next start tries again.
func (s *Store) takeOver() {
	err := s.nameBlocks()
	if err == nil {
		return
	}
	s.config.Log.Error("what an earlier version wrote of the history cannot be taken over; its names are found more slowly, and the next start tries again",
		"file", s.config.Path, "error", err.Error())
	_, _ = s.db.Exec(truncate) // gives back what it took of a disk that is nearly full
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wrong, s.keptErr = err, s.kept.Load()
}

// truncate leaves nothing in the log of changes that SQLite writes first. What is committed and finds no room in the database keeps the log as it is.
const truncate = "PRAGMA wal_checkpoint(TRUNCATE)"

func (s *Store) nameBlocks() (err error) {
	defer s.caught(&err)
	var needed bool
	if err := s.db.QueryRow("SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'record_id') OR EXISTS (" + nameless + ")").Scan(&needed); err != nil || !needed {
		return err
	}
	if _, err := s.db.Exec(truncate); err != nil {
		return err
	}
	tx, err := s.db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := nameAll(tx); err != nil {
		return err
	}
	for n := range names {
		if _, err := tx.Exec("DROP INDEX IF EXISTS record_" + n.column()); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// nameless gives the blocks without sums, and those that the daemon of an earlier version, which knows none, went on to write after this one gave them some.
var nameless = fmt.Sprintf("SELECT id, block.row, records FROM block LEFT JOIN name ON block = id WHERE sums IS NULL OR length(sums) <> records * %d", recordSums)

func nameAll(tx *sql.Tx) error {
	blocks, err := tx.Query(nameless)
	if err != nil {
		return err
	}
	defer blocks.Close()
	for blocks.Next() {
		var id, row, records int64
		if err := blocks.Scan(&id, &row, &records); err != nil {
			return err
		}
		sums, err := sumsOfRows(tx, row, records)
		if err != nil {
			return err
		}
		if _, err := tx.Exec("INSERT OR REPLACE INTO name VALUES (?, ?, ?)", id, row, sums); err != nil {
			return err
		}
	}
	return blocks.Err()
}

// sumsOfRows gives the sums of so many rows.
func sumsOfRows(tx *sql.Tx, first, records int64) (sums []byte, err error) {
	rows, err := tx.Query("SELECT id, queue, message FROM record WHERE seq BETWEEN ?1 AND ?1 + ?2 - 1 ORDER BY seq", first, records)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var row Row
		if err := rows.Scan(&row.ID, &row.Queue, &row.Message); err != nil {
			return nil, err
		}
		sums = appendSums(sums, &row)
	}
	return sums, rows.Err()
}

// Find gives the row of a record by its id, its queue id or its message id, with brackets or without; of several the newest.
func (r *Reader) Find(ctx context.Context, id string) (*Row, error) {
	bare := bareName(id)
	for _, try := range []struct {
		by   nameKind
		name string
	}{{byID, strings.ToUpper(bare)}, {byQueue, bare}, {byMessage, bare}, {byID, heardID(bare)}} {
		if try.name == "" {
			continue
		}
		rows, err := r.named(ctx, try.by, try.name, 1)
		if err != nil {
			return nil, err
		}
		if len(rows) > 0 {
			return rows[0], nil
		}
	}
	return nil, ErrNone
}

// bareName takes off what stands around a name where it is copied from: the brackets of a message id, the colon behind a queue id in the log.
func bareName(name string) string {
	return strings.Trim(strings.TrimSuffix(strings.TrimSpace(name), ":"), "<>")
}

// heardID gives the id that somebody means who heard it on the phone or copied it out of a reply: without the dash or with a blank in its place, with its
// brackets, with letters that no id has for the digits they look like. It is "" for what is none.
func heardID(text string) string {
	text = strings.TrimPrefix(strings.Trim(strings.ToUpper(text), "() "), "ID ")
	text = strings.NewReplacer("-", "", " ", "", "O", "0", "I", "1", "L", "1").Replace(text)
	if len(text) != 8 {
		return ""
	}
	return text[:4] + "-" + text[4:]
}

// maxNamesakes bounds the other records that a name stands for too.
const maxNamesakes = 5

// Namesakes gives the ids of the newest other records that have the queue id or the message id of a row's record, as a name for both.
func (r *Reader) Namesakes(ctx context.Context, row *Row, name string) (ids []string, err error) {
	bare := bareName(name)
	by := byQueue
	switch bare {
	case "":
		return nil, nil
	case row.Queue:
	case row.Message:
		by = byMessage
	default:
		return nil, nil // an id of ours is given once
	}
	rows, err := r.named(ctx, by, bare, maxNamesakes+1)
	for _, other := range rows {
		if other.seq != row.seq && len(ids) < maxNamesakes {
			ids = append(ids, other.ID)
		}
	}
	return ids, err
}

// named gives the newest rows, at most so many, that have a name.
func (r *Reader) named(ctx context.Context, by nameKind, name string, most int) (found []*Row, err error) {
	summed, err := r.summed()
	if err != nil {
		return nil, err
	}
	if !summed {
		return r.newestRows(ctx, by.column()+" = ?", most, name)
	}
	sum := sumOf(name)
	blocks, err := r.db.QueryContext(ctx, "SELECT row, sums FROM name ORDER BY block DESC")
	if err != nil {
		return nil, fmt.Errorf("the history cannot be read: %w", err)
	}
	defer blocks.Close()
	for blocks.Next() {
		var first int64
		var sums []byte
		if err := blocks.Scan(&first, &sums); err != nil {
			return nil, fmt.Errorf("the history cannot be read: %w", err)
		}
		for _, place := range placesOf(sums, by, sum) {
			rows, err := r.newestRows(ctx, "seq = ? AND "+by.column()+" = ?", 1, first+int64(place), name)
			if found = append(found, rows...); err != nil || len(found) == most {
				return found, err
			}
		}
	}
	return found, blocks.Err()
}

// placesOf gives the places of a block, the last first, whose names have a sum.
func placesOf(sums []byte, by nameKind, sum uint16) (places []int) {
	for place := len(sums)/recordSums - 1; place >= 0; place-- {
		if binary.BigEndian.Uint16(sums[place*recordSums+2*int(by):]) == sum {
			places = append(places, place)
		}
	}
	return places
}

// newestRows gives the newest rows, at most so many, of which something is true.
func (r *Reader) newestRows(ctx context.Context, where string, most int, values ...any) (found []*Row, err error) {
	err = r.each(ctx, fmt.Sprintf("%s ORDER BY seq DESC LIMIT %d", where, most), values, func(row *Row) bool {
		found = append(found, row)
		return true
	})
	return found, err
}
