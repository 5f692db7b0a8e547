package main

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"time"
)

// zone is the DNS of the demo; KEY is the public key that signs.
const zone = `
192.0.2.1 PTR mail.example.org
mail.example.org A 192.0.2.1
mail.example.org TXT "v=spf1 a -all"
example.org MX 10 mail.example.org
example.org TXT "v=spf1 ip4:192.0.2.1 -all"
_dmarc.example.org TXT "v=DMARC1; p=reject"
s._domainkey.example.org TXT "v=DKIM1; k=ed25519; p=KEY"
shop.example MX 10 mail.shop.example
shop.example TXT "v=spf1 ip4:192.0.2.1 ip6:2001:db8::25 -all"
2001:db8::25 PTR mail6.shop.example
mail6.shop.example AAAA 2001:db8::25
198.51.100.1 PTR forwarder.example
forwarder.example A 198.51.100.1
forwarder.example MX 10 forwarder.example
bank.example MX 10 mail.bank.example
bank.example TXT "v=spf1 ip4:192.0.2.77 -all"
_dmarc.bank.example TXT "v=DMARC1; p=reject"
s._domainkey.bank.example TXT "v=DKIM1; k=ed25519; p=KEY"
silent.example MX 10 mail.silent.example
silent.example TXT TIMEOUT
_dmarc.silent.example TXT "v=DMARC1; p=reject"
nomail.example MX 0 .
`

// mailing is one message of the demo.
type mailing struct {
	what   string
	client string // XCLIENT attributes
	helo   string
	sender string
	to     []string
	from   string // "" for no From field
	signer string // domain of a DKIM signature, "" for none
	above  string // fields above all others, before signing
	below  string // text added behind the signature
}

const (
	host      = "ADDR=192.0.2.1 NAME=mail.example.org"
	forwarder = "ADDR=198.51.100.1 NAME=forwarder.example"
	listed    = "ADDR=203.0.113.9 NAME=[UNAVAILABLE]"
	host6     = "ADDR=IPv6:2001:db8::25 NAME=mail6.shop.example"
	user      = "ADDR=198.51.100.7 NAME=[UNAVAILABLE] LOGIN=anna DESTPORT=587"
)

var toU = []string{"u@example.net"}

var mails = []mailing{
	{what: "an honest mail: SPF, DKIM and DMARC pass", client: host, helo: "mail.example.org", sender: "news@example.org", to: toU, from: "News <news@example.org>", signer: "example.org"},
	{what: "an invoice of a small firm: SPF only, no DMARC record", client: host, helo: "mail.example.org", sender: "info@shop.example", to: toU, from: "info@shop.example"},
	{what: "the bank's mail, forwarded: SPF fails, its signature holds", client: forwarder, helo: "forwarder.example", sender: "service@bank.example", to: toU, from: "service@bank.example", signer: "bank.example"},
	{what: "the bank's mail through a mailing list that adds a footer: Junk", client: forwarder, helo: "forwarder.example", sender: "list@forwarder.example", to: toU, from: "service@bank.example", signer: "bank.example", below: "-- \nthe list\n"},
	{what: "the bank spoofed: no signature at all", client: forwarder, helo: "forwarder.example", sender: "service@bank.example", to: toU, from: "Your bank <service@bank.example>"},
	{what: "the same with forged Authentication-Results and a List-Id", client: forwarder, helo: "forwarder.example", sender: "x@forwarder.example", to: toU, from: "service@bank.example",
		above: "Authentication-Results: mx.example.net; dmarc=pass header.from=bank.example\nList-Id: <pretence.example>\n"},
	{what: "two From fields", client: host, helo: "mail.example.org", sender: "news@example.org", to: toU, from: "news@example.org", above: "From: service@bank.example\n"},
	{what: "DNS does not answer for a p=reject domain: put off", client: forwarder, helo: "forwarder.example", sender: "a@silent.example", to: toU, from: "a@silent.example"},
	{what: "a client in list.block: decided at MAIL, spoken at RCPT", client: listed, helo: "x.example", sender: "spam@example.org", to: toU, from: "spam@example.org"},
	{what: "a good host writes to postmaster and to u: one transaction each", client: host, helo: "mail.example.org", sender: "news@example.org", to: []string{"postmaster@example.net", "u@example.net"}, from: "news@example.org"},
	{what: "a sender domain that takes no mail (null MX)", client: host, helo: "mail.example.org", sender: "a@nomail.example", to: toU, from: "a@nomail.example"},
	{what: "a sender domain that does not exist", client: host, helo: "mail.example.org", sender: "a@nowhere.example", to: toU, from: "a@nowhere.example"},
	{what: "a bounce, MAIL FROM:<>", client: host, helo: "mail.example.org", sender: "", to: toU, from: "MAILER-DAEMON@mail.example.org"},
	{what: "over IPv6", client: host6, helo: "mail6.shop.example", sender: "info@shop.example", to: toU, from: "info@shop.example"},
	{what: "no From field: a rule that only observes says what it would do", client: host, helo: "mail.example.org", sender: "info@shop.example", to: toU},
	{what: "one of our users over the submission port", client: user, helo: "laptop", sender: "anna@example.net", to: toU, from: "anna@example.net"},
}

// sign adds a relaxed/relaxed signature over From and Subject (RFC 6376 3.7, RFC 8463).
func sign(text, domain string, key ed25519.PrivateKey) string {
	header, body, _ := strings.Cut(text, "\n\n")
	hash := sha256.Sum256([]byte(strings.ReplaceAll(body, "\n", "\r\n")))
	field := fmt.Sprintf("v=1; a=ed25519-sha256; c=relaxed/relaxed; d=%s; s=s; t=%d; h=From:Subject; bh=%s; b=",
		domain, time.Now().Unix(), base64.StdEncoding.EncodeToString(hash[:]))
	value := func(name string) string {
		_, rest, _ := strings.Cut("\n"+header, "\n"+name+": ")
		line, _, _ := strings.Cut(rest, "\n")
		return line
	}
	signed := sha256.Sum256([]byte("from:" + value("From") + "\r\nsubject:" + value("Subject") + "\r\ndkim-signature:" + field))
	return "DKIM-Signature: " + field + base64.StdEncoding.EncodeToString(ed25519.Sign(key, signed[:])) + "\n" + text
}
