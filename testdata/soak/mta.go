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
	Name, Helo string
	User       string
	Sender     string
	Recipients []string
	Unknown    []string // recipients that the MTA refuses with 5.1.1
	Header     [][2]string
	Body       string
	Stop       string // the stage after which the client hangs up: connect, helo, mail, rcpt, header, body; "" for none
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
	over    bool
}

func (p *player) play() error {
	m := &p.mail
	if m.Port == "" {
		m.Port = "25"
	}
	p.macros.Set(milter.MacroMTAFQDN, "mx.example.net")
	p.macros.Set(milter.MacroDaemonPort, m.Port)
	p.macros.Set(milter.MacroAuthAuthen, m.User)
	family := milter.FamilyInet
	if strings.Contains(m.Addr, ":") {
		family = milter.FamilyInet6
	}
	if err := p.step("connect", func() (*milter.Action, error) { return p.session.Conn(m.Name, family, 12345, m.Addr) }); p.over || err != nil {
		return err
	}
	if err := p.step("helo", func() (*milter.Action, error) { return p.session.Helo(m.Helo) }); p.over || err != nil {
		return err
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
			p.answer.Taken++
		} else if p.answer.Code == 421 {
			p.over = true // Postfix hangs up
			return nil
		}
	}
	p.over = p.answer.Taken == 0 || p.mail.Stop == "rcpt"
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
	p.answer.Ended, p.answer.Fields = true, fields
	if !p.read(action) {
		p.answer.Code = 250
	}
	return nil
}
