// Package history keeps decisions with the evidence they were taken on, so that they can be explained and decided again.
//
//	record.go    what is kept of one message, or of a connection that ended before MAIL
//	encode.go    records to bytes; decode.go back: two parts, what deciding again needs, and what people read besides
//	hide.go      addresses = "hashed": local parts become a keyed hash
//	store.go     the writer: takes records without ever holding up a session, one commit a second
//	database.go  the SQLite file: blocks of records, one row a record to search by, the policies' texts
//	names.go     rows by an id, a queue id or a message id
//	query.go     rows by time and column, records; blocks for a replay
//
//	spare.go     records whose memory is used again
//
// A record holds no body, and of the header no fields but those that the policy reads. Whoever hands one over must not change it, or what it refers to, afterwards.
package history

import (
	"net/netip"
	"time"

	"gatepost.example/filter/check"
	"gatepost.example/policy"
)

// Record is one message, from MAIL to its end, or a connection that ended before MAIL.
type Record struct {
	ID     string // of the message; of the connection where Number is 0
	Conn   string // id of the connection
	Number int    // of the message within its connection, from 1; 0 for a connection that ended before MAIL
	Time   time.Time
	Policy string // identity of the policy that it was decided under

	Client   Client
	ConnTime time.Time
	Greeted  bool
	Helo     string // the last one
	HeloTLS  TLS

	Sender     Sender
	Recipients []Recipient // those that reached us, in order, also those that we or the MTA refused
	Dropped    int         // recipients beyond MaxRecipients
	QueueID    string
	Message    *Message // nil where the message did not come to its end
	Reached    policy.Stage
	ConnPaused bool // at connect, nothing was to be refused for a while
	Paused     bool // the same at MAIL
	Relay      bool // the client was in trust.relays: the outcomes are those of the host that it took the message from

	Outcomes []Outcome // of the checks, those of the connection first, in registry order
	Readings []Reading // of limits, in the order in which they were published
	Lines    []Line    // what was decided, in order

	spare bool     // from Store.Spare
	room  *Message // memory for Message
}

// MaxRecipients bounds the recipients kept of one message.
const MaxRecipients = 1000

// Client is what the MTA said of a connection.
type Client struct {
	Addr                                            netip.Addr
	Name, PTR, DaemonName, DaemonPort, MTA, QueueID string
}

// TLS is what the MTA said of encryption.
type TLS struct {
	Version, Cipher string
	Bits            int
}

// Sender is what the MTA said at MAIL FROM.
type Sender struct {
	Address, User, Method string
	TLS                   TLS
}

// Recipient is what the MTA said at RCPT TO, and what the memory knew of it.
type Recipient struct {
	Address, Resolved, Mailer, Host string
	Refused                         bool // by the MTA itself
	Relayed                         bool // fact rcpt.relayed
	Asked                           bool // greylisting was asked for: Wait and Retry are known
	Wait                            bool // fact greylist.wait
	Retry                           string
}

// Message is what came with the message's end.
type Message struct {
	Size                        int // fact message.size
	ListID, MessageID           string
	AuthorAddress, AuthorDomain string
	AuthorFields, AuthorDomains int
	Header                      map[string][]string // the fields that the policy reads, by lower-case name
	HopAddr                     netip.Addr          // of a relay's message: who it came from
	HopName, HopHelo            string
}

// When is the moment, relative to its record, at which facts were published.
type When uint8

// The moments, in their order. A fact of the connection may have been published for an earlier HELO or an earlier message.
const (
	Never      When = iota // nobody asked for it
	AtConnect              // in the answer to the connection
	BeforeHelo             // for an earlier HELO
	AtHelo
	BeforeMail // for an earlier message
	AtMail
	AtRcpt
	AtData
)

// Outcome is what one check established.
type Outcome struct {
	Check     string
	Starts    policy.Stage // at which the check was begun
	Published When
	Stage     policy.Stage // of publication as rules saw it; only where Published is not Never
	Facts     []check.Named
	Findings  []check.Finding
}

// Reading is a limit as it was read.
type Reading struct {
	Limit     string
	At        policy.Stage
	Recipient int // index into Recipients, -1 where it belongs to none
	Over      bool
	Retry     string
}

// Line is one decision, as the log has it.
type Line struct {
	Recipient int // index into Recipients; -1 for the message's or connection's
	Action    policy.Action
	Rule      string
	Code      int    // of a reply
	Enhanced  string // of a reply
	Decided   policy.Stage
	Planned   policy.Stage // where the rule has it spoken
	Spoken    string       // the stage at which it was spoken, "none" when it was not
	PutOff    bool
	Instead   string
	After     string
	Share     policy.Share // of the rule, the sender is among it; 0 where there is none
	Paused    bool
	Harsher   []string // what the rules say of other recipients, for whom this milder decision holds too: "550 by RULE"
	What      string   // what was really done: a reply code or an action
	Text      string   // of the reply, as the client got it
	Woulds    []policy.Would
	Tags      []string
}

// Whole reports whether the message came to its end, so that everything about it is known.
func (r *Record) Whole() bool { return r.Message != nil }

// Final gives the line that says most of the record: of the whole message, else the last that was spoken, else the last. It is nil where
// nothing was decided.
func (r *Record) Final() *Line {
	var best *Line
	for i := range r.Lines {
		l := &r.Lines[i]
		if best == nil || l.Recipient < 0 || best.Recipient >= 0 {
			best = l
		}
	}
	return best
}

// Refuses reports whether the client was told to go away or to come again.
func (l *Line) Refuses() bool {
	return l.Spoken != "none" && l.Instead == "" && (l.PutOff || l.Action == policy.Answer)
}

// SpokeAt reports whether a refusal was spoken at a stage.
func (r *Record) SpokeAt(at policy.Stage) bool {
	for i := range r.Lines {
		if r.Lines[i].Refuses() && r.Lines[i].Spoken == at.String() {
			return true
		}
	}
	return false
}

// TookSome reports whether some recipient was taken.
func (r *Record) TookSome() bool {
	refused := map[int]bool{}
	for i := range r.Lines {
		refused[r.Lines[i].Recipient] = refused[r.Lines[i].Recipient] || r.Lines[i].Refuses()
	}
	for i := range r.Recipients {
		if !r.Recipients[i].Refused && !refused[i] {
			return true
		}
	}
	return false
}

// Fact gives the value that a check established for a fact, as it was recorded.
func (r *Record) Fact(name string) (policy.Value, bool) {
	for _, o := range r.Outcomes {
		for _, f := range o.Facts {
			if f.Name == name {
				return f.Value, true
			}
		}
	}
	return policy.Value{}, false
}
