package filter

import (
	"log/slog"
	"slices"
	"strings"
	"time"

	"gatepost.example/filter/history"
	"gatepost.example/filter/state"
	"gatepost.example/policy"
)

// Replayer decides recorded sessions again under other settings. It asks nobody: what was not recorded stays unknown. It is safe for
// concurrent use, but where limits are counted anew: then records must come one after the other, in the order of their time.
type Replayer struct {
	server   *Server
	recount  bool
	compared []string // facts that name people and that rules compare
}

// Replayed is what came of a record.
type Replayed struct {
	Lines   []history.Line
	Unknown string // the fact that a decision waits for and that was not recorded; the lines then say nothing
	Further bool   // the session would have gone on past its recorded end, and nobody knows how
	Ended   bool   // it would have ended before what was recorded of it
}

// people are the facts that name people, so that the history may hold them as a hash.
var people = []string{"auth.user", "sender.address", "sender.local", "rcpt.address", "rcpt.local", "author.address"}

// NewReplayer gives a replayer under settings. With recount limits are counted anew, from an empty memory. A hidden name of a person is looked up
// in lists; where a rule compares it otherwise, it is as good as not recorded.
func NewReplayer(set *Settings, given map[string]policy.Value, recount bool) *Replayer {
	r := &Replayer{recount: recount, server: NewServer(set, Deps{
		Log: slog.New(slog.DiscardHandler), Given: given, Store: state.NewEmbedded(replayCells, time.Time{}),
	})}
	for _, fact := range people {
		if set.Policy.Compares(fact, history.IsRole) {
			r.compared = append(r.compared, fact)
		}
	}
	if r.compared != nil {
		r.server.withheld = func(name string, v policy.Value) bool {
			text, _ := v.Native().(string)
			return strings.HasPrefix(text, history.Mark) && slices.Contains(r.compared, name)
		}
	}
	return r
}

// replayCells bounds the memory of limits that are counted anew.
const replayCells = 2_000_000

// Decide decides a record again.
func (r *Replayer) Decide(rec *history.Record) Replayed {
	s := r.session(rec)
	ended := s.replay()
	out := Replayed{Lines: s.past.lines, Unknown: s.past.unknown, Ended: ended}
	if rec.Dropped > 0 {
		out.Unknown = firstOf(out.Unknown, "rcpt.address")
	}
	out.Further = !ended && !rec.Whole() && goesFurther(rec.Lines, out.Lines)
	return out
}

func (r *Replayer) session(rec *history.Record) *Session {
	s := r.server.NewSession()
	s.past = &past{record: rec, recount: r.recount}
	for _, fact := range r.compared {
		if slices.ContainsFunc(appendTexts(nil, rec, fact), func(text string) bool { return strings.HasPrefix(text, history.Mark) }) {
			s.past.absent = append(s.past.absent, fact)
		}
	}
	return s
}

// goesFurther reports whether somebody who was refused is not refused any more.
func goesFurther(before, now []history.Line) bool {
	for i := range before {
		was := &before[i]
		if was.Refuses() && !slices.ContainsFunc(now, func(l history.Line) bool {
			return l.Refuses() && l.Spoken == was.Spoken && l.Recipient == was.Recipient
		}) {
			return true
		}
	}
	return false
}

// replay goes through the events of the record, as far as the MTA would have. It reports whether that is not all of them.
func (s *Session) replay() (ended bool) {
	rec := s.past.record
	if s.Connect(Client(rec.Client)).Verb == Refuse && !rec.SpokeAt(policy.Connect) {
		return true
	}
	if s.conn.relay != rec.Relay {
		s.past.unknown = "client.ip" // whoever was judged then, it is somebody else now
		return false
	}
	if rec.Greeted && s.Helo(rec.Helo, TLS(rec.HeloTLS)).Verb == Refuse && !rec.SpokeAt(policy.Helo) {
		return true
	}
	if rec.Number == 0 {
		if s.decidesBy(s.conn.walk); rec.Final() == nil {
			s.past.tell(s)
		}
		s.Close()
		return false
	}
	from := Sender{Address: rec.Sender.Address, User: rec.Sender.User, Method: rec.Sender.Method, TLS: TLS(rec.Sender.TLS)}
	s.conn.trail.messages = rec.Number - 1
	if s.Mail(from).Verb == Refuse && !rec.SpokeAt(policy.Mail) {
		return true
	}
	return s.replayMessage()
}

// replayMessage goes on behind MAIL.
func (s *Session) replayMessage() (ended bool) {
	rec := s.past.record
	for _, one := range rec.Recipients {
		s.Rcpt(Recipient{Address: one.Address, Resolved: one.Resolved, Mailer: one.Mailer, Host: one.Host})
	}
	if !rec.Whole() {
		s.decidesBy(s.msg.walk)
		if rec.Final() == nil {
			s.past.tell(s)
		}
		s.Abort()
		return false
	}
	// Without a recipient the MTA takes no DATA.
	if len(rec.Recipients) > 0 && !s.msg.recipients.Taken() && rec.TookSome() {
		return true
	}
	s.past.endOfMessage(s)
	return false
}
