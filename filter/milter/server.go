package milter

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"
)

// Server accepts connections of MTAs and runs a session for each.
type Server struct {
	config  Config
	buffers *buffers

	mu        sync.Mutex
	listeners map[net.Listener]bool
	sessions  map[*conn]bool
	cutOffs   []context.CancelFunc // end the contexts of handlers, one for each Serve
	idle      []chan accession     // to goroutines that wait for a connection, the last to have served one at the end
	surplus   int                  // how many of them had nothing to do since the last tick
	serving   int                  // calls of Serve under way
	over      int                  // sessions beyond the cap that are being told so
	stopping  bool
	work      sync.WaitGroup
}

// NewServer gives a server. It accepts nothing before Serve.
func NewServer(c Config) *Server {
	if c.MaxSessions <= 0 {
		c.MaxSessions = DefaultSessions
	}
	if c.ReadTimeout <= 0 {
		c.ReadTimeout = DefaultReadTimeout
	}
	if c.WriteTimeout <= 0 {
		c.WriteTimeout = DefaultWriteTimeout
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Server{config: c, buffers: newBuffers(), listeners: map[net.Listener]bool{}, sessions: map[*conn]bool{}}
}

// Serve accepts connections on all listeners until Shutdown, and closes them. It gives nil after Shutdown. Handlers get contexts that
// end with ctx.
func (s *Server) Serve(ctx context.Context, listeners ...net.Listener) error {
	ctx, cutOff := context.WithCancel(ctx)
	s.mu.Lock()
	s.cutOffs = append(s.cutOffs, cutOff)
	s.serving++
	s.mu.Unlock()
	defer s.accepted()
	failed := make(chan error, len(listeners))
	for _, l := range listeners {
		s.mu.Lock()
		if s.stopping {
			s.mu.Unlock()
			l.Close()
			failed <- nil
			continue
		}
		s.listeners[l] = true
		s.work.Add(1) // what was accepted just before the stop is served too
		s.mu.Unlock()
		go func() {
			defer s.work.Done()
			failed <- s.accept(ctx, l)
		}()
	}
	tick := time.NewTicker(idleTime)
	defer tick.Stop()
	var first error
	for ended := 0; ended < len(listeners); {
		select {
		case err := <-failed:
			ended++
			if first == nil {
				first = err
			}
		case <-tick.C:
			s.dismiss()
		}
	}
	return first
}

// accepted notes that a call of Serve is over.
func (s *Server) accepted() {
	s.mu.Lock()
	s.serving--
	s.mu.Unlock()
	s.dismiss()
}

// accept takes connections. An error such as too many open files passes: it waits a little and goes on.
func (s *Server) accept(ctx context.Context, l net.Listener) error {
	wait := time.Duration(0)
	for {
		conn, err := l.Accept()
		switch {
		case err == nil:
			wait = 0
			s.admit(ctx, conn)
			continue
		case s.isStopping():
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		}
		wait = min(max(2*wait, 5*time.Millisecond), time.Second)
		s.config.Logger.Warn("accepting a connection failed; trying on", "error", err.Error(), "wait", wait.String())
		time.Sleep(wait)
	}
}

func (s *Server) isStopping() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopping
}

// maxOver bounds how many sessions beyond the cap are told so at one time; more are closed without a word.
const maxOver = 100

// overTimeout is how long such a session may take.
const overTimeout = 10 * time.Second

// admit starts a session, or one that only says that there are too many.
func (s *Server) admit(ctx context.Context, accepted net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	over := len(s.sessions)-s.over >= s.config.MaxSessions || s.config.Full != nil && s.config.Full()
	if over && s.over >= maxOver {
		accepted.Close()
		return
	}
	read, write := s.config.ReadTimeout, s.config.WriteTimeout
	if over {
		s.over++
		read, write = overTimeout, overTimeout
	}
	c := newConn(accepted, s.buffers, read, write)
	s.sessions[c] = true
	s.work.Add(1)
	a := accession{ctx, c, over}
	last := len(s.idle) - 1
	if last < 0 {
		go s.serve(a)
		return
	}
	s.idle[last] <- a
	s.idle, s.surplus = s.idle[:last], min(s.surplus, last)
}

