package main

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"gatepost.example/filter/history"
	"gatepost.example/filter/play"
)

// recordCases plays session files into a history and gives its folder, in which policy.toml names it.
func recordCases(t *testing.T, names ...string) string {
	t.Helper()
	return recordUnder(t, nil, names...)
}

// recordUnder does the same, with the people hidden under a key.
func recordUnder(t *testing.T, key []byte, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "policy.toml"), "[server]\ndirectory = \""+dir+"\"\n")
	recordInto(t, dir, key, names...)
	return dir
}

// recordInto plays session files into the history in a folder.
func recordInto(t *testing.T, dir string, key []byte, names ...string) {
	t.Helper()
	keyFile := ""
	if key != nil {
		keyFile = filepath.Join(dir, "history.key")
		write(t, keyFile, string(key))
	}
	store, err := history.Open(history.Config{
		Path: filepath.Join(dir, "history.db"), Keep: 400 * 24 * time.Hour * 10, Size: 1 << 30, KeyFile: keyFile, Now: func() time.Time { return testTime }, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		path := filepath.Join(root, "testdata", "sessions", name+".txtar")
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		c, err := play.ReadCase(path, text)
		if err != nil {
			t.Fatal(err)
		}
		policies := play.Policies{Keep: store}
		if _, err := policies.Play(c, beside(path), testTime); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}

// lastID gives the id of the newest record whose row has a word.
func lastID(t *testing.T, dir, action string) string {
	t.Helper()
	r, err := history.OpenReader(filepath.Join(dir, "history.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	id := ""
	if err := r.Rows(context.Background(), history.Filter{Action: action}, func(row *history.Row) bool { id = row.ID; return false }); err != nil || id == "" {
		t.Fatalf("no record with %s: %v", action, err)
	}
	return id
}

// TestExplainAnswersInFiveLines: decisions of different kinds, each from a session file played into a history. What an admin has to say on the
// phone stands in the first five lines.
func TestExplainAnswersInFiveLines(t *testing.T) {
	for _, one := range []struct {
		session, action string
		want            []string // in the first five lines, in order
		rcpt            string
	}{
		{"early-refusal-above-dmarc", "554", []string{`554 5.7.1 Refused by local policy (id TEST-0002) at rcpt`, `<a@example.org> to <v@example.net>`, `rule blocked`, `client.ip not in list.block`, `gatepost list remove block 192.0.2.0/24`}, ""},
		{"null-mx", "550", []string{`550 5.7.27 example.org says that it takes no mail`, `rule null-mx`, `sender.mx != "null"`, `MX example.org: found`, `gatepost list add allow 198.51.100.1 --for 30d`}, ""},
		{"no-such-sender", "450", []string{`450 4.1.8`, `nowhere.example is not found in DNS`, `sender.mx != "none"`, `MX nowhere.example: no such domain`}, ""},
		{"spoofed-reject", "550", []string{`550 5.7.1 Email rejected per DMARC policy`, `rule spoofed: DMARC fails for bank.example: SPF is fail for bank.example`, `bank.example asks to reject`, `dkim.author != "none"`, `TXT _dmarc.bank.example: found "v=DMARC1; p=reject"`}, ""},
		{"two-from-fields", "550", []string{`550 5.6.0`, `the message has 2 From fields`, `several of the values above`}, ""},
		{"dns-silent-reject", "451", []string{`451 4.7.5`, `DNS does not say what bank.example wants`, `dmarc.result != "temperror"`, `TXT bank.example: timeout`}, ""},
		{"greylisted", "451", []string{`451 4.7.1 Greylisted; try again in 5m`, `rule grey`, `never here: it comes back by itself`, `greylist.wait`}, "u@example.net"},
		{"put-off-three", "452", []string{`452 4.5.3`, `other rules can apply to this recipient`, `it had come alone`, `mixed = "mildest"`}, "u1@example.net"},
		{"users-and-machines", "accept", []string{`taken`, `rule `}, ""},
		{"quarantine-and-discard", "discard", []string{`taken and dropped`}, ""},
		{"blocklisted", "554", []string{`554 5.7.1`, `is listed by`}, ""},
		{"observe-the-whole", "none", []string{`would have been`}, ""},
	} {
		t.Run(one.session, func(t *testing.T) {
			dir := recordCases(t, one.session)
			status, out := talk(t, dir, "explain", lastID(t, dir, one.action), "--rcpt", one.rcpt)
			if status != exitDone {
				t.Fatalf("exit status %d\n%s", status, out)
			}
			t.Log(strings.Join(strings.SplitAfterN(out, "\n", 6)[:5], ""))
			head := strings.Join(strings.SplitAfterN(out, "\n", 6)[:5], "")
			for _, want := range one.want {
				_, after, found := strings.Cut(head, want)
				if !found {
					t.Errorf("no %q in\n%s", want, head)
				}
				head = after
			}
		})
	}
}

// TestExplainFindsByAnyName: by our id, a queue id and a message id; what is not there is a no; JSON has the same five answers.
func TestExplainFindsByAnyName(t *testing.T) {
	dir := recordCases(t, "footer-and-id", "spoofed-reject", "users-and-machines")
	for _, step := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"explain", "4fTEST0001"}, exitDone, "what     taken at data"},
		{[]string{"explain", "test-0002"}, exitDone, "id TEST-0002"},
		{[]string{"explain", "test 0002"}, exitDone, "id TEST-0002"}, // as it is heard on the phone
		{[]string{"explain", "--last"}, exitDone, "rule spoofed"},
		{[]string{"explain", "--last", "--json"}, exitDone, `"dns": "TXT bank.example: found`},
		{[]string{"explain", "ZZZZ-0000"}, exitNo, `nothing is known of "ZZZZ-0000"`},
		{[]string{"explain"}, exitUse, "name what to explain"},
		{[]string{"explain", ""}, exitUse, "name what to explain"}, // as of a variable that is empty
		{[]string{"explain", "4fTEST0001"}, exitDone, "the newest of several with this name; the others: gatepost explain TEST-0002\n"},
		{[]string{"explain", "4fTEST0001", "--json"}, exitDone, "\"others\": [\n    \"TEST-0002\""},
		{[]string{"explain", "--last", "--directory", "/nowhere"}, exitUse, "there is no history to read"},
	} {
		if status, out := talk(t, dir, step.args...); status != step.status || !strings.Contains(out, step.want) {
			t.Errorf("gatepost %s: exit status %d, want %d\n%s\nwant %q", step.args, status, step.status, out, step.want)
		}
	}
}

// TestLastOfObserve: what only mode observe let through is the last that was not accepted; what a single observed rule would have done is not.
func TestLastOfObserve(t *testing.T) {
	if status, out := talk(t, recordCases(t, "observe-the-whole"), "explain", "--last"); status != exitDone || !strings.Contains(out, "rule blocked") {
		t.Errorf("exit status %d\n%s", status, out)
	}
	if status, out := talk(t, recordCases(t, "users-and-machines"), "explain", "--last"); status != exitNo {
		t.Errorf("exit status %d\n%s", status, out)
	}
}

// TestLastOfTransition: while some rules refuse and the others are watched for the mode's sake, what these would have refused is the last that was not
// accepted too, and is explained by the rule that would have.
func TestLastOfTransition(t *testing.T) {
	dir := recordCases(t, "enforced-in-observe-mode")
	status, out := talk(t, dir, "explain", "--last")
	if status != exitDone || !strings.HasPrefix(out, "what     550 5.6.0 More than one author (id TEST-0002)") {
		t.Errorf("under another policy: exit status %d\n%s", status, out)
	}
	text, err := os.ReadFile(filepath.Join(root, "testdata/sessions/enforced-in-observe-mode.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	_, policy, _ := strings.Cut(string(text), "-- policy --\n")
	policy, _, _ = strings.Cut(policy, "-- session --\n")
	write(t, filepath.Join(dir, "policy.toml"), policy+"\n[server]\ndirectory = \""+dir+"\"\n")
	if _, out := talk(t, dir, "explain", "--last"); !strings.HasPrefix(out, "what     taken at data, would have been 554 at rcpt by blocked; mail from <a@partner.example>") {
		t.Errorf("under its own policy:\n%s", out)
	}
	_, out = talk(t, dir, "explain", "TEST-0003")
	for _, want := range []string{
		"because  no rule decided; only watched was rule blocked (client.ip = \"192.0.2.1\")\n", "unless   client.ip not in list.block\n", "to mend  gatepost list remove block 192.0.2.0/24\n",
		"(with --policy " + filepath.Join(dir, "policy.toml") + " as here)\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("there is no %q in\n%s", want, out)
		}
	}
}

// TestReadmeExplanation: the five lines that README shows are those of the session file, as far as it shows them.
func TestReadmeExplanation(t *testing.T) {
	dir := recordCases(t, "spoofed-reject")
	_, out := talk(t, dir, "explain", "TEST-0002")
	_, shown, _ := strings.Cut(readme(t), "$ gatepost explain TEST-0002\n")
	for _, line := range strings.SplitN(shown, "\n", 6)[:5] {
		if want := strings.TrimSuffix(line, " ..."); !strings.Contains(out, want) {
			t.Errorf("README shows %q, printed is\n%s", want, out)
		}
	}
}

// TestExplainRecipients: what is said of recipients with decisions of their own: put off, refused, taken behind three that were put off, and of a
// message that is for several classes under the mildest of their decisions.
func TestExplainRecipients(t *testing.T) {
	split, mildest := recordCases(t, "put-off-three"), recordCases(t, "mixed-mildest")
	refused, guesses := recordCases(t, "refused-by-the-mta"), recordCases(t, "thirty-mails/15a-dictionary-attack")
	for _, step := range []struct {
		dir  string
		args []string
		want []string
	}{
		{split, []string{"explain", "TEST-0002"}, []string{"what     taken at data, where other recipients by themselves would have met 550 by authors; mail from <a@example.org> to <sales@example.net> and 1 more,",
			"besides 452 to <u1@example.net>, 452 to <u2@example.net>, 452 to <u3@example.net>\n", "rcpt     <u3@example.net> -> 452\n", "rcpt     <u4@example.net>\n"}},
		{split, []string{"explain", "TEST-0002", "--rcpt", "u4@example.net"}, []string{"what     taken at data, where other recipients by themselves would have met 550 by authors"}},
		{split, []string{"explain", "--last"}, []string{"what     452 4.5.3 This recipient has rules of its own", "to <u3@example.net>", "it comes back by itself", "authors  550  waited for author.domain"}},
		{split, []string{"history", "--since", "3650d"}, []string{"TEST-0002  none+452  -"}},
		{split, []string{"history", "--since", "3650d", "--action", "452", "--json"}, []string{"\"apart\": [\n      \"452\"\n    ]"}},
		{split, []string{"replay", "--since", "3650d", "MILDEST"}, []string{"3  452 -> accept  -  example.org  TEST-0002"}},
		{mildest, []string{"explain", "TEST-0002"}, []string{"what     held at data, where other recipients by themselves would have met 550 by strict; mail from <a@example.org> to <strict@example.net> and 1 more,",
			"besides 550 to <retired@example.net> by rule retired\n", "rule careful (rcpt.local = \"careful\""}},
		{mildest, []string{"explain", "TEST-0002", "--rcpt", "retired@example.net"}, []string{"what     550 5.2.1 No longer here", "to <retired@example.net>, from", "gatepost mode observe --rule retired"}},
		{mildest, []string{"explain", "TEST-0004"}, []string{"what     taken at data, where other recipients by themselves would have met 550 by strict"}},
		{refused, []string{"explain", "TEST-0002", "--rcpt", "list@example.net"}, []string{"what     the mail server itself refused <list@example.net> with 5.1.1, and no rule was asked; mail from <a@example.org>, from 192.0.2.1",
			"because  5.1.1: the mail server does not know this address\n", "to mend  nothing in Gatepost; the mail server's log"}},
		{guesses, []string{"explain", lastID(t, guesses, history.Left)}, []string{"what     the mail server itself refused <guess25@example.net> and 24 more with 5.1.1"}},
		{refused, []string{"explain", "TEST-0002", "--rcpt", "u@example.net"}, []string{"what     taken at data"}},
		{mildest, []string{"history", "--since", "3650d"}, []string{"TEST-0002  quarantine+550  careful"}},
		{mildest, []string{"replay", "--since", "3650d", "MILDEST"}, []string{"1  accept -> 550      - -> authors        example.org  TEST-0004"}},
	} {
		other := filepath.Join(step.dir, "mildest.toml")
		write(t, other, "mode = \"enforce\"\n[recipients]\nmixed = \"mildest\"\n[[rule]]\nname = \"authors\"\nwhen = 'rcpt.local != \"sales\" && author.domain == \"example.org\"'\nreply = \"550 5.7.1 no\"\n")
		args := strings.Fields(strings.ReplaceAll(strings.Join(step.args, " "), "MILDEST", other))
		status, out := talk(t, step.dir, args...)
		for _, want := range step.want {
			if status != exitDone || !strings.Contains(out, want) {
				t.Errorf("gatepost %s: exit status %d, no %q in\n%s", strings.Join(args, " "), status, want, out)
			}
		}
	}
}

// TestHistoryOfAnotherVersion: commands say that they cannot read it and what can; the daemon sets it aside and begins anew.
func TestHistoryOfAnotherVersion(t *testing.T) {
	dir := recordCases(t, "spoofed-reject")
	path := filepath.Join(dir, "history.db")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("ALTER TABLE record RENAME COLUMN author TO writer"); err != nil {
		t.Fatal(err)
	}
	db.Close()
	for _, args := range []string{"explain --last", "history", "replay"} {
		if status, out := talk(t, dir, strings.Fields(args)...); status != exitUse || !strings.Contains(out, "the history is that of another version of gatepost; use the one that the daemon runs") {
			t.Errorf("gatepost %s: exit status %d\n%s", args, status, out)
		}
	}
	var log bytes.Buffer
	store, err := history.Open(history.Config{Path: path, Keep: time.Hour, Size: 1 << 30, Now: time.Now, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil || !strings.Contains(log.String(), "the history is that of another version; it was set aside and begins anew") {
		t.Errorf("%v\n%s", err, &log)
	}
	if aside, err := filepath.Glob(path + ".other-version-*"); err != nil || len(aside) == 0 {
		t.Errorf("nothing was set aside: %v", err)
	}
	if status, out := talk(t, dir, "history"); status != exitDone {
		t.Errorf("the new one: exit status %d\n%s", status, out)
	}
}

// TestWouldHave: doctor counts what mode observe would have refused or put off, and from when on; what is only watched beside counts too.
func TestWouldHave(t *testing.T) {
	dir := recordCases(t, "observe-the-whole", "footer-and-id", "users-and-machines")
	file, err := loadPolicy(filepath.Join(dir, "policy.toml"))
	if err != nil {
		t.Fatal(err)
	}
	w := wouldHave(t.Context(), file, testTime.Add(8*24*time.Hour))
	if w == nil || w.Refused != 1 || w.Whole != 3 || !w.Since.Equal(testTime) {
		t.Errorf("%+v", w)
	}
	if late := wouldHave(t.Context(), file, testTime.Add(2*wouldPeriod)); late == nil || late.Whole != 0 {
		t.Errorf("beyond its period: %+v", late)
	}
}

// TestExplainsWhatWasJustDecided: the last refusal is there as soon as the client has its answer, not only with the next commit of the history; so is
// what is asked for by its id.
func TestExplainsWhatWasJustDecided(t *testing.T) {
	dir := startDaemonWith(t, func(dir string) string { return fmt.Sprintf(markedPolicy, dir, "A") })
	c, err := dialMilter(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.session.Close()
	seen := map[string]bool{}
	for n := range 5 {
		if _, err := c.send("spam"); err != nil {
			t.Fatal(err)
		}
		_, out := talk(t, dir, "explain", "--last")
		id := regexp.MustCompile(`\(id (.{9})\)`).FindStringSubmatch(out)
		if id == nil || !strings.HasPrefix(out, "what     554 5.7.1 A (id ") || seen[id[1]] {
			t.Fatalf("message %d:\n%s", n, out)
		}
		seen[id[1]] = true
		if _, err := c.send("one"); err != nil {
			t.Fatal(err)
		}
		if _, out := talk(t, dir, "history"); strings.Count(out, "<a@example.org>") != 2*(n+1) {
			t.Fatalf("after %d messages history lists\n%s", 2*(n+1), out)
		}
	}
}
