package postfix

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
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

// key signs the test mails, rsaKey those that the selector rsa signs.
var (
	key    ed25519.PrivateKey
	rsaKey *rsa.PrivateKey
)

// binary is the daemon under test.
var binary string

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
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	key = private
	if binary = os.Getenv("GATEPOST_BINARY"); binary == "" { // as root by sudo there may be no go
		if binary, err = Build(context.Background(), "../..", folder.Path); err != nil {
			fmt.Println(err)
			return 1
		}
	}
	if missing != "" {
		return m.Run()
	}
	records, err := keyRecords(public)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	if site, err = StartSite(context.Background(), binary, zone(records), "mode = \"enforce\"\n", nil); err != nil {
		fmt.Println(err)
		return 1
	}
	status := m.Run()
	for line := range strings.Lines(site.Log()) {
		if !strings.Contains(line, `"level":"INFO"`) && !strings.Contains(line, "policy not reloaded") && !strings.Contains(line, "limit tripped") {
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

// keyRecords gives the DNS records of both keys, by selector.
func keyRecords(public ed25519.PublicKey) (map[string]string, error) {
	var err error
	if rsaKey, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(&rsaKey.PublicKey)
	if err != nil {
		return nil, err
	}
	return map[string]string{
		"s":   "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(public),
		"rsa": "v=DKIM1; p=" + base64.StdEncoding.EncodeToString(der),
	}, nil
}

// zone is the DNS of the test: senders of every kind. 192.0.2.1 is a good host, 198.51.100.1 one that may send for nobody.
func zone(keys map[string]string) string {
	var b strings.Builder
	b.WriteString("192.0.2.1 PTR mail.example.org\nmail.example.org A 192.0.2.1\n")
	b.WriteString("2001:db8::1 PTR six.example.org\nsix.example.org AAAA 2001:db8::1\n")
	for _, d := range []struct{ name, spf, dmarc string }{
		{"example.org", "v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 -all", "v=DMARC1; p=reject"},
		{"none.example", "v=spf1 ip4:192.0.2.1 -all", "v=DMARC1; p=none"},
		{"quarantine.example", "v=spf1 ip4:192.0.2.1 -all", "v=DMARC1; p=quarantine"},
		{"sub.example", "v=spf1 ip4:192.0.2.1 -all", "v=DMARC1; p=none; sp=reject"},
		{"strict.example", "v=spf1 ip4:192.0.2.1 -all", "v=DMARC1; p=reject; aspf=s; adkim=s"},
		{"nodmarc.example", "v=spf1 ip4:192.0.2.1 -all", ""},
		{"soft.example", "v=spf1 ~all", ""},
		{"neutral.example", "v=spf1 ?all", ""},
		{"nospf.example", "", ""},
		{"permerror.example", "v=spf1 foo:bar -all", ""},
	} {
		fmt.Fprintf(&b, "%s MX 10 mail.%s\nmail.%s A 192.0.2.1\n", d.name, d.name, d.name+".x.example")
		if d.spf != "" {
			fmt.Fprintf(&b, "%s TXT %q\n", d.name, d.spf)
		}
		if d.dmarc != "" {
			fmt.Fprintf(&b, "_dmarc.%s TXT %q\n", d.name, d.dmarc)
		}
		for selector, record := range keys {
			fmt.Fprintf(&b, "%s._domainkey.%s TXT %q\n", selector, d.name, record)
		}
	}
	b.WriteString("mail.sub.example MX 10 mail.sub.example\nmail.sub.example TXT \"v=spf1 ip4:192.0.2.1 -all\"\n")
	b.WriteString("silent.example MX 10 mail.silent.example\nsilent.example TXT TIMEOUT\ns._domainkey.silent.example TXT TIMEOUT\n")
	b.WriteString("_dmarc.silent.example TXT \"v=DMARC1; p=reject\"\n")
	return b.String()
}

// sign gives a message a DKIM signature of a domain, by another implementation than ours.
func sign(t *testing.T, text, domain string, edit func(*dkim.SignOptions)) string {
	t.Helper()
	options := &dkim.SignOptions{Domain: domain, Selector: "s", Signer: key,
		HeaderCanonicalization: dkim.CanonicalizationRelaxed, BodyCanonicalization: dkim.CanonicalizationRelaxed}
	if edit != nil {
		edit(options)
	}
	var out bytes.Buffer
	if err := dkim.Sign(&out, strings.NewReader(strings.ReplaceAll(text, "\n", "\r\n")), options); err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(out.String(), "\r\n", "\n")
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

func mail(from, subject string) string {
	return fmt.Sprintf("From: %s\nTo: u@example.net\nSubject: %s\nDate: Tue, 24 Nov 2026 12:00:00 +0000\nMessage-ID: <%s@example.org>\n\nhello\n", from, subject, subject)
}

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
