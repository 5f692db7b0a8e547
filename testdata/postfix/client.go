package postfix

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"time"
)

// Client is an SMTP client that says exactly what it is told.
type Client struct {
	conn net.Conn
	in   *bufio.Reader
	Last string // the last reply, lines joined by LF
}

// patience bounds the wait for one reply.
const patience = time.Minute

// Dial connects and reads the greeting.
func Dial(address string) (*Client, error) { return DialFrom("", address) }

// DialFrom connects from an own address of this machine, or from any when it is "", and reads the greeting.
func DialFrom(own, address string) (*Client, error) {
	dialer := net.Dialer{Timeout: patience}
	if own != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(own)}
	}
	conn, err := dialer.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	c := &Client{conn: conn, in: bufio.NewReaderSize(conn, 64<<10)}
	_, err = c.Read()
	return c, err
}

// Read reads one reply, of one line or more.
func (c *Client) Read() (string, error) {
	if err := c.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	var lines []string
	for {
		line, err := c.in.ReadString('\n')
		if err != nil {
			return strings.Join(lines, "\n"), err
		}
		line = strings.TrimRight(line, "\r\n")
		lines = append(lines, line)
		if len(line) < 4 || line[3] != '-' {
			c.Last = strings.Join(lines, "\n")
			return c.Last, nil
		}
	}
}

// Do says one command and gives the reply.
func (c *Client) Do(format string, args ...any) (string, error) {
	if err := c.Say(format+"\r\n", args...); err != nil {
		return "", err
	}
	return c.Read()
}

// Say writes without waiting for a reply.
func (c *Client) Say(format string, args ...any) error {
	if err := c.conn.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, err := fmt.Fprintf(c.conn, format, args...)
	return err
}

// From makes Postfix take the client for another one (XCLIENT), and greets: attributes are such as "ADDR=192.0.2.1 NAME=mail.example.org".
func (c *Client) From(attributes, helo string) (string, error) {
	if reply, err := c.Do("EHLO xclient.test"); err != nil || !strings.HasPrefix(reply, "250") {
		return reply, err
	}
	if reply, err := c.Do("XCLIENT %s", attributes); err != nil || !strings.HasPrefix(reply, "220") {
		return reply, err
	}
	return c.Do("EHLO %s", helo)
}

// Message says DATA and a message whose lines end in LF, and gives the last reply.
func (c *Client) Message(text string) (string, error) {
	if reply, err := c.Do("DATA"); err != nil || !strings.HasPrefix(reply, "354") {
		return reply, err
	}
	text = strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\r\n")
	text = strings.ReplaceAll("\r\n"+text, "\r\n.", "\r\n..")[2:]
	if err := c.Say("%s\r\n.\r\n", text); err != nil {
		return "", err
	}
	return c.Read()
}

// Mail sends a message to one recipient and gives the reply that ended it: that of the recipient, or of the message. A sender who is not taken is an error.
func (c *Client) Mail(sender, recipient, text string) (string, error) {
	if reply, err := c.Do("MAIL FROM:<%s>", sender); err != nil || !strings.HasPrefix(reply, "250") {
		return reply, fmt.Errorf("MAIL FROM:<%s>: %q, %v", sender, reply, err)
	}
	if reply, err := c.Do("RCPT TO:<%s>", recipient); err != nil || !strings.HasPrefix(reply, "250") {
		return reply, err
	}
	return c.Message(text)
}

// StartTLS begins encryption and greets again.
func (c *Client) StartTLS(helo string) (string, error) {
	if reply, err := c.Do("STARTTLS"); err != nil || !strings.HasPrefix(reply, "220") {
		return reply, err
	}
	secure := tls.Client(c.conn, &tls.Config{ServerName: Hostname, InsecureSkipVerify: true}) // its certificate is its own
	c.conn, c.in = secure, bufio.NewReader(secure)
	return c.Do("EHLO %s", helo)
}

// Close hangs up.
func (c *Client) Close() { c.conn.Close() }
