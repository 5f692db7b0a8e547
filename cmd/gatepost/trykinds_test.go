package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost.example/filter/play"
)

// kind is one of the everyday mails as it lies in a mailbox, and what becomes of it there.
type kind struct {
	session string   // in testdata/sessions/thirty-mails
	folder  string   // where it was delivered
	becomes outcome  // as README's table says, but where table is another
	table   outcome  // what the table says that a mailbox cannot show; "" where it is what becomes of it
	rests   string   // what of the memory would have made the difference; "" where it is no fact of the memory
	say     []string // names that would mean two things in the one DNS of all kinds, and others for them
}

// The two SPF records that the cases give esp.example, as one.
var oneSPF = []string{
	`esp.example TXT "v=spf1 ip4:192.0.2.1 -all"`, `esp.example TXT "v=spf1 ip4:192.0.2.1 ip4:203.0.113.1 -all"`,
	`esp.example TXT "v=spf1 ip4:203.0.113.1 -all"`, `esp.example TXT "v=spf1 ip4:192.0.2.1 ip4:203.0.113.1 -all"`,
}

// unlisted is another address for who is on the blocklist of other cases.
var unlisted = []string{"203.0.113.1", "203.0.113.30"}

// kinds are all but 16, password guessing, which leaves no message. What is never delivered stands for mail of before Gatepost. Where the
// table's outcome rests on what no mailbox shows, the one here is another:
//
//	03d, 04b, 28b  the table takes the client for known and good, who vouches: Junk. Here every sender is new: refused as a spoof
//	28a            on day one the memory is not settled: Junk. Here it is
//	31             the list's signature is known and good: Junk. Here it is new
//	26a            the ESP's address has a good record: taken. Here it is as new as 26b
//	14a, 14b       the 201st stranger of a day is put off. One message tells of no rate: what a user sends is taken
//	17a            the 601st message of an hour is put off. Here it is the first
//	20c            DNS was out and the mail was put off. It answers today, and the mail is right
//
// 01b is put off and in by retry, in the table too: taken. 15a meets 421 in the table for its rate, and here 450 for its sender: both times put off.
func kinds() []kind {
	return []kind{
		{session: "01a-newsletter", becomes: taken, say: oneSPF},
		{session: "01b-newsletter-over", becomes: taken, say: oneSPF},
		{session: "02-forwarded-dkim-intact", becomes: taken},
		{session: "03a-list-footer", becomes: tagged},
		{session: "03b-list-trusted-sealer", becomes: taken},
		{session: "03c-list-allowed", becomes: taken, say: []string{"list.example", "allowed.example"}},
		{session: "03d-sealed-spoof", becomes: refused, table: tagged, rests: "client.reputation = good"},
		{session: "04a-invitation", becomes: taken},
		{session: "04b-invitation-forwarded", becomes: refused, table: tagged, rests: "client.reputation = good", say: unlisted},
		{session: "05-bank-forwarded-broken", folder: ".Junk", becomes: tagged},
		{session: "06-cron", becomes: taken},
		{session: "07a-webmail-login", becomes: taken},
		{session: "07b-webmail-no-login", becomes: taken},
		{session: "08-printer", becomes: taken},
		{session: "09a-backup-mx", becomes: taken},
		{session: "09b-backup-mx-spoof", folder: ".Junk", becomes: tagged},
		{session: "10-bounce-of-reject-host", folder: ".Junk", becomes: tagged, say: []string{"bank.example", "host.example"}},
		{session: "11a-srs-dkim-broken", folder: ".Junk", becomes: tagged},
		{session: "11b-srs-dkim-broken-famous", folder: ".Junk", becomes: tagged},
		{session: "12-ipv6-no-ptr", becomes: taken},
		{session: "13-new-small-firm", folder: ".Junk", becomes: taken},
		{session: "14a-cracked-account-one-message", folder: ".Junk", becomes: taken, table: deferred, rests: "over.user_strangers = true"},
		{session: "14b-cracked-account-many-messages", folder: ".Junk", becomes: taken, table: deferred, rests: "over.user_strangers = true"},
		{session: "15a-dictionary-attack", folder: ".Junk", becomes: deferred},
		{session: "15b-deferred-by-postgrey", becomes: taken, say: []string{"firm.example", "post.example"}},
		{session: "17a-snowshoe-limited", folder: ".Junk", becomes: taken, table: deferred, rests: "over.client_messages = true", say: []string{"snow.example", "drift.example"}},
		{session: "17b-snowshoe-not-good", becomes: taken},
		{session: "18a-our-name-none", becomes: taken, say: []string{"example.net", "example.com"}},
		{session: "18b-our-name-reject", becomes: refused},
		{session: "19a-spf-permerror-none", becomes: taken, say: []string{"typo.example", "slip.example"}},
		{session: "19b-spf-permerror-signed", becomes: taken},
		{session: "20a-dns-outage", becomes: taken, say: []string{"192.0.2.1", "192.0.2.20", "TIMEOUT", "SERVFAIL"}},
		{session: "20b-dns-outage-reject", becomes: deferred, say: []string{"192.0.2.1", "192.0.2.20", "TIMEOUT", "SERVFAIL", "bank.example", "outage.example"}},
		{session: "20b-dns-outage-reject", becomes: taken, table: deferred, say: []string{
			"192.0.2.1 PTR TIMEOUT", "", "192.0.2.1", "192.0.2.21", "TIMEOUT", `"v=spf1 ip4:192.0.2.21 -all"`, "bank.example", "passing.example"}}, // 20c
		{session: "21-dsn-from-known-host", becomes: taken},
		{session: "22-dmarc-report", becomes: taken},
		{session: "23-attachment", becomes: taken},
		{session: "24-smtputf8", folder: ".Junk", becomes: refused},
		{session: "25a-postmaster-alone", becomes: taken},
		{session: "25b-postmaster-and-another", becomes: taken},
		{session: "26a-good-esp-listed", becomes: refused, table: taken, rests: "client.reputation = good", say: oneSPF},
		{session: "26b-new-esp-listed", becomes: refused, say: oneSPF},
		{session: "26c-poor-esp-listed", becomes: refused, say: oneSPF},
		{session: "27a-spoof-list-id", becomes: refused},
		{session: "27b-spoof-copied-signature", folder: ".Junk", becomes: tagged},
		{session: "27c-spoof-null-sender", folder: ".Junk", becomes: tagged},
		{session: "28a-spoof-by-provider-day-one", becomes: refused, table: tagged, rests: "memory.settled = false", say: unlisted},
		{session: "28b-spoof-by-provider-later", becomes: refused, table: tagged, rests: "client.reputation = good", say: unlisted},
		{session: "29-user-from-listed-address", becomes: taken},
		{session: "30-read-receipt", becomes: taken},
		{session: "31-list-strips-signature", becomes: refused, table: tagged, rests: "signer.reputation = good"},
	}
}

