package milter

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"runtime/debug"
	"strings"
)

// session is one connection between the MTA and a Handler. It puts the events in the order that Handler promises.
type session struct {
	ctx        context.Context
	conn       *conn
	newHandler func() Handler
	handler    Handler // nil before the negotiation
	log        *slog.Logger
	onPanic    func(reason any, stack []byte)
	actions    uint32 // what was negotiated
	parts      uint32
	silent     Stages
	event      string // what the handler is told, for the log
	dead       bool   // the handler panicked: only Close is called
	open       bool   // Connect was called and Close was not
	closed     bool   // Close was called at least once
	message    bool   // Mail was called, and neither EndOfMessage nor Abort
	idle       bool   // a message has ended, or the MTA will send none, and nothing new began
	at         int    // how far the message is: the order of its last frame
}

var (
	errForm     = errors.New("a frame without what its kind needs")
	errOrder    = errors.New("a frame out of order")
	errVersion  = errors.New("the MTA speaks a version of the milter protocol before 2")
	errPanicked = errors.New("the session panicked")
	errQuit     = errors.New("the MTA ends the session")
	errEnding   = errors.New("the server stops")
)

// run serves the connection until it ends; nil when the MTA ended it.
func (s *session) run() error {
	defer s.end()
	for {
		code, data, err := s.conn.next()
		if err == nil {
			err = s.take(code, data)
		}
		if err == nil {
			err = s.conn.flush()
		}
		if s.idle { // not before the MTA has its answer
			s.conn.rests()
		} else {
			s.conn.works()
		}
		switch {
		case errors.Is(err, errQuit), errors.Is(err, io.EOF), errors.Is(err, errPanicked), errors.Is(err, errEnding):
			return nil
		case err != nil:
			return err
		}
	}
}

// take hands one frame to the handler. A panic there ends this session only: the MTA then does what its default action says.
func (s *session) take(code byte, data []byte) (err error) {
	defer s.caught(&err)
	if (code == codeOffer) != (s.handler == nil) {
		return errOrder // the negotiation comes first, and once
	}
	switch code {
	case codeOffer:
		s.event = "negotiate"
		s.conn.negotiated()
		return s.negotiate(data)
	case codeMacro:
		return s.conn.macros.take(data)
	case codeConnect:
		return s.connect(data)
	case codeHelo:
		return s.helo(data)
	case codeMail:
		return s.mail(data)
	case codeRcpt, codeHeader, codeEndOfHeader, codeBody, codeEnd:
		return s.inMessage(code, data)
	case codeData:
		s.conn.macros.from(macrosEndOfHeader)
		s.acknowledge(quietData)
	case codeUnknown:
		if bytes.IndexByte(data, 0) < 0 {
			return errForm
		}
		s.conn.macros.from(macrosOther)
		s.acknowledge(quietUnknown)
	case codeAbort:
		s.idle = s.idle || s.message
		s.drop()
		s.conn.macros.from(macrosMail)
	case codeQuitNew:
		s.idle = true
		s.finish()
		s.conn.macros.from(macrosConnect)
	case codeQuit:
		return errQuit
	default:
		return fmt.Errorf("a frame of unknown kind %q", code)
	}
	return nil
}

// caught is to be deferred: it turns a panic of the handler into an error.
func (s *session) caught(err *error) {
	reason := recover()
	if reason == nil {
		return
	}
	s.dead = true
	s.conn.out = s.conn.out[:0]
	stack := debug.Stack()
	s.log.Error("a session panicked and was closed", "event", s.event, "panic", fmt.Sprint(reason), "stack", string(stack))
	if s.onPanic != nil {
		s.onPanic(reason, stack)
	}
	*err = errPanicked
}

// connect takes host, family, port and address. After QUIT_NC it begins another SMTP session.
func (s *session) connect(data []byte) error {
	client, err := readClient(data)
	if err != nil {
		return err
	}
	s.finish()
	s.conn.macros.from(macrosHelo)
	s.open, s.idle, s.event = true, false, "connect"
	s.say(s.handler.Connect(s.ctx, client, &s.conn.macros), quietConnect, s.silent.Connect)
	return nil
}

// readClient reads the data of a connect frame: host NUL family, and but for an unknown family port and address NUL.
func readClient(data []byte) (Client, error) {
	i := bytes.IndexByte(data, 0)
	if i < 0 || i+1 >= len(data) {
		return Client{}, errForm
	}
	c := Client{Host: string(data[:i]), Family: familyOf(data[i+1])}
	switch rest := data[i+2:]; c.Family {
	case "unknown":
		return c, nil
	case "":
		return c, errForm
	default:
		end := bytes.IndexByte(rest[min(2, len(rest)):], 0)
		if end < 0 {
			return c, errForm
		}
		c.Port, c.Address = binary.BigEndian.Uint16(rest), string(rest[2:2+end])
	}
	if c.Family == "unix" {
		return c, nil
	}
	if c.Address == "unknown" { // Postfix: the family of the connection, and an address that XCLIENT or a proxy did not tell
		return Client{Host: c.Host, Family: "unknown"}, nil
	}
	addr := c.Addr()
	if !addr.IsValid() || c.Family == "tcp4" && !addr.Is4() {
		return c, fmt.Errorf("a client of family %s with the address %q", c.Family, c.Address)
	}
	c.Address = addr.String()
	return c, nil
}

func familyOf(code byte) string {
	switch code {
	case 'U':
		return "unknown"
	case 'L':
		return "unix"
	case '4':
		return "tcp4"
	case '6':
		return "tcp6"
	}
	return ""
}