// accession is a connection that was accepted.
type accession struct {
	ctx  context.Context
	conn *conn
	over bool
}

// serve runs sessions, one after the other, until it is dismissed. Its stack has grown by then to what a session needs, which costs a new one as
// much as a tenth of a message.
func (s *Server) serve(a accession) {
	next := make(chan accession, 1)
	for given := true; given; a, given = <-next {
		s.run(a.ctx, a.conn, a.over)
		if !s.waits(next) {
			return
		}
	}
}

// waits notes that a goroutine waits for a connection. It reports false when there will be none.
func (s *Server) waits(next chan accession) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.serving == 0 {
		return false
	}
	s.idle = append(s.idle, next)
	return true
}

// idleTime is how often goroutines are dismissed that had nothing to do since the last time.
const idleTime = time.Second

// dismiss ends those goroutines. The others had no long wait: a connection goes to who waits the shortest time, whose stack a processor may still have
// at hand.
func (s *Server) dismiss() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.serving == 0 {
		s.surplus = len(s.idle)
	}
	for _, next := range s.idle[:s.surplus] {
		close(next)
	}
	s.idle = slices.Delete(s.idle, 0, s.surplus)
	s.surplus = len(s.idle)
}

func (s *Server) run(ctx context.Context, c *conn, over bool) {
	defer s.work.Done()
	defer c.giveBack()
	defer s.left(c, over)
	defer c.Close()
	one := &session{ctx: ctx, conn: c, log: s.config.Logger, onPanic: s.config.OnPanic, newHandler: func() Handler {
		if over {
			return full{}
		}
		return s.config.NewSession(c.RemoteAddr())
	}}
	if err := one.run(); err != nil && !errors.Is(err, net.ErrClosed) {
		s.config.Logger.Warn("a milter connection was closed", "error", err.Error())
	}
}

func (s *Server) left(c *conn, over bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, c)
	if over {
		s.over--
	}
}

// restTime is how long a session may rest, after a message or before the negotiation, before Shutdown ends it: who sends several messages
// sends the next one at once.
const restTime = time.Second

// Shutdown stops listening, ends sessions that rest between messages, and waits for the others until ctx ends; then they are cut off,
// which is its error.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.stopping = true
	for l := range s.listeners {
		l.Close()
	}
	s.mu.Unlock()
	ended := make(chan struct{})
	go func() { s.work.Wait(); close(ended) }()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		s.each((*conn).endBetween)
		select {
		case <-ended:
			s.endContexts()
			return nil
		case <-tick.C:
		case <-ctx.Done():
			s.endContexts()
			s.each(func(c *conn) { c.Close() })
			<-ended
			return ctx.Err()
		}
	}
}

func (s *Server) endContexts() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, cutOff := range s.cutOffs {
		cutOff()
	}
}

func (s *Server) each(do func(*conn)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.sessions {
		do(c)
	}
}

// full is the handler of a session beyond the cap.
type full struct{}

var tooMany = Reply(421, "4.3.2", "Too many sessions; try again later")

func (full) Negotiate(Offer) Options                               { return Options{} }
func (full) Connect(context.Context, Client, Macros) Response      { return tooMany }
func (full) Helo(context.Context, string, Macros) Response         { return tooMany }
func (full) Mail(context.Context, string, string, Macros) Response { return tooMany }
func (full) Rcpt(context.Context, string, string, Macros) Response { return tooMany }
func (full) Header([]byte, []byte)                                 {}
func (full) EndOfHeader(context.Context)                           {}
func (full) Body([]byte)                                           {}
func (full) EndOfMessage(context.Context, Editor, Macros) Response { return tooMany }
func (full) Abort()                                                {}
func (full) Close()                                                {}
