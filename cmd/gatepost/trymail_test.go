package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost.example/filter/play"
	"gatepost.example/filter/resolve/resolvetest"
)

// kind is one of the thirty everyday mails as it lies in a mailbox, and what becomes of it by the table in README. Those that rest on
// rates, on who is known, on an unsettled memory, or on DNS that fails for a while are not among them: delivered mail does not tell that.
type kind struct {
	session string // in testdata/sessions/thirty-mails
	folder  string // where it was delivered
	becomes outcome
}

func kinds() []kind {
	return []kind{
		{"01a-newsletter", "", taken},
		{"02-forwarded-dkim-intact", "", taken},
		{"03a-list-footer", "", tagged},
		{"04a-invitation", "", taken},
		{"05-bank-forwarded-broken", ".Junk", tagged},
		{"06-cron", "", taken},
		{"07a-webmail-login", "", taken},
		{"07b-webmail-no-login", "", taken},
		{"08-printer", "", taken},
		{"09a-backup-mx", "", taken},
		{"09b-backup-mx-spoof", ".Junk", tagged},
		{"11a-srs-dkim-broken", ".Junk", tagged},
		{"12-ipv6-no-ptr", "", taken},
		{"13-new-small-firm", ".Junk", taken},
		{"18b-our-name-reject", "", refused},
		{"19a-spf-permerror-none", "", taken},
		{"22-dmarc-report", "", taken},
		{"24-smtputf8", ".Junk", refused},
		{"25a-postmaster-alone", "", taken},
		{"26b-new-esp-listed", "", refused},
		{"27a-spoof-list-id", "", refused},
		{"27b-spoof-copied-signature", ".Junk", tagged},
		{"27c-spoof-null-sender", ".Junk", tagged},
	}
}

