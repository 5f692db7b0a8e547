package milter

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	gomilter "github.com/d--j/go-milter"
)

// Server accepts connections of MTAs and runs a session for each.
type Server struct {
	config Config

	mu        sync.Mutex
	listeners map[net.Listener]bool
	sessions  map[*guard]bool
	over      int // sessions beyond the cap that are being told so
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
	silence.Do(func() { gomilter.LogWarning = func(string, ...any) {} })
	return &Server{config: c, listeners: map[net.Listener]bool{}, sessions: map[*guard]bool{}}
}

// silence turns the library's own warnings off: its printf is one variable for the process, and what it says of sender's
// bytes is not escaped.
var silence sync.Once

// Serve accepts connections on all listeners until Shutdown, and closes them. It gives nil after Shutdown. Handlers get contexts that
// end with ctx.
func (s *Server) Serve(ctx context.Context, listeners ...net.Listener) error {
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
		s.mu.Unlock()
		go func() { failed <- s.accept(ctx, l) }()
	}
	var first error
	for range listeners {
		if err := <-failed; err != nil && first == nil {
			first = err
		}
	}
	return first
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
func (s *Server) admit(ctx context.Context, conn net.Conn) {
	g := newGuard(conn, s.config.ReadTimeout, s.config.WriteTimeout)
	s.mu.Lock()
	defer s.mu.Unlock()
	over := len(s.sessions)-s.over >= s.config.MaxSessions
	if s.stopping || over && s.over >= maxOver {
		conn.Close()
		return
	}
	s.sessions[g] = true
	if over {
		s.over++
		g.read, g.write = overTimeout, overTimeout
	}
	s.work.Add(1)
	ctx, g.cutOff = context.WithCancel(ctx)
	go s.run(ctx, g, over)
}

func (s *Server) run(ctx context.Context, g *guard, over bool) {
	defer s.work.Done()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.sessions, g)
		if over {
			s.over--
		}
	}()
	defer g.Conn.Close()
	defer g.cutOff()
	b := &backend{ctx: ctx, guard: g, log: s.config.Logger, onPanic: s.config.OnPanic, handler: full{}}
	if !over {
		b.handler = s.config.NewSession(g.RemoteAddr())
	}
	defer b.close()
	// One library server a connection: neither its negotiation nor its sessions see the connection otherwise.
	one := &oneShot{conn: g, done: make(chan struct{})}
	g.onClose = one.Close
	server := gomilter.NewServer(b.options()...)
	server.Serve(one)
	if err := g.failure; err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
		s.config.Logger.Warn("a milter connection was closed", "error", err.Error())
	}
}

// Shutdown stops listening, ends sessions that are between messages, and waits for the others until ctx ends; then they are cut off,
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
		s.cut(func(g *guard) bool { return !g.busy.Load() })
		select {
		case <-ended:
			return nil
		case <-tick.C:
		case <-ctx.Done():
			s.cut(func(g *guard) bool { g.cutOff(); return true })
			<-ended
			return ctx.Err()
		}
	}
}

func (s *Server) cut(which func(*guard) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for g := range s.sessions {
		if which(g) {
			g.Conn.Close()
		}
	}
}

// oneShot is a listener that gives one connection, and then waits until that is closed.
type oneShot struct {
	conn  net.Conn
	given bool
	once  sync.Once
	done  chan struct{}
}

// Accept implements net.Listener.
func (o *oneShot) Accept() (net.Conn, error) {
	if !o.given {
		o.given = true
		return o.conn, nil
	}
	<-o.done
	return nil, net.ErrClosed
}

// Close implements net.Listener.
func (o *oneShot) Close() error {
	o.once.Do(func() { close(o.done) })
	return nil
}

// Addr implements net.Listener.
func (o *oneShot) Addr() net.Addr { return o.conn.LocalAddr() }

// full is the handler of a session beyond the cap.
type full struct{}

var tooMany = Reply(421, "4.3.2", "Too many sessions; try again later")

func (full) Negotiate(Offer) Options                               { return Options{} }
func (full) Connect(context.Context, Client, Macros) Response      { return tooMany }
func (full) Helo(context.Context, string, Macros) Response         { return tooMany }
func (full) Mail(context.Context, string, string, Macros) Response { return tooMany }
func (full) Rcpt(context.Context, string, string, Macros) Response { return tooMany }
func (full) Header(string, string)                                 {}
func (full) EndOfHeader(context.Context)                           {}
func (full) Body([]byte)                                           {}
func (full) EndOfMessage(context.Context, Editor, Macros) Response { return tooMany }
func (full) Abort()                                                {}
func (full) Close()                                                {}
