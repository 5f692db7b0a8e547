package history

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/zstd"

	"gatepost.example/filter/state"
)

// Config says where the history is kept and how much of it.
type Config struct {
	Path   string        // of the database
	Keep   time.Duration // older records go
	Size   int64         // bytes of the file; beyond it the oldest go
	Key    []byte        // local parts are kept as a hash under this key; nil to keep them as they are
	Now    func() time.Time
	Log    *slog.Logger
	Queued int // most records that wait to be written; 0 for a default
}

// Store takes records. It never holds up who gives them: what cannot be written is counted and lost.
type Store struct {
	config Config
	db     *sql.DB
	made   os.FileInfo
	packer *zstd.Encoder
	queue  chan added
	stop   chan struct{}
	ended  chan struct{}
	close  sync.Once

	lost, kept atomic.Uint64

	mu    sync.Mutex
	wrong error // why the last commit failed; nil when it did not

	// What follows is the writer's own.
	block   *open
	known   map[string]bool // policies and entries that the database has
	told    uint64          // losses that the log has said
	toldAt  time.Time
	expired time.Time // when old blocks were last looked for
}

// added is a record on its way to the writer.
type added struct {
	record *Record
	policy *Policy
}

// defaultQueued is how many records may wait: some tens of megabytes, and seconds of a flood.
const defaultQueued = 8192

// Open opens the history to be written, and makes it when it is not there. A file that is no database any more is set aside.
func Open(c Config) (*Store, error) {
	db, err := state.Database{Path: c.Path, What: "history", Schema: schema, Shrinks: true}.Open(c.Now(), c.Log)
	if err != nil {
		return nil, err
	}
	packer, err := newPacker()
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	if c.Queued == 0 {
		c.Queued = defaultQueued
	}
	s := &Store{
		config: c, db: db, packer: packer, known: map[string]bool{},
		queue: make(chan added, c.Queued), stop: make(chan struct{}), ended: make(chan struct{}),
	}
	if s.made, err = os.Stat(c.Path); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	go s.run()
	return s, nil
}

// Add hands over a record that was decided under a policy. It does not wait; where too much waits already, the record is lost and counted.
func (s *Store) Add(r *Record, p *Policy) {
	select {
	case s.queue <- added{r, p}:
	default:
		s.lost.Add(1)
	}
}

// Counts gives how many records were written and how many were lost since the start.
func (s *Store) Counts() (kept, lost uint64) { return s.kept.Load(), s.lost.Load() }

// Status says in words what is wrong; "" when nothing is.
func (s *Store) Status() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wrong == nil {
		return ""
	}
	return fmt.Sprintf("the history cannot be written, %d records are lost: %v", s.lost.Load(), s.wrong)
}

// Close writes what waits and ends the writer.
func (s *Store) Close() error {
	var err error
	s.close.Do(func() {
		close(s.stop)
		<-s.ended
		s.mu.Lock()
		defer s.mu.Unlock()
		err = errors.Join(s.wrong, s.packer.Close(), s.db.Close())
	})
	return err
}

// How the writer works: a commit a second, or earlier when that much waits.
const (
	commitEach = time.Second
	batchMost  = 2000
	writeTime  = 10 * time.Second
)

func (s *Store) run() {
	defer close(s.ended)
	ticker := time.NewTicker(commitEach)
	defer ticker.Stop()
	var batch []added
	for stopping := false; !stopping; {
		select {
		case one := <-s.queue:
			if batch = append(batch, one); len(batch) < batchMost {
				continue
			}
		case <-ticker.C:
		case <-s.stop:
			stopping = true
			for len(s.queue) > 0 {
				batch = append(batch, <-s.queue)
			}
		}
		s.commit(batch)
		clear(batch)
		batch = batch[:0]
	}
}

// commit writes a batch. What cannot be written is lost: keeping it would only let the queue run full.
func (s *Store) commit(batch []added) {
	err := state.Present(s.config.Path, s.made)
	if err == nil {
		err = s.write(batch)
	}
	if err != nil {
		s.lost.Add(uint64(len(batch)))
		s.block, s.known = nil, map[string]bool{} // the transaction took them back
	} else {
		s.kept.Add(uint64(len(batch)))
	}
	s.mu.Lock()
	before := s.wrong
	s.wrong = err
	s.mu.Unlock()
	s.tell(before, err)
}

// tell logs what is wrong, and losses once a minute.
func (s *Store) tell(before, err error) {
	now, lost := s.config.Now(), s.lost.Load()
	switch {
	case err != nil && before == nil:
		s.config.Log.Error("the history cannot be written; mail goes on, what is decided now is lost for it", "file", s.config.Path, "error", err.Error())
	case err == nil && before != nil:
		s.config.Log.Info("the history is written again", "file", s.config.Path, "lost", lost)
	case lost > s.told && now.Sub(s.toldAt) >= time.Minute:
		s.config.Log.Warn("records of the history are lost", "lost", lost-s.told, "since", "the last such line")
	default:
		return
	}
	s.told, s.toldAt = lost, now
}

// write puts a batch into the database, in one transaction. A panic is an error like others: the writer goes on with the next batch.
func (s *Store) write(batch []added) (err error) {
	defer func() {
		if reason := recover(); reason != nil {
			s.config.Log.Error("the history's writer panicked", "panic", reason, "stack", string(debug.Stack()))
			err = fmt.Errorf("a fault in the writer: %v", reason)
		}
	}()
	now := s.config.Now()
	expire := now.Sub(s.expired) >= time.Minute
	if len(batch) == 0 && !expire {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), writeTime)
	defer cancel()
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	w := &writing{Store: s, ctx: ctx, tx: tx}
	for _, one := range batch {
		if err := w.add(one); err != nil {
			return err
		}
	}
	if err := w.flush(); err != nil {
		return err
	}
	if expire {
		if err := w.expire(now); err != nil {
			return err
		}
		s.expired = now
	}
	return tx.Commit()
}
