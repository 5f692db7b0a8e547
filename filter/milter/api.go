package milter

import (
	"context"
	"log/slog"
	"net"
	"time"
)

// Handler judges one connection of the MTA. Config.NewSession makes one for each. Its methods are called one after the other, never
// at the same time, always in this order, whatever the MTA sends (what does not fit into it ends the connection):
//
//	Negotiate
//	   { Connect  { Helo | Mail Rcpt... Header... EndOfHeader Body... (EndOfMessage | Abort) }...  Close }...
//
// Each Mail is followed by exactly one EndOfMessage or Abort. Abort comes for RSET, a second MAIL or HELO in mid-message, QUIT, a lost
// connection, and for a message that a reply has ended before its end. Rcpt, Header and Body may be missing; EndOfHeader is missing in
// a message that ends before its header does. Each Helo replaces the one before (STARTTLS, RFC 3207 4.2).
//
// Close ends an SMTP session; message and connection state are over with it. It is called once for each Connect, and once for a
// connection that never got to Connect but was negotiated. A Connect after Close is another SMTP session over the same milter
// connection (QUIT_NC, which Sendmail may send); what was negotiated holds on.
//
// ctx ends when the session is cut off: by the end of Serve's context or of Shutdown's. An MTA that hangs up while a method runs is
// not noticed before it returns, so every wait needs a deadline of its own, below the MTA's (Postfix: 30 s a command, 300 s at the end
// of the message).
//
// A panic in a method ends this connection only (the MTA then acts as its milter_default_action says, which should be tempfail), is
// logged with its stack and handed to Config.OnPanic. After it only Close is called.
//
// Macros and Editor are valid during the call that got them.
type Handler interface {
	// Negotiate learns what the MTA offers, and says at which stages no reply will be given.
	Negotiate(o Offer) Options

	// Connect begins an SMTP session.
	Connect(ctx context.Context, c Client, m Macros) Response

	// Helo gives the argument of HELO or EHLO as typed.
	Helo(ctx context.Context, name string, m Macros) Response

	// Mail begins a message. from is the argument of MAIL FROM as typed, without its angle brackets, "" for the null sender;
	// esmtp the parameters behind it ("SIZE=100 BODY=8BITMIME").
	Mail(ctx context.Context, from, esmtp string, m Macros) Response

	// Rcpt gives the argument of RCPT TO in the same way. Recipients that the MTA itself refused come too, when it offers to say
	// so (Offer.RejectedRecipients); {rcpt_mailer} is then "error", and the reply is thrown away.
	Rcpt(ctx context.Context, to, esmtp string, m Macros) Response

	// Header gives a field of the header, byte for byte as the MTA sent it, also with NUL bytes: name is what stands before the
	// colon, value all behind it with its leading blank; folds are the MTA's (LF with Postfix and Sendmail), without a line end.
	// An MTA that cannot send the leading blank (no Offer.LeadingSpace) gets one put back: the usual form, but not surely the
	// sender's. Both are good until it returns.
	Header(name, value []byte)

	// EndOfHeader says that the header is whole.
	EndOfHeader(ctx context.Context)

	// Body gives the next bytes of the body, at most MaxFrame, cut anywhere. They are good until it returns.
	Body(chunk []byte)

	// EndOfMessage decides over the message. Edits made by e count when the response lets it pass. Continue and Accept are the same
	// here.
	EndOfMessage(ctx context.Context, e Editor, m Macros) Response

	// Abort drops the message that Mail began.
	Abort()

	// Close ends the SMTP session.
	Close()
}

// Offer is what the MTA can do. What it does not offer is simply not there: the session goes on without.
type Offer struct {
	Version            int    // of the milter protocol, 2 to 6; a later MTA is spoken to in 6
	AddHeaders         bool   // Editor.AddHeader and InsertHeader work
	ChangeHeaders      bool   // Editor.ChangeHeader and DeleteHeader work
	Quarantine         bool   // Editor.Quarantine works
	LeadingSpace       bool   // header values come with the blank behind the colon: bytes are exact
	RejectedRecipients bool   // recipients that the MTA refused are told
	MacroLists         bool   // the MTA takes our list of macros; without, it sends what its own configuration says
	Silence            Stages // stages at which the MTA can go on without waiting for a reply
}

// Stages is a set of the stages before DATA.
type Stages struct {
	Connect, Helo, Mail, Rcpt bool
}

