package soak

import (
	"bytes"
	"debug/buildinfo"
	"debug/elf"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Secrets of a site: each of its own, so that a test says which one was shown.
const (
	listKey  = "l1stk3yl1stk3y"
	password = "r3d1sPa55w0rd"
	token    = "t0k3n-of-forty-letters-that-nobody-guesses"
)

const secretZone = `
2.0.0.127.l1stk3yl1stk3y.bl.test A 127.0.0.2
9.113.0.203.l1stk3yl1stk3y.bl.test A 127.0.0.2
9.113.0.203.l1stk3yl1stk3y.bl.test TXT "listed, see bl.test"
`

const secretPolicy = `
[store]
kind = "redis"
url = "redis://:r3d1sPa55w0rd@%s/0"
[history]
addresses = "hashed"
[admin]
token = "file:%s"
[[dnsbl]]
name = "paid"
zone = "l1stk3yl1stk3y.bl.test"
weight = { "127.0.0.2" = 4 }
[[dnsbl]]
name = "broken"
zone = "l1stk3yl1stk3y.broken.test"
weight = { "127.0.0.2" = 4 }
[[rule]]
name = "listed"
when = 'client.dnsbl_score >= 4'
reply = "554 5.7.1 {client.ip} is listed by {client.dnsbls}"
`

// TestSecrets: keys of lists, the password of Redis, the token and the key of hashed addresses stand in no log, history, explanation, page, metric or
// answer, in good times and bad; nor do local parts where they are to be hashed. What is kept is nobody else's to read.
func TestSecrets(t *testing.T) {
	r := startRedis(t)
	r.say("CONFIG", "SET", "requirepass", password)
	tokenFile := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(tokenFile, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := Start(t, Options{Zone: zone + secretZone, Policy: fmt.Sprintf(secretPolicy, r.at, tokenFile), Log: "level = \"debug\"\n"})
	for range 100 { // until the list's test points have been asked
		if strings.Contains(d.Log(), "blocklist in use") {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	listed := spoof()
	listed.Recipients = []string{"l0calpart@example.net"}
	a, err := d.Send(listed)
	if err != nil || a.Code != 554 {
		t.Errorf("who is listed got %+v, %v", a, err)
	}
	shown := map[string]string{"the answer": a.Text}
	r.kill()
	d.DNS.Misbehave()
	for range 20 {
		if a, err = d.Send(listed); err != nil {
			t.Error(err)
		}
	}
	time.Sleep(1500 * time.Millisecond) // the history's commit
	for _, words := range []string{"status", "status --json", "history", "history --json", "explain --last", "explain --last --json", "facts", "check " + d.PolicyFile(), "limit show", "reputation 203.0.113.9", "doctor"} {
		out, _ := d.Command(strings.Fields(words)...)
		shown["gatepost "+words] = out
	}
	for _, path := range []string{"/metrics", "/healthz", "/readyz"} {
		shown[path] = d.fetch(path)
	}
	shown["the page"], shown["the page without the token"] = d.page(t, "/", token), d.page(t, "/", "")
	shown["a wrong token"] = d.page(t, "/", "wrong-wrong-wrong-wrong-wrong")
	shown["the log"] = d.Log()
	if !strings.Contains(shown["the page"], "listed") || strings.Contains(shown["the page without the token"], "listed") {
		t.Error("the page is for who has the token")
	}
	key := keyOf(t, d)
	for _, file := range []string{"history.db", "history.db-wal"} {
		text, err := os.ReadFile(filepath.Join(d.State(), file))
		if err != nil {
			t.Error(err)
		}
		shown[file] = string(text)
	}
	for where, text := range shown {
		for _, secret := range []string{listKey, password, token, key, "l0calpart"} {
			log := secret == "l0calpart" && !strings.HasPrefix(where, "history") // the log and answers over the socket have the address: only the history hashes
			if !log && secret != "" && strings.Contains(strings.ToLower(text), strings.ToLower(secret)) {
				at := strings.Index(strings.ToLower(text), strings.ToLower(secret))
				t.Errorf("%s shows a secret: %q", where, text[max(0, at-100):min(len(text), at+40)])
			}
		}
	}
	private(t, d)
}

// keyOf gives the key under which local parts are hashed.
func keyOf(t *testing.T, d *Daemon) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(d.State(), "*key*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("the key of hashed addresses: %v, %v", files, err)
	}
	key, err := os.ReadFile(files[0])
	if err != nil || len(bytes.TrimSpace(key)) < 16 {
		t.Fatalf("%q, %v", key, err)
	}
	return string(bytes.TrimSpace(key))
}

// private demands that nobody but the owner and the group reads what the daemon keeps.
func private(t *testing.T, d *Daemon) {
	t.Helper()
	err := filepath.WalkDir(d.State(), func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		most := fs.FileMode(0o640)
		if e.IsDir() {
			most = 0o750
		}
		if err == nil && info.Mode().Perm()&^most != 0 {
			t.Errorf("%s has the mode %v, want at most %v", path, info.Mode().Perm(), most)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(filepath.Join(d.Dir, "admin.sock")); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("the admin socket: %v, %v", info, err)
	}
}

// page gives what the HTTP listener answers to who has a token, or "" for none.
func (d *Daemon) page(t *testing.T, path, token string) string {
	t.Helper()
	req, err := http.NewRequest("GET", "http://"+d.HTTP+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := (&http.Client{Timeout: 10 * time.Second}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var text bytes.Buffer
	_ = resp.Header.Write(&text)
	_, _ = text.ReadFrom(resp.Body)
	return text.String()
}

// TestBinary: the binary needs no library of the machine, and says what it was built from.
func TestBinary(t *testing.T) {
	path := program(t)
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Main.Path == "" || len(info.Deps) == 0 || !strings.HasPrefix(info.GoVersion, "go1.") {
		t.Errorf("built from %s %s with %d modules by %s", info.Main.Path, info.Main.Version, len(info.Deps), info.GoVersion)
	}
	if os.Getenv("GATEPOST_BINARY") == "" {
		return // built by this test, not by make build
	}
	file, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, p := range file.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("the binary is not static: it has a segment %v", p.Type)
		}
	}
}
