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

	"gatepost.example/filter/resolve/resolvetest"
)

// secret is the key within a zone: no command, log line or error shows it.
const secret = "k3yk3yk3y"

const secretPolicy = `
mode = "enforce"
[listen]
milter = ["unix:%[1]s/milter.sock"]
admin = "unix:%[1]s/admin.sock"
[server]
name = "mx.example.net"
directory = "%[1]s/state"
[dns]
servers = ["%[2]s"]
timeout = "500ms"
[[dnsbl]]
name = "good"
zone = "K3yk3yk3y.bl.test."
weight = { "127.0.0.2" = 4 }
url = "https://bl.test/{client.ip}"
[[dnsbl]]
name = "broken"
zone = "k3yk3yk3y.broken.test"
weight = { "127.0.0.2" = 4 }
[[dnsbl]]
name = "silent"
zone = "k3yk3yk3y.silent.test"
weight = { "127.0.0.2" = 4 }
[[dnsbl]]
name = "names"
query = "sender.domain"
zone = "k3yk3yk3y.names.test"
weight = { "127.0.0.2" = 4 }
[[rule]]
name = "listed"
when = 'client.dnsbl_score >= 4 || sender.dnsbl_score >= 4'
reply = "554 5.7.1 {client.ip} is listed by {client.dnsbls}; see {client.dnsbl_url}"
`

const secretZone = `
2.0.0.127.k3yk3yk3y.bl.test A 127.0.0.2
1.2.0.192.k3yk3yk3y.bl.test A 127.0.0.2
3.2.0.192.k3yk3yk3y.bl.test A TIMEOUT
4.2.0.192.k3yk3yk3y.bl.test A 203.0.113.1
*.k3yk3yk3y.broken.test A 127.255.255.254
2.0.0.127.k3yk3yk3y.silent.test A TIMEOUT
test.k3yk3yk3y.names.test A 127.0.0.2
example.org.k3yk3yk3y.names.test CNAME loop.k3yk3yk3y.names.test
loop.k3yk3yk3y.names.test CNAME example.org.k3yk3yk3y.names.test
`

// TestZoneStaysSecret: whatever a list says or fails to say, its zone stands in no output of try, check, status or facts, and in no line of the
// daemon's log.
func TestZoneStaysSecret(t *testing.T) {
	server, err := resolvetest.NewServer(resolvetest.Must(secretZone))
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	dir, err := os.MkdirTemp("", "gp")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	policy := fmt.Sprintf(secretPolicy, dir, server.Addr())
	write(t, filepath.Join(dir, "policy.toml"), policy)
	message := filepath.Join(dir, "message.eml")
	write(t, message, "From: a@example.org\r\n\r\nhello\r\n")
	var all strings.Builder
	for client, want := range map[string]string{
		"192.0.2.1": "554 5.7.1 192.0.2.1 is listed by good; see https://bl.test/192.0.2.1", "192.0.2.2": `"2.2.0.192.good": no such domain`,
		"192.0.2.3": "no answer from", "192.0.2.4": "is no listing but an error",
	} {
		status, out := talk(t, dir, "try", "--ip", client, "--from", "a@example.org", message)
		if status != exitDone || !strings.Contains(out, want) || !strings.Contains(out, "out of use") {
			t.Errorf("%s: exit status %d, want %q in\n%s", client, status, want, out)
		}
		all.WriteString(out)
	}
	all.WriteString(daemonLog(t, dir))
	for _, broken := range []string{
		strings.Replace(policy, `.bl.test."`, `.bl.test`, 1), strings.Replace(policy, `K3yk3yk3y.bl`, `k3yk3yk3y..bl`, 1), strings.Replace(policy, `"K3yk3yk3y.bl.test."`, `k3yk3yk3y.bl.test`, 1),
		strings.Replace(policy, `"K3yk3yk3y.bl.test."`, `["k3yk3yk3y.bl.test"]`, 1), strings.Replace(policy, `K3yk3yk3y`, `\q`+secret, 1), strings.Replace(policy, "zone = \"k3yk3yk3y.names.test\"", "zone = \"k3yk3yk3y.names.test\" x", 1),
		strings.Replace(policy, `"K3yk3yk3y.bl.test."`, `"k3yk3yk3y.`+strings.Repeat("long.", 60)+`test"`, 1), strings.Replace(policy, "weight = { \"127.0.0.2\" = 4 }\nurl", "weight = { \"k3yk3yk3y.bl.test", 1),
	} {
		status, out := run(t, broken, "check", "POLICY")
		if status == exitDone {
			t.Errorf("taken:\n%s", broken)
		}
		all.WriteString(out)
	}
	_, out := talk(t, dir, "check", "--json")
	all.WriteString(out)
	for line := range strings.SplitSeq(all.String(), "\n") {
		if strings.Contains(strings.ToLower(line), secret) {
			t.Errorf("the key is shown: %s", line)
		}
	}
}

// daemonLog runs the daemon until it has tested its lists, asks for its status, and gives all that both printed.
func daemonLog(t *testing.T, dir string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var log bytes.Buffer // read when the daemon has ended
	ended := make(chan error, 1)
	go func() { ended <- runDaemon(ctx, filepath.Join(dir, "policy.toml"), &log, testSignals(t)) }()
	told := ""
	for range 100 {
		if status, out := talk(t, dir, "status"); status != exitUse {
			told = out
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	time.Sleep(1500 * time.Millisecond) // until the silent list has been waited for
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"blocklist in use", "blocklist out of use", "blocklist not in use yet"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, log.String())
		}
	}
	return told + log.String()
}
