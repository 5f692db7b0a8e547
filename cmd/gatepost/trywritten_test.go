package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// knownPolicy marks mail of those whom our users have written to.
const knownPolicy = `mode = "enforce"
[listen]
milter = ["unix:%[1]s/milter.sock"]
admin = "unix:%[1]s/admin.sock"
http = ""
[server]
directory = "%[1]s/state"
[dns]
servers = ["127.0.0.1:1"]
[[rule]]
name = "known"
when = 'sender.correspondent'
action = "tag"
header = { "X-Known" = "K" }
`

// tells gives what a new session tells of a message of a@example.org.
func tells(t *testing.T, dir string) string {
	t.Helper()
	c, err := dialMilter(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.session.Close()
	told, err := c.send("hello")
	if err != nil {
		t.Fatal(err)
	}
	return told
}

// TestTryTeachesTheDaemon: whom a Sent folder shows to have been written to is a correspondent of the running daemon from then on, and not before;
// what is older than [reputation] correspondent teaches nothing.
func TestTryTeachesTheDaemon(t *testing.T) {
	dir := startDaemonWith(t, func(dir string) string { return fmt.Sprintf(knownPolicy, dir) })
	sent := dir + "/mail/.Sent/cur"
	for _, folder := range []string{sent, dir + "/mail/cur", dir + "/mail/new", dir + "/mail/.Sent/new"} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now().Unix()
	write(t, fmt.Sprintf("%s/%d.M2.host", sent, now-400*24*3600), "To: old@example.org\n\nhello\n")
	write(t, fmt.Sprintf("%s/%d.M3.host", sent, now), "To: x@y.example, not an address\n\nhello\n")
	if told := tells(t, dir); told != "" {
		t.Fatalf("before anybody wrote to them: %q", told)
	}
	if status, out := talk(t, dir, "try", "--store", "--since", "1000d", dir+"/mail"); status != exitDone || strings.Contains(out, "correspondents in the daemon's memory now") {
		t.Errorf("nobody of today: exit status %d\n%s", status, out)
	}
	write(t, fmt.Sprintf("%s/%d.M1.host", sent, now), "To: A <a@example.org>\nCc: b@example.org\n\nhello\n")
	status, out := talk(t, dir, "try", "--store", "--since", "1000d", dir+"/mail")
	if status != exitDone || !strings.Contains(out, "2 recipients of sent mail are correspondents in the daemon's memory now.") {
		t.Errorf("exit status %d\n%s", status, out)
	}
	if told := tells(t, dir); told != "K" {
		t.Errorf("after a user wrote to them: %q, want K", told)
	}
	where := place{policy: filepath.Join(dir, "policy.toml")}
	if err := where.ask(http.MethodPost, "/correspondents", nil, "no list", nil); err == nil || !strings.Contains(err.Error(), "string") {
		t.Errorf("what is no list of recipients: %v", err)
	}
	if err := where.ask(http.MethodGet, "/correspondents", nil, nil, nil); err == nil {
		t.Error("a question is no order")
	}
}
