package resolve

import "sync/atomic"

// Stats counts what a Client has done since it was made. Questions are Hits, Joined, Misses and bad names.
type Stats struct {
	Questions int64 // Lookup calls
	Hits      int64 // answered from the cache
	Joined    int64 // waited for the same question under way
	Misses    int64 // asked of a server
	GivenUp   int64 // callers whose own time was up first
	Timeouts  int64 // questions that ended as Timeout
	ServFails int64 // questions that ended as ServFail
	Queries   int64 // packets with a question sent over UDP or TCP, retries included
	TCP       int64 // those over TCP
	Unwanted  int64 // packets received that were no answer: junk, late or forged
	InFlight  int64 // questions under way now
	Entries   int64 // answers in the cache now, expired ones included
	Bytes     int64 // their rough size
}

type counters struct {
	questions, hits, joined, misses, givenUp, timeouts, servFails, queries, tcp, unwanted, inFlight atomic.Int64
}

// Stats gives the counts, for metrics. They are read one after the other, so that sums may be off by what happens meanwhile.
func (c *Client) Stats() Stats {
	s := &c.stats
	return Stats{
		Questions: s.questions.Load(), Hits: s.hits.Load(), Joined: s.joined.Load(), Misses: s.misses.Load(), GivenUp: s.givenUp.Load(),
		Timeouts: s.timeouts.Load(), ServFails: s.servFails.Load(), Queries: s.queries.Load(), TCP: s.tcp.Load(),
		Unwanted: s.unwanted.Load(), InFlight: s.inFlight.Load(), Entries: int64(c.cache.lru.Len()), Bytes: c.cache.bytes.Load(),
	}
}