// Addr gives the client's address, or the zero Addr for a client without: local, or unknown to the MTA.
func (c Client) Addr() netip.Addr { return ParseClient(c.Family, c.Address) }

func (s *session) helo(data []byte) error {
	name, _, found := bytes.Cut(data, []byte{0})
	if !found {
		return errForm
	}
	if !s.open {
		return errOrder
	}
	s.drop()
	s.conn.macros.from(macrosMail)
	s.idle, s.event = false, "helo"
	s.say(s.handler.Helo(s.ctx, string(name), &s.conn.macros), quietHelo, s.silent.Helo)
	return nil
}

// mail begins a message. The MTA may do so without having ended the last one.
func (s *session) mail(data []byte) error {
	from, esmtp, err := readPath(data)
	if err != nil {
		return err
	}
	if !s.open {
		return errOrder
	}
	s.drop()
	s.conn.macros.from(macrosRcpt)
	s.message, s.idle, s.at, s.event = true, false, 0, "mail"
	s.conn.works()
	s.say(s.handler.Mail(s.ctx, from, esmtp, &s.conn.macros), quietMail, s.silent.Mail)
	return nil
}

// readPath reads an address and the ESMTP parameters behind it, each with a NUL at its end.
func readPath(data []byte) (address, esmtp string, err error) {
	if len(data) == 0 || data[len(data)-1] != 0 {
		return "", "", errForm
	}
	all := string(data[:len(data)-1])
	address, esmtp, _ = strings.Cut(all, "\x00")
	if len(address) > 1 && address[0] == '<' && address[len(address)-1] == '>' {
		address = address[1 : len(address)-1]
	}
	return address, strings.ReplaceAll(esmtp, "\x00", " "), nil
}

// orderOf says where the frames of a message stand in it. Recipients, fields and chunks of the body may repeat.
func orderOf(code byte) int {
	switch code {
	case codeRcpt:
		return 1
	case codeHeader:
		return 2
	case codeEndOfHeader:
		return 3
	case codeBody:
		return 4
	}
	return 5
}

// inMessage takes what stands between MAIL and the end of a message.
func (s *session) inMessage(code byte, data []byte) error {
	order := orderOf(code)
	if !s.message || order < s.at || order == s.at && code == codeEndOfHeader {
		return errOrder
	}
	s.at = order
	switch code {
	case codeRcpt:
		return s.rcpt(data)
	case codeHeader:
		return s.header(data)
	case codeEndOfHeader:
		s.conn.macros.from(macrosEnd)
		s.event = "end of header"
		s.handler.EndOfHeader(s.ctx)
		s.acknowledge(quietEndOfHeader)
	case codeBody:
		s.event = "body"
		s.handler.Body(data)
		s.conn.macros.from(macrosOther)
		s.acknowledge(quietBody)
	default:
		if len(data) > 0 { // the end may bring the last bytes, as libmilter takes them
			s.event = "body"
			s.handler.Body(data)
		}
		s.endOfMessage()
	}
	return nil
}

func (s *session) rcpt(data []byte) error {
	to, esmtp, err := readPath(data)
	if err != nil {
		return err
	}
	s.conn.macros.from(macrosData)
	s.event = "rcpt"
	s.say(s.handler.Rcpt(s.ctx, to, esmtp, &s.conn.macros), quietRcpt, s.silent.Rcpt)
	return nil
}

// header takes a field: its name, and all behind it to the last NUL. Where the MTA swallowed the blank behind the colon, the usual one is
// put back.
func (s *session) header(data []byte) error {
	if len(data) == 0 || data[len(data)-1] != 0 {
		return errForm
	}
	name, value, found := bytes.Cut(data[:len(data)-1], []byte{0})
	if !found {
		return errForm
	}
	if s.parts&leadingSpace == 0 {
		value = append([]byte{' '}, value...)
	}
	s.event = "header"
	s.handler.Header(name, value)
	s.conn.macros.from(macrosOther)
	s.acknowledge(quietHeader)
	return nil
}

func (s *session) endOfMessage() {
	s.message, s.idle, s.event = false, true, "end of message"
	r := s.handler.EndOfMessage(s.ctx, (*editor)(s), &s.conn.macros)
	if r.verb == goOn {
		r = Accept()
	}
	r.put(s.conn)
	s.conn.macros.from(macrosMail)
}

// say answers an event with what the handler says, where the MTA waits for an answer. A handler that had promised silence is not heard.
func (s *session) say(r Response, part uint32, silent bool) {
	quiet := s.parts&part != 0
	if (silent || quiet) && r.verb != goOn {
		s.log.Warn("a reply at a stage without replies was dropped", "event", s.event, "reply", r.String())
		r = Continue()
	}
	if quiet {
		return
	}
	s.idle = s.idle || r.verb != goOn && !s.message // of the whole SMTP session: nothing comes any more
	r.put(s.conn)
}

// acknowledge answers what nothing is decided at.
func (s *session) acknowledge(part uint32) {
	if s.parts&part == 0 {
		s.conn.put(codeContinue)
	}
}

// drop ends the message under way, if there is one.
func (s *session) drop() {
	if s.message {
		s.message, s.event = false, "abort"
		s.handler.Abort()
	}
}

// finish ends the SMTP session under way, if there is one.
func (s *session) finish() {
	s.drop()
	if s.open {
		s.open, s.closed, s.event = false, true, "close"
		s.handler.Close()
	}
}

// end ends the handler when the connection has ended. After a panic it gets Close and nothing else.
func (s *session) end() {
	if s.handler == nil {
		return
	}
	var err error
	defer s.caught(&err)
	s.message = s.message && !s.dead
	s.open = s.open || !s.closed
	s.finish()
}
