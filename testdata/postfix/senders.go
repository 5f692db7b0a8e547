package postfix

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/emersion/go-msgauth/dkim"
)

// Senders are the domains that send mail in tests, with the keys by which they sign.
type Senders struct {
	Key     ed25519.PrivateKey // of the selector s
	RSA     *rsa.PrivateKey    // of the selector rsa
	records map[string]string  // key records, by selector
}

// NewSenders makes the keys.
func NewSenders() (*Senders, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	long, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(&long.PublicKey)
	if err != nil {
		return nil, err
	}
	return &Senders{private, long, map[string]string{
		"s":   "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(public),
		"rsa": "v=DKIM1; p=" + base64.StdEncoding.EncodeToString(der),
	}}, nil
}

// Zone is the DNS of the tests: senders of every kind. 192.0.2.1 and 2001:db8::1 are good hosts, 198.51.100.1 one that may send for nobody.
func (s *Senders) Zone() string {
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
		for selector, record := range s.records {
			fmt.Fprintf(&b, "%s._domainkey.%s TXT %q\n", selector, d.name, record)
		}
	}
	b.WriteString("mail.sub.example MX 10 mail.sub.example\nmail.sub.example TXT \"v=spf1 ip4:192.0.2.1 -all\"\n")
	b.WriteString("silent.example MX 10 mail.silent.example\nsilent.example TXT TIMEOUT\ns._domainkey.silent.example TXT TIMEOUT\n")
	b.WriteString("_dmarc.silent.example TXT \"v=DMARC1; p=reject\"\n")
	return b.String()
}

// Sign gives a message, its lines ended by LF, a DKIM signature of a domain by another implementation than ours; edit may change how.
func (s *Senders) Sign(text, domain string, edit func(*dkim.SignOptions)) (string, error) {
	options := &dkim.SignOptions{Domain: domain, Selector: "s", Signer: s.Key,
		HeaderCanonicalization: dkim.CanonicalizationRelaxed, BodyCanonicalization: dkim.CanonicalizationRelaxed}
	if edit != nil {
		edit(options)
	}
	var out bytes.Buffer
	if err := dkim.Sign(&out, strings.NewReader(strings.ReplaceAll(text, "\n", "\r\n")), options); err != nil {
		return "", err
	}
	return strings.ReplaceAll(out.String(), "\r\n", "\n"), nil
}

// Mail gives a short message to u@example.net.
func Mail(from, subject string) string {
	return fmt.Sprintf("From: %s\nTo: u@example.net\nSubject: %s\nDate: Tue, 24 Nov 2026 12:00:00 +0000\nMessage-ID: <%s@example.org>\n\nhello\n", from, subject, subject)
}

// AcceptAll is a policy that trusts nobody and takes everything.
const AcceptAll = "mode = \"enforce\"\n[trust]\nnetworks = []\n"

// Rule gives a policy that trusts nobody and whose one rule refuses when its condition is true; more are keys of the rule or what follows it.
func Rule(condition, reply, more string) string {
	return AcceptAll + fmt.Sprintf("[[rule]]\nname = \"r\"\nwhen = '''%s'''\nreply = \"%s\"\n%s\n", condition, reply, more)
}

// Conditions are true for the mail that the tests send, each known from its stage on.
func Conditions() map[string]string {
	return map[string]string{
		"connect": `client.ip == "198.51.100.1"`,
		"helo":    `helo.name == "mail.example.org"`,
		"mail":    `sender.domain == "example.org"`,
		"rcpt":    `rcpt.local == "u"`,
		"data":    `author.domain == "example.org"`,
	}
}
