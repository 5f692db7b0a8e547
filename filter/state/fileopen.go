package state

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"
)

// open opens the file and takes in what it holds.
func (f *file) open() error {
	db, err := Database{Path: f.path, What: "memory", Schema: schema}.Open(f.now(), f.log)
	if err != nil {
		return err
	}
	f.db = db
	if f.made, err = os.Stat(f.path); err == nil {
		err = f.load()
	}
	if err != nil {
		f.db = nil
		db.Close()
		return fmt.Errorf("the memory %s cannot be read: %w", f.path, err)
	}
	return nil
}

// After a leap of the clock nothing is swept for a while, an hour: if it is the clock that is wrong, somebody sets it again. What has expired counts
// as unknown all the same.
const spareCommits = int(time.Hour / commitEach)

// ageEach is how often the file is told how late it is, at least: it need not be right to the minute to tell a leap.
const ageEach = time.Hour

// load reads what has not expired. How old the memory is counts when that is known: one that calls itself old must know whom it has met.
func (f *file) load() error {
	now := f.now()
	read, err := f.readAge(now)
	if err != nil {
		return err
	}
	alive := " AND until > " + strconv.FormatInt(now.UnixMilli(), 10)
	if f.spare > 0 || read.leaps(now) {
		alive = ""
	}
	// Latched limits come first: they have their place also when the rest finds none.
	if err := errors.Join(f.loadCells("mark <> 0"+alive, now), f.loadCells("mark = 0"+alive, now)); err != nil {
		return err
	}
	f.begins(read)
	if f.look(now); f.spare == 0 {
		_, err = f.db.Exec("DELETE FROM cell WHERE until <= ?", now.UnixMilli())
	}
	if Passes(err) { // a full disk: what has expired counts for nothing all the same
		err = nil
	}
	return err
}

// begins takes over the age that the file tells; it is to be written also where the memory begins with it.
func (f *file) begins(read age) {
	f.turn.Lock()
	defer f.turn.Unlock()
	f.age, f.saved = read, age{}
}

// look notes how late it is, and says when the clock has leapt.
func (f *file) look(now time.Time) {
	now = now.Round(0) // by the wall clock: the monotonic one, by which Sub would count, leaps never
	f.turn.Lock()
	defer f.turn.Unlock()
	before := f.age
	f.age = before.on(now)
	born := f.age.born
	if f.store.born.Store(&born); born.Equal(before.born) {
		return
	}
	f.spare = spareCommits
	f.store.spare.Store(true)
	f.log.Warn("the clock has leapt, or the memory was not used for long: how long it has listened counts anew; nothing is deleted for an hour",
		"from", before.seen.UTC().Format(time.RFC3339), "to", now.UTC().Format(time.RFC3339), "born", born.UTC().Format(time.RFC3339))
}

func (f *file) loadCells(which string, now time.Time) error {
	rows, err := f.db.Query("SELECT tab, key, a, b, at, first, until, mark FROM cell WHERE " + which)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var k cellKey
		var c Cell
		var at, first, until int64
		if err := rows.Scan(&k.table, &k.key, &c.A, &c.B, &at, &first, &until, &c.Mark); err != nil {
			return err
		}
		c.At, c.First, c.Until = time.UnixMilli(at), time.UnixMilli(first), time.UnixMilli(until)
		f.store.part(k).takeIn(k, c, f.store.most, now)
	}
	return rows.Err()
}

// readAge reads when this memory began and was last awake: of a file that does not tell, as this process's has done.
func (f *file) readAge(now time.Time) (read age, err error) {
	read = age{born: f.store.Born(), seen: now}
	rows, err := f.db.Query("SELECT name, value FROM meta")
	if err != nil {
		return read, err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var value int64
		if err := rows.Scan(&name, &value); err != nil {
			return read, err
		}
		switch at := time.UnixMilli(value); name {
		case "born":
			read.born = at
		case "seen":
			read.seen = at
		case "was":
			read.was = at
		}
	}
	return read, rows.Err()
}
