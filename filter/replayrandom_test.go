package filter

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gatepost.example/filter/history"
	"gatepost.example/policy/policyfile"
)

// earlyAtoms and lateAtoms are conditions of which random policies are made: of every scope, of the memory and of DNS. Greylisting takes no late ones.
var earlyAtoms = []string{
	`client.ip in list.block`, `client.ip in list.allow`, `client.ip == "192.0.2.3"`, `client.name != ""`, `client.trusted`, `client.iprev == "pass"`, `client.iprev in ["fail", "permerror"]`,
	`client.dnsbl_score >= 2`, `client.dnsbl_score >= 4`, `"bl" in client.dnsbls`, `client.reputation == "new"`, `client.reputation in ["good", "neutral"]`,
	`server.role == "mx"`, `server.role == "submission"`, `time.hour >= 12`, `time.weekday in ["tuesday", "sunday"]`,
	`helo.name == "bad.example"`, `helo.fqdn`, `helo.resolves == "no"`, `helo.spf == "pass"`, `helo.ours`,
	`tls.version == ""`, `auth.user != ""`, `auth.user == "anna"`, `sender.empty`, `sender.domain in list.block`, `sender.address in list.allow`, `sender.mx == "null"`, `sender.mx == "none"`,
	`sender.correspondent`, `spf.result == "fail"`, `spf.result in ["pass", "none"]`, `spf.result == "temperror"`,
	`rcpt.local == "postmaster"`, `rcpt.domain == "example.net"`, `rcpt.address in list.allow`, `rcpt.count > 2`, `rcpt.local.startsWith("u")`,
	`memory.settled`, `over.messages`, `over.boxes`, `over.strangers`, `over.open`, `over.connections`, `over.harvest`, `over.domains`, `over.greeted`, `odd >= 2`,
}

var lateAtoms = []string{
	`author.domain == "bank.example"`, `author.fields != 1`, `author.domain in list.allow`, `author.domain == sender.domain`, `dkim.result == "none"`, `dmarc.result == "fail"`, `dmarc.policy == "reject"`,
	`message.size > 2000`, `header("X-Verdict").exists(v, v == "bad")`, `rcpt.local == "v" && header("X-Verdict").exists(v, v == "good")`, `arc.trusted`, `author.known`, `over.volume`, `author.owned`, `author.ours`,
}

// randomPolicy makes a policy of limits, lists and up to a dozen rules at random.
func randomPolicy(r *rand.Rand) string {
	var out strings.Builder
	any := func(all ...string) string { return all[r.IntN(len(all))] }
	fmt.Fprintf(&out, "mode = %q\n[server]\ndelay_reject = %v\n[trust]\nrelays = [\"203.0.113.5\"]\ninstead_of_refusal = %q\n[recipients]\nmixed = %q\n",
		any("enforce", "enforce", "enforce", "observe"), r.IntN(3) > 0, any("tag", "hold"), any("split", "split", "mildest"))
	out.WriteString(`[greylist]
delay = "1m"
[list]
allow = ["partner.example", "192.0.2.77", "vip@example.org", "a@example.net"]
block = ["198.51.100.0/28", ".spam.example", "null.example"]
[define]
odd = '(spf.result != "pass" ? 1 : 0) + (client.iprev != "pass" ? 1 : 0)'
[[dnsbl]]
name = "bl"
zone = "bl.example"
query = "client.ip"
weight = { "127.0.0.2" = 4, "127.0.0.4" = 2 }
`)
	for _, l := range [][3]string{
		{"messages", "messages", `["client.network"]`}, {"boxes", "recipients", `["rcpt.address"]`}, {"strangers", "first_time_recipients", `["auth.user"]`},
		{"volume", "bytes", `["sender.domain"]`}, {"connections", "connections", `["client.ip"]`}, {"harvest", "unknown_recipients", `["client.network"]`},
		{"domains", "messages", `["rcpt.domain"]`}, {"greeted", "connections", `["client.network"]`},
	} {
		fmt.Fprintf(&out, "[[limit]]\nname = %q\ncount = %q\nper = %s\nrate = \"%d/1h\"\n", l[0], l[1], l[2], 1+r.IntN(60))
		if l[0] == "greeted" {
			out.WriteString("when = 'helo.fqdn'\n")
		}
		if r.IntN(3) == 0 && l[0] == "messages" {
			out.WriteString("when = '" + any(`server.role == "mx"`, `auth.user == ""`, `client.reputation == "new"`) + "'\n")
		}
	}
	out.WriteString("[[limit]]\nname = \"open\"\ncount = \"sessions\"\nper = [\"client.ip\"]\nat_most = 4\n")
	for i := range 1 + r.IntN(12) {
		act := any(
			`reply = "550 5.7.1 no"`, `reply = "550 5.7.1 no"`, `reply = "450 4.7.1 later"`, `action = "accept"`, `action = "discard"`, `action = "quarantine"`, `action = "greylist"`,
			"action = \"tag\"\nheader = { \"X-Tag\" = \"yes\" }", "reply = \"550 5.7.1 no\"\nobserve = true", "reply = \"550 5.7.1 no\"\nenforce = \"30%\"", `reply = "554 5.7.1 {client.ip} no"`)
		atoms := slices.Concat(earlyAtoms, lateAtoms)
		if act == `action = "greylist"` || r.IntN(2) == 0 {
			atoms = earlyAtoms
		}
		fmt.Fprintf(&out, "[[rule]]\nname = \"r%d\"\nwhen = '''%s'''\n%s\n", i, randomCondition(r, atoms, 2), act)
	}
	return out.String()
}

