package logging

import (
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// outletSize bounds the lines that wait for their reader, in bytes: some thousand decisions.
const outletSize = 1 << 20

// lineCost is what a waiting line takes beside its text.
const lineCost = 100

// outletPatience is how long one line waits for room before the reader counts as stuck: a slow one is waited for, one that does not read is not.
const outletPatience = time.Second

// Outlet is the way of the log's lines to whoever reads them: a file, a pipe, the journal, syslog. Mail never waits for a reader that does not read:
// lines then wait in a bounded queue, and beyond it they are dropped and counted. They never overtake one another. Safe for concurrent use.
type Outlet struct {
	size     int
	patience time.Duration
	room     chan struct{} // told when a line has left the queue

	mu      sync.Mutex
	waiting []waiting
	bytes   int           // of what waits, with what is just being written
	writes  bool          // a goroutine empties the queue
	stuck   bool          // nobody waits for room, until all is written
	trouble Trouble       // its Lost and Since are kept here
	told    uint64        // how many of the lost lines the log has told of
	empty   chan struct{} // closed when the queue is empty, for Close; nil without
}

// Trouble is what is wrong with the log.
type Trouble struct {
	Lost  uint64    // lines since the start
	Why   string    // nothing goes out now; "" while lines do
	Since time.Time // of Why
}

// waiting is a line on its way.
type waiting struct {
	bytes int
	write func() error
}

// NewOutlet gives an outlet without lines.
func NewOutlet() *Outlet {
	return &Outlet{size: outletSize, patience: outletPatience, room: make(chan struct{}, 1)}
}

// Trouble gives what is wrong now, and how many lines were lost since the start.
func (o *Outlet) Trouble() Trouble {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.trouble
}

// Untold gives how many lines were lost since it was last asked; 0 while nothing goes out, for nobody would read of it.
func (o *Outlet) Untold() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.trouble.Why != "" {
		return 0
	}
	n := o.trouble.Lost - o.told
	o.told = o.trouble.Lost
	return n
}

// Close waits until all lines are out, for a while at most: those that are not then are lost with the process.
func (o *Outlet) Close(atMost time.Duration) {
	o.mu.Lock()
	if !o.writes {
		o.mu.Unlock()
		return
	}
	empty := make(chan struct{})
	o.empty = empty
	o.mu.Unlock()
	select {
	case <-empty:
	case <-time.After(atMost):
	}
}

// hand puts a line at the end of the queue, or drops it where there is no room.
func (o *Outlet) hand(line waiting) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.waits(line.bytes) {
		o.trouble.Lost++
		return
	}
	o.put(line)
}

// fits reports whether there is room, under mu. A line that is longer than the queue has the queue for itself.
func (o *Outlet) fits(bytes int) bool { return o.bytes == 0 || o.bytes+bytes <= o.size }

// waits waits for room under mu, which it gives away meanwhile. It reports false when there is none: then the reader is stuck, and until it
// has read everything nobody waits again.
func (o *Outlet) waits(bytes int) bool {
	if o.fits(bytes) || o.stuck {
		return o.fits(bytes)
	}
	over := time.NewTimer(o.patience)
	defer over.Stop()
	for late := false; !o.fits(bytes) && !o.stuck; {
		if late {
			o.stuck = true
			o.fails("nobody reads it")
			break
		}
		o.mu.Unlock()
		select {
		case <-o.room:
		case <-over.C:
			late = true
		}
		o.mu.Lock()
	}
	o.tell() // another may wait for what is left of the room
	return o.fits(bytes)
}

// tell wakes one who waits for room.
func (o *Outlet) tell() {
	select {
	case o.room <- struct{}{}:
	default:
	}
}

// fails notes why nothing goes out, under mu.
func (o *Outlet) fails(why string) {
	if o.trouble.Why == "" {
		o.trouble.Since = time.Now()
	}
	o.trouble.Why = why
}

// went notes what came of a line, under mu.
func (o *Outlet) went(err error) {
	switch {
	case err != nil:
		o.trouble.Lost++
		o.fails(err.Error())
	case !o.stuck:
		o.trouble.Why = ""
	}
}

// put appends a line to the queue, under mu.
func (o *Outlet) put(line waiting) {
	o.waiting = append(o.waiting, line)
	o.bytes += line.bytes
	if !o.writes {
		o.writes = true
		go o.drain() // it ends with the queue, for which Close waits
	}
}

// drain writes what waits until nothing does.
func (o *Outlet) drain() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.waiting) > 0 {
		line := o.waiting[0]
		o.waiting[0] = waiting{}
		o.waiting = o.waiting[1:]
		o.stuck = o.stuck && len(o.waiting) > 0
		o.mu.Unlock()
		err := line.write()
		o.mu.Lock()
		o.bytes -= line.bytes
		o.went(err)
		o.tell()
	}
	o.waiting, o.writes = nil, false
	if o.empty != nil {
		close(o.empty)
		o.empty = nil
	}
}

// pieceSize is what a pipe takes at once, or not at all: PIPE_BUF (pipe(7)).
const pieceSize = 4096

// stream is an outlet's way into a file, a pipe or a terminal.
type stream struct {
	out  *Outlet
	to   io.Writer
	file *os.File // to, where it may have to be waited for: a pipe or a socket; nil otherwise
	slow bool     // to is a terminal: one with room for a byte may let a line wait
}

// Stream gives a writer of lines to w. A line is written at once, before Write ends, as long as w takes it without a wait: a process that is killed has
// written what it said. It never fails: what the log cannot take has nowhere else to go, and is counted.
func (o *Outlet) Stream(w io.Writer) io.Writer {
	file, isFile := w.(*os.File)
	if isFile && isRegular(file) {
		file = nil // there is nothing to ask: it always takes a line (poll(2))
	}
	return &stream{out: o, to: w, file: file, slow: isTerminal(w)}
}

func isRegular(file *os.File) bool {
	info, err := file.Stat()
	return err == nil && info.Mode().IsRegular()
}

// Write implements io.Writer.
func (s *stream) Write(line []byte) (int, error) {
	if rest := s.now(line); len(rest) > 0 {
		s.out.hand(s.later(rest))
	}
	return len(line), nil
}

// now writes as much of a line as goes without a wait, and gives a line of which nothing does. The rest of one that is begun is queued before
// anybody else may write: it comes out whole.
func (s *stream) now(line []byte) []byte {
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	if s.out.writes {
		return line
	}
	rest := line
	for len(rest) > 0 && s.takes() {
		piece := rest
		if s.file != nil {
			piece = rest[:min(len(rest), pieceSize)]
		}
		n, err := s.to.Write(piece)
		if rest = rest[n:]; err != nil || len(rest) == 0 {
			s.out.went(err)
			return nil
		}
	}
	if len(rest) == len(line) {
		return line
	}
	s.out.put(s.later(rest))
	return nil
}

// later gives a line, which is copied, for the queue.
func (s *stream) later(line []byte) waiting {
	text := append([]byte(nil), line...)
	return waiting{len(text) + lineCost, func() error {
		_, err := s.to.Write(text)
		return err
	}}
}

// takes reports whether a piece can be written without a wait (poll(2)).
func (s *stream) takes() bool {
	if s.file == nil || s.slow {
		return !s.slow
	}
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(s.file.Fd()), Events: unix.POLLOUT}}, 0)
	return n > 0 || err != nil && err != unix.EINTR
}
