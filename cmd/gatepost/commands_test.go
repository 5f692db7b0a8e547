package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatepost.example/filter/resolve/resolvetest"
)

// TestShippedPolicyIsGood: what a new installation gets is loaded against the real facts, refuses nothing, and can decide every rule.
func TestShippedPolicyIsGood(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "policy.toml"))
	if err != nil {
		t.Fatal(err)
	}
	status, out := run(t, string(text), "check", "POLICY")
	if status != exitDone || !strings.Contains(out, "good, mode observe, 22 rules") || strings.Contains(out, "never decides") {
		t.Errorf("exit status %d\n%s", status, out)
	}
	if !strings.HasSuffix(string(text), "\n") {
		t.Error("the file does not end with a line end")
	}
}

// TestCheckTellsTheOrderOfEvents: for each rule from where it can decide, and which rule above makes it wait.
func TestCheckTellsTheOrderOfEvents(t *testing.T) {
	policy := `
[list]
block = ["192.0.2.0/24"]
[[rule]]
name = "exempt"
when = 'dmarc.result == "pass"'
action = "accept"
[[rule]]
name = "blocked"
when = 'client.ip in list.block'
reply = "554 5.7.1 no"
[[rule]]
name = "everything"
when = 'true'
action = "accept"
[[rule]]
name = "late"
when = 'client.trusted'
reply = "450 4.7.1 no"
`
	status, out := run(t, policy, "check", "POLICY")
	if status != exitDone {
		t.Fatalf("exit status %d\n%s", status, out)
	}
	for _, want := range []string{
		`exempt               accept       can decide from data`,
		`blocked              554          can decide from data; waits for rule "exempt" above it`,
		`late                 450          never decides: rule "everything" above it is always true`,
	} {
		if !strings.Contains(out, want) {
			t.Errorf("there is no %q in\n%s", want, out)
		}
	}
	swapped := strings.Replace(policy, "dmarc.result == \"pass\"", "client.trusted", 1)
	if _, out := run(t, swapped, "check", "POLICY"); !strings.Contains(out, "blocked              554          can decide from connect; spoken at rcpt") {
		t.Errorf("an early rule is not said to decide early:\n%s", out)
	}
}

func TestCheckJSON(t *testing.T) {
	status, out := run(t, "[[rule]]\nname = \"a\"\nwhen = 'client.trusted'\naction = \"accept\"\n", "check", "--json", "POLICY")
	var got struct{ Rules, Findings []map[string]any }
	if err := json.Unmarshal([]byte(out), &got); err != nil || status != exitDone || len(got.Rules) != 1 || got.Rules[0]["decides"] != "connect" || got.Findings == nil {
		t.Errorf("exit status %d, %v\n%s", status, err, out)
	}
}

// TestRefusedPolicies: every mistake in one run, and exit status 1, from check and from serve alike.
func TestRefusedPolicies(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "testdata/policies/*.bad.toml"))
	if err != nil || len(files) < 10 {
		t.Fatalf("%d broken policies, %v", len(files), err)
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, command := range [][]string{{"check", "POLICY"}, {"serve", "--policy", "POLICY"}} {
			if status, out := run(t, string(text), command...); status != exitNo || !strings.Contains(out, "policy.toml:") {
				t.Errorf("%s of %s: exit status %d\n%s", command[0], path, status, out)
			}
		}
	}
}

// TestFactsNamesAll: the list that people read is the vocabulary.
func TestFactsNamesAll(t *testing.T) {
	status, out := run(t, "", "facts")
	if status != exitDone {
		t.Fatalf("exit status %d\n%s", status, out)
	}
	for _, name := range strings.Fields(`client.ip client.name client.ptr client.network client.iprev client.trusted server.role helo.name helo.fqdn
		helo.spf tls.version tls.cipher tls.bits auth.user auth.method sender.address sender.local sender.domain sender.empty sender.mx spf.result
		spf.domain spf.term rcpt.address rcpt.local rcpt.domain rcpt.count message.size message.list_id message.id author.address author.domain
		author.fields author.domains dkim.result dkim.domains dkim.author arc.result arc.trusted arc.sealer arc.dmarc dmarc.result dmarc.policy dmarc.domain dmarc.aligned_by time.hour
		time.weekday header("NAME") list.NAME`) {
		if !strings.Contains(out, "\n"+name+" ") && !strings.HasPrefix(out, name+" ") {
			t.Errorf("gatepost facts does not name %s", name)
		}
	}
}

// TestUsage: a mistake on the command line is one line that says what to do, with exit status 2.
func TestUsage(t *testing.T) {
	for _, args := range [][]string{
		{"chek"}, {"check", "--jsn"}, {"check", "a", "b"}, {"test"}, {"try"}, {"check", "/nowhere/policy.toml"},
		{"serve", "--policy", "/nowhere/policy.toml"}, {"test", "/nowhere.txtar"},
	} {
		if status, out := run(t, "", args...); status != exitUse || strings.TrimSpace(out) == "" || !strings.HasPrefix(out, "gatepost: ") {
			t.Errorf("gatepost %s: exit status %d: %q", strings.Join(args, " "), status, out)
		}
	}
	for _, word := range []string{"version", "--version"} {
		if status, out := run(t, "", word); status != exitDone || !strings.HasPrefix(out, "gatepost "+version) {
			t.Errorf("gatepost %s: exit status %d: %q", word, status, out)
		}
	}
}

