package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// sessionFiles gives every session file of the project.
func sessionFiles(t *testing.T) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(filepath.Join(root, "testdata", "sessions"), func(path string, d fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".txtar") {
			out = append(out, path)
		}
		return err
	})
	if err != nil || len(out) == 0 {
		t.Fatalf("no session files: %v", err)
	}
	return out
}

// TestSessions plays every session file as an admin would: by gatepost test.
func TestSessions(t *testing.T) {
	for _, path := range sessionFiles(t) {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			var out, errs bytes.Buffer
			if status := execute([]string{"test", path}, &out, &errs); status != exitDone {
				t.Errorf("exit status %d\n%s%s", status, &out, &errs)
			}
		})
	}
}

// TestSessionsCanFail: a session file that wants something else is told so, with what happened.
func TestSessionsCanFail(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "testdata/sessions/at-once.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.Replace(text, []byte("\nconnect 421 "), []byte("\nfact client.ip = 192.0.2.9\nconnect 550 "), 1)
	path := filepath.Join(t.TempDir(), "wrong.txtar")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	if status := execute([]string{"test", path}, &out, &errs); status != exitNo {
		t.Errorf("exit status %d, want %d", status, exitNo)
	}
	for _, want := range []string{
		".txtar:14\n  wanted  fact client.ip = 192.0.2.9\n  got     fact client.ip = 192.0.2.1\n",
		"  got     connect 421 4.7.0 Too much from 192.0.2.0/24; slow down (id TEST-0001) rule blocked decided connect\n",
		"0 of 1 sessions ended as wanted\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("there is no %q in\n%s", want, &out)
		}
	}
}

var wantLines = regexp.MustCompile(`(?ms)^-- want --\n.*?(^-- |\z)`)

// TestUpdate: whatever a session file wants, gatepost test --update makes it want what comes: nothing else in the file changes, comments stay,
// and the next run ends as wanted. What holds already is left alone.
func TestUpdate(t *testing.T) {
	var out bytes.Buffer
	player := newTester() // one for all, so that each policy is compiled once
	player.out = &out
	play := func(t *testing.T, path, text string, update bool) string {
		t.Helper()
		write(t, path, text)
		player.update = update
		if ok, err := player.one(path); err != nil || !ok && !update {
			t.Fatalf("update %t: %v\n%s", update, err, &out)
		}
		return read(t, path)
	}
	whole, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	wrongs := []string{
		"", "# nothing yet\n\n",
		"# first\nconnect 599 5.9.9 never rule none decided data\nfact client.ip = x\nheader X-None: x\n# last\nno header Gatepost-Id\n",
	}
	for i, path := range sessionFiles(t) {
		text := strings.ReplaceAll(read(t, path), "include: ../../../policy.toml", "include: ../../policy.toml")
		text = strings.ReplaceAll(text, "include: ../../policy.toml", "include: "+whole+"/policy.toml")
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "case.txtar")
			if got := play(t, file, text, true); got != text {
				t.Errorf("a file that holds becomes\n%s", got)
			}
			wrong := wrongs[i%len(wrongs)]
			section := wantLines.FindString(text)
			tail := strings.TrimPrefix(wantLines.FindStringSubmatch(text)[1], "\n")
			broken := strings.Replace(text, section, "-- want --\n"+wrong+tail, 1)
			updated := play(t, file, broken, true)
			play(t, file, updated, false)
			before, _, _ := strings.Cut(broken, "-- want --\n")
			after, rest, _ := strings.Cut(updated, "-- want --\n")
			if before != after || strings.Count(rest, "#") < strings.Count(wrong, "#") {
				t.Errorf("%q becomes\n%s", wrong, updated)
			}
		})
	}
}

// TestCasesThatCannotBePlayed: what is said of a file that is no case.
func TestCasesThatCannotBePlayed(t *testing.T) {
	for text, want := range map[string]string{
		"-- session --\n-- want --\n":                                                "the first line says why the case exists",
		"why: x\n-- want --\n":                                                       `there is no section "-- session --", nor "-- facts --" in its place`,
		"why: x\n-- facts --\n-- session --\n-- want --\n":                           "a section session or a section facts, not both",
		"why: x\n-- facts --\nclient.ipp = 1\n-- want --\n":                          `facts:1: unknown fact "client.ipp"`,
		"why: x\n-- facts --\nmessage.size = big\n-- want --\n":                      `facts:1: message.size: "big" is no whole number`,
		"why: x\n-- facts --\nclient.ip = here\n-- want --\n":                        `client.ip: "here" is no address`,
		"why: x\n-- facts --\nspf.result\n-- want --\n":                              "facts:1: a line is NAME = VALUE",
		"why: x\n-- session --\nmail <a@example.org>\nsay x\n-- want --\n":           `session:2: unknown command "say"`,
		"why: x\n-- policy --\nmode = \"maybe\"\n-- facts --\na.b = 1\n-- want --\n": "case.txtar:policy:1:8:",
	} {
		path := filepath.Join(t.TempDir(), "case.txtar")
		write(t, path, text)
		var out bytes.Buffer
		if status := execute([]string{"test", path}, &out, &out); status != exitUse || !strings.Contains(out.String(), want) {
			t.Errorf("%q: exit status %d, %s\nwant %s", text, status, &out, want)
		}
	}
}

// TestPrintedDecisions: -v says of each decision which rule took it and where it was spoken, or that it was not, as in mode observe.
func TestPrintedDecisions(t *testing.T) {
	for name, want := range map[string]string{
		"at-once":           "  decision TEST-0001: 421 by rule blocked, decided at connect, spoken at connect\n",
		"observe-the-whole": "  decision TEST-0002: none by rule blocked, decided at connect, not spoken\n    would: 450 at rcpt by watched\n    would: 554 at rcpt by blocked\n",
	} {
		var out bytes.Buffer
		if status := execute([]string{"test", "-v", filepath.Join(root, "testdata/sessions", name+".txtar")}, &out, &out); status != exitDone || !strings.Contains(out.String(), want) {
			t.Errorf("%s: exit status %d, want %q in\n%s", name, status, want, &out)
		}
	}
}
