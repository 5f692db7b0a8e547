package postfix

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// quiet is a site whose daemon a test may end.
func quiet(t *testing.T, policy string, more map[string]string) *Site {
	t.Helper()
	s, err := StartSite(context.Background(), binary, "example.org TXT \"v=spf1 -all\"\n", policy, more)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestDefaultAction: when the daemon is gone, killed or ended, in mid-session or before it, Postfix does what milter_default_action says.
func TestDefaultAction(t *testing.T) {
	for _, c := range []struct{ action, rcpt, later string }{
		{"tempfail", "451 4.7.1 Service unavailable - try again later", "451 4.7.1 Service unavailable - try again later"},
		{"accept", "250", "250"},
		{"reject", "550 5.5.0 Service unavailable", "550 5.5.0 Service unavailable"},
	} {
		t.Run(c.action, func(t *testing.T) {
			s := quiet(t, rule(conditions["rcpt"], "554 5.7.1 no", ""), map[string]string{"milter_default_action": c.action})
			client := dial(t, s.Postfix.SMTP, good)
			want(t, client, "MAIL FROM:<a@example.org>", "250")
			want(t, client, "RCPT TO:<u@example.net>", "554 5.7.1 no")
			s.KillDaemon()
			want(t, client, "RCPT TO:<u@example.net>", c.rcpt)
			other, err := Dial(s.Postfix.SMTP)
			if err != nil {
				t.Fatal(err)
			}
			defer other.Close()
			want(t, other, "EHLO mail.example.org", "250")
			want(t, other, "MAIL FROM:<a@example.org>", c.later)
			if err := s.StartDaemon(binary); err != nil {
				t.Fatal(err)
			}
			back := dial(t, s.Postfix.SMTP, good)
			want(t, back, "MAIL FROM:<a@example.org>", "250")
			want(t, back, "RCPT TO:<u@example.net>", "554 5.7.1 no")
		})
	}
}

// TestStopInMidMessage: SIGTERM lets a message that is under way come to its end; new sessions find nobody.
func TestStopInMidMessage(t *testing.T) {
	s := quiet(t, acceptAll, nil)
	c := dial(t, s.Postfix.SMTP, good)
	want(t, c, "MAIL FROM:<a@example.org>", "250")
	want(t, c, "RCPT TO:<u@example.net>", "250")
	want(t, c, "DATA", "354")
	subject := subject()
	text := strings.ReplaceAll(mail("a@example.org", subject), "\n", "\r\n")
	half := len(text) / 2
	if err := c.Say("%s", text[:half]); err != nil {
		t.Fatal(err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- s.StopDaemon() }()
	for range 200 {
		if strings.Contains(s.Log(), `"msg":"stopping"`) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err := c.Say("%s.\r\n", text[half:]); err != nil {
		t.Fatal(err)
	}
	if reply, err := c.Read(); err != nil || !strings.HasPrefix(reply, "250") {
		t.Fatalf("the message under way: %q, %v", reply, err)
	}
	if err := <-stopped; err != nil {
		t.Errorf("the daemon ended with %v", err)
	}
	message, err := s.Postfix.Delivered("u", "Subject: "+subject)
	if err != nil || !strings.HasPrefix(firstField(message), "Authentication-Results: "+Hostname) {
		t.Errorf("it was not judged (%v):\n%s", err, message)
	}
}

// firstField gives what stands above all fields that came with the message, below those that delivery adds.
func firstField(message string) string {
	for line := range strings.Lines(message) {
		if !strings.HasPrefix(line, "Return-Path:") && !strings.HasPrefix(line, "X-Original-To:") && !strings.HasPrefix(line, "Delivered-To:") {
			return line
		}
	}
	return ""
}

// TestUnwritableFolder: a daemon that is not root says which folder it may not write.
func TestUnwritableFolder(t *testing.T) {
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	uid, err := strconv.Atoi(nobody.Uid)
	if err != nil {
		t.Fatal(err)
	}
	folder, err := NewFolder("gatepost-test-", "")
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Remove()
	policy := filepath.Join(folder.Path, "policy.toml")
	text := fmt.Sprintf("[listen]\nmilter = [\"inet:127.0.0.1:0\"]\n[server]\ndirectory = %q\n", folder.Path)
	if err := os.WriteFile(policy, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	serve := exec.CommandContext(ctx, binary, "serve", "--policy", policy)
	serve.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	out, err := serve.CombinedOutput()
	if err == nil || serve.ProcessState.ExitCode() != 2 || strings.Count(string(out), "\n") != 1 ||
		!strings.Contains(string(out), "server.directory "+folder.Path+" cannot be written: permission denied; give it to the user that runs gatepost") {
		t.Errorf("exit status %d, %q", serve.ProcessState.ExitCode(), out)
	}
}

// TestNothingIsLeft: a process that is killed leaves neither Postfix nor daemon nor folders behind.
func TestNothingIsLeft(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "folder")
	if os.Getenv("GATEPOST_LEFT") != "" {
		s := quiet(t, acceptAll, nil)
		paths := s.dir + "\n" + s.Postfix.Dir + "\n" + strconv.Itoa(s.daemon.Process.Pid)
		if err := os.WriteFile(os.Getenv("GATEPOST_LEFT"), []byte(paths), 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute) // until it is killed
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(self, "-test.run", "^TestNothingIsLeft$")
	child.Env = append(os.Environ(), "GATEPOST_LEFT="+mark, "GATEPOST_BINARY="+binary)
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var left []string
	for range 300 {
		if text, err := os.ReadFile(mark); err == nil && len(text) > 0 {
			left = strings.Split(string(text), "\n")
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	child.Process.Kill()
	child.Wait()
	if len(left) != 3 {
		t.Fatal("no site was started")
	}
	pid, err := strconv.Atoi(left[2])
	if err != nil {
		t.Fatal(err)
	}
	for range 300 {
		_, errSite := os.Stat(left[0])
		_, errPostfix := os.Stat(left[1])
		if os.IsNotExist(errSite) && os.IsNotExist(errPostfix) && !alive(pid) {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Errorf("something is left of %v", left)
}

// alive reports whether a process runs; one that ended and that nobody waited for does not.
func alive(pid int) bool {
	state, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(state), ") Z ")
}
