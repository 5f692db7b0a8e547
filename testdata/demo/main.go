// Command demo sends real mail through a private Postfix with Gatepost behind it, and prints what each message got and why. It uses the
// policy that a new installation gets, in enforce mode, and a DNS zone of its own. Everything is gone afterwards.
package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"gatepost.example/testdata/postfix"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run() error {
	if missing := postfix.Missing(); missing != "" {
		return fmt.Errorf("this needs %s; run it by `make demo` as root", missing)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	dir, err := os.MkdirTemp("", "gatepost-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	fmt.Println("building gatepost, starting a private Postfix behind it ...")
	binary, err := postfix.Build(ctx, ".", dir)
	if err != nil {
		return err
	}
	policy, err := demoPolicy("policy.toml")
	if err != nil {
		return err
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	zone := strings.ReplaceAll(zone, "KEY", base64.StdEncoding.EncodeToString(public))
	site, err := postfix.StartSite(ctx, binary, zone, policy, nil)
	if err != nil {
		return err
	}
	defer site.Close()
	d := demo{site: site, key: private}
	fmt.Printf("\n"+row, "", "WHAT WAS SENT", "DECIDED", "SPOKEN", "BY RULE")
	for i, m := range mails {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := d.send(i+1, m); err != nil {
			return err
		}
	}
	fmt.Println("\nThe rules are those of policy.toml; `gatepost check policy.toml` says from when each can decide. Everything of this demo is gone now.")
	return nil
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
		{`  # "198.51.100.0/24",`, `  "203.0.113.0/24",`},
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

func (d *demo) send(number int, m mailing) error {
	c, err := postfix.Dial(d.site.Postfix.SMTP)
	if err != nil {
		return err
	}
	defer c.Close()
	if reply, err := c.From(m.client, m.helo); err != nil || !strings.HasPrefix(reply, "250") {
		return fmt.Errorf("mail %d: EHLO: %q, %w", number, reply, err)
	}
	subject := fmt.Sprintf("demo %d", number)
	stage, reply, err := d.talk(c, m, subject)
	if err != nil {
		return fmt.Errorf("mail %d: %w", number, err)
	}
	d.printRow(number, m, stage, reply)
	if stage == "data" && strings.HasPrefix(reply, "250") {
		return d.printDelivered(subject)
	}
	return nil
}

// talk says one message and gives where it ended and the reply there.
func (d *demo) talk(c *postfix.Client, m mailing, subject string) (stage, reply string, err error) {
	if reply, err = c.Do("MAIL FROM:<%s>", m.sender); err != nil || reply[0] != '2' {
		return "mail", reply, err
	}
	taken := false
	for _, to := range m.to {
		answer, err := c.Do("RCPT TO:<%s>", to)
		if err != nil {
			return "rcpt", answer, err
		}
		if len(m.to) > 1 {
			reply += to + ": " + answer + "; "
		} else {
			reply = answer
		}
		taken = taken || answer[0] == '2'
	}
	if !taken {
		return "rcpt", reply, nil
	}
	reply, err = c.Message(d.text(m, subject))
	return "data", reply, err
}

func (d *demo) text(m mailing, subject string) string {
	text := fmt.Sprintf("From: %s\nTo: u@example.net\nSubject: %s\nDate: %s\nMessage-ID: <%d@demo.example>\n\nhello\n",
		m.from, subject, time.Now().Format(time.RFC1123Z), time.Now().UnixNano())
	text = m.above + text
	if m.signer != "" {
		text = sign(text, m.signer, d.key)
	}
	return text + m.below
}

// row is the form of the table: number, what was sent, decided at, spoken at, rule.
const row = "%2s  %-68s %-8s %-7s %s\n"

// printRow prints what the daemon logged of a message, one line a decision, and the reply.
func (d *demo) printRow(number int, m mailing, stage, reply string) {
	var news []map[string]any
	for range 40 { // the line of a message's end may come after Postfix's reply
		if news = d.site.Decisions()[d.seen:]; len(news) > 0 {
			break
		}
		time.Sleep(25 * time.Millisecond)
	}
	d.seen += len(news)
	first, what := fmt.Sprint(number), m.what
	for _, line := range news {
		text := func(key, none string) string {
			if v, ok := line[key].(string); ok && v != "" {
				return v
			}
			return none
		}
		rule := text("rule", "none: taken")
		if text("action", "") == "452" {
			rule = "none: " + text("recipients", "") + " put off"
		}
		if tagged := text("tagged", ""); tagged != "" {
			rule += ", tagged by " + tagged
		}
		fmt.Printf(row, first, what, text("decided", "-"), text("spoken", "-"), rule)
		first, what = "", ""
	}
	fmt.Printf("    reply at %s: %s\n", stage, reply)
}

// printDelivered prints what the recipient sees of Gatepost.
func (d *demo) printDelivered(subject string) error {
	for _, user := range []string{"u", "postmaster"} {
		if user == "u" && subject == postmasterOnly {
			continue
		}
		message, err := d.site.Postfix.Delivered(user, "Subject: "+subject+"\n")
		if err != nil {
			return err
		}
		header, _, _ := strings.Cut(message, "\n\n")
		printing := false
		for line := range strings.SplitSeq(header, "\n") {
			if line[0] != ' ' && line[0] != '\t' {
				printing = strings.HasPrefix(line, "Authentication-Results: "+postfix.Hostname) || strings.HasPrefix(line, "X-Spam-Flag") || strings.HasPrefix(line, "X-Gatepost-Would")
			}
			if printing {
				fmt.Println("    | " + strings.ReplaceAll(line, "\t", "    "))
			}
		}
		return nil
	}
	return nil
}
