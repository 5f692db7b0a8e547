package submission

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

const (
	maxReply    = 100_000          // bytes of a reply (socketmap_table(5))
	maxWait     = 5 * time.Second  // for one lookup with all its reading and writing
	maxAge      = 10 * time.Second // of a remembered reply
	maxEntries  = 1024             // remembered replies
	maxRemember = 4096             // bytes of a key with its reply, to be remembered
)

// socketmap asks a server (socketmap_table(5)). The server may stand before tables of Postfix (mysql:, pgsql:, ldap:), with NAME as their
// name there: so those work, too. It sees the full address only: "Postfix will not generate partial search keys".
type socketmap struct {
	spec  spec
	turn  chan struct{} // holds one token; who takes it may use conn, in and closed
	conn  net.Conn      // nil: none
	in    *bufio.Reader // reads from conn
	ended bool          // close was called
	cache *lru.Cache[string, remembered]
	now   func() time.Time
}

// remembered is a reply of a short while ago.
type remembered struct {
	value string
	found bool
	until time.Time
}

// newSocketmap makes a table. It does not connect.
func newSocketmap(s spec) (*socketmap, error) {
	cache, err := lru.New[string, remembered](maxEntries)
	if err != nil {
		return nil, err
	}
	m := &socketmap{spec: s, turn: make(chan struct{}, 1), cache: cache, now: time.Now}
	m.turn <- struct{}{}
	return m, nil
}

// lookup implements table.
func (m *socketmap) lookup(ctx context.Context, key string) (value, where string, found bool, err error) {
	reply, ok := m.recall(key)
	if !ok {
		if reply, err = m.ask(ctx, key); err != nil {
			return "", "", false, fmt.Errorf("%s: %w", m.spec.text, err)
		}
	}
	return reply.value, fmt.Sprintf("%s, %q", m.spec.text, key), reply.found, nil
}

// recall gives a reply that is not too old.
func (m *socketmap) recall(key string) (remembered, bool) {
	reply, ok := m.cache.Get(key)
	return reply, ok && m.now().Before(reply.until)
}

// ask waits for its turn and asks the server.
func (m *socketmap) ask(ctx context.Context, key string) (remembered, error) {
	ctx, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	select {
	case <-m.turn:
	case <-ctx.Done():
		return remembered{}, fmt.Errorf("no turn to ask: %w; is the server slow?", ctx.Err())
	}
	defer func() { m.turn <- struct{}{} }()
	if m.ended {
		return remembered{}, errors.New("it is closed; open the tables anew")
	}
	if reply, ok := m.recall(key); ok { // asked by the one before
		return reply, nil
	}
	text, err := m.exchange(ctx, netstring(m.spec.name+" "+key))
	if err != nil {
		return remembered{}, fmt.Errorf("%w; is a socketmap server running there?", err)
	}
	reply, err := understand(text)
	if err != nil {
		return remembered{}, err
	}
	reply.until = m.now().Add(maxAge)
	if len(key)+len(reply.value) <= maxRemember {
		m.cache.Add(key, reply)
	}
	return reply, nil
}

// understand reads a reply (REPLY FORMAT in socketmap_table(5)).
func understand(text string) (remembered, error) {
	word, rest, _ := strings.Cut(text, " ")
	switch word {
	case "OK":
		return remembered{value: rest, found: true}, nil
	case "NOTFOUND":
		return remembered{}, nil
	case "TEMP", "TIMEOUT", "PERM":
		return remembered{}, fmt.Errorf("the server says %s %.200q; look at the server's log", word, rest)
	}
	return remembered{}, fmt.Errorf("the server's reply %.40q is none; is it a socketmap server?", text)
}

// exchange sends a request and reads the reply, on the connection that is there. The server may have ended that one since, so a new one is
// tried once. What is left of a connection with trouble is not used again: a late reply would be taken for the next one's.
func (m *socketmap) exchange(ctx context.Context, request string) (string, error) {
	kept := m.conn != nil
	text, err := m.try(ctx, request)
	if err != nil && kept && gone(err) && ctx.Err() == nil {
		text, err = m.try(ctx, request)
	}
	if err != nil && (ctx.Err() != nil || timedOut(err)) {
		return "", fmt.Errorf("no reply in time: %w", err)
	}
	return text, err
}

// gone reports whether an error says that the connection is no more: neither that time is up, nor that a reply made no sense.
func gone(err error) bool { return !errors.Is(err, errNetstring) && !timedOut(err) }

// timedOut reports whether an error of the network says that time is up.
func timedOut(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// try asks once.
func (m *socketmap) try(ctx context.Context, request string) (text string, err error) {
	if err := m.connect(ctx); err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			m.drop()
		}
	}()
	conn := m.conn
	deadline, _ := ctx.Deadline() // ask has set one
	if err := conn.SetDeadline(deadline); err != nil {
		return "", err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer func() {
		if !stop() { // the deadline of the next lookup could be overwritten
			m.drop()
		}
	}()
	if _, err := io.WriteString(conn, request); err != nil {
		return "", err
	}
	if text, err = readNetstring(m.in, maxReply); err != nil {
		return "", err
	}
	if m.in.Buffered() > 0 {
		return "", fmt.Errorf("%w: more came after it", errNetstring)
	}
	return text, nil
}

// connect makes a connection if there is none.
func (m *socketmap) connect(ctx context.Context) error {
	if m.conn != nil {
		return nil
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, m.spec.network, m.spec.address)
	if err != nil {
		return err
	}
	m.conn, m.in = conn, bufio.NewReader(conn)
	return nil
}

// drop ends the connection.
func (m *socketmap) drop() {
	if m.conn != nil {
		_ = m.conn.Close()
		m.conn, m.in = nil, nil
	}
}

// partial implements table.
func (m *socketmap) partial() bool { return false }

// changed implements table: nothing of it was read from a file.
func (m *socketmap) changed() bool { return false }

// close implements table. It waits for a lookup that is under way, which ends within maxWait.
func (m *socketmap) close() error {
	<-m.turn
	m.ended = true
	m.drop()
	m.turn <- struct{}{}
	return nil
}
