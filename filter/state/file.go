package state

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"sync"
	"time"
)

// file keeps an Embedded in a SQLite file: one writer, one commit a second (kill -9 loses at most that second), WAL, synchronous FULL.
type file struct {
	store *Embedded
	db    *sql.DB // nil as long as it could not be opened; the writer's own
	path  string
	made  os.FileInfo // the file that was opened
	again bool        // it was open before, and is to get all that is known
	log   *slog.Logger
	now   func() time.Time
	stop  chan struct{}
	ended chan struct{}

	mu     sync.Mutex
	wrong  error // why the last commit failed; nil when it did not
	closed bool

	swept int // the writer's own, as is what follows
	spare int // commits during which nothing is swept

	turn  sync.Mutex // one commit at a time; guards what follows
	age   age
	saved age // as the file has it
}

// commitEach is how often what has changed is written.
const commitEach = time.Second

const schema = `
CREATE TABLE IF NOT EXISTS cell (
	tab TEXT NOT NULL, key TEXT NOT NULL, a REAL NOT NULL, b REAL NOT NULL,
	at INTEGER NOT NULL, first INTEGER NOT NULL, until INTEGER NOT NULL, mark INTEGER NOT NULL,
	PRIMARY KEY (tab, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;`

// Open gives the memory kept in a file, and makes the file when it is not there. A file that is no database any more is set aside under
// a new name, which the log says, and the memory begins anew. Where the disk is full, takes no writes or another program locks the file, the memory
// goes on without it, says so, and takes in what the file holds once it can be opened. The error says why the folder cannot be used.
func Open(path string, most int, now func() time.Time, log *slog.Logger) (*Embedded, error) {
	e := NewEmbedded(most, now())
	f := &file{
		store: e, path: path, log: log, now: now, stop: make(chan struct{}), ended: make(chan struct{}),
		age: age{born: e.Born(), seen: e.Born()},
	}
	if err := f.open(); Passes(err) {
		e.late.Store(true)
		f.note(err)
	} else if err != nil {
		return nil, err
	}
	e.file = f
	for i := range e.parts {
		e.parts[i].round, e.parts[i].gone = 1, map[cellKey]bool{}
	}
	go f.run()
	return e, nil
}

// saveAge writes it when that is due.
func (f *file) saveAge() error {
	if f.age.born.Equal(f.saved.born) && f.age.seen.Sub(f.saved.seen).Abs() < ageEach {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), writeTime)
	defer cancel()
	_, err := f.db.ExecContext(ctx, "INSERT OR REPLACE INTO meta VALUES ('born', ?), ('seen', ?)", f.age.born.UnixMilli(), f.age.seen.UnixMilli())
	switch {
	case err != nil:
	case f.age.was.IsZero():
		_, err = f.db.ExecContext(ctx, "DELETE FROM meta WHERE name = 'was'")
	default:
		_, err = f.db.ExecContext(ctx, "INSERT OR REPLACE INTO meta VALUES ('was', ?)", f.age.was.UnixMilli())
	}
	if err == nil {
		f.saved = f.age
	}
	return err
}

// run commits once a second until close.
func (f *file) run() {
	defer close(f.ended)
	ticker := time.NewTicker(commitEach)
	defer ticker.Stop()
	for {
		select {
		case <-f.stop:
			return
		case <-ticker.C:
			f.guarded(func() { f.tick(f.now()) })
		}
	}
}

// guarded makes a panic an error like others: the next tick tries again.
func (f *file) guarded(do func()) {
	defer func() {
		if reason := recover(); reason != nil {
			f.log.Error("the memory's writer panicked", "panic", fmt.Sprint(reason), "stack", string(debug.Stack()))
			f.note(fmt.Errorf("a fault in the writer: %v", reason))
		}
	}()
	do()
}

// tick does what is due every second.
func (f *file) tick(now time.Time) {
	if f.db == nil {
		if err := f.open(); err != nil {
			f.note(err)
		} else if f.again {
			f.store.noteAll()
		}
		f.store.late.Store(f.db == nil && !f.again)
	}
	f.look(now)
	if f.spare > 0 {
		f.spare--
		f.store.spare.Store(f.spare > 0)
	} else {
		f.swept++
		f.store.sweep(f.swept, now)
	}
	f.commit()
}

