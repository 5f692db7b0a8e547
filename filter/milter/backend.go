package milter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"

	gomilter "github.com/d--j/go-milter"
)

// wantedActions is what we may do to a message.
const wantedActions = gomilter.OptAddHeader | gomilter.OptChangeHeader | gomilter.OptQuarantine | gomilter.OptSetMacros

// quietParts are the frames that never need an answer of ours: nothing is decided there.
const quietParts = gomilter.OptNoHeaderReply | gomilter.OptNoEOHReply | gomilter.OptNoBodyReply | gomilter.OptNoDataReply | gomilter.OptNoUnknownReply

// macros are all that we read, at every stage: a request replaces the MTA's own lists, and those of a stage left out become empty.
var macros = []struct {
	stage gomilter.MacroStage
	names []gomilter.MacroName
}{
	{gomilter.StageConnect, []gomilter.MacroName{"j", "i", "{daemon_name}", "{daemon_addr}", "{daemon_port}", "{client_addr}", "{client_name}", "{client_ptr}", "{client_port}"}},
	{gomilter.StageHelo, []gomilter.MacroName{"{tls_version}", "{cipher}", "{cipher_bits}"}},
	{gomilter.StageMail, []gomilter.MacroName{"i", "{auth_type}", "{auth_authen}", "{auth_author}", "{mail_addr}", "{mail_host}", "{mail_mailer}", "{tls_version}", "{cipher}", "{cipher_bits}"}},
	{gomilter.StageRcpt, []gomilter.MacroName{"i", "{rcpt_addr}", "{rcpt_host}", "{rcpt_mailer}"}},
	{gomilter.StageData, []gomilter.MacroName{"i"}},
	{gomilter.StageEOH, []gomilter.MacroName{"i"}},
	{gomilter.StageEOM, []gomilter.MacroName{"i"}},
}

// backend is one connection between go-milter and a Handler. It puts the events in the order that Handler promises.
type backend struct {
	ctx     context.Context
	handler Handler
	guard   *guard
	log     *slog.Logger
	onPanic func(reason any, stack []byte)
	silent  Stages
	dead    bool // the handler panicked: only Close is called
	open    bool // Connect was called and Close was not
	message bool // Mail was called, and neither EndOfMessage nor Abort
	once    bool // Close was called at least once
}

var _ gomilter.Milter = (*backend)(nil)

// options gives what this connection's library server needs.
func (b *backend) options() []gomilter.Option {
	out := []gomilter.Option{
		gomilter.WithMilter(func() gomilter.Milter { return b }),
		gomilter.WithActions(wantedActions),
		gomilter.WithProtocols(quietParts | gomilter.OptHeaderLeadingSpace | gomilter.OptRcptRej),
		gomilter.WithNegotiationCallback(b.negotiate),
		gomilter.WithoutDefaultMacros(),
	}
	for _, m := range macros {
		out = append(out, gomilter.WithMacroRequest(m.stage, m.names))
	}
	return out
}

// negotiate takes what the MTA offers of what we want; an MTA that offers less is still served.
func (b *backend) negotiate(mtaVersion, _ uint32, mtaActions, ours gomilter.OptAction, mtaProtocol, wanted gomilter.OptProtocol, _ gomilter.DataSize) (uint32, gomilter.OptAction, gomilter.OptProtocol, gomilter.DataSize, error) {
	offers := func(flag gomilter.OptProtocol) bool { return mtaProtocol&flag != 0 }
	offer := Offer{
		Version:    int(min(mtaVersion, 6)),
		AddHeaders: mtaActions&gomilter.OptAddHeader != 0, ChangeHeaders: mtaActions&gomilter.OptChangeHeader != 0,
		Quarantine: mtaActions&gomilter.OptQuarantine != 0, MacroLists: mtaActions&gomilter.OptSetMacros != 0,
		LeadingSpace: offers(gomilter.OptHeaderLeadingSpace), RejectedRecipients: offers(gomilter.OptRcptRej),
		Silence: Stages{offers(gomilter.OptNoConnReply), offers(gomilter.OptNoHeloReply), offers(gomilter.OptNoMailReply), offers(gomilter.OptNoRcptReply)},
	}
	_, err := b.guarded("negotiate", func() (*gomilter.Response, error) {
		b.silent = b.handler.Negotiate(offer).Silent
		return nil, nil
	})
	for _, quiet := range []struct {
		flag gomilter.OptProtocol
		on   bool
	}{
		{gomilter.OptNoConnReply, b.silent.Connect}, {gomilter.OptNoHeloReply, b.silent.Helo},
		{gomilter.OptNoMailReply, b.silent.Mail}, {gomilter.OptNoRcptReply, b.silent.Rcpt},
	} {
		if quiet.on {
			wanted |= quiet.flag
		}
	}
	return min(mtaVersion, 6), ours & mtaActions, wanted & mtaProtocol, gomilter.DataSize64K, err
}

