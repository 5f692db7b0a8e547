package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gatepost.example/filter"
	"gatepost.example/policy"
	"gatepost.example/policy/policyfile"
)

// parsed reads a policy of testdata over the real facts; files that it names are not read.
func parsed(t *testing.T, path string) *policyfile.File {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	v, err := filter.Vocabulary()
	if err != nil {
		t.Fatal(err)
	}
	file, err := policyfile.Parse(filepath.Base(path), text, v)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func policiesOf(t *testing.T, kind string, least int) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "testdata/policies/*."+kind+".toml"))
	if err != nil || len(files) < least {
		t.Fatalf("%d %s policies, %v", len(files), kind, err)
	}
	return files
}

// TestFlawedPolicies: each has one flaw, and says in its own first lines what must be found ("#! LINE:COL: LEVEL: text") and which
// message shows it ("#~ for example ...").
func TestFlawedPolicies(t *testing.T) {
	for _, path := range policiesOf(t, "flaw", 20) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			file := parsed(t, path)
			var want, got []string
			for line := range strings.Lines(file.Text) {
				if text, ok := strings.CutPrefix(line, "#! "); ok {
					want = append(want, file.Name+":"+strings.TrimSpace(text))
				}
				if text, ok := strings.CutPrefix(line, "#~ "); ok {
					want = append(want, "    "+strings.TrimSpace(text))
				}
			}
			found, analysis := file.Analyse()
			for line := range strings.Lines(findings(file, found)) {
				got = append(got, strings.TrimRight(line, "\n"))
			}
			if strings.Join(got, "\n") != strings.Join(want, "\n") || analysis.Undecided > 0 {
				t.Errorf("got, %d undecided\n%s\nwant\n%s", analysis.Undecided, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			if len(found) == 0 || len(found) > 2 {
				t.Fatalf("%d findings", len(found))
			}
			for _, f := range found {
				showsFlaw(t, file.Policy, f)
			}
		})
	}
}

// showsFlaw demands that the walk of the real policy over the witness does what the finding says.
func showsFlaw(t *testing.T, p *policy.Policy, f policyfile.Finding) {
	t.Helper()
	if f.Witness == nil {
		if f.Kind != "unused" && f.Kind != "always" && f.Kind != "part" && !strings.Contains(f.Place.Text, "never match") {
			t.Errorf("%s: there is no witness", f)
		}
		return
	}
	holds, fails := f.Witness.Truth(p, f.Rule)
	decision, decided := f.Witness.Decide(p)
	switch f.Kind {
	case "dead":
		if !holds || !decided || decision.Rule == f.Rule {
			t.Errorf("%s: it holds: %v, and %q decides", f, holds, decision.Rule)
		}
	case "fails":
		if !fails {
			t.Errorf("%s: it does not fail", f)
		}
	default:
		if !holds || decision.Rule != f.Rule {
			t.Errorf("%s: it holds: %v, and %q decides", f, holds, decision.Rule)
		}
	}
}

// TestSoundPolicies: nothing is found in what admins write well, nor in what a new installation gets.
func TestSoundPolicies(t *testing.T) {
	for _, path := range append(policiesOf(t, "sound", 19), filepath.Join(root, "policy.toml")) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			file := parsed(t, path)
			found, analysis := file.Analyse()
			if len(found) > 0 || analysis.Undecided > 0 {
				t.Errorf("%d undecided\n%s", analysis.Undecided, findings(file, found))
			}
			for _, r := range analysis.Policy.Report() {
				if r.Dead != "" {
					t.Errorf("%+v", r)
				}
			}
		})
	}
}

