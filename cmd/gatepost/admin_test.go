package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// adminPolicy is a policy with one of everything that commands show.
const adminPolicy = `
[listen]
milter = ["unix:%[1]s/milter.sock"]
admin = "unix:%[1]s/admin.sock"
[server]
directory = "%[1]s/state"
[dns]
servers = ["127.0.0.1:1"]
[list]
allow = ["192.0.2.1", "file:%[1]s/allow"]
[[limit]]
name = "users"
count = "recipients"
per = ["auth.user"]
rate = "2/1d"
latch = true
`

// startDaemon runs the daemon in this process until the test ends. It gives its folder.
func startDaemon(t *testing.T) string {
	t.Helper()
	return startDaemonWith(t, func(dir string) string { return fmt.Sprintf(adminPolicy, dir) })
}

// startDaemonWith does the same with the policy for a folder.
func startDaemonWith(t *testing.T, policy func(dir string) string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "gp") // short: the path of a socket has at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "allow"), "partner.example # since May\n")
	write(t, filepath.Join(dir, "policy.toml"), policy(dir))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- runDaemon(ctx, filepath.Join(dir, "policy.toml"), new(bytes.Buffer), testSignals(t)) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the daemon ended with %v", err)
		}
		os.RemoveAll(dir)
	})
	for range 200 {
		if status, _ := talk(t, dir, "status"); status != exitUse {
			return dir
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("the daemon does not answer")
	return ""
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// talk runs a command against the daemon in a folder and gives its exit status and what it printed, answers and errors together.
func talk(t *testing.T, dir string, args ...string) (int, string) {
	t.Helper()
	var out bytes.Buffer
	status := execute(append(args, "--policy", filepath.Join(dir, "policy.toml")), &out, &out)
	return status, out.String()
}

// typed is a command line, how it is to end, and what it is to print among other things.
type typed struct {
	args   string
	status int
	want   string
}

// says runs commands one after the other against the daemon, or the history, of a folder.
func says(t *testing.T, dir string, steps []typed) {
	t.Helper()
	for _, s := range steps {
		if status, out := talk(t, dir, strings.Fields(s.args)...); status != s.status || !strings.Contains(out, s.want) {
			t.Errorf("gatepost %s: exit status %d, want %d\n%s\nwant %q", s.args, status, s.status, out, s.want)
		}
	}
}

// TestCommandsTalkToTheDaemon: what an admin types, what is printed, and the exit status, in one life of a daemon.
func TestCommandsTalkToTheDaemon(t *testing.T) {
	dir := startDaemon(t)
	says(t, dir, []typed{
		{"status", exitDone, "mode observe, in force for 0 s"},
		{"status --json", exitDone, `"memory_settled": false`},
		{"list show allow", exitDone, "since May"},
		{"list add allow 198.51.100.0/24 --for 30d --note ticket", exitDone, "198.51.100.0/24 is in list allow until 20"},
		{"list show allow", exitDone, "ticket"},
		{"list add allow 198.51.100.1/24", exitNo, "has bits beyond its length; write 198.51.100.0/24"},
		{"list show allow --json", exitDone, `"entry": "198.51.100.0/24"`},
		{"list add allow 198.51.100.1/24", exitNo, "list allow stays as it was, because the policy would not load:\n"},
		{"list add none x.example", exitNo, `there is no list "none"; the policy has allow`},
		{"list add allow x.example --for ever", exitUse, `--for: "ever" is no time; write for example 12h or 30d`},
		{"list remove allow 198.51.100.0/24", exitDone, "is out of list allow"},
		{"list remove allow partner.example", exitNo, "gatepost list show allow says where it stands"},
		{"limit show users", exitDone, "KEY"},
		{"limit show none", exitNo, `there is no limit "none"; the policy has users`},
		{"limit reset users alice", exitNo, "users has no level for alice"},
		{"reputation list", exitDone, "BAND"},
		{"reputation show 192.0.2.1", exitNo, "nothing is known of 192.0.2.1"},
		{"reputation list --kind user", exitUse, `"user" is none; write ip, network or domain`},
		{"reputation forget 192.0.2.1", exitNo, "nothing was known"},
		{"reload", exitDone, "the policy is in force"},
	})
	write(t, filepath.Join(dir, "state", "lists", "allow"), "192.0.2.7 # until 2026-05-05T10:00:00Z ticket\n")
	says(t, dir, []typed{{"list show allow", exitDone, "2026-05-05T10:00:00Z (over)"}})
	write(t, filepath.Join(dir, "policy.toml"), fmt.Sprintf(adminPolicy, dir)+"mode = 3\n")
	if status, out := talk(t, dir, "reload"); status != exitNo || !strings.Contains(out, "mode") {
		t.Errorf("a broken policy: exit status %d\n%s", status, out)
	}
	if status, out := talk(t, dir, "status"); status != exitNo || !strings.Contains(out, "was refused, the old one stays") {
		t.Errorf("status with a broken file: exit status %d\n%s", status, out)
	}
	info, err := os.Stat(filepath.Join(dir, "admin.sock"))
	if err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("the socket: %v, %v; want rights 0660", info, err)
	}
}

// TestLearning: a message that came through here teaches who brought it and as whom it was authenticated, and can be taken back.
func TestLearning(t *testing.T) {
	dir := startDaemon(t)
	mail := "Received: x\nAuthentication-Results: mx.example.net;\n\tiprev=pass policy.iprev=192.0.2.1;\n\tspf=pass smtp.mailfrom=example.org;\n" +
		"\tdkim=fail header.d=innocent.example\nGatepost-Id: 7K3Q-9MXA\nFrom: a@example.org\n\nx\n"
	learn := func(input string, args ...string) (int, string) {
		lessons, err := readLessons(strings.NewReader(input))
		if err != nil {
			return exitUse, err.Error()
		}
		where, learned := place{policy: filepath.Join(dir, "policy.toml")}, 0
		err = where.ask("POST", "/reputation/learn", nil, map[string]any{"Spam": true, "Undo": len(args) > 0, "Lessons": lessons}, &learned)
		return learned, fmt.Sprint(err)
	}
	for range 20 {
		if n, out := learn(mail); n != 1 {
			t.Fatalf("learned %d: %s", n, out)
		}
	}
	_, out := talk(t, dir, "reputation", "list")
	for _, want := range []string{"192.0.2.1 ", "192.0.2.0/24", "example.org", "bad"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if strings.Contains(out, "innocent") {
		t.Errorf("a signature that failed counts against its domain\n%s", out)
	}
	for range 20 {
		learn(mail, "undo")
	}
	if _, out = talk(t, dir, "reputation", "show", "example.org"); !strings.Contains(out, "new") {
		t.Errorf("what was learned is not taken back\n%s", out)
	}
	for _, typed := range []struct {
		input string
		args  []string
		good  bool
		want  string
	}{
		{mail, []string{"spam"}, true, "1 of 1 learned as spam\n"},
		{mail, []string{"--undo", "spam"}, true, "1 of 1 no longer learned as spam\n"},
		{"7K3Q-9MXB\n", []string{"ham"}, false, "0 of 1 learned as ham\nthe daemon does not remember the others: give it the messages themselves\n"},
	} {
		var said bytes.Buffer
		c := newRoot()
		c.SetIn(strings.NewReader(typed.input))
		c.SetOut(&said)
		c.SetArgs(append([]string{"reputation", "learn", "--policy", filepath.Join(dir, "policy.toml")}, typed.args...))
		if err := c.ExecuteContext(t.Context()); (err == nil) != typed.good || said.String() != typed.want {
			t.Errorf("learn %s: %v, %q, want %q", typed.args, err, said.String(), typed.want)
		}
	}
	if n, _ := learn("7K3Q-9MXA\n"); n != 0 {
		t.Error("an id that nobody remembers was learned")
	}
	if _, out := learn("From: a@example.org\n\nx\n"); !strings.Contains(out, "no Gatepost-Id") {
		t.Errorf("a message that did not come through here: %s", out)
	}
}

// TestFilesAreFollowed: a list's file that changes is in force soon; one with a mistake leaves the old content.
func TestFilesAreFollowed(t *testing.T) {
	dir := startDaemon(t)
	write(t, filepath.Join(dir, "allow"), "two words\n")
	if !shows(t, dir, "was refused, the old one stays") {
		t.Error("a broken file is not said")
	}
	write(t, filepath.Join(dir, "allow"), "good.example\n")
	if !shows(t, dir, "all is well") {
		t.Error("a mended file is not taken")
	}
}

// shows waits until status shows something.
func shows(t *testing.T, dir, want string) bool {
	t.Helper()
	for range 80 {
		if _, out := talk(t, dir, "status"); strings.Contains(out, want) {
			return true
		}
		time.Sleep(100 * time.Millisecond)
	}
	return false
}

// TestDirectoryIsHeld: a second daemon over the same memory and history does not start, and says why.
func TestDirectoryIsHeld(t *testing.T) {
	dir, other := startDaemon(t), t.TempDir()
	text := strings.NewReplacer(dir+"/milter.sock", other+"/m.sock", dir+"/admin.sock", other+"/a.sock").Replace(fmt.Sprintf(adminPolicy, dir))
	write(t, filepath.Join(other, "policy.toml"), text)
	status, out := talk(t, other, "serve")
	if want := "server.directory " + dir + "/state is in use by another gatepost serve"; status != exitUse || !strings.Contains(out, want) {
		t.Errorf("exit status %d\n%s\nwant %q", status, out, want)
	}
}

// TestAdminSocketIsASocket: a file in whose place the socket would stand is not removed, as by a wrong line of the policy.
func TestAdminSocketIsASocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	write(t, path, "what was remembered")
	if _, err := listenAdmin(path); err == nil || !strings.Contains(err.Error(), "is there and no socket") {
		t.Errorf("a file in its place: %v", err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "what was remembered" {
		t.Errorf("the file: %q, %v", text, err)
	}
}

// TestNoneToName: where the policy has no list and no limit, that is said.
func TestNoneToName(t *testing.T) {
	dir := startDaemonWith(t, func(dir string) string {
		return fmt.Sprintf("[listen]\nmilter = [\"unix:%[1]s/milter.sock\"]\nadmin = \"unix:%[1]s/admin.sock\"\nhttp = \"\"\n[server]\ndirectory = \"%[1]s/state\"\n", dir)
	})
	says(t, dir, []typed{
		{"limit show users", exitNo, `there is no limit "users"; the policy has none`},
		{"list add allow 192.0.2.1", exitNo, `there is no list "allow"; the policy has none`},
	})
}

// TestNoSuchPolicy: a command whose policy is not there blames that, and asks no other daemon and no other history.
func TestNoSuchPolicy(t *testing.T) {
	says(t, filepath.Join(t.TempDir(), "gone"), []typed{
		{"status", exitUse, "the policy cannot be read: open "},
		{"reload", exitUse, "gone/policy.toml: no such file or directory"},
		{"list add block 192.0.2.1", exitUse, "the policy cannot be read"},
		{"history", exitUse, "the policy cannot be read"},
		{"explain --last", exitUse, "the policy cannot be read"},
	})
}

// TestUnreadPolicy: a policy that could not be read, because it was just being moved, is read later without another word.
func TestUnreadPolicy(t *testing.T) {
	dir, other := startDaemon(t), t.TempDir()
	path := filepath.Join(dir, "policy.toml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(other, "policy.toml"), string(text)) // for the commands, which look there for the socket
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if status, out := talk(t, other, "reload"); status != exitNo || !strings.Contains(out, "the policy cannot be read") {
		t.Errorf("exit status %d\n%s", status, out)
	}
	if !shows(t, other, "was refused, the old one stays") {
		t.Error("that it is not there is not said")
	}
	write(t, path, string(text))
	if !shows(t, other, "all is well") {
		t.Error("it is not read when it is there again")
	}
}

// TestSetupSendmail: the lines come into sendmail.mc above the mailers, once, and go again byte for byte.
func TestSetupSendmail(t *testing.T) {
	dir := t.TempDir()
	mc := filepath.Join(dir, "sendmail.mc")
	const before = "VERSIONID(`ours')dnl\nMAILER(`local')dnl\n"
	write(t, mc, before)
	write(t, filepath.Join(dir, "policy.toml"), "[listen]\nmilter = [\"inet:127.0.0.1:8894\"]\nadmin = \"unix:"+dir+"/none.sock\"\n")
	read := func() string { text, _ := os.ReadFile(mc); return string(text) }
	for _, step := range []struct {
		args   string
		status int
		want   string
	}{
		{"setup sendmail --mc " + mc, exitDone, "INPUT_MAIL_FILTER(`gatepost', `S=inet:8894@127.0.0.1, F=T,"},
		{"setup sendmail --apply --mc " + mc, exitDone, "make -C " + dir},
		{"setup sendmail --apply --mc " + mc, exitDone, "has these lines already"},
		{"setup sendmail --if-down accept --apply --mc " + mc, exitDone, "is written"},
		{"setup sendmail --undo --mc " + mc, exitDone, "is as it was"},
		{"setup sendmail --undo --mc " + mc, exitNo, "nothing to undo"},
		{"setup sendmail --if-down never", exitUse, "--if-down never: write tempfail"},
		{"setup sendmail --apply --undo", exitUse, "apply undo"},
		{"setup", exitUse, "gatepost setup postfix, or gatepost setup sendmail"},
		{"doctor --send user", exitUse, "--send user needs a login"},
		{"doctor --send good --to a>b", exitUse, "without blanks and brackets"},
	} {
		args := strings.Fields(step.args)
		var out bytes.Buffer
		if args[len(args)-1] != "setup" {
			args = append(args, "--policy", filepath.Join(dir, "policy.toml"))
		}
		if status := execute(args, &out, &out); status != step.status || !strings.Contains(out.String(), step.want) {
			t.Errorf("%s: exit status %d, want %d with %q\n%s", step.args, status, step.status, step.want, out.String())
		}
	}
	if read() != before {
		t.Errorf("left is %q", read())
	}
}
