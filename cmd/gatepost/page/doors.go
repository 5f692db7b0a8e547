package page

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// How long a ticket and a session are good, and how many there are at a time.
const (
	ticketTime  = 10 * time.Minute
	sessionTime = 12 * time.Hour
	maxKeys     = 100
	cookieName  = "gatepost"
)

// doors knows who may see the page.
type doors struct {
	names []string
	now   func() time.Time

	mu       sync.Mutex
	tickets  map[string]time.Time // until when
	sessions map[string]time.Time
}

func newDoors(now func() time.Time, names []string) *doors {
	return &doors{names: names, now: now, tickets: map[string]time.Time{}, sessions: map[string]time.Time{}}
}

func (d *doors) ticket() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return add(d.tickets, d.now(), ticketTime)
}

// add makes a new key. Where there are too many, the one that ends first goes.
func add(keys map[string]time.Time, now time.Time, lasts time.Duration) string {
	for len(keys) >= maxKeys {
		first := ""
		for k, until := range keys {
			if first == "" || until.Before(keys[first]) {
				first = k
			}
		}
		delete(keys, first)
	}
	var raw [24]byte
	rand.Read(raw[:]) // crypto/rand.Read never fails
	key := base64.RawURLEncoding.EncodeToString(raw[:])
	keys[key] = now.Add(lasts)
	return key
}

// enter takes a ticket, which is good once, and gives a session.
func (d *doors) enter(ticket string) (session string, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	until, found := d.tickets[ticket]
	delete(d.tickets, ticket)
	if !found || !d.now().Before(until) {
		return "", false
	}
	return add(d.sessions, d.now(), sessionTime), true
}

// admits reports whether a request has a session.
func (d *doors) admits(r *http.Request) bool {
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	until, found := d.sessions[cookie.Value]
	return found && d.now().Before(until)
}

// Bears reports whether a request has the token that lets in without a session.
func Bears(r *http.Request, token string) bool {
	got, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return ok && token != "" && subtle.ConstantTimeCompare([]byte(got), []byte(token)) == 1
}

// known reports whether the page may be asked for under a name: an address, localhost, or a name of its own. Any other is one that a
// stranger's DNS points here.
func (d *doors) known(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return host == "localhost" || slices.ContainsFunc(d.names, func(n string) bool { return n != "" && strings.EqualFold(n, host) })
}
