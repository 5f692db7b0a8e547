package postfix

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/emersion/go-msgauth/dkim"
)

// site is what all tests share; each sets the policy it needs.
var site *Site

// senders sign the test mails.
var senders *Senders

// binary is the daemon under test.
var binary string

// provoked reports whether a warning is what a test asked for: a bad policy, a tripped limit, forged fields without end, an old protocol, the open
// relay that TestDoctor makes, or a recipient elsewhere once the daemon has seen enough to know its own domains.
func provoked(line string) bool {
	for _, words := range []string{"policy not reloaded", "limit tripped", "not known as ours", "more forged fields than", "offers less than Postfix"} {
		if strings.Contains(line, words) {
			return true
		}
	}
	return false
}

func TestMain(m *testing.M) {
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	missing := Missing()
	if missing != "" {
		fmt.Println("tests with a real Postfix need", missing)
		if os.Getenv("GATEPOST_CI") != "" {
			return 1
		}
		fmt.Println("left out: all but those of starting the daemon")
		flag.Parse()
		flag.Set("test.run", "^TestStartErrors$")
	}
	folder, err := NewFolder("gatepost-test-", "")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer folder.Remove()
	if senders, err = NewSenders(); err != nil {
		fmt.Println(err)
		return 1
	}
	if binary = os.Getenv("GATEPOST_BINARY"); binary == "" { // as root by sudo there may be no go
		if binary, err = Build(context.Background(), "../..", folder.Path); err != nil {
			fmt.Println(err)
			return 1
		}
	}
	if missing != "" {
		return m.Run()
	}
	if site, err = StartSite(context.Background(), binary, senders.Zone(), "mode = \"enforce\"\n", nil); err != nil {
		fmt.Println(err)
		return 1
	}
	status := m.Run()
	for line := range strings.Lines(site.Log()) {
		if !strings.Contains(line, `"level":"INFO"`) && !provoked(line) {
			fmt.Print("the daemon warns: ", line)
			status = 1
		}
	}
	if err := site.Close(); err != nil {
		fmt.Println("the end:", err)
		status = 1
	}
	return status
}

// sign gives a message a DKIM signature of a domain, by another implementation than ours.
func sign(t *testing.T, text, domain string, edit func(*dkim.SignOptions)) string {
	t.Helper()
	signed, err := senders.Sign(text, domain, edit)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// dial connects as a client with an address; helo is mail.example.org.
func dial(t *testing.T, address, attributes string) *Client {
	t.Helper()
	c, err := Dial(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if reply, err := c.From(attributes, "mail.example.org"); err != nil || !strings.HasPrefix(reply, "250") {
		t.Fatalf("XCLIENT %s: %q, %v", attributes, reply, err)
	}
	return c
}

// good and bad are the two clients of most tests.
const (
	good = "ADDR=192.0.2.1 NAME=mail.example.org"
	bad  = "ADDR=198.51.100.1 NAME=[UNAVAILABLE]"
)

// want says a command and compares the beginning of the reply.
func want(t *testing.T, c *Client, command, reply string) {
	t.Helper()
	got, err := c.Do("%s", command)
	if err != nil || !strings.HasPrefix(got, reply) {
		t.Fatalf("%s: %q, %v; want %q", command, got, err, reply)
	}
}

func setPolicy(t *testing.T, policy string) {
	t.Helper()
	if err := site.SetPolicy(policy); err != nil {
		t.Fatal(err)
	}
}

func shipped(t *testing.T, edit ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "policy.toml"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer(append([]string{`mode = "observe"`, `mode = "enforce"`}, edit...)...).Replace(string(text))
}

// unique gives each message a subject of its own, by which it is found in the mailbox.
var counter int

func subject() string {
	counter++
	return fmt.Sprintf("test-%d-of-gatepost", counter)
}

func mail(from, subject string) string { return Mail(from, subject) }

// delivered waits for a message and gives its header with folds undone.
func delivered(t *testing.T, user, subject string) string {
	t.Helper()
	text, err := site.Postfix.Delivered(user, "Subject: "+subject+"\n")
	if err != nil {
		t.Fatal(err)
	}
	header, _, _ := strings.Cut(text, "\n\n")
	return strings.NewReplacer("\n\t", " ", "\n ", " ").Replace(header)
}
