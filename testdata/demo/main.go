// Command demo sends real mail through a private Postfix with Gatepost behind it, and prints what each message got and why. It uses the
// policy that a new installation gets, in enforce mode, and a DNS zone of its own. Everything is gone afterwards.
package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"gatepost.example/testdata/postfix"
)

func main() {
	binary := flag.String("gatepost", "", "the daemon; built when there is none")
	flag.Parse()
	if err := run(*binary); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(binary string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if binary == "" {
		fmt.Println("building gatepost ...")
		folder, err := postfix.NewFolder("gatepost-demo-", "")
		if err != nil {
			return err
		}
		defer folder.Remove()
		if binary, err = postfix.Build(ctx, ".", folder.Path); err != nil {
			return err
		}
	}
	if os.Getuid() != 0 {
		return asRoot(ctx, binary)
	}
	if missing := postfix.Missing(); missing != "" {
		return fmt.Errorf("this needs %s; `make demo` installs it", missing)
	}
	policy, err := demoPolicy("policy.toml")
	if err != nil {
		return err
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	fmt.Println("starting a private Postfix with gatepost behind it ...")
	zone := strings.ReplaceAll(zone, "KEY", base64.StdEncoding.EncodeToString(public))
	site, err := postfix.StartSite(ctx, binary, zone, policy, nil)
	if err != nil {
		return err
	}
	err = (&demo{site: site, key: private}).sendAll(ctx)
	if err := errors.Join(err, site.Close()); err != nil {
		return err
	}
	fmt.Println("\nThe rules are those of policy.toml; `gatepost check policy.toml` says from when each can decide.")
	fmt.Println("Everything of this demo is gone.")
	return nil
}

// asRoot runs the demo anew by sudo, because Postfix begins as root and drops its privileges itself.
func asRoot(ctx context.Context, binary string) error {
	sudo, err := exec.LookPath("sudo")
	if err != nil {
		return errors.New("a Postfix is started by root, and there is no sudo: run `make demo` as root")
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	c := exec.CommandContext(ctx, sudo, self, "-gatepost", binary)
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	return c.Run()
}

// demoPolicy gives the shipped policy in enforce mode, with one listed network, and with nobody trusted, so that all mail is a stranger's.
func demoPolicy(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("run it in the project's folder: %w", err)
	}
	policy := string(text)
	for _, edit := range [][2]string{
		{`mode = "observe"`, `mode = "enforce"`},
		{`#networks = ["127.0.0.0/8", "::1"]`, `networks = ["127.0.0.2/32"]`},
		{"\nblock = []", "\nblock = [\"203.0.113.0/24\"]"},
	} {
		if !strings.Contains(policy, edit[0]) {
			return "", fmt.Errorf("%s has no line %s", filepath.Base(path), edit[0])
		}
		policy = strings.Replace(policy, edit[0], edit[1], 1)
	}
	return policy, nil
}

// demo sends mails and prints what became of them.
type demo struct {
	site *postfix.Site
	key  ed25519.PrivateKey
	seen int // decisions that were printed
}

func (d *demo) sendAll(ctx context.Context) error {
	fmt.Printf("\n"+row, "", "WHAT WAS SENT", "DECIDED", "SPOKEN", "BY RULE")
	for i, m := range mails {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := d.send(i+1, m); err != nil {
			return fmt.Errorf("mail %d: %w", i+1, err)
		}
	}
	return nil
}

// maxTransactions bounds how often recipients that were put off are tried again.
const maxTransactions = 3

// send sends one message, and to recipients that were put off once more, as a sender's queue does.
func (d *demo) send(number int, m mailing) error {
	c, err := postfix.Dial(d.site.Postfix.SMTP)
	if err != nil {
		return err
	}
	defer c.Close()
	if reply, err := c.From(m.client, m.helo); err != nil || !strings.HasPrefix(reply, "250") {
		return fmt.Errorf("EHLO: %q, %w", reply, err)
	}
	first, what, to := fmt.Sprint(number), m.what, m.to
	for try := range maxTransactions {
		subject := fmt.Sprintf("demo %d.%d", number, try+1)
		t, err := d.talk(c, m, to, subject)
		if err != nil {
			return err
		}
		d.printDecisions(first, what)
		for _, reply := range t.replies {
			printWrapped(reply)
		}
		if t.delivered {
			if err := d.printDelivered(t.taken[0], subject); err != nil {
				return err
			}
		}
		if len(t.putOff) == 0 || len(t.taken) == 0 {
			return nil
		}
		first, what, to = "", "the same, sent again to whom was put off", t.putOff
	}
	return nil
}

// transaction is what became of one MAIL with its recipients.
type transaction struct {
	replies       []string // what is worth showing, with where it was said
	taken, putOff []string
	delivered     bool
}

func (d *demo) talk(c *postfix.Client, m mailing, recipients []string, subject string) (transaction, error) {
	var t transaction
	reply, err := c.Do("MAIL FROM:<%s>", m.sender)
	if err != nil || reply[0] != '2' {
		t.replies = append(t.replies, "reply to MAIL: "+reply)
		return t, err
	}
	for _, to := range recipients {
		reply, err := c.Do("RCPT TO:<%s>", to)
		if err != nil {
			return t, err
		}
		switch {
		case reply[0] == '2':
			t.taken = append(t.taken, to)
			continue
		case strings.HasPrefix(reply, "452"):
			t.putOff = append(t.putOff, to)
		}
		t.replies = append(t.replies, "reply to RCPT "+to+": "+reply)
	}
	if len(t.taken) == 0 {
		return t, nil
	}
	reply, err = c.Message(d.text(m, subject))
	t.replies = append(t.replies, "reply to DATA: "+reply)
	t.delivered = strings.HasPrefix(reply, "250")
	return t, err
}

func (d *demo) text(m mailing, subject string) string {
	text := fmt.Sprintf("To: u@example.net\nSubject: %s\nDate: %s\nMessage-ID: <%d@demo.example>\n\nhello\n",
		subject, time.Now().Format(time.RFC1123Z), time.Now().UnixNano())
	if m.from != "" {
		text = "From: " + m.from + "\n" + text
	}
	text = m.above + text
	if m.signer != "" {
		text = sign(text, m.signer, d.key)
	}
	return text + m.below
}
