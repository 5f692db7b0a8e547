package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost.example/filter/resolve/resolvetest"
)

// tryPolicy gives the policy as it comes, in mode observe, with a DNS server, a relay, the test's blocklist and a folder of its own.
func tryPolicy(t *testing.T, server, directory string) string {
	t.Helper()
	return strings.NewReplacer(
		"[dns]\n", fmt.Sprintf("[dns]\nservers = [%q]\n", server),
		"[trust]\n", "[trust]\nrelays = [\"203.0.113.5\"]\narc_sealers = [\"list.example\"]\n",
		"allow = []\n", "allow = [\"allowed.example\"]\n",
		"[server]\n", fmt.Sprintf("[server]\ndirectory = %q\n", directory),
	).Replace(read(t, filepath.Join(root, "policy.toml"))) +
		"\n[[dnsbl]]\nname = \"bl\"\nzone = \"bl.example\"\nurl = \"https://bl.example/{client.ip}\"\nweight = { \"127.0.0.2\" = 4 }\n"
}

// each is how many messages of each of the 51 kinds lie in the mailbox.
const each = 40

// checkTotals counts by hand what kinds() lists, and what each group of those that would end otherwise rests on.
func checkTotals(t *testing.T, report tryReport) {
	t.Helper()
	for folder, want := range map[string]map[outcome]int{
		// 25 kinds and 20c are taken, 03a is tagged, 20b put off; refused are 18b, 26b, 26c, 27a, and for what is not known 03d, 04b, 26a, 28a, 28b, 31.
		"INBOX": {taken: 26 * each, tagged: each, deferred: each, refused: 10 * each},
		// Tagged are 05, 09b, 10, 11a, 11b, 27b, 27c; taken 13, and for what is not known 14a, 14b, 17a; put off 15a, refused 24.
		"Junk": {tagged: 7 * each, taken: 4 * each, deferred: each, refused: each},
		"Sent": {},
	} {
		i := slices.IndexFunc(report.Folders, func(f *folderTotal) bool { return f.Folder == folder })
		if i < 0 || fmt.Sprint(report.Folders[i].By) != fmt.Sprint(want) || report.Folders[i].Unknown > 0 {
			t.Errorf("%s: %+v; want %v", folder, report.Folders[max(i, 0)], want)
		}
	}
	if len(report.Folders) != 3 || len(report.Reasons) > 0 {
		t.Errorf("%d folders, unknown for %v", len(report.Folders), report.Reasons)
	}
	for _, k := range kinds() { // where the table says otherwise because of the memory, try says so
		if k.rests != "" && !slices.ContainsFunc(report.Changes, func(c *change) bool { return c.Outcome == k.becomes && c.Rests[k.rests] >= each }) {
			t.Errorf("%s would be %s with %s: not said", k.session, k.table, k.rests)
		}
	}
	groups := map[string]*change{}
	for _, c := range report.Changes {
		groups[fmt.Sprintf("%s %s %s", c.Folder, c.Outcome, c.Rule)] = c
	}
	for name, want := range map[string]struct {
		count int
		rests map[string]int
	}{
		"INBOX tagged junk": {each, map[string]int{"client.reputation = good": 0}}, // 03a: who vouches makes no difference to Junk
		// All seven are refused because nobody vouches, though each is authenticated as somebody; 28a, 28b and 31 have a signature that passes.
		"INBOX refused spoofed":      {7 * each, map[string]int{"client.reputation = good": 7 * each, "signer.reputation = good": 7 * each, "memory.settled = false": 3 * each}},
		"INBOX refused blocklisted":  {3 * each, map[string]int{"client.reputation = good": 3 * each, "sender.correspondent = true": 3 * each}},
		"INBOX deferred dns-trouble": {each, map[string]int{"client.reputation = good": each}},
		"Junk taken ":                {2 * each, map[string]int{"over.client_messages = true": 2 * each, "client.reputation = bad": 2 * each}},
		"Junk taken our-users":       {2 * each, map[string]int{"over.user_strangers = true": 2 * each, "client.reputation = bad": 0}},
	} {
		c := groups[name]
		if c == nil || c.Count != want.count {
			t.Errorf("%s: %+v, want %d", name, c, want.count)
			continue
		}
		for said, n := range want.rests {
			if c.Rests[said] != n {
				t.Errorf("%s: %s for %d, want %d; %v", name, said, c.Rests[said], n, c.Rests)
			}
		}
		delete(groups, name)
	}
	if len(groups) > 0 {
		t.Errorf("groups beside: %v", groups)
	}
}