// Options is what a Handler chooses.
type Options struct {
	// Silent are the stages at which the Handler will never reply anything but Continue, so that the MTA need not wait. A reply given
	// there all the same is dropped and logged. Where the MTA cannot do without a reply it gets Continue.
	Silent Stages
}

// Client is the SMTP client as the MTA describes it at connect.
type Client struct {
	Host    string // verified name, or the address in brackets, or "unknown", "localhost": the MTA's choice
	Family  string // "tcp4", "tcp6", "unix" or "unknown"
	Port    uint16 // 0 when there is none
	Address string // IP address, or path of a unix socket; "" for an unknown family
}

// Macros is what the MTA says beside an event.
type Macros interface {
	// Get gives a macro's value by its name as the MTA writes it: "i", "{daemon_port}". It is "" when the MTA did not send it. Macros of
	// earlier stages of the same message and session are found too; those of HELO (TLS) stay through all messages.
	Get(name string) string
}

// Editor changes a message at its end. Deletions should come before insertions, and from the last index to the first, because each
// moves the indexes behind it. An error is ErrNotOffered, ErrOver, an unusable name or a value longer than MaxValue, and nothing was
// changed.
//
// Values are cleaned: CR LF and LF followed by a blank and more text stay as a fold, every other control character becomes a space. The
// blank behind the colon is put there by the Editor, whether the MTA writes it by itself or not.
type Editor interface {
	// AddHeader adds a field below all others.
	AddHeader(name, value string) error

	// InsertHeader adds a field so that it is number index of all, from 0 at the very top (with Postfix above its own Received).
	InsertHeader(index int, name, value string) error

	// ChangeHeader replaces the value of a field; index is its number among those of the same name (case does not matter), from 1 at
	// the top, counting the fields that Header gave.
	ChangeHeader(name string, index int, value string) error

	// DeleteHeader removes a field; index as in ChangeHeader.
	DeleteHeader(name string, index int) error

	// Quarantine makes the MTA hold the message that passes (Postfix: the hold queue). The reason is cleaned to printable ASCII
	// and cut to MaxReason.
	Quarantine(reason string) error
}

// Config is what a Server needs.
type Config struct {
	// NewSession makes the Handler of a new connection of the MTA, whose end of it is peer. It is called once for each, from the
	// connection's own goroutine, when the MTA begins to negotiate.
	NewSession func(peer net.Addr) Handler

	// Full reports whether there is no room for another session, such as no memory, whatever their number; nil for never.
	Full func() bool

	// MaxSessions bounds the sessions at a time; 0 means DefaultSessions. A client beyond it gets 421 4.3.2 at connect; when
	// there are very many, the MTA's connection is closed at once.
	MaxSessions int

	// ReadTimeout bounds the wait for the MTA's next frame; 0 means DefaultReadTimeout.
	ReadTimeout time.Duration

	// WriteTimeout bounds how long the MTA may take to read a reply; 0 means DefaultWriteTimeout.
	WriteTimeout time.Duration

	// Logger gets what goes wrong; nil discards it.
	Logger *slog.Logger

	// OnPanic is called after a Handler panicked, on its goroutine, for counting; may be nil.
	OnPanic func(reason any, stack []byte)
}

// The defaults and bounds.
const (
	DefaultSessions = 2000

	// DefaultReadTimeout is longer than any honest silence. Postfix gives a client 300 s for each command and each line
	// (smtpd_timeout), and sends a message to the milter only when all of it is there: 25 MB at 4 KB/s are silent for 105 min. A
	// timeout that strikes there would defer a slow sender for ever. An MTA that died is noticed much earlier, by its closed socket or
	// by TCP keepalive.
	DefaultReadTimeout = 2 * time.Hour

	// DefaultWriteTimeout is short because a reply fits into the socket's buffer: the MTA need not even read it.
	DefaultWriteTimeout = 30 * time.Second

	// MaxFrame bounds one milter frame in bytes, its length field not counted. Without a larger size negotiated (it is not), an MTA
	// sends at most 65,536.
	MaxFrame = 1 << 20

	// MaxValue bounds the value of an added or changed field in bytes.
	MaxValue = 60_000

	// MaxReason bounds the reason of a quarantine in bytes; Postfix cuts it there.
	MaxReason = 100
)