// TestTry evaluates one message: the client from its Received field, the sender from Return-Path, DNS from a server.
func TestTry(t *testing.T) {
	server, err := resolvetest.NewServer(resolvetest.Must(`
example.org TXT "v=spf1 ip4:192.0.2.1 -all"
example.org MX 10 mail.example.org
mail.example.org A 192.0.2.1
192.0.2.1 PTR mail.example.org
_dmarc.example.org TXT "v=DMARC1; p=reject"
apart.test TXT "v=spf1 ip4:192.0.2.1 -all"
_dmarc.sub.apart.test TXT "v=DMARC1; p=reject"
`))
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	policy := "mode = \"enforce\"\n[server]\nname = \"mx.example.net\"\n[dns]\nservers = [\"" + server.Addr() + "\"]\n"
	message := filepath.Join(t.TempDir(), "message.eml")
	text := "Return-Path: <a@example.org>\r\nReceived: from localhost (localhost [127.0.0.1]) by mx.example.net\r\n" +
		"Received: from mail.example.org (mail.example.org [192.0.2.1])\r\n\tby mx.example.net (Postfix) with ESMTP id 1\r\n" +
		"From: a@example.org\r\nSubject: hello\r\n\r\nhello\r\n"
	if err := os.WriteFile(message, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	status, out := run(t, policy, "try", "--policy", "POLICY", message)
	if status != exitDone {
		t.Fatalf("exit status %d\n%s", status, out)
	}
	for _, want := range []string{"data none", "spf=pass smtp.mailfrom=example.org", "dmarc=pass header.from=example.org policy.dmarc=reject", `client.ip          = "192.0.2.1"`,
		`asked TXT "example.org": found "v=spf1 ip4:192.0.2.1 -all", ttl 5m0s, age 0s`, `asked TXT "_dmarc.example.org": found "v=DMARC1; p=reject", ttl `} {
		if !strings.Contains(out, want) {
			t.Errorf("there is no %q in\n%s", want, out)
		}
	}
	if status, out := run(t, policy, "try", "--policy", "POLICY", "--compare-7489", message); status != exitDone || !strings.Contains(out, "no difference") {
		t.Errorf("by the old way: exit status %d\n%s", status, out)
	}
	write(t, message, strings.Replace(text, "From: a@example.org", "From: a@sub.apart.test", 1))
	// A parent without a record is an organization of its own by RFC 9989 4.10.2, and not by the public suffix list (RFC 7489 3.2).
	if status, out := run(t, policy, "try", "--policy", "POLICY", "--from", "a@apart.test", "--compare-7489", message); status != exitDone ||
		!strings.Contains(out, "they differ; the organizational domain by the list is apart.test") {
		t.Errorf("where the ways differ: exit status %d\n%s", status, out)
	}
	write(t, message, text)
	if status, out := run(t, policy, "try", "--policy", "POLICY", "--ip", "198.51.100.9", message); status != exitDone || !strings.Contains(out, "dmarc=fail") {
		t.Errorf("from another address: exit status %d\n%s", status, out)
	}
}

// TestWhatIsNoCommand: what is typed wrong ends with status 2 and says what would be right, in one line.
func TestWhatIsNoCommand(t *testing.T) {
	for args, want := range map[string]string{
		"chek":             `gatepost: there is no command "chek" (did you mean check?)`,
		"mail":             "gatepost: there is no command \"mail\"; `gatepost --help` lists those that there are",
		"list shwo allow":  `gatepost: there is no command "list shwo" (did you mean show?)`,
		"setup exim":       "gatepost: there is no command \"setup exim\"; `gatepost setup --help` lists those that there are",
		"list add allow":   "gatepost: write it so: gatepost list add NAME ENTRY; `gatepost list add --help` tells more",
		"test":             "gatepost: write it so: gatepost test CASE.txtar...; `gatepost test --help` tells more",
		"check a b":        "gatepost: write it so: gatepost check [FILE]; `gatepost check --help` tells more",
		"history --most x": "gatepost: --most: \"x\" is no whole number; `gatepost history --help` shows what it takes",
		"check --strct":    "gatepost: unknown flag: --strct; `gatepost check --help` shows what it takes",
	} {
		var out bytes.Buffer
		if status := execute(strings.Fields(args), &out, &out); status != exitUse || out.String() != want+"\n" {
			t.Errorf("gatepost %s: exit status %d\n%swant\n%s", args, status, &out, want)
		}
	}
}

// TestCheckColumns: what the rules do stands in one column, however long a name or an action is.
func TestCheckColumns(t *testing.T) {
	policy := "[[rule]]\nname = \"a\"\nwhen = 'client.trusted'\naction = \"quarantine\"\nobserve = true\n[[rule]]\nname = \"a-rule-with-a-rather-long-name\"\nwhen = 'client.trusted'\nreply = \"450 4.7.1 no\"\n"
	_, out := run(t, policy, "check", "POLICY")
	at := map[int]bool{}
	for line := range strings.Lines(out) {
		if i := strings.Index(line, " can decide "); i >= 0 {
			at[i] = true
		}
	}
	if len(at) != 1 {
		t.Errorf("the columns are %v:\n%s", at, out)
	}
}
