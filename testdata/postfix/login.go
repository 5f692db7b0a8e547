package postfix

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"net"
	"strings"
)

// Logins is a server of the protocol by which Postfix asks Dovecot about logins (smtpd_sasl_type = dovecot), for one user with a password.
type Logins struct {
	listener net.Listener
	want     string // user NUL password
	user     string
}

// StartLogins listens on a free port of loopback.
func StartLogins(user, password string) (*Logins, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &Logins{l, user + "\x00" + password, user}
	go s.serve()
	return s, nil
}

// Path is what smtpd_sasl_path says.
func (s *Logins) Path() string { return "inet:" + s.listener.Addr().String() }

// Close ends the server.
func (s *Logins) Close() { s.listener.Close() }

func (s *Logins) serve() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return
		}
		go s.talk(c)
	}
}

// talk answers one smtpd: the greeting, then a line for each AUTH.
func (s *Logins) talk(c net.Conn) {
	defer c.Close()
	fmt.Fprint(c, "VERSION\t1\t1\nMECH\tPLAIN\tplaintext\nSPID\t1\nCUID\t1\nDONE\n")
	for lines := bufio.NewScanner(c); lines.Scan(); {
		fields := strings.Split(lines.Text(), "\t")
		if fields[0] != "AUTH" || len(fields) < 3 {
			continue
		}
		_, response, _ := strings.Cut(lines.Text(), "\tresp=")
		plain, err := base64.StdEncoding.DecodeString(response)
		if err != nil || strings.TrimPrefix(string(plain), "\x00") != s.want {
			fmt.Fprintf(c, "FAIL\t%s\tuser=%s\n", fields[1], s.user)
			continue
		}
		fmt.Fprintf(c, "OK\t%s\tuser=%s\n", fields[1], s.user)
	}
}
