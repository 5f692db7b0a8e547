package filter

import (
	"log/slog"
	"runtime/debug"
	"time"

	"gatepost.example/filter/limit"
	"gatepost.example/filter/message"
	"gatepost.example/filter/state"
	"gatepost.example/policy"
)

// Session is one connection of a client to the MTA, as the MTA tells it: its events become facts, and each event gets an answer.
// Connection state and message state are apart: RSET and the end of a message drop the latter only. One goroutine owns a session.
type Session struct {
	server   *Server
	settings *Settings // those under which the session began; a reload does not touch it
	log      *slog.Logger
	conn     *connection  // nil outside of one
	msg      *transaction // nil outside of a message
	told     bool         // some record tells what was decided, so that the end of the session has nothing to add
	past     *past        // the record that is decided again; nil for a session that is under way
	room     *room        // nil outside of a connection
}

// reset makes the session that of the next client of the MTA's connection, under the settings that were negotiated.
func (s *Session) reset() {
	*s = Session{server: s.server, settings: s.settings, log: s.log}
}

// connection is what holds until the client disconnects.
type connection struct {
	Client
	id       string // for decisions before MAIL
	ip       string // of Addr as text; "" without one
	network  string // around it
	role     string
	trusted  bool
	paused   bool // everything is accepted, for the pause at connect
	relay    bool // the client is in trust.relays: messages are judged by the host that their Received field names
	now      time.Time
	helo     string
	tls      TLS
	evidence *policy.Evidence
	walk     *policy.Walk
	atStart  *policy.Walk // the walk as it was after connect: each HELO goes on from there; nil before the first
	leaving  []state.Step // what the memory is told when the session ends
	putOff   []state.Step // what it is told when it is asked next
	trail    trail
	counted  map[countedAs]limit.Verdict // nil for none

	runs
}

// Connect begins the session.
func (s *Session) Connect(c Client) Response {
	if s.conn != nil { // the MTA did not tell the end of the one before
		s.Close()
	}
	set := s.settings
	s.enterRoom()
	s.conn = &s.room.connection
	*s.conn = connection{Client: c, id: s.newID(), now: s.present(), evidence: s.server.newEvidence(set.Policy), walk: set.Policy.NewWalk(), putOff: s.room.putOff, leaving: s.room.leaving}
	s.conn.paused = s.pausedAt(s.conn.now)
	s.conn.trail.event()
	s.conn.runs = s.room.runs.of(len(s.settings.checks))
	s.conn.trail.readings = s.room.readings
	s.conn.role = set.roleOf(c)
	s.conn.trusted = s.conn.role != roleLocal && set.trusts(c.Addr)
	if s.conn.role == roleLocal {
		s.conn.trusted = true
	}
	s.conn.relay = s.conn.role == roleMX && set.isRelay(c.Addr)
	s.publishClient()
	if !s.conn.relay {
		s.enter(occasion{at: policy.Connect}, &s.conn.runs)
	}
	s.advance(policy.Connect, s.conn.walk, s.conn.walk.Step)
	return s.speakEarly(policy.Connect, s.conn.walk, s.conn.id)
}

func (s *Session) publishClient() {
	c, e := s.conn, s.conn.evidence
	c.trusted = c.trusted && !c.relay
	c.ip, c.network = s.settings.textsOf(c.Addr)
	if !c.relay {
		s.publishHost(c.ip, c.network, c.Name, c.PTR, policy.Connect)
	}
	e.Publish("client.trusted", policy.BoolOf(c.trusted), policy.Connect)
	e.Publish("server.role", policy.StringOf(c.role), policy.Connect)
	e.Publish("time.hour", policy.IntOf(c.now.Hour()), policy.Connect)
	e.Publish("time.weekday", policy.StringOf(weekdays[c.now.Weekday()]), policy.Connect)
}

// publishHost makes the client's address and names known.
func (s *Session) publishHost(ip, network, name, ptr string, at policy.Stage) {
	e := s.conn.evidence
	e.Publish("client.ip", policy.StringOf(ip), at)
	e.Publish("client.name", policy.StringOf(domainOf(name)), at)
	e.Publish("client.ptr", policy.StringOf(domainOf(ptr)), at)
	e.Publish("client.network", policy.StringOf(network), at)
}

func (s *Session) publishHelo(name string, at policy.Stage) {
	s.conn.evidence.Publish("helo.name", policy.StringOf(domainOf(name)), at)
	s.conn.evidence.Publish("helo.fqdn", policy.BoolOf(isFullName(name)), at)
}

