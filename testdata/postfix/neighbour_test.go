package postfix

import (
	"net"
	"strings"
	"sync"
	"testing"

	gomilter "github.com/d--j/go-milter"
)

// neighbour is another milter before or after ours: it edits a message, and keeps the fields that it was shown.
type neighbour struct {
	gomilter.NoOpMilter
	edit func(gomilter.Modifier) error
	mu   *sync.Mutex
	seen *[]string
}

func (n *neighbour) Header(name, value string, _ gomilter.Modifier) (*gomilter.Response, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	*n.seen = append(*n.seen, name+":"+value)
	return gomilter.RespContinue, nil
}

func (n *neighbour) EndOfMessage(m gomilter.Modifier) (*gomilter.Response, error) {
	if err := n.edit(m); err != nil {
		return nil, err
	}
	return gomilter.RespAccept, nil
}

// startNeighbour gives the milter's address for main.cf, and what will tell the fields that it saw.
func startNeighbour(t *testing.T, edit func(gomilter.Modifier) error) (address string, seen func() []string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var fields []string
	s := gomilter.NewServer(
		gomilter.WithMilter(func() gomilter.Milter { return &neighbour{edit: edit, mu: &mu, seen: &fields} }),
		gomilter.WithActions(gomilter.AllClientSupportedActionMasks), gomilter.WithProtocols(gomilter.OptHeaderLeadingSpace))
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return "inet:" + l.Addr().String(), func() []string {
		mu.Lock()
		defer mu.Unlock()
		return fields
	}
}

// TestNeighbours: between two other milters. Fields that the one before added above Postfix's Received, in the middle and below are numbered as Postfix
// numbers them, so that exactly those under our name go; the one behind sees ours.
func TestNeighbours(t *testing.T) {
	setPolicy(t, ForgedPolicy)
	before, _ := startNeighbour(t, func(m gomilter.Modifier) error {
		for _, err := range []error{
			m.InsertHeader(0, "X-First", " top"),
			m.InsertHeader(0, "Authentication-Results", " mx.example.net; dkim=pass header.d=forged1.example"),
			m.InsertHeader(2, "Authentication-Results", " before.example; dkim=pass header.d=foreign1.example"),
			m.AddHeader("Authentication-Results", " mx.example.net; dkim=pass header.d=forged3.example"),
			m.AddHeader("Gatepost-Id", " forged4.example"),
			m.ChangeHeader(1, "Comments", " changed\n\tand folded"),
			m.ChangeHeader(1, "X-Gone", ""),
			m.ReplaceBody(strings.NewReader("another body\r\n.with a dot\r\nand no line end")),
		} {
			if err != nil {
				return err
			}
		}
		return nil
	})
	behind, seen := startNeighbour(t, func(gomilter.Modifier) error { return nil })
	other, err := Start(t.Context(), strings.Join([]string{before, "inet:" + site.milter, behind}, ", "), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Stop()
	c := dial(t, other.SMTP, good)
	s := subject()
	text := "Authentication-Results: mx.example.net; dkim=pass header.d=forged2.example\nX-Gone: forged5.example\nComments: forged6.example\nX-Spam-Flag: NO\n" +
		"Authentication-Results: sender.example; dkim=pass header.d=foreign2.example\n" + mail("a@example.org", s)
	if got, err := c.Mail("marked@example.org", "u@example.net", text); err != nil || !strings.HasPrefix(got, "250") {
		t.Fatalf("%q, %v", got, err)
	}
	message, err := other.Delivered("u", "Subject: "+s+"\n")
	if err != nil {
		t.Fatal(err)
	}
	for words, times := range map[string]int{
		"forged": 0, "foreign1.example": 1, "foreign2.example": 1, "Authentication-Results: mx.example.net;": 1, "Gatepost-Id: ": 1, "X-Spam-Flag: YES\n": 1, "X-Spam-Flag": 1,
		"Comments: changed\n\tand folded\n": 1, "X-First: top\n": 1, "\n\nanother body\n.with a dot\nand no line end\n": 1,
	} {
		if got := strings.Count(message, words); got != times {
			t.Errorf("%q stands there %d times, not %d:\n%s", words, got, times, message)
		}
	}
	if fields := seen(); len(fields) < 3 || !strings.HasPrefix(fields[0], "Authentication-Results: mx.example.net;\n\tiprev=pass") || !strings.HasPrefix(fields[1], "Gatepost-Id: ") {
		t.Errorf("the milter behind ours saw %q", fields)
	}
}

// TestOldProtocols: what main.cf may make of the protocol: earlier versions, and macros that nobody configured.
func TestOldProtocols(t *testing.T) {
	setPolicy(t, ForgedPolicy)
	for _, version := range []string{"2", "3", "4"} {
		other, err := Start(t.Context(), "inet:"+site.milter, map[string]string{
			"milter_protocol": version, "milter_connect_macros": "", "milter_helo_macros": "", "milter_mail_macros": "", "milter_rcpt_macros": "",
			"milter_data_macros": "", "milter_end_of_header_macros": "", "milter_end_of_data_macros": "",
		})
		if err != nil {
			t.Fatal(err)
		}
		defer other.Stop()
		c := dial(t, other.SMTP, good)
		want(t, c, "MAIL FROM:<marked@example.org>", "250")
		want(t, c, "RCPT TO:<nobody@example.net>", "550 5.1.1")
		want(t, c, "RCPT TO:<u@example.net>", "250")
		s := subject()
		text := "X-Spam-Flag: NO\nAuthentication-Results: mx.example.net; dkim=pass header.d=forged.example\nX-Close:value\nX-Empty:\n" + foreign(1) + mail("a@example.org", s)
		if got, err := c.Message(sign(t, text, "example.org", nil)); err != nil || !strings.HasPrefix(got, "250") {
			t.Fatalf("version %s: %q, %v", version, got, err)
		}
		message, err := other.Delivered("u", "Subject: "+s+"\n")
		if err != nil {
			t.Fatal(err)
		}
		for _, words := range []string{"\n\tdkim=pass header.d=example.org", "\n\tdmarc=pass header.from=example.org", "\nX-Spam-Flag: YES\n", "\n" + foreign(1), "\nX-Close:value\n", "\nGatepost-Id: "} {
			if !strings.Contains(message, words) {
				t.Errorf("version %s: no %q:\n%s", version, words, message)
			}
		}
		if strings.Contains(message, "forged.example") || strings.Contains(message, "X-Spam-Flag: NO") {
			t.Errorf("version %s: something forged is left:\n%s", version, message)
		}
	}
}
