package soak

import (
	"fmt"
	"strings"
	"time"

	milter "github.com/d--j/go-milter"
)

// Mail is one message and the session around it.
type Mail struct {
	Addr, Port string // of the client; the service's port
	Name       string
	First      string // an earlier HELO, as before STARTTLS; "" for none
	TLS        string // the version, from the last HELO on; "" without
	Helo       string // of a message that follows another one: said again, where it is not ""
	User       string
	Sender     string
	Recipients []string
	Unknown    []string // recipients that the MTA refuses with 5.1.1
	Header     [][2]string
	Body       string
	Stop       string // the stage after which the client hangs up: connect, helo, mail, rcpt, header, body; "" for none. With a Next it says RSET then
	Pause      func() // called in the midst of the message, behind its header; nil for none
	Next       *Mail  // that comes over the same connection
}

// Answer is what the SMTP client sees of a message.
type Answer struct {
	Ended    bool   // the message came to its end
	Code     uint16 // of its reply; 250 when it was taken
	Text     string
	Refusals int // replies with 4xx or 5xx at any stage, that at the end among them
	Fields   []milter.ModifyAction
	Taken    int // recipients
}

// patience bounds the wait for one answer; Postfix waits 30 s for a command and 300 s at the end of the message.
const patience = 30 * time.Second

// Send plays a message to the daemon as an MTA does.
func (d *Daemon) Send(m Mail) (Answer, error) { return Send(d.Milter, m) }

// Send plays a message to the milter at an address.
func Send(address string, m Mail) (a Answer, err error) {
	client := milter.NewClient("tcp", address, milter.WithReadTimeout(patience), milter.WithWriteTimeout(patience))
	macros := milter.NewMacroBag()
	s, err := client.Session(macros)
	if err != nil {
		return a, err
	}
	defer s.Close()
	p := player{session: s, mail: m, macros: macros, answer: &a}
	err = p.play()
	return a, err
}

type player struct {
	session *milter.ClientSession
	mail    Mail
	macros  *milter.MacroBag
	answer  *Answer
	over    bool // nothing more is said of this message
	ended   bool // this message came to its end
}

func (p *player) play() error {
	m := &p.mail
	if m.Port == "" {
		m.Port = "25"
	}
	p.macros.Set(milter.MacroMTAFQDN, "mx.example.net")
	p.macros.Set(milter.MacroDaemonPort, m.Port)
	family := milter.FamilyInet
	if strings.Contains(m.Addr, ":") {
		family = milter.FamilyInet6
	}
	if err := p.step("connect", func() (*milter.Action, error) { return p.session.Conn(m.Name, family, 12345, m.Addr) }); p.over || err != nil {
		return err
	}
	if m.First != "" {
		if err := p.step("", func() (*milter.Action, error) { return p.session.Helo(m.First) }); p.over || err != nil {
			return err
		}
	}
	return p.messages()
}

// messages says HELO and all messages of the connection, as long as the client is let and wants to.
func (p *player) messages() error {
	for {
		err := p.transaction()
		if err != nil || p.mail.Next == nil || p.answer.Code == 421 {
			return err
		}
		if !p.ended {
			if err := p.session.Abort(nil); err != nil {
				return fmt.Errorf("abort: %w", err)
			}
		}
		p.mail, p.over, p.ended = *p.mail.Next, false, false
	}
}

func (p *player) transaction() error {
	m := &p.mail
	p.macros.Set(milter.MacroAuthAuthen, m.User)
	if m.Helo != "" {
		p.macros.Set(milter.MacroTlsVersion, m.TLS)
		if err := p.step("helo", func() (*milter.Action, error) { return p.session.Helo(m.Helo) }); p.over || err != nil {
			return err
		}
	}
	if err := p.step("mail", func() (*milter.Action, error) { return p.session.Mail(m.Sender, "") }); p.over || err != nil {
		return err
	}
	if err := p.recipients(); p.over || err != nil {
		return err
	}
	return p.message()
}

// step says one thing and reads the answer. A refusal ends the session.
func (p *player) step(at string, say func() (*milter.Action, error)) error {
	action, err := say()
	if err != nil {
		p.over = true
		return fmt.Errorf("%s: %w", at, err)
	}
	p.over = p.read(action) || p.mail.Stop == at
	return nil
}

// read notes a refusal.
func (p *player) read(action *milter.Action) (refused bool) {
	if action.SMTPCode >= 400 {
		p.answer.Code, p.answer.Text = action.SMTPCode, action.SMTPReply
		p.answer.Refusals++
		return true
	}
	return action.Type == milter.ActionReject || action.Type == milter.ActionTempFail
}

func (p *player) recipients() error {
	taken := 0
	for _, r := range p.mail.Unknown {
		p.macros.Set(milter.MacroRcptMailer, "error")
		p.macros.Set(milter.MacroRcptHost, "5.1.1")
		if _, err := p.session.Rcpt(r, ""); err != nil {
			return fmt.Errorf("rcpt: %w", err)
		}
	}
	for _, r := range p.mail.Recipients {
		p.macros.Set(milter.MacroRcptMailer, "local")
		p.macros.Set(milter.MacroRcptHost, "")
		p.macros.Set(milter.MacroRcptAddr, r)
		action, err := p.session.Rcpt(r, "")
		if err != nil {
			return fmt.Errorf("rcpt: %w", err)
		}
		if !p.read(action) {
			taken++
		} else if p.answer.Code == 421 {
			p.over = true // Postfix hangs up
			return nil
		}
	}
	p.answer.Taken += taken
	p.over = taken == 0 || p.mail.Stop == "rcpt"
	return nil
}

func (p *player) message() error {
	if err := p.step("data", p.session.DataStart); p.over || err != nil {
		return err
	}
	for _, f := range p.mail.Header {
		if _, err := p.session.HeaderField(f[0], f[1], nil); err != nil {
			return fmt.Errorf("header: %w", err)
		}
	}
	if p.mail.Stop == "header" {
		return nil
	}
	if _, err := p.session.HeaderEnd(); err != nil {
		return fmt.Errorf("end of header: %w", err)
	}
	if p.mail.Pause != nil {
		p.mail.Pause()
	}
	for body := p.mail.Body; body != ""; {
		n := min(len(body), 65535)
		if _, err := p.session.BodyChunk([]byte(body[:n])); err != nil {
			return fmt.Errorf("body: %w", err)
		}
		body = body[n:]
	}
	if p.mail.Stop == "body" {
		return nil
	}
	fields, action, err := p.session.End()
	if err != nil {
		return fmt.Errorf("end: %w", err)
	}
	p.ended, p.answer.Ended, p.answer.Fields = true, true, fields
	if !p.read(action) {
		p.answer.Code = 250
	}
	return nil
}
