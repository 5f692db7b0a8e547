package doctor

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// This file speaks the milter protocol to Gatepost as a mail server does, for the case that there is no way to look like a stranger to Postfix.

// What is offered: all changes of a message, refused recipients and exact header bytes, and no leaving out of replies.
const (
	milterVersion  = 6
	milterActions  = 0x1ff
	milterProtocol = 0x000800 | 0x100000
	maxAnswer      = 1 << 20
)

// direct is a milter session.
type direct struct {
	conn net.Conn
	in   *bufio.Reader
}

// openDirect connects to the first endpoint of the daemon and negotiates.
func (d *Doctor) openDirect(ctx context.Context) (*direct, error) {
	if len(d.Running.Milter) == 0 {
		return nil, errors.New("the daemon does not say where it listens")
	}
	e := d.Running.Milter[0]
	conn, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, e.Network, e.Address)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(sessionTime)); err != nil {
		conn.Close()
		return nil, err
	}
	s := &direct{conn, bufio.NewReader(conn)}
	var offer []byte
	for _, n := range []uint32{milterVersion, milterActions, milterProtocol} {
		offer = binary.BigEndian.AppendUint32(offer, n)
	}
	if err := s.send('O', string(offer)); err != nil {
		conn.Close()
		return nil, err
	}
	if code, _, err := s.answer(); err != nil || code != 'O' {
		conn.Close()
		return nil, errors.Join(err, fmt.Errorf("%s answers no offer of the milter protocol", e))
	}
	return s, nil
}

func (s *direct) send(code byte, data string) error {
	frame := binary.BigEndian.AppendUint32(nil, uint32(len(data)+1))
	_, err := s.conn.Write(append(append(frame, code), data...))
	return err
}

func (s *direct) answer() (code byte, data string, err error) {
	var head [4]byte
	if _, err := io.ReadFull(s.in, head[:]); err != nil {
		return 0, "", err
	}
	length := binary.BigEndian.Uint32(head[:])
	if length == 0 || length > maxAnswer {
		return 0, "", fmt.Errorf("an answer of %d bytes", length)
	}
	text := make([]byte, length)
	if _, err := io.ReadFull(s.in, text); err != nil {
		return 0, "", err
	}
	return text[0], string(text[1:]), nil
}

// step says macros and a command, and gives the refusal that came, "" for none. Changes of the message are passed over.
func (s *direct) step(code byte, data string, macros ...string) (refusal string, err error) {
	if len(macros) > 0 {
		if err := s.send('D', string(code)+strings.Join(macros, "\x00")+"\x00"); err != nil {
			return "", err
		}
	}
	if err := s.send(code, data); err != nil {
		return "", err
	}
	for {
		code, text, err := s.answer()
		switch {
		case err != nil:
			return "", err
		case code == 'y':
			return strings.TrimSuffix(text, "\x00"), nil
		case code == 'c' || code == 'a':
			return "", nil
		case code == 'd':
			return "discarded", nil
		}
	}
}

// command is one command of a session with the macros before it.
type command struct {
	at     string // for people
	code   byte
	data   string
	macros []string
}

// play goes through a session of a stranger with one message. at says where it ended.
func (s *direct) play(name, host, sender, recipient, message string) (at, refusal string, err error) {
	header, body, _ := strings.Cut(message, "\r\n\r\n")
	commands := []command{
		{"connect", 'C', "[" + strangerIP + "]\x004\xc0\x01" + strangerIP + "\x00",
			[]string{"j", host, "{daemon_name}", host, "{daemon_port}", "25", "{client_addr}", strangerIP, "{client_ptr}", "unknown"}},
		{"EHLO", 'H', name + "\x00", nil},
		{"MAIL FROM", 'M', "<" + sender + ">\x00", []string{"{mail_addr}", sender}},
		{"RCPT TO", 'R', "<" + recipient + ">\x00", []string{"{rcpt_addr}", recipient, "{rcpt_mailer}", "local", "{rcpt_host}", host}},
		{"DATA", 'T', "", []string{"i", "doctor"}},
	}
	for field := range strings.SplitSeq(header, "\r\n") {
		key, value, _ := strings.Cut(field, ":")
		commands = append(commands, command{"the header", 'L', key + "\x00" + value + "\x00", nil})
	}
	const end = "the end of the message"
	commands = append(commands, command{end, 'N', "", nil}, command{end, 'B', body, nil}, command{end, 'E', "", nil})
	for _, one := range commands {
		if refusal, err = s.step(one.code, one.data, one.macros...); err != nil || refusal != "" {
			return one.at, refusal, err
		}
	}
	return end, "", nil
}