func randomCondition(r *rand.Rand, atoms []string, depth int) string {
	if depth == 0 || r.IntN(3) == 0 {
		atom := atoms[r.IntN(len(atoms))]
		if r.IntN(4) == 0 {
			return "!(" + atom + ")"
		}
		return atom
	}
	return "(" + randomCondition(r, atoms, depth-1) + []string{" && ", " && ", " || "}[r.IntN(3)] + randomCondition(r, atoms, depth-1) + ")"
}

// TestRandomPoliciesDecideTheSameAgain: whatever the policy, every recorded decision comes again, bit for bit, from the records in memory and from
// those that have gone through a file. GATEPOST_SEED begins at another policy, GATEPOST_POLICIES says how many.
func TestRandomPoliciesDecideTheSameAgain(t *testing.T) {
	seed, err := strconv.ParseUint(os.Getenv("GATEPOST_SEED"), 10, 64)
	if err != nil {
		seed = 125 // one of the first has a login compared early
	}
	policies, _ := strconv.Atoi(os.Getenv("GATEPOST_POLICIES"))
	if policies == 0 {
		policies = 12
	}
	vocabulary, err := Vocabulary()
	if err != nil {
		t.Fatal(err)
	}
	records := 0
	for n := seed; n < seed+uint64(policies); n++ {
		r := rand.New(rand.NewPCG(n, 11))
		text := randomPolicy(r)
		_, err := policyfile.Parse("test.toml", []byte(text), vocabulary)
		for ; err != nil && strings.Contains(err.Error(), "a sender is greylisted at RCPT"); _, err = policyfile.Parse("test.toml", []byte(text), vocabulary) {
			text = randomPolicy(r)
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		var kept keeper
		g := newGenerator(t, text, n, &kept)
		for i := range 120 {
			if i == 60 && n%4 == 0 {
				g.server.Pause(g.now.Add(10 * time.Minute))
			}
			g.session()
		}
		records += len(kept)
		replayer := NewReplayer(SettingsOf(parsed(t, text)), nil, false)
		for _, rec := range append(kept, throughFile(t, kept, g.now)...) {
			got := replayer.Decide(rec)
			if got.Unknown != "" || got.Further || got.Ended || !history.SameLines(got.Lines, rec.Lines) {
				t.Fatalf("policy %d: record %s, number %d: unknown %q, further %v, ended %v\ngot  %+v\nwant %+v\n%s", n, rec.ID, rec.Number, got.Unknown, got.Further, got.Ended, got.Lines, rec.Lines, text)
			}
		}
	}
	t.Logf("%d records under %d policies", records, policies)
}

// throughFile gives records as a history's file gives them back.
func throughFile(t *testing.T, kept keeper, now time.Time) (out []*history.Record) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "history.db")
	store, err := history.Open(history.Config{Path: path, Keep: 10000 * time.Hour, Size: 1 << 40, Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	for _, rec := range kept {
		store.Add(rec, nil)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	out = readBack(t, path)
	if len(out) != len(kept) {
		t.Fatalf("%d of %d records came back", len(out), len(kept))
	}
	return out
}

// readBack gives all records of a history's file.
func readBack(t *testing.T, path string) (out []*history.Record) {
	t.Helper()
	reader, err := history.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	unpacker, err := history.NewUnpacker()
	if err != nil {
		t.Fatal(err)
	}
	if err := reader.Blocks(context.Background(), time.Time{}, func(b history.Block) error {
		return unpacker.Records(b, func(rec *history.Record) { one := *rec; out = append(out, &one) })
	}); err != nil {
		t.Fatal(err)
	}
	return out
}