// TestCheckStrict: a warning fails a check only where one asks for it; a remark never does.
func TestCheckStrict(t *testing.T) {
	for name, want := range map[string]int{"shadowed": exitNo, "reject-only": exitDone} {
		text, err := os.ReadFile(filepath.Join(root, "testdata/policies", name+".flaw.toml"))
		if err != nil {
			t.Fatal(err)
		}
		if status, out := run(t, string(text), "check", "POLICY"); status != exitDone {
			t.Errorf("%s: exit status %d\n%s", name, status, out)
		}
		if status, out := run(t, string(text), "check", "--strict", "POLICY"); status != want {
			t.Errorf("%s: exit status %d with --strict\n%s", name, status, out)
		}
	}
}

// TestCheckTellsWhoWaits: an exemption by what is known late, above many refusals by what is known early, costs their early answer.
func TestCheckTellsWhoWaits(t *testing.T) {
	policy := "mode = \"enforce\"\n[[rule]]\nname = \"null-mx\"\nwhen = 'sender.mx == \"null\"'\nreply = \"550 5.7.27 no\"\n" +
		"[[rule]]\nname = \"allow-museum\"\nwhen = '\"museum.example\" in dkim.domains'\naction = \"accept\"\n"
	for i := range 9 {
		policy += fmt.Sprintf("[[rule]]\nname = \"r%d\"\nwhen = 'client.dnsbl_score == %d'\nreply = \"554 5.7.1 no\"\n", i, i+1)
	}
	_, out := run(t, policy, "check", "POLICY")
	if want := "\n9 rules answer at data instead of rcpt because of rule allow-museum, line 6.\n"; !strings.Contains(out, want) {
		t.Errorf("there is no %q in\n%s", want, out)
	}
}

// TestCheckTellsTheWorstCase: the numbers are the standards' own: RFC 7208 4.6.4 (10 terms, each with 10 names, once more for macros),
// RFC 9989 4.10 (8 for a walk), and our bounds of 20 signatures and 50 seals; the times are Postfix's defaults in postconf(5).
func TestCheckTellsTheWorstCase(t *testing.T) {
	rule := "[[rule]]\nname = \"null-mx\"\nwhen = 'sender.mx == \"null\"'\nreply = \"550 5.7.27 no\"\n"
	for policy, want := range map[string]string{
		"[dns]\nbudget = \"7s\"\n": "At worst a message asks DNS 548 questions (SPF 266, DMARC 200, ARC 51, DKIM 20, iprev 11); its session waits 7s at data (of 300 s).\n",
		"mode = \"enforce\"\n" + rule: "At worst a message asks DNS 551 questions (SPF 266, DMARC 200, ARC 51, DKIM 20, iprev 11, names 3); " +
			"its session waits 10s at rcpt (of the 30 s that Postfix waits), 10s at data (of 300 s).\n",
	} {
		if _, out := run(t, policy, "check", "POLICY"); !strings.Contains(out, want) {
			t.Errorf("there is no %q in\n%s", want, out)
		}
	}
}

// TestAnalysisKnowsTheFacts: what the analysis says of facts is said of facts that there are.
func TestAnalysisKnowsTheFacts(t *testing.T) {
	v, err := filter.Vocabulary()
	if err != nil {
		t.Fatal(err)
	}
	if unknown := policy.UnknownToAnalysis(v); len(unknown) > 0 {
		t.Errorf("the analysis speaks of %v, which are no facts or no words of theirs", unknown)
	}
}

// TestReadmeFinding: the warning that README shows, with its place and its message, is printed for such a rule.
func TestReadmeFinding(t *testing.T) {
	shown := regexp.MustCompile(`(?m)^    (policy\.toml:88:10: warning: .*)\n    (    for example .*)$`).FindStringSubmatch(readme(t))
	if shown == nil {
		t.Fatal("README shows no warning")
	}
	text := strings.Repeat("\n", 85) + "[[rule]]\nname = \"our-lists\"\nwhen   = 'message.list_id in [\"staff.lists.example.net\"]'\naction = \"accept\"\n"
	if _, out := run(t, text, "check", "POLICY"); !strings.Contains(out, shown[1]+"\n"+shown[2]+"\n") {
		t.Errorf("printed\n%s, README says\n%s\n%s", out, shown[1], shown[2])
	}
}
