package sendmail

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/emersion/go-msgauth/dkim"

	"gatepost.example/testdata/debian"
	"gatepost.example/testdata/postfix"
)

// forged is a host whose name has another address.
const forged = Forged + " PTR forged.example.org\nforged.example.org A 192.0.2.99\n"

// What all tests share; each sets the policy it needs.
var (
	site    *postfix.Site // Gatepost and its DNS
	mta     *Instance
	senders *postfix.Senders
	binary  string // the daemon under test
)

// cache is where the tree is kept.
var cache = filepath.Join("..", "..", ".cache")

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	if missing := Missing(); missing != "" {
		fmt.Println("tests with a real Sendmail need", missing)
		if os.Getenv("GATEPOST_CI") != "" {
			return 1
		}
		fmt.Println("left out: all")
		return 0
	}
	if !debian.Inside() {
		if err := Prepare(cache); err != nil {
			fmt.Println(err)
			return 1
		}
		status, err := debian.RunInside()
		if err != nil {
			fmt.Println("tests with a real Sendmail need a network of its own:", err)
			if os.Getenv("GATEPOST_CI") != "" {
				return 1
			}
			fmt.Println("left out: all")
		}
		return status
	}
	end, err := begin()
	if err != nil {
		fmt.Println(err)
		return 1
	}
	status := m.Run()
	for line := range strings.Lines(site.Log()) {
		if !strings.Contains(line, `"level":"INFO"`) {
			fmt.Print("the daemon warns: ", line)
			status = 1
		}
	}
	if err := end(); err != nil {
		fmt.Println("the end:", err)
		status = 1
	}
	return status
}

// begin starts all; what it gives ends it.
func begin() (end func() error, err error) {
	if err := RaiseNetwork(); err != nil {
		return nil, err
	}
	folder, err := postfix.NewFolder("gatepost-test-", "")
	if err != nil {
		return nil, err
	}
	ends := []func() error{folder.Remove}
	end = func() error {
		var errs []error
		for i := len(ends) - 1; i >= 0; i-- {
			errs = append(errs, ends[i]())
		}
		return errors.Join(errs...)
	}
	if binary = os.Getenv("GATEPOST_BINARY"); binary == "" { // as root by sudo there may be no go
		if binary, err = postfix.Build(context.Background(), "../..", folder.Path); err != nil {
			return nil, errors.Join(err, end())
		}
	}
	if senders, err = postfix.NewSenders(); err != nil {
		return nil, errors.Join(err, end())
	}
	if site, err = postfix.StartGatepost(binary, nameserver, senders.Zone()+forged, "mode = \"enforce\"\n"); err != nil {
		return nil, errors.Join(err, end())
	}
	ends = append(ends, site.Close)
	if mta, err = New(cache); err != nil {
		return nil, errors.Join(err, end())
	}
	ends = append(ends, mta.Close)
	if err := setUp(); err != nil {
		return nil, errors.Join(err, end())
	}
	if err := mta.Start(); err != nil {
		return nil, errors.Join(err, end())
	}
	return end, nil
}

// setupOutput is what gatepost setup sendmail --apply printed.
var setupOutput string

// setUp wires Sendmail to Gatepost as an admin does, with the program and the policy in the tree.
func setUp() error {
	for from, to := range map[string]string{binary: "/usr/bin/gatepost", site.PolicyFile(): "/etc/gatepost/policy.toml"} {
		if err := copyFile(from, mta.Tree.Path(to)); err != nil {
			return err
		}
	}
	var err error
	setupOutput, err = mta.Tree.Run("gatepost setup sendmail --apply")
	return err
}

func copyFile(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// dial connects from an address and says EHLO.
func dial(t *testing.T, own string) *postfix.Client {
	t.Helper()
	at := At(25)
	if strings.Contains(own, ":") {
		at = At6(25)
	}
	return dialAt(t, own, at)
}

func dialAt(t *testing.T, own, at string) *postfix.Client {
	t.Helper()
	c, err := postfix.DialFrom(own, at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if !strings.HasPrefix(c.Last, "220 ") {
		t.Fatalf("the greeting is %q", c.Last)
	}
	want(t, c, "EHLO mail.example.org", "250")
	return c
}

// want says a command and compares the beginning of the reply.
func want(t *testing.T, c *postfix.Client, command, reply string) {
	t.Helper()
	got, err := c.Do("%s", command)
	if err != nil || !strings.HasPrefix(got, reply) {
		t.Fatalf("%s: %q, %v; want %q; Sendmail says\n%s", command, got, err, reply, logEnd())
	}
}

// wantMessage sends a message and compares the beginning of the reply.
func wantMessage(t *testing.T, c *postfix.Client, text, reply string) {
	t.Helper()
	got, err := c.Message(text)
	if err != nil || !strings.HasPrefix(got, reply) {
		t.Fatalf("the end of the message: %q, %v; want %q; Sendmail says\n%s", got, err, reply, logEnd())
	}
}

func logEnd() string {
	text := mta.Log()
	return text[max(0, len(text)-3000):]
}

func setPolicy(t *testing.T, policy string) {
	t.Helper()
	if err := site.SetPolicy(policy); err != nil {
		t.Fatal(err)
	}
}

func sign(t *testing.T, text, domain string, edit func(*dkim.SignOptions)) string {
	t.Helper()
	signed, err := senders.Sign(text, domain, edit)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

var counter int

func subject() string {
	counter++
	return fmt.Sprintf("test-%d-of-sendmail", counter)
}

// send sends a message from an address to u@example.net in a connection of its own and gives the last reply.
func send(t *testing.T, own, sender, text string) string {
	t.Helper()
	c := dial(t, own)
	reply, err := c.Mail(sender, "u@example.net", text)
	if err != nil {
		t.Fatal(err)
	}
	return reply
}

// deliveredRaw waits for a message and gives it as it was delivered.
func deliveredRaw(t *testing.T, user, subject string) string {
	t.Helper()
	text, err := mta.Mail.Delivered(user, "Subject: "+subject+"\n")
	if err != nil {
		t.Fatalf("%v; Sendmail says\n%s", err, logEnd())
	}
	return text
}

// delivered gives the header alone, with folds undone.
func delivered(t *testing.T, user, subject string) string {
	t.Helper()
	header, _, _ := strings.Cut(deliveredRaw(t, user, subject), "\n\n")
	return strings.NewReplacer("\n\t", " ", "\n ", " ").Replace(header)
}