// Helo takes HELO or EHLO. A second one, after STARTTLS, starts anew from what was known at connect (RFC 3207 4.2).
func (s *Session) Helo(name string, tls TLS) Response {
	c := s.conn
	s.Abort()
	c.evidence.ForgetHelo()
	if c.atStart == nil {
		c.atStart = c.walk
	} else {
		c.walk.Release()
	}
	c.walk = c.atStart.Clone()
	c.helo, c.tls = name, tls
	s.noteHelo()
	if !c.relay {
		s.publishHelo(name, policy.Helo)
		s.enter(occasion{at: policy.Helo}, &c.runs)
	}
	s.advance(policy.Helo, c.walk, c.walk.Step)
	return s.speakEarly(policy.Helo, c.walk, c.id)
}

// Mail begins a message. A message that was under way without an end is dropped, as by RSET.
func (s *Session) Mail(from Sender) Response {
	s.Abort()
	c := s.conn
	if c.trail.helo == 0 { // smtpd_helo_required = no: what nobody said is empty, and no rule waits for it any more
		if r := s.Helo("", TLS{}); r.Verb == Refuse {
			return r
		}
	}
	if from.TLS == (TLS{}) {
		from.TLS = c.tls
	}
	t := newTransaction(s, from)
	s.msg = t
	c.evidence.Forget(policy.OfMessage)
	s.noteMail()
	t.publishSender(c.evidence)
	if !c.relay {
		s.enter(occasion{at: policy.Mail}, &t.runs)
	}
	s.advance(policy.Mail, t.walk, t.walk.Step)
	return s.speakEarly(policy.Mail, t.walk, t.id)
}

// speakEarly answers at a stage before RCPT: with a refusal that is spoken there or should have been before, else not at all.
func (s *Session) speakEarly(at policy.Stage, w *policy.Walk, id string) Response {
	d, decided := w.Decision()
	if !decided || !d.Refuses() || d.Spoken > at || s.mustTake() {
		return Continue
	}
	s.decidesBy(w)
	return s.speak(d, at, id, "")
}

// mustTake reports whether a refusal is never sent: in observe mode and in a pause, for local mail, where Postfix would keep the mail for
// ever, and to relays.
func (s *Session) mustTake() bool { return s.onlyWatches() || s.cannotRefuse() }

// Rcpt takes a recipient.
func (s *Session) Rcpt(r Recipient) Response {
	if s.msg == nil {
		s.msg = newTransaction(s, Sender{})
		s.noteMail()
	}
	r = r.in(s.conn.MTA)
	if s.fallsBehind() {
		s.msg.behind = append(s.msg.behind, r)
		return Continue
	}
	s.catchUp()
	return s.meet(r)
}

// meet asks the rules about a recipient.
func (s *Session) meet(r Recipient) Response {
	t := s.msg
	s.noteRecipient(r)
	if r.refused() {
		s.refuseRecipient(r)
		return Continue
	}
	e := s.conn.evidence
	t.count++
	e.Forget(policy.OfRecipient)
	t.publishRecipient(e, r)
	if s.conn.relay {
		s.meetRelayed()
	} else {
		s.meetRecipient()
	}
	w := t.recipients.Walk()
	s.advance(policy.Rcpt, w, w.Step)
	s.greylist(w)
	s.noteMemory()
	s.decidesBy(w)
	if d, decided := w.Decision(); decided && d.Refuses() && !s.mustTake() {
		return s.speak(d, policy.Rcpt, t.id, r.Address)
	}
	split := s.conn.role == roleMX && !s.conn.trusted && !s.mustTake()
	if !t.recipients.Take(w, e, split) {
		return s.putOff(t.id, r.Address)
	}
	t.took(r.whole())
	return Continue
}

// HeaderField takes one field of the header, byte for byte: value is all behind the colon.
func (s *Session) HeaderField(name, value string) { s.takeField([]byte(name), []byte(value)) }

// takeField copies a field of the header.
func (s *Session) takeField(name, value []byte) {
	if s.msg != nil {
		s.msg.header.Take(name, value)
	}
}

// EndOfHeader says that the header is whole: who the author is is known, and the checks of the message start.
func (s *Session) EndOfHeader() {
	t := s.msg
	if t == nil {
		return
	}
	t.author = message.ExtractAuthor(t.header)
	if t.body, t.bodies = t.bodies, nil; t.body == nil {
		t.body = message.NewBodyHasher()
	}
	if s.conn.relay {
		s.adoptHop()
	}
	in := s.input(t.now)
	in.Header, in.Author, in.Body = t.header, t.author, t.body
	s.begin(policy.Data, &t.runs, in)
}

// Body takes the next bytes of the body.
func (s *Session) Body(chunk []byte) {
	if s.msg != nil && s.msg.body != nil {
		s.msg.size += len(chunk)
		s.msg.body.Write(chunk)
	}
}