// commit writes what has changed since the last one. What cannot be written stays to be written next time: its number is bounded by
// that of the cells, and of the keys that the file may have.
func (f *file) commit() {
	f.turn.Lock()
	defer f.turn.Unlock()
	if err := f.usable(); err != nil {
		f.letGo()
		for i := range f.store.parts {
			f.store.parts[i].tidy()
		}
		f.note(err)
		return
	}
	changed := f.take()
	defer func() { f.giveBack(changed) }() // also when the writer panics
	err := f.saveAge()
	if len(changed) == 0 && err == nil && f.failure() == nil {
		return
	}
	for err == nil && len(changed) > 0 {
		some := changed[:min(len(changed), writeMost)]
		if err = f.write(some); err == nil {
			changed = changed[len(some):]
		}
	}
	if Spoilt(err) {
		f.letGo()
	}
	f.note(WithRemedy(err))
}

// letGo closes a file that is gone, or that somebody has changed under us: the next second opens the one that stands there then, or makes one, and all
// that is known is written into it.
func (f *file) letGo() {
	if f.db == nil {
		return
	}
	_ = f.db.Close() // what is wrong with it is known
	f.db, f.again = nil, true
}

// usable gives why the file cannot be written, as far as that can be told without trying.
func (f *file) usable() error {
	if f.db == nil {
		return f.failure() // why it could not be opened
	}
	return Present(f.path, f.made)
}

// note keeps how a commit ended, and says it.
func (f *file) note(err error) {
	f.mu.Lock()
	before := f.wrong
	f.wrong = err
	f.mu.Unlock()
	switch {
	case err != nil && before == nil:
		f.log.Error(f.troubled()+"; decisions go on, what is new is lost if the daemon ends", "file", f.path, "error", err.Error())
	case err == nil && before != nil:
		f.log.Info("the memory is written again", "file", f.path)
	}
}

func (f *file) take() []change {
	var out []change
	for i := range f.store.parts {
		out = f.store.parts[i].take(out)
	}
	return out
}

func (f *file) giveBack(changed []change) {
	for _, c := range changed {
		f.store.part(c.key).giveBack(c)
	}
}

// writeTime bounds one transaction of at most writeMost cells: were it all that has changed, a large flood would never be written.
const (
	writeTime = 5 * time.Second
	writeMost = 500
)

func (f *file) write(changed []change) error {
	ctx, cancel := context.WithTimeout(context.Background(), writeTime)
	defer cancel()
	tx, err := f.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	put, err := tx.Prepare("INSERT OR REPLACE INTO cell VALUES (?, ?, ?, ?, ?, ?, ?, ?)")
	if err != nil {
		return err
	}
	drop, err := tx.Prepare("DELETE FROM cell WHERE tab = ? AND key = ?")
	if err != nil {
		return err
	}
	for _, one := range changed {
		k := one.key
		if c, kept := f.store.part(k).kept(k); kept {
			_, err = put.Exec(k.table, k.key, c.A, c.B, c.At.UnixMilli(), c.First.UnixMilli(), c.Until.UnixMilli(), c.Mark)
		} else {
			_, err = drop.Exec(k.table, k.key)
		}
		if err != nil {
			return err
		}
	}
	return tx.Commit()
}

func (f *file) failure() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.wrong
}

// troubled says what it is that does not work.
func (f *file) troubled() string {
	if f.store.late.Load() {
		return "the memory cannot be written, and who was known before the start is not known"
	}
	return "the memory cannot be written"
}

func (f *file) status() string {
	if err := f.failure(); err != nil {
		return f.troubled() + ": " + err.Error()
	}
	return ""
}

// close ends the writer and writes what is left.
func (f *file) close() error {
	f.mu.Lock()
	again := f.closed
	f.closed = true
	f.mu.Unlock()
	if again {
		return nil
	}
	close(f.stop)
	<-f.ended
	f.guarded(f.commit)
	if f.db == nil {
		return f.failure()
	}
	return errors.Join(f.failure(), f.db.Close())
}
