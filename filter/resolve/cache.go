package resolve

import (
	"strings"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// cache keeps answers until they expire or room is needed; those not asked for the longest go first.
type cache struct {
	config Config
	lru    *lru.Cache[key, *kept]
	bytes  atomic.Int64 // rough size of all that is kept
	limit  int64
}

// kept is one answer in the cache.
type kept struct {
	answer  Answer
	since   time.Time
	expires time.Time
	bytes   int64
	given   atomic.Pointer[Answer] // the copy that was given last; nil before
}

// bytesAnEntry bounds the cache's memory where strangers publish large records: that many bytes an entry on average.
const bytesAnEntry = 1024

func newCache(config Config) *cache {
	c := &cache{config: config, limit: int64(config.Entries) * bytesAnEntry}
	c.lru, _ = lru.NewWithEvict(config.Entries, func(_ key, k *kept) { c.bytes.Add(-k.bytes) }) // errs for sizes below 1 only
	return c
}

// get gives an answer that is still good, with what is left of its TTL and its age in whole seconds, or nil. Who asks within the same second
// shares it.
func (c *cache) get(k key, now time.Time) *Answer {
	entry, ok := c.lru.Get(k)
	if !ok || !now.Before(entry.expires) {
		return nil // the next put replaces it
	}
	age := max(0, now.Sub(entry.since)).Truncate(time.Second)
	if a := entry.given.Load(); a != nil && a.Age == age {
		return a
	}
	a := entry.answer
	a.Age = age
	a.TTL = max(0, a.TTL-age)
	entry.given.Store(&a)
	return &a
}

// has reports whether an answer is there that is still good.
func (c *cache) has(k key, now time.Time) bool {
	entry, ok := c.lru.Peek(k)
	return ok && now.Before(entry.expires)
}

// put keeps an answer for as long as its status and TTL allow.
func (c *cache) put(k key, a *Answer, now time.Time) {
	keep := c.keep(a)
	if keep <= 0 {
		return
	}
	k.name = strings.Clone(k.name) // it may be a part of a whole header field
	entry := &kept{answer: *a, since: now, expires: now.Add(keep), bytes: size(a)}
	entry.answer.Name, entry.answer.notes = k.name, &notes{}
	c.lru.Remove(k) // Add does not tell when it replaces a value
	c.bytes.Add(entry.bytes)
	c.lru.Add(k, entry)
	for c.bytes.Load() > c.limit {
		if _, _, ok := c.lru.RemoveOldest(); !ok {
			return
		}
	}
}

// keep says how long an answer may be used.
func (c *cache) keep(a *Answer) time.Duration {
	switch a.Status {
	case Found:
		return min(max(a.TTL, c.config.MinTTL), c.config.MaxTTL)
	case NoData, NXDomain: // RFC 2308 5
		return min(max(a.TTL, c.config.MinTTL), c.config.MaxNegative)
	case Timeout, ServFail: // RFC 9520 3.2
		return c.config.Trouble
	}
	return 0
}

// size estimates the memory of an answer and its entry, and of what readers note of it.
func size(a *Answer) int64 {
	n := 700 + 2*len(a.Name) + 24*len(a.Addrs) + len(a.Detail)
	if len(a.Texts) > 0 {
		n += 500 // a key, read
	}
	for _, text := range a.Texts {
		n += 16 + len(text)
	}
	for _, mx := range a.MXs {
		n += 24 + len(mx.Host)
	}
	for _, host := range a.Hosts {
		n += 16 + len(host)
	}
	return int64(n)
}
