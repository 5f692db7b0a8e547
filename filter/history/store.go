package history

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math"
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
	Path    string        // of the database
	Keep    time.Duration // older records go
	Size    int64         // bytes of the file; beyond it the oldest go
	KeyFile string        // local parts are kept as a hash under the key in it, which is made when it is not there; "" to keep them as they are
	Now     func() time.Time
	Log     *slog.Logger
	Queued  int // most records that wait to be written; 0 for a default
}

// Store takes records. It never holds up who gives them: what cannot be written is counted and lost.
type Store struct {
	config Config
	db     *sql.DB // the writer's own, as are made and key; nil as long as it could not be opened
	made   os.FileInfo
	key    []byte // of hidden local parts; nil where none are hidden
	packer *zstd.Encoder
	wake   chan struct{} // enough waits to be encoded
	flush  chan chan struct{}
	stop   chan struct{}
	ended  chan struct{}
	close  sync.Once

	lost, kept atomic.Uint64
	spares     sync.Pool // *Record, wiped

	mu      sync.Mutex
	waiting []added
	wrong   error // why the last commit failed; nil when it did not

	// What follows is the writer's own.
	writing *writing // the transaction under way; nil without
	entered int      // records in it
	spare   []added
	block   *open
	core    *encoder // of the open block, as is detail
	detail  *encoder
	rows    inserter
	packed  []byte         // room for a block's compressed bytes
	known   map[known]bool // policies and entries that the database has
	told    uint64         // losses that the log has said
	toldAt  time.Time
	final   error     // how the last commit ended
	keptErr uint64    // how many were written when something went wrong last
	expired time.Time // when old blocks were last looked for
	looks   looks
}

// added is a record on its way to the writer.
type added struct {
	record *Record
	policy *Policy
}

// defaultQueued is how many records may wait: some tens of megabytes, and seconds of a flood.
const defaultQueued = 8192

// Open opens the history to be written, and makes it when it is not there. A file that is no database any more is set aside. Where the disk is full,
// takes no writes or another program locks the file, records are lost and counted until it can be opened. The error says why the folder cannot be used.
func Open(c Config) (*Store, error) {
	packer, err := newPacker()
	if err != nil {
		return nil, err
	}
	if c.Queued == 0 {
		c.Queued = defaultQueued
	}
	s := &Store{
		config: c, packer: packer, known: map[known]bool{}, core: newEncoder(), detail: newEncoder(), spares: sync.Pool{New: newSpare},
		wake: make(chan struct{}, 1), flush: make(chan chan struct{}), stop: make(chan struct{}), ended: make(chan struct{}),
	}
	if err := s.open(); state.Passes(err) {
		s.note(err)
	} else if err != nil {
		return nil, errors.Join(err, packer.Close())
	}
	go s.run()
	return s, nil
}