// guarded runs one callback. A panic ends this session only: the MTA then does what its default action says.
func (b *backend) guarded(what string, call func() (*gomilter.Response, error)) (r *gomilter.Response, err error) {
	if b.dead {
		return nil, errPanicked
	}
	defer func() {
		if reason := recover(); reason != nil {
			b.dead = true
			stack := debug.Stack()
			b.log.Error("a session panicked and was closed", "event", what, "panic", fmt.Sprint(reason), "stack", string(stack))
			if b.onPanic != nil {
				b.onPanic(reason, stack)
			}
			r, err = nil, errPanicked
		}
	}()
	return call()
}

var errPanicked = fmt.Errorf("the session panicked")

func (b *backend) say(what string, call func() Response) (*gomilter.Response, error) {
	return b.guarded(what, func() (*gomilter.Response, error) { return call().encode(), nil })
}

func (b *backend) hear(what string, call func()) (*gomilter.Response, error) {
	return b.guarded(what, func() (*gomilter.Response, error) {
		call()
		return gomilter.RespContinue, nil
	})
}

// NewConnection implements gomilter.Milter.
func (b *backend) NewConnection(gomilter.Modifier) error { return nil }

// Connect implements gomilter.Milter. After QUIT_NC it begins another SMTP session.
func (b *backend) Connect(host, family string, port uint16, addr string, m gomilter.Modifier) (*gomilter.Response, error) {
	b.finish()
	b.open = true
	return b.say("connect", func() Response {
		return b.handler.Connect(b.ctx, Client{Host: host, Family: family, Address: addr, Port: port}, named{m})
	})
}

// Helo implements gomilter.Milter.
func (b *backend) Helo(name string, m gomilter.Modifier) (*gomilter.Response, error) {
	b.drop()
	return b.say("helo", func() Response { return b.handler.Helo(b.ctx, name, named{m}) })
}

// MailFrom implements gomilter.Milter. The MTA may begin a message without having ended the last one.
func (b *backend) MailFrom(from, esmtp string, m gomilter.Modifier) (*gomilter.Response, error) {
	b.drop()
	b.message = true
	b.guard.busy.Store(true)
	return b.say("mail", func() Response { return b.handler.Mail(b.ctx, from, esmtp, named{m}) })
}

// RcptTo implements gomilter.Milter.
func (b *backend) RcptTo(to, esmtp string, m gomilter.Modifier) (*gomilter.Response, error) {
	if !b.message {
		return nil, errOrder
	}
	return b.say("rcpt", func() Response { return b.handler.Rcpt(b.ctx, to, esmtp, named{m}) })
}

var errOrder = errors.New("an event without MAIL before it")

// Data implements gomilter.Milter.
func (b *backend) Data(gomilter.Modifier) (*gomilter.Response, error) {
	return gomilter.RespContinue, nil
}

// Header implements gomilter.Milter. Where the MTA swallowed the blank behind the colon, the usual one is put back.
func (b *backend) Header(name, value string, m gomilter.Modifier) (*gomilter.Response, error) {
	return b.hear("header", func() {
		if b.guard.raw {
			name, value = b.guard.rawName, b.guard.rawValue
		}
		if m.Protocol()&gomilter.OptHeaderLeadingSpace == 0 {
			value = " " + value
		}
		b.handler.Header(name, value)
	})
}

// Headers implements gomilter.Milter.
func (b *backend) Headers(gomilter.Modifier) (*gomilter.Response, error) {
	return b.hear("end of header", func() { b.handler.EndOfHeader(b.ctx) })
}

// BodyChunk implements gomilter.Milter.
func (b *backend) BodyChunk(chunk []byte, _ gomilter.Modifier) (*gomilter.Response, error) {
	return b.hear("body", func() { b.handler.Body(chunk) })
}

// EndOfMessage implements gomilter.Milter.
func (b *backend) EndOfMessage(m gomilter.Modifier) (*gomilter.Response, error) {
	if !b.message {
		return nil, errOrder
	}
	b.message = false
	defer b.guard.busy.Store(false)
	return b.say("end of message", func() Response { return b.handler.EndOfMessage(b.ctx, &editor{m}, named{m}) })
}

// Abort implements gomilter.Milter. It never fails: after an error the library would send its negotiation again.
func (b *backend) Abort(gomilter.Modifier) error {
	b.drop()
	return nil
}

// drop ends the message under way, if there is one.
func (b *backend) drop() {
	b.guard.busy.Store(false)
	if b.message {
		b.message = false
		b.hear("abort", b.handler.Abort)
	}
}

// finish ends the SMTP session under way, if there is one. After a panic that is left to close.
func (b *backend) finish() {
	if b.dead {
		return
	}
	b.drop()
	if b.open {
		b.open, b.once = false, true
		b.hear("close", b.handler.Close)
	}
}

// Unknown implements gomilter.Milter.
func (b *backend) Unknown(string, gomilter.Modifier) (*gomilter.Response, error) {
	return gomilter.RespContinue, nil
}

// Cleanup implements gomilter.Milter.
func (b *backend) Cleanup(gomilter.Modifier) { b.finish() }

// close ends the handler when the connection has ended. After a panic it gets Close and nothing else.
func (b *backend) close() {
	b.message = b.message && !b.dead
	b.open = b.open || !b.once
	b.dead = false
	b.finish()
}

// named gives macros by their names.
type named struct{ m gomilter.Modifier }

// Get implements Macros.
func (n named) Get(name string) string { return n.m.Get(gomilter.MacroName(name)) }