// delivered gives the message of a kind as a mail store has it, with the fields that the mail server of a brand wrote on top, and the zone.
func delivered(t *testing.T, k kind, brand int, at time.Time) (text, zone string) {
	t.Helper()
	path := filepath.Join(root, "testdata/sessions/thirty-mails", k.session+".txtar")
	c, err := play.ReadCase(path, []byte(strings.NewReplacer(k.say...).Replace(read(t, path))))
	if err != nil {
		t.Fatal(err)
	}
	said := map[string][]string{}
	for _, command := range c.Session {
		if said[command.Verb] == nil {
			said[command.Verb] = command.Words
		}
	}
	body := "From: " + said["mail"][0] + "\n\nhello\n" // of a session that ends at RCPT
	for _, one := range c.Files {
		body = strings.ReplaceAll(string(one), "\r\n", "\n")
	}
	sender, rcpt := said["mail"][0], said["rcpt"][0]
	helo, date := said["helo"][0], at.Format(time.RFC1123Z)
	if said["connect"][0] == "local" {
		return fmt.Sprintf("Return-Path: %s\nDelivered-To: %s\nReceived: by mx.example.net (Postfix, from userid 0)\n\tid 4F; %s\n%s", sender, strings.Trim(rcpt, "<>"), date, body), c.DNS
	}
	address := said["connect"][0]
	address = strings.Trim(address[:strings.LastIndexByte(address, ':')], "[]")
	literal := address
	if strings.Contains(address, ":") {
		literal = "IPv6:" + address
	}
	with := "ESMTPS"
	if said["auth"] != nil {
		with = "ESMTPSA"
	}
	received := []string{
		fmt.Sprintf("from %s (unknown [%s])\n\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits))\n\tby mx.example.net (Postfix) with %s id 4F\n\tfor %s; %s", helo, literal, with, rcpt, date),
		fmt.Sprintf("from %s ([%s]) by mx.example.net (8.17.1/8.17.1) with %s id 4F\n\tfor %s; %s", helo, literal, with, rcpt, date),
		fmt.Sprintf("from [%s] (helo=%s)\n\tby mx.example.net with %s (Exim 4.97) (envelope-from %s) id 1a-2b\n\tfor %s; %s", address, helo, strings.ToLower(with), sender, strings.Trim(rcpt, "<>"), date),
	}[brand%3]
	return fmt.Sprintf("Return-Path: %s\nDelivered-To: %s\nReceived: from mx.example.net by store.example.net with LMTP id 7x\n\tfor %s; %s\n"+
		"Received: from localhost (localhost [127.0.0.1]) by mx.example.net (Postfix) with ESMTP id 4G; %s\nX-Spam-Flag: YES\nGatepost-Id: 7K3Q-9MXA\n"+
		"Authentication-Results: mx.example.net; dmarc=pass header.from=bank.example\nReceived: %s\n%s",
		sender, strings.Trim(rcpt, "<>"), rcpt, date, date, received, body), c.DNS
}

// mailbox2000 makes the mailboxes of four users with n messages of every kind, in turns of the brands of mail servers, and the zone for all.
func mailbox2000(t *testing.T, dir string, n int) (zone string) {
	t.Helper()
	now := time.Now()
	seen := map[string]bool{}
	for k, kind := range kinds() {
		for i := range n {
			at := now.Add(-time.Duration(k*n+i) * time.Minute)
			text, dns := delivered(t, kind, i, at)
			if i == 0 {
				for line := range strings.Lines(dns) {
					if !seen[line] {
						seen[line], zone = true, zone+line
					}
				}
			}
			folder := filepath.Join(dir, "example.net", fmt.Sprintf("user%d", i%4), "Maildir", kind.folder, "cur")
			if err := os.MkdirAll(folder, 0o755); err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(folder, fmt.Sprintf("%d.M%dP%d.host:2,S", at.Unix(), k, i)), text)
		}
	}
	return zone
}