// TestTryOldMailbox: where all mail is older than --since, that is said in the place of a table without rows.
func TestTryOldMailbox(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(dir+"/Maildir/"+name, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, dir+"/Maildir/cur/1000000000.M1.host", "From: a@example.org\n\nhello\n") // 9 September 2001
	write(t, dir+"/policy.toml", tryPolicy(t, "127.0.0.1:1", dir))
	var out bytes.Buffer
	status := execute([]string{"try", "--policy", dir + "/policy.toml", dir + "/Maildir"}, &out, &out)
	if want := " --since TIME looks further back, as in --since 365d\n"; status != exitDone || !strings.HasPrefix(out.String(), dir+"/Maildir: no message was delivered since 20") || !strings.HasSuffix(out.String(), want) {
		t.Errorf("exit status %d\n%s", status, &out)
	}
}

// TestTryMailbox: of two thousand messages of the everyday kinds as many end in each way as the table of the thirty mails says or, where
// that rests on what no mailbox tells, as if it had been otherwise, which is said; those that
// would end otherwise than where they lie are named, and with --store each of them is explained by its id.
func TestTryMailbox(t *testing.T) {
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
	checkTotals(t, report)
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
	if status := execute([]string{"replay", "--policy", dir + "/policy.toml", "--since", "30d", dir + "/policy.toml"}, &out, &out); status != exitDone || !strings.Contains(out.String(), "2040 the same, 0 changed") {
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
	for _, want := range []string{": 510 messages since", "Wanted mail that would not reach the inbox untouched: 120\n", "in INBOX: refused by spoofed, from", "otherwise if at that time, which a mailbox does not tell, client.reputation = good (70), signer.reputation = good (70), memory.settled = false (30)\n", "Junk that would pass: 40\n",
		"What cannot be known from delivered mail: the DNS of then", "each message is judged as if its sender were new, in a settled memory", "rates and limits"} {
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
		// The mail store stands on another machine, whose address is none of trust.networks.
		"Return-Path: <a@firm.example>\nReceived: from mx.example.net ([198.51.100.80])\n\tby store.example.net with LMTP id 7x; x\n" + received + "From: a@firm.example\n\nhello\n",
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
		": 6 messages since", "         6      3       0     0         0        0          0        3  Archive\n",
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
	out.Reset()
	if status := execute([]string{"try", "--policy", dir + "/policy.toml", dir + "/Archive#6"}, &out, &out); status != exitDone || !strings.Contains(out.String(), `client.ip          = "192.0.2.1"`) {
		t.Errorf("by way of the mail store: exit status %d\n%s", status, &out)
	}
	write(t, dir+"/one.eml", "Return-Path: <a@firm.example>\n"+received+"\nhello\n")
	out.Reset()
	if status := execute([]string{"try", "--json", "--policy", dir + "/policy.toml", dir + "/one.eml"}, &out, &out); status != exitUse || !strings.Contains(out.String(), "is one message; --json, --store and --since go with a mailbox") {
		t.Errorf("one message in JSON: exit status %d\n%s", status, &out)
	}
	for args, want := range map[string]string{"--since x": "write for example 12h or 30d", "--ip 192.0.2.1": "the other flags go with one message"} {
		out.Reset()
		if status := execute(append(append([]string{"try", "--policy", dir + "/policy.toml"}, strings.Fields(args)...), dir+"/Archive"), &out, &out); status != exitUse || !strings.Contains(out.String(), want) {
			t.Errorf("try %s: exit status %d, %s", args, status, &out)
		}
	}
}
