package resolve

import (
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

const (
	// asideFor is how long a server is asked last after another one had to answer in its place.
	asideFor = 10 * time.Second
	// caselessFor is how long a server that keeps no case is asked in lower case only.
	caselessFor = time.Hour
	// lookAgain is how often the file that names the servers is looked at.
	lookAgain = time.Second
	// noFileServer is asked where no file names a server, as the C library does.
	noFileServer = "127.0.0.1:53"
)

// server is one recursive server and what we have learned about it.
type server struct {
	addr     string       // host:port
	aside    atomic.Int64 // until then, in Unix nanoseconds, others are asked first
	caseless atomic.Int64 // until then it is known to keep no case
}

func (s *server) setAside(now time.Time)         { s.aside.Store(now.Add(asideFor).UnixNano()) }
func (s *server) isAside(now time.Time) bool     { return within(now, s.aside.Load(), asideFor) }
func (s *server) setCaseless(now time.Time)      { s.caseless.Store(now.Add(caselessFor).UnixNano()) }
func (s *server) keepsNoCase(now time.Time) bool { return within(now, s.caseless.Load(), caselessFor) }

// within reports whether a time that was so long is not over yet. One that lasts longer is over: the clock was set back since.
func within(now time.Time, until int64, long time.Duration) bool {
	left := time.Duration(until - now.UnixNano())
	return left > 0 && left <= long
}

// servers is the list of servers: fixed, or that of a file, followed when the file changes.
type servers struct {
	file   string // "" for a fixed list
	rotate bool
	now    func() time.Time
	turn   atomic.Uint32

	mu     sync.Mutex
	list   []*server
	looked time.Time
	seen   fileVersion
}

// fileVersion tells whether a file has changed.
type fileVersion struct {
	modified time.Time
	size     int64
}

func newServers(config Config) *servers {
	s := &servers{rotate: config.Rotate, now: config.Now}
	for _, addr := range config.Servers {
		s.list = append(s.list, &server{addr: withPort(addr)})
	}
	if len(s.list) == 0 {
		s.file = config.ResolvConf
	}
	return s
}

// withPort gives host:port, with port 53 for a bare address.
func withPort(text string) string {
	if _, err := netip.ParseAddr(text); err == nil {
		return net.JoinHostPort(text, "53")
	}
	if _, _, err := net.SplitHostPort(text); err == nil {
		return text
	}
	return net.JoinHostPort(strings.Trim(text, "[]"), "53")
}

// order gives the servers in the order in which to ask them now: those set aside come last.
func (s *servers) order() []*server {
	now := s.now()
	list := s.current(now)
	first := 0
	if s.rotate {
		first = int(s.turn.Add(1)-1) % len(list)
	}
	ordered := make([]*server, 0, len(list))
	var last []*server
	for i := range list {
		one := list[(first+i)%len(list)]
		if one.isAside(now) {
			last = append(last, one)
		} else {
			ordered = append(ordered, one)
		}
	}
	return append(ordered, last...)
}

// current gives the list, reading the file where it has changed. A file that cannot be read leaves the list as it is.
func (s *servers) current(now time.Time) []*server {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == "" || (s.list != nil && now.Sub(s.looked) < lookAgain) {
		return s.list
	}
	s.looked = now
	var version fileVersion
	info, err := os.Stat(s.file)
	if err == nil {
		version = fileVersion{info.ModTime(), info.Size()}
	}
	if s.list != nil && (version == s.seen || err != nil && !os.IsNotExist(err)) {
		return s.list
	}
	addrs := []string{noFileServer}
	if config, err := dns.ClientConfigFromFile(s.file); err == nil && len(config.Servers) > 0 {
		addrs = addrs[:0]
		for _, addr := range config.Servers {
			addrs = append(addrs, withPort(addr))
		}
	}
	s.seen, s.list = version, s.adopt(addrs)
	return s.list
}

// adopt makes a list of servers out of addresses. Those known already keep what we have learned.
func (s *servers) adopt(addrs []string) []*server {
	known := map[string]*server{}
	for _, one := range s.list {
		known[one.addr] = one
	}
	list := make([]*server, 0, len(addrs))
	for _, addr := range addrs {
		if known[addr] == nil {
			known[addr] = &server{addr: addr}
		}
		list = append(list, known[addr])
	}
	return list
}
