package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestMode: what an admin types, which line of the file is another one afterwards, and that the daemon follows it.
func TestMode(t *testing.T) {
	dir := startDaemon(t)
	path := filepath.Join(dir, "policy.toml")
	rules := "\n[[rule]]\nname = \"bank\" # the bank\nwhen = 'dmarc.result == \"fail\"'\nreply = \"550 5.7.1 no\"\n"
	write(t, path, strings.TrimLeft(read(t, path), "\n")+rules)
	// The file is reached through a link, and its rights are its own.
	real := filepath.Join(dir, "real.toml")
	if err := os.Rename(path, real); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real.toml", path); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(real, 0o640); err != nil {
		t.Fatal(err)
	}
	before := read(t, real)
	for _, step := range []struct {
		args   string
		status int
		prints string
		file   string // what the file is then
	}{
		{"mode enforce", exitDone, "it is in force for new sessions", "mode = \"enforce\"\n" + before},
		{"status", exitDone, "mode enforce,", "mode = \"enforce\"\n" + before},
		{"mode enforce", exitDone, "says so already", "mode = \"enforce\"\n" + before},
		{"mode enforce --rule bank", exitDone, "says so already", "mode = \"enforce\"\n" + before},
		{"mode observe", exitDone, ":1: mode = \"observe\"\n  before: mode = \"enforce\"\n", "mode = \"observe\"\n" + before},
		{"mode enforce --rule bank --share 12.5%", exitDone, "in force", "mode = \"observe\"\n" + before + "enforce = \"12.5%\"\n"},
		{"status", exitDone, "mode observe but for bank,", "mode = \"observe\"\n" + before + "enforce = \"12.5%\"\n"},
		{"mode observe", exitDone, "says so already\nthese refuse all the same, by a line of their own: bank\n  gatepost mode observe --rule bank\n", "mode = \"observe\"\n" + before + "enforce = \"12.5%\"\n"},
		{"mode enforce --rule bank", exitDone, "enforce = \"100%\"", "mode = \"observe\"\n" + before + "enforce = \"100%\"\n"},
		{"mode observe --rule bank", exitDone, "enforce = \"0%\"", "mode = \"observe\"\n" + before + "enforce = \"0%\"\n"},
		{"mode enforce --rule banks", exitNo, `there is no rule "banks" (did you mean "bank"?)`, "mode = \"observe\"\n" + before + "enforce = \"0%\"\n"},
		{"mode enforced", exitUse, `"enforced" is no mode; write observe or enforce`, "mode = \"observe\"\n" + before + "enforce = \"0%\"\n"},
		{"mode enforce --share 10%", exitUse, "--share goes with enforce --rule RULE only", "mode = \"observe\"\n" + before + "enforce = \"0%\"\n"},
		{"mode enforce --rule bank --share 101%", exitUse, "write a share from 0% to 100%", "mode = \"observe\"\n" + before + "enforce = \"0%\"\n"},
	} {
		status, out := talk(t, dir, strings.Fields(step.args)...)
		if status != step.status || !strings.Contains(out, step.prints) {
			t.Errorf("gatepost %s: exit status %d, want %d\n%s\nwant %q", step.args, status, step.status, out, step.prints)
		}
		if got := read(t, real); got != step.file {
			t.Fatalf("after gatepost %s the file is\n%s\nwant\n%s", step.args, got, step.file)
		}
	}
	link, err := os.Lstat(path)
	if info, err2 := os.Stat(real); err != nil || err2 != nil || link.Mode()&os.ModeSymlink == 0 || info.Mode().Perm() != 0o640 {
		t.Errorf("the link is %v, the file %v", link.Mode(), info.Mode())
	}
	broken := read(t, real) + "[[rule]]\nname = \"broken\"\n"
	write(t, real, broken)
	if status, out := talk(t, dir, "mode", "enforce"); status != exitNo || !strings.Contains(out, `rule "broken"`) || read(t, real) != broken {
		t.Errorf("a file that is wrong anyway: exit status %d\n%s", status, out)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".policy-*")); left != nil {
		t.Errorf("%v is left behind", left)
	}
}

// TestModeWithoutDaemon: the file is changed, and it is said that nobody follows it yet.
func TestModeWithoutDaemon(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "policy.toml"), "[listen]\nadmin = \"unix:"+dir+"/none.sock\"\n")
	status, out := talk(t, dir, "mode", "enforce")
	if status != exitDone || !strings.Contains(out, "it takes effect when the daemon starts") || !strings.HasPrefix(read(t, filepath.Join(dir, "policy.toml")), "mode = \"enforce\"\n") {
		t.Errorf("exit status %d\n%s", status, out)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestPauseCommand: a pause is said by status, a reload does not end it, and 0 does.
func TestPauseCommand(t *testing.T) {
	dir := startDaemon(t)
	says(t, dir, []typed{
		{"pause 1h", exitDone, "everything is accepted until 20"},
		{"status", exitNo, "WRONG    paused: everything is accepted until 20"},
		{"reload", exitDone, "in force"},
		{"status", exitNo, "paused"},
		{"pause soon", exitUse, `"soon" is no time; write for example 30m, 1h or 1d, and 0 to end a pause`},
		{"pause 8d", exitUse, "gatepost mode observe lasts"},
		{"pause 0", exitDone, "the rules are spoken again"},
		{"status", exitDone, "all is well"},
	})
	if _, err := os.Stat(pauseFile(filepath.Join(dir, "state"))); err == nil {
		t.Error("the file of a pause that was ended is left, so that a restart takes it up")
	}
}

// TestPauseThatStays: whoever ends a pause is told when a restart would take it up again, because its file cannot be removed.
func TestPauseThatStays(t *testing.T) {
	dir := startDaemon(t)
	says(t, dir, []typed{{"pause 1h", exitDone, "everything is accepted until 20"}})
	file := pauseFile(filepath.Join(dir, "state"))
	if err := errors.Join(os.Remove(file), os.Mkdir(file, 0o750)); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(file, "in the way"), "")
	says(t, dir, []typed{
		{"pause 0", exitNo, "the rules are spoken again, but a restart before the pause was to end takes it up: remove " + file},
		{"status", exitDone, "all is well"},
	})
}

// TestPauseOverRestart: a daemon that starts in a pause takes it up; one that is over, or that cannot be read, is none.
func TestPauseOverRestart(t *testing.T) {
	for text, status := range map[string]int{
		time.Now().Add(time.Hour).Format(time.RFC3339) + "\n": exitNo, time.Now().Add(-time.Hour).Format(time.RFC3339): exitDone, "soon": exitDone,
	} {
		dir := startDaemonWith(t, func(dir string) string {
			if err := os.Mkdir(filepath.Join(dir, "state"), 0o755); err != nil {
				t.Fatal(err)
			}
			write(t, pauseFile(filepath.Join(dir, "state")), text)
			return fmt.Sprintf(adminPolicy, dir)
		})
		if got, out := talk(t, dir, "status"); got != status || strings.Contains(out, "paused: everything is accepted until") != (status == exitNo) {
			t.Errorf("pause %q: exit status %d, want %d\n%s", text, got, status, out)
		}
	}
}
