package resolve

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"
)

// Config sets up a Client. The zero Config is a good one.
type Config struct {
	Servers    []string      // "192.0.2.53:53", "2001:db8::53"; the port is 53 unless given. Empty: those of ResolvConf
	ResolvConf string        // file that names the servers when Servers is empty, read again when it changes; "" is /etc/resolv.conf
	Rotate     bool          // start each question at the next server; else they are asked in order, the next when one fails
	Timeout    time.Duration // for one question over all its tries; 0 is 2 s
	Entries    int           // answers kept, and as many KiB in all; 0 is 100,000
	InFlight   int           // questions under way at once, others wait for them; 0 is 1,000. One question holds at most 4 sockets

	// How long answers are kept. 0 takes the default, a negative duration means none.
	MinTTL      time.Duration // at least this long, whatever their TTL; 5 s, so that one mail's checks do not ask the same thing twice
	MaxTTL      time.Duration // at most this long; 1 day
	MaxNegative time.Duration // NoData and NXDomain at most this long (RFC 2308 5 allows up to 3 h); 1 h
	Trouble     time.Duration // Timeout and ServFail this long (RFC 9520 3.2: at least 1 s, at most 5 min); 5 s

	Now func() time.Time // the clock for what is kept; nil is time.Now
	Log *slog.Logger     // told of panics, which are faults of this package; nil discards
}

// withDefaults gives the Config with all its defaults filled in.
func (c Config) withDefaults() Config {
	fill := func(d *time.Duration, usual time.Duration) {
		if *d == 0 {
			*d = usual
		}
		*d = max(*d, 0)
	}
	if c.Timeout <= 0 {
		c.Timeout = 2 * time.Second
	}
	if c.Entries <= 0 {
		c.Entries = 100_000
	}
	if c.InFlight <= 0 {
		c.InFlight = 1000
	}
	if c.ResolvConf == "" {
		c.ResolvConf = "/etc/resolv.conf"
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	fill(&c.MinTTL, 5*time.Second)
	fill(&c.MaxTTL, 24*time.Hour)
	fill(&c.MaxNegative, time.Hour)
	fill(&c.Trouble, 5*time.Second)
	return c
}

// Client is a caching stub resolver: a Resolver that asks recursive servers. It is safe for concurrent use.
type Client struct {
	config  Config
	cache   *cache
	servers *servers
	stats   counters
	slots   chan struct{} // one taken for each question under way

	live context.Context // ends at Close
	stop context.CancelFunc
	work sync.WaitGroup // the goroutines of questions

	mu      sync.Mutex
	closed  bool
	flights map[key]*flight
}

var _ Resolver = (*Client)(nil)

// key names a question in the cache and among those under way.
type key struct {
	name string // clean
	kind Type
}

func (k key) String() string { return k.name + " " + k.kind.String() }

// flight is a question under way. Whoever asks the same meanwhile waits for it; the answer may be read when done is closed.
type flight struct {
	done   chan struct{}
	answer *Answer
}

// New makes a Client. It asks nothing and reads no file yet. Close it to end its goroutines.
func New(config Config) *Client {
	config = config.withDefaults()
	live, stop := context.WithCancel(context.Background())
	return &Client{
		config:  config,
		cache:   newCache(config),
		servers: newServers(config),
		slots:   make(chan struct{}, config.InFlight),
		live:    live,
		stop:    stop,
		flights: map[key]*flight{},
	}
}

// Close ends all questions under way, each as a ServFail, and waits for their goroutines. Later questions are a ServFail too.
func (c *Client) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.stop()
	c.work.Wait()
}