// EndOfMessage decides over the whole message. The edits are to be made when the response lets the message pass.
func (s *Session) EndOfMessage(queueID string) (Response, Edits) {
	t := s.msg
	if t == nil {
		return Continue, Edits{}
	}
	if t.body == nil {
		s.EndOfHeader()
	}
	t.queueID = queueID
	t.body.Close()
	s.performMessage()
	s.catchUp()
	t.publishMessage(s.conn.evidence)
	response, edits := s.judge(t, t.header.Size()+t.size)
	s.measureMessage(t, response, edits)
	t.refused = response.Verb == Refuse
	s.guarded("what a message says for later", func() { s.learn(t, true) })
	s.guarded("the record of a message", func() { s.keepMessage(t, true) })
	s.drop()
	return response, edits
}

// judge decides over a message whose facts are published.
func (s *Session) judge(t *transaction, size int) (Response, Edits) {
	s.conn.trail.event()
	if !s.conn.relay {
		s.askLimits(occasion{at: policy.Data, size: size}, nil, nil)
	}
	s.finish(t)
	return s.conclude(t)
}

// finish walks to the end: at DATA everything that a rule above the decision names is awaited, so that nothing is unknown after it.
func (s *Session) finish(t *transaction) {
	e := s.conn.evidence
	for round := 0; round <= len(s.settings.Vocabulary.Facts()); round++ {
		waits := t.recipients.Step(e, policy.Data)
		if !t.recipients.Taken() {
			waits = t.walk.Step(e, policy.Data)
		}
		if len(waits) == 0 {
			break
		}
		if !s.publishAwaited(waits, policy.Data) {
			s.lacks(waits, policy.Data)
			s.publishMissing(waits)
		}
	}
	s.completeResults()
	s.sayErrors()
}

// sayErrors logs the rules that could not be evaluated, each once.
func (s *Session) sayErrors() {
	e := s.conn.evidence
	for _, err := range e.Errors() {
		switch stack := e.Stack(); {
		case stack == "":
			s.server.warnOnce(s.log, err)
		case s.server.first(err):
			s.log.Error("a rule could not be evaluated and counts as false", "problem", err, "stack", stack)
		}
	}
}

// completeResults awaits every check that was started, so that Authentication-Results, the fields of tags, the log and the record are whole.
func (s *Session) completeResults() {
	for i := range s.settings.checks {
		entry := &s.settings.checks[i]
		out, started := s.awaitTask(i)
		if started && !s.conn.evidence.KnownID(entry.ids[0]) {
			s.publish(i, out, policy.Data)
		}
	}
}

// Abort drops the message that is under way, as RSET does. What was decided and not spoken leaves a line.
func (s *Session) Abort() {
	if s.msg == nil {
		return
	}
	s.guarded("what the rules say of recipients", s.catchUp)
	s.leaveMessage(s.msg)
	s.guarded("what a message says for later", func() { s.learn(s.msg, false) })
	s.guarded("the record of a message", func() { s.keepMessage(s.msg, false) })
	s.drop()
}

// guarded does what no answer rests on. A panic in it is logged, and the session goes on.
func (s *Session) guarded(what string, do func()) {
	defer func() {
		if reason := recover(); reason != nil {
			s.log.Error("a session panicked and goes on", "at", what, "id", s.id(), "panic", reason, "stack", string(debug.Stack()))
		}
	}()
	do()
}

func (s *Session) drop() {
	s.msg.tasks.stop()
	s.server.measureFindings(s.msg.tasks)
	if s.msg.body != nil {
		s.msg.body.Close()
	}
	s.msg.recipients.Release()
	s.endMessage(s.msg)
	s.msg = nil
	s.conn.evidence.Forget(policy.OfMessage)
	if s.conn.relay { // the next message has another client
		s.conn.evidence.Release()
		s.conn.evidence = s.server.newEvidence(s.settings.Policy)
		s.publishClient()
	}
}

// Close ends the session, however it ended.
func (s *Session) Close() {
	if s.conn == nil {
		return
	}
	if s.msg == nil && !s.told {
		s.leaveConnection()
	}
	s.Abort()
	s.guarded("the record of a connection", s.keepConnection)
	s.conn.tasks.stop()
	s.server.measureFindings(s.conn.tasks)
	s.server.leases.remove(s.conn.leaving)
	s.remember(s.conn.leaving, &s.room.results)
	s.conn.leaving = s.conn.leaving[:0]
	if s.conn.atStart != nil {
		s.conn.atStart.Release()
	}
	s.conn.walk.Release()
	s.conn.evidence.Release()
	s.leaveRoom()
}
