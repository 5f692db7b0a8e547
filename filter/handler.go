package filter

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"gatepost.example/filter/milter"
	"gatepost.example/policy"
)

// Handler is a session behind the milter protocol: it reads the MTA's macros and speaks the session's answers. After QUIT_NC the same
// connection serves the next client, under the settings that were negotiated.
type Handler struct {
	server  *Server
	session *Session
	tls     TLS
	open    bool // a session is under way, for the metrics
}

var _ milter.Handler = (*Handler)(nil)

// NewHandler gives the handler of a new connection.
func (s *Server) NewHandler() *Handler { return &Handler{server: s, session: s.NewSession()} }

// Negotiate implements milter.Handler: the MTA waits only where the policy may speak.
func (h *Handler) Negotiate(o milter.Offer) milter.Options {
	if !o.LeadingSpace || !o.AddHeaders || !o.ChangeHeaders || !o.RejectedRecipients {
		h.server.warnOnce(h.server.log, "the MTA offers less than Postfix and Sendmail do: DKIM with simple canonicalization, header edits or refused recipients may be inexact")
	}
	return milter.Options{Silent: h.session.settings.silent}
}

// Connect implements milter.Handler.
func (h *Handler) Connect(_ context.Context, c milter.Client, m milter.Macros) milter.Response {
	defer h.server.measureStage(policy.Connect, time.Now())
	h.server.metrics.SessionBegan()
	h.open = true
	return encode(h.session.Connect(Client{
		Addr: c.Addr(), Name: nameOf(c.Host), PTR: nameOf(m.Get("{client_ptr}")),
		DaemonName: m.Get("{daemon_name}"), DaemonPort: m.Get("{daemon_port}"), MTA: m.Get("j"), QueueID: m.Get("i"),
	}))
}

// nameOf gives a name that the MTA says of a client: "" for the address in brackets, which it says where there is none (Postfix and Sendmail) or none
// that could be verified.
func nameOf(text string) string {
	if strings.HasPrefix(text, "[") {
		return ""
	}
	return text
}

// Helo implements milter.Handler.
func (h *Handler) Helo(_ context.Context, name string, m milter.Macros) milter.Response {
	defer h.server.measureStage(policy.Helo, time.Now())
	h.readTLS(m)
	response := h.session.Helo(name, h.tls)
	h.session.probeMacros(m)
	return encode(response)
}

// readTLS keeps what the MTA says of encryption: it says it at HELO or at MAIL, and not again for the next message.
func (h *Handler) readTLS(m milter.Macros) {
	if version := m.Get("{tls_version}"); version != "" {
		bits, _ := strconv.Atoi(m.Get("{cipher_bits}"))
		h.tls = TLS{Version: version, Cipher: m.Get("{cipher}"), Bits: bits}
	}
}

// Mail implements milter.Handler.
func (h *Handler) Mail(_ context.Context, from, _ string, m milter.Macros) milter.Response {
	defer h.server.measureStage(policy.Mail, time.Now())
	h.readTLS(m)
	h.session.probeMacros(m)
	resolved := m.Get("{mail_addr}")
	return encode(h.session.Mail(Sender{Address: pathOf(from, resolved), Resolved: resolved, User: m.Get("{auth_authen}"), Method: m.Get("{auth_type}"), QueueID: m.Get("i"), TLS: h.tls}))
}

// Rcpt implements milter.Handler.
func (h *Handler) Rcpt(_ context.Context, to, _ string, m milter.Macros) milter.Response {
	defer h.server.measureStage(policy.Rcpt, time.Now())
	h.session.probeMacros(m)
	r := Recipient{Resolved: m.Get("{rcpt_addr}"), Mailer: m.Get("{rcpt_mailer}"), Host: m.Get("{rcpt_host}")}
	r.Address = pathOf(to, r.Resolved)
	return encode(h.session.Rcpt(r))
}

// Header implements milter.Handler.
func (h *Handler) Header(name, value []byte) { h.session.takeField(name, value) }

// EndOfHeader implements milter.Handler.
func (h *Handler) EndOfHeader(context.Context) { h.session.EndOfHeader() }

// Body implements milter.Handler.
func (h *Handler) Body(chunk []byte) { h.session.Body(chunk) }

// EndOfMessage implements milter.Handler: deletions come first, for an insertion moves the numbers of its name.
func (h *Handler) EndOfMessage(_ context.Context, e milter.Editor, m milter.Macros) milter.Response {
	defer h.server.measureStage(policy.Data, time.Now())
	h.session.probeMacros(m)
	response, edits := h.session.EndOfMessage(m.Get("i"))
	h.session.probeEdits(edits)
	if err := edits.apply(e); err != nil {
		h.server.warnOnce(h.server.log, "the MTA did not take a change of the message: "+err.Error())
	}
	return encode(response)
}

func (edits Edits) apply(e milter.Editor) error {
	var wrong error
	for _, d := range edits.Delete {
		wrong = errors.Join(wrong, e.DeleteHeader(d.Name, d.Index))
	}
	for i := len(edits.Insert) - 1; i >= 0; i-- { // each goes to the very top
		wrong = errors.Join(wrong, e.InsertHeader(0, edits.Insert[i].Name, edits.Insert[i].Value))
	}
	if edits.Hold != "" {
		wrong = errors.Join(wrong, e.Quarantine(edits.Hold))
	}
	return wrong
}

// Abort implements milter.Handler.
func (h *Handler) Abort() { h.session.Abort() }

// Close implements milter.Handler.
func (h *Handler) Close() {
	if h.open {
		h.server.metrics.SessionEnded()
		h.open = false
	}
	h.session.Close()
	h.session.reset()
	h.tls = TLS{}
}

// encode gives a response in the words of the protocol.
func encode(r Response) milter.Response {
	switch r.Verb {
	case Refuse:
		return milter.Reply(r.Code, r.Enhanced, r.Text)
	case Discard:
		return milter.Discard()
	}
	return milter.Continue()
}