// Lookup answers from the cache, or joins the same question under way, or asks. What is under way goes on when ctx ends,
// for the others who wait for it and for the cache; only this caller stops waiting, with a Timeout.
func (c *Client) Lookup(ctx context.Context, name string, t Type) *Answer {
	c.stats.questions.Add(1)
	clean, ok := CleanName(name)
	if !ok {
		return badName(clean, t)
	}
	k := key{clean, t}
	if a := c.cache.get(k, c.config.Now()); a != nil {
		c.stats.hits.Add(1)
		return a
	}
	if ctx.Err() != nil {
		return c.givenUp(k)
	}
	f, cached := c.join(k)
	if cached != nil {
		return cached
	}
	select {
	case <-f.done:
		return f.answer
	case <-ctx.Done():
		return c.givenUp(k)
	}
}

// givenUp is the answer for a caller whose own time is up.
func (c *Client) givenUp(k key) *Answer {
	c.stats.givenUp.Add(1)
	return &Answer{Name: k.name, Type: k.kind, Status: Timeout, Detail: "the time for all questions was up before " + k.String() + " was answered"}
}

// join gives the flight for a question, starting it where there is none, or an answer that has come into the cache meanwhile.
func (c *Client) join(k key) (*flight, *Answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := c.flights[k]; f != nil {
		c.stats.joined.Add(1)
		return f, nil
	}
	if a := c.cache.get(k, c.config.Now()); a != nil { // its flight ended after we looked
		c.stats.hits.Add(1)
		return nil, a
	}
	if c.closed {
		return nil, &Answer{Name: k.name, Type: k.kind, Status: ServFail, Detail: "the resolver is closed"}
	}
	c.stats.misses.Add(1)
	f := &flight{done: make(chan struct{})}
	c.flights[k] = f
	c.work.Go(func() { c.fly(k, f) })
	return f, nil
}

// fly asks a question, keeps the answer, and only then lets the flight end: whoever comes later finds it in the cache.
func (c *Client) fly(k key, f *flight) {
	var answer *Answer
	fault := ""
	defer func() {
		if f.answer = answer; fault != "" {
			f.answer = broken(k, ServFail, fault)
		}
		c.mu.Lock()
		delete(c.flights, k)
		c.mu.Unlock()
		close(f.done)
	}()
	defer c.caught(k, &fault)
	ctx, cancel := context.WithTimeout(c.live, c.config.Timeout)
	defer cancel()
	if !c.enter(ctx) {
		answer = broken(k, Timeout, fmt.Sprintf("%d questions were under way, none ended in time", cap(c.slots)))
		return
	}
	defer c.leave()
	answer = c.resolve(ctx, k)
	switch answer.Status {
	case Timeout:
		c.stats.timeouts.Add(1)
	case ServFail:
		c.stats.servFails.Add(1)
	}
	if c.live.Err() == nil {
		c.cache.put(k, answer, c.config.Now())
	}
}

// enter takes a place among the questions under way, waiting for one until ctx ends.
func (c *Client) enter(ctx context.Context) bool {
	select {
	case c.slots <- struct{}{}:
		c.stats.inFlight.Add(1)
	case <-ctx.Done():
		return false
	}
	if ctx.Err() != nil { // both were so
		c.leave()
		return false
	}
	return true
}

func (c *Client) leave() {
	c.stats.inFlight.Add(-1)
	<-c.slots
}

// caught is to be deferred: it turns a panic of this goroutine into trouble in words. The name asked for stays out of the log: a blocklist's
// may hold a key. What strangers send must not end the program,
// and no question may stay without an answer.
func (c *Client) caught(k key, trouble *string) {
	if reason := recover(); reason != nil {
		c.config.Log.Error("the resolver panicked", "type", k.kind.String(), "panic", reason, "stack", string(debug.Stack()))
		*trouble = fmt.Sprint("a fault in the resolver: ", reason)
	}
}

func badName(name string, t Type) *Answer {
	return &Answer{Name: name, Type: t, Status: BadName, Detail: "no DNS name: labels have 1 to 63 bytes, a name at most 253"}
}

// broken is an answer for trouble.
func broken(k key, status Status, detail string) *Answer {
	return &Answer{Name: k.name, Type: k.kind, Status: status, Detail: detail}
}