// Add hands over a record that was decided under a policy. It does not wait; where too much waits already, the record is lost and counted.
func (s *Store) Add(r *Record, p *Policy) {
	s.mu.Lock()
	n := len(s.waiting)
	if n < s.config.Queued {
		s.waiting = append(s.waiting, added{r, p})
	}
	s.mu.Unlock()
	switch {
	case n >= s.config.Queued:
		s.lost.Add(1)
	case n+1 >= enterMost:
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

// take gives what waits.
func (s *Store) take() []added {
	s.mu.Lock()
	defer s.mu.Unlock()
	batch := s.waiting
	s.waiting, s.spare = s.spare[:0], batch
	return batch
}

// Counts gives how many records were written and how many were lost since the start.
func (s *Store) Counts() (kept, lost uint64) { return s.kept.Load(), s.lost.Load() }

// Status says in words what is wrong; "" when nothing is.
func (s *Store) Status() string {
	if err := s.failure(); err != nil {
		return fmt.Sprintf("the history cannot be written, %d records are lost: %v", s.lost.Load(), err)
	}
	return ""
}

// failure gives why nothing could be written last.
func (s *Store) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wrong
}

// Flush has what was added so far written without waiting for the next commit; whoever opens a reader then finds it. The error is ctx's, or says that
// the store is closed: what cannot be written is told by Status.
func (s *Store) Flush(ctx context.Context) error {
	written := make(chan struct{})
	select {
	case s.flush <- written:
	case <-s.ended:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-written:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

var errClosed = errors.New("the history is closed")

// Close writes what waits and ends the writer.
func (s *Store) Close() error {
	var err error
	s.close.Do(func() {
		close(s.stop)
		<-s.ended
		err = errors.Join(s.final, s.packer.Close())
		if s.db != nil {
			err = errors.Join(err, s.db.Close())
		}
	})
	return err
}

// How the writer works: a commit a second. What waits is encoded earlier, when it is so much: a record holds all that a session knew, and
// to keep thousands of them in memory costs more than to write them.
const (
	commitEach = time.Second
	enterMost  = 32
	writeTime  = 10 * time.Second
)

func (s *Store) run() {
	defer close(s.ended)
	if s.db != nil {
		s.takeOver()
	}
	ticker := time.NewTicker(commitEach)
	defer ticker.Stop()
	for stopping := false; !stopping; {
		select {
		case <-s.wake:
			if err := s.enter(s.take()); err != nil {
				s.note(err)
			}
			continue
		case written := <-s.flush:
			s.note(s.write(s.take()))
			close(written)
			continue
		case <-ticker.C:
		case <-s.stop:
			stopping = true
		}
		s.final = s.write(s.take())
		s.note(s.final)
	}
}

// noneKept is no number of records.
const noneKept = math.MaxUint64

// note keeps how a commit ended, and says it. What was wrong is over when a record is written again: a second in which there was nothing to write
// shows nothing of a disk that is full.
func (s *Store) note(err error) {
	kept := s.kept.Load()
	s.mu.Lock()
	before := s.wrong
	if err != nil {
		s.keptErr = kept
	} else if kept == s.keptErr {
		err = before
	}
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

// write puts a batch into the database, with what was entered before it, in one transaction. What cannot be written is lost: keeping it
// would only let the queue run full.
func (s *Store) write(batch []added) (err error) {
	defer s.caught(&err)
	if err := s.usable(); err != nil {
		s.lose(batch)
		s.letGo()
		return err
	}
	err = s.enter(batch)
	if err == nil {
		err = s.commit()
	}
	if err != nil {
		s.drop()
	}
	if state.Spoilt(err) {
		s.letGo()
	}
	return state.WithRemedy(err)
}

// caught is to be deferred: it makes a panic an error like others, so that the writer goes on with the next batch.
func (s *Store) caught(err *error) {
	if reason := recover(); reason != nil {
		s.config.Log.Error("the history's writer panicked", "panic", reason, "stack", string(debug.Stack()))
		s.drop()
		*err = fmt.Errorf("a fault in the writer: %v", reason)
	}
}

// enter adds a batch to the transaction under way.
func (s *Store) enter(batch []added) (err error) {
	defer s.caught(&err)
	defer func() {
		s.giveBack(batch)
		clear(batch)
	}()
	s.entered += len(batch)
	if len(batch) == 0 {
		return nil
	}
	err = s.begin()
	for i := 0; err == nil && i < len(batch); i++ {
		err = s.writing.add(batch[i])
	}
	if err != nil {
		s.drop()
	}
	return err
}

// begin begins a transaction, unless one is under way.
func (s *Store) begin() error {
	if s.writing != nil {
		return nil
	}
	if s.db == nil {
		return s.failure()
	}
	ctx, cancel := context.WithTimeout(context.Background(), commitEach+writeTime)
	w := &writing{Store: s, ctx: ctx, cancel: cancel}
	var err error
	if w.conn, err = s.db.Conn(ctx); err == nil {
		s.rows.begin(w.conn)
		// Not under ctx: package sql would take the transaction back at its end, and rows that are added after that would be in none.
		w.tx, err = w.conn.BeginTx(context.Background(), nil)
	}
	if err == nil && s.block != nil {
		err = w.rejoin()
	}
	if err != nil {
		return errors.Join(err, w.end(false))
	}
	s.writing = w
	return nil
}

// drop takes the transaction under way back, and counts its records as lost.
func (s *Store) drop() {
	if s.writing != nil {
		_ = s.writing.end(false) // what went wrong before says more
	}
	s.lost.Add(uint64(s.entered))
	s.writing, s.entered = nil, 0
	s.block, s.known = nil, map[known]bool{} // the database does not have them
}

// commit ends the transaction, and once a minute deletes what is too old in it.
func (s *Store) commit() error {
	now := s.config.Now()
	expire := now.Sub(s.expired) >= time.Minute
	if s.writing == nil && !expire {
		return nil
	}
	if err := s.begin(); err != nil {
		return err
	}
	w := s.writing
	if err := w.flush(); err != nil {
		return err
	}
	if expire {
		if err := w.expire(s.oldest(now), now); err != nil {
			return err
		}
		s.expired = now
	}
	if err := w.end(true); err != nil {
		return err
	}
	s.kept.Add(uint64(s.entered))
	s.writing, s.entered = nil, 0
	return nil
}