// delivered gives the message of a session as a mail store has it, with the fields that the mail server of a brand wrote on top, and the zone.
func delivered(t *testing.T, session string, brand int, at time.Time) (text, zone string) {
	t.Helper()
	path := filepath.Join(root, "testdata/sessions/thirty-mails", session+".txtar")
	c, err := play.ReadCase(path, []byte(read(t, path)))
	if err != nil {
		t.Fatal(err)
	}
	said := map[string][]string{}
	for _, command := range c.Session {
		if said[command.Verb] == nil {
			said[command.Verb] = command.Words
		}
	}
	body := "From: jürgen@bücher.example\n\nhello\n" // of a session that ends at RCPT
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
			text, dns := delivered(t, kind.session, i, at)
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

// tryPolicy gives the policy as it comes, in mode observe, with a DNS server, a relay, the test's blocklist and a folder of its own.
func tryPolicy(t *testing.T, server, directory string) string {
	t.Helper()
	return strings.NewReplacer(
		"[dns]\n", fmt.Sprintf("[dns]\nservers = [%q]\n", server),
		"[trust]\n", "[trust]\nrelays = [\"203.0.113.5\"]\n",
		"[server]\n", fmt.Sprintf("[server]\ndirectory = %q\n", directory),
	).Replace(read(t, filepath.Join(root, "policy.toml"))) +
		"\n[[dnsbl]]\nname = \"bl\"\nzone = \"bl.example\"\nurl = \"https://bl.example/{client.ip}\"\nweight = { \"127.0.0.2\" = 4 }\n"
}

// TestTryMailbox: of two thousand messages of the everyday kinds as many end in each way as the table of the thirty mails says, those that
// would end otherwise than where they lie are named, and with --store each of them is explained by its id.
func TestTryMailbox(t *testing.T) {
	const each = 87
	dir := t.TempDir()
	zone := mailbox2000(t, dir+"/vmail", each) + "2.0.0.127.bl.example A 127.0.0.2\n"
	server, err := resolvetest.NewServer(resolvetest.Must(zone))
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	write(t, dir+"/policy.toml", tryPolicy(t, server.Addr(), dir+"/state"))
	if err := os.Mkdir(dir+"/state", 0o755); err != nil {
		t.Fatal(err)
	}
	sent := dir + "/vmail/example.net/user0/Maildir/.Sent/cur"
	if err := os.MkdirAll(sent, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, fmt.Sprintf("%s/%d.M1.host", sent, time.Now().Unix()), "From: u@example.net\nTo: A Friend <friend@friend.example>, x@y.example\n\nhello\n")
	var out bytes.Buffer
	if status := execute([]string{"try", "--policy", dir + "/policy.toml", "--store", "--json", dir + "/vmail"}, &out, &out); status != exitDone {
		t.Fatalf("exit status %d\n%s", status, &out)
	}
	var report tryReport
	if err := json.Unmarshal(out.Bytes(), &report); err != nil {
		t.Fatal(err)
	}
	want := map[string]map[outcome]int{"INBOX": {}, "Junk": {}, "Sent": {}}
	otherwise := map[string]int{}
	for _, k := range kinds() {
		folder := "INBOX"
		if k.folder != "" {
			folder = "Junk"
		}
		want[folder][k.becomes] += each
		if (folder == "INBOX") != (k.becomes == taken) && (folder == "INBOX" || k.becomes == taken) {
			otherwise[folder+" "+string(k.becomes)] += each
		}
	}
	for _, f := range report.Folders {
		if fmt.Sprint(f.By) != fmt.Sprint(want[f.Folder]) || f.Unknown > 0 {
			t.Errorf("%s: %v, %d unknown; want %v", f.Folder, f.By, f.Unknown, want[f.Folder])
		}
	}
	if len(report.Folders) != 3 || len(report.Reasons) > 0 {
		t.Errorf("%d folders, unknown for %v", len(report.Folders), report.Reasons)
	}
	for _, c := range report.Changes {
		otherwise[c.Folder+" "+string(c.Outcome)] -= c.Count
	}
	for which, n := range otherwise {
		if n != 0 {
			t.Errorf("otherwise: %s: %d too few", which, n)
		}
	}
	for _, c := range report.Changes {
		id := c.Examples[0].ID
		out.Reset()
		if status := execute([]string{"explain", "--policy", dir + "/policy.toml", id}, &out, &out); status != exitDone || c.Rule != "" && !strings.Contains(out.String(), c.Rule) {
			t.Errorf("gatepost explain %s: exit status %d, want rule %s in\n%s", id, status, c.Rule, &out)
		}
	}
	checkOneAndAll(t, dir, report)
	if report.Learned != 2 {
		t.Errorf("%d recipients of sent mail were learned, want 2", report.Learned)
	}
	out.Reset()
	if status := execute([]string{"replay", "--policy", dir + "/policy.toml", "--since", "30d", dir + "/policy.toml"}, &out, &out); status != exitDone || !strings.Contains(out.String(), "2001") {
		t.Errorf("gatepost replay: exit status %d\n%s", status, &out)
	}
}

// checkOneAndAll: the text for people, and that one message by itself is judged as it was among the others.
func checkOneAndAll(t *testing.T, dir string, report tryReport) {
	t.Helper()
	var out bytes.Buffer
	if status := execute([]string{"try", "--policy", dir + "/policy.toml", dir + "/vmail/example.net/user1/Maildir"}, &out, &out); status != exitDone {
		t.Fatalf("exit status %d\n%s", status, &out)
	}
	for _, want := range []string{": 506 messages since", "Wanted mail that would not reach the inbox untouched: 88\n", "in INBOX: refused by spoofed, from", "Junk that would pass: 22\n", "What cannot be known"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
	for _, c := range report.Changes {
		out.Reset()
		if status := execute([]string{"try", "--policy", dir + "/policy.toml", c.Examples[0].File}, &out, &out); status != exitDone || c.Rule != "" && !strings.Contains(out.String(), "rule "+c.Rule) && !strings.Contains(out.String(), "X-Spam-Flag: YES") {
			t.Errorf("gatepost try %s: exit status %d, want rule %s in\n%s", c.Examples[0].File, status, c.Rule, &out)
		}
	}
}

// TestTryMbox: an mbox, what cannot be told of some of its messages and why, and one of them by itself.
func TestTryMbox(t *testing.T) {
	server, err := resolvetest.NewServer(resolvetest.Must("firm.example MX 10 mail.firm.example\nfirm.example TXT \"v=spf1 ip4:192.0.2.1 -all\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	dir := t.TempDir()
	write(t, dir+"/policy.toml", tryPolicy(t, server.Addr(), dir))
	received := "Received: from mail.firm.example (unknown [192.0.2.1])\n\tby mx.example.net (Postfix) with ESMTP id 4F for <u@example.net>; x\n"
	var box strings.Builder
	for _, text := range []string{
		"Return-Path: <a@firm.example>\n" + received + "From: a@firm.example\n\nhello\n",
		// What stands below our own field is the sender's: it makes nobody trusted.
		"Return-Path: <a@firm.example>\n" + received + "Received: by mx.example.net (Postfix, from userid 0) id 1\nReturn-Path: <root@example.net>\nFrom: a@firm.example\n\nhello\n",
		"From: a@firm.example\n\nno Received\n",
		"Return-Path: <a@firm.example>\nReceived: from mail.firm.example by mx.example.net with ESMTP id 4F; x\n" + received + "From: a@firm.example\n\nno address\n",
		received + "From: a@firm.example\n\nno sender\n",
	} {
		fmt.Fprintf(&box, "From a@firm.example %s\n%s\n", time.Now().UTC().Format(time.ANSIC), text)
	}
	box.WriteString("From a@firm.example Tue Nov  3 12:00:00 2020\n" + received + "\ntoo old\n")
	write(t, dir+"/Archive", box.String())
	var out bytes.Buffer
	if status := execute([]string{"try", "--policy", dir + "/policy.toml", dir + "/Archive"}, &out, &out); status != exitDone {
		t.Fatalf("exit status %d\n%s", status, &out)
	}
	for _, want := range []string{
		": 5 messages since", "         5      2       0     0         0        0          0        3  Archive\n",
		"1: a Received field of our own machines names no address\n", "1: neither Return-Path nor a Received field tells the sender\n", "1: no Received field tells who the client was\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
	out.Reset()
	if status := execute([]string{"try", "--policy", dir + "/policy.toml", dir + "/Archive#2"}, &out, &out); status != exitDone || !strings.Contains(out.String(), `client.ip          = "192.0.2.1"`) || !strings.Contains(out.String(), "spf=pass smtp.mailfrom=firm.example") {
		t.Errorf("one of them: exit status %d\n%s", status, &out)
	}
	for args, want := range map[string]string{"--since x": "write for example 12h or 30d", "--ip 192.0.2.1": "the other flags go with one message"} {
		out.Reset()
		if status := execute(append(append([]string{"try", "--policy", dir + "/policy.toml"}, strings.Fields(args)...), dir+"/Archive"), &out, &out); status != exitUse || !strings.Contains(out.String(), want) {
			t.Errorf("try %s: exit status %d, %s", args, status, &out)
		}
	}
}
