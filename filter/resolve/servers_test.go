package resolve

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func addrs(s *servers) string {
	var list []string
	for _, one := range s.order() {
		list = append(list, one.addr)
	}
	return fmt.Sprint(list)
}

func TestServerAddresses(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.53":           "192.0.2.53:53",
		"192.0.2.53:5353":      "192.0.2.53:5353",
		"2001:db8::53":         "[2001:db8::53]:53",
		"[2001:db8::53]":       "[2001:db8::53]:53",
		"[2001:db8::53]:5353":  "[2001:db8::53]:5353",
		"fe80::1%eth0":         "[fe80::1%eth0]:53",
		"resolver.example":     "resolver.example:53",
		"resolver.example:530": "resolver.example:530",
	} {
		if got := withPort(text); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

// TestResolvConf: the servers of the file are followed when it changes, looked at once a second at most.
func TestResolvConf(t *testing.T) {
	file := filepath.Join(t.TempDir(), "resolv.conf")
	now := time.Now()
	s := newServers(Config{ResolvConf: file, Now: func() time.Time { return now }}.withDefaults())
	for _, step := range []struct {
		text string // "-" removes the file
		wait time.Duration
		want string
		why  string
	}{
		{"-", 0, "[127.0.0.1:53]", "no file: the C library's default"},
		{"search example.net\nnameserver 192.0.2.53\nnameserver 2001:db8::53 # second\noptions ndots:1\n", time.Second,
			"[192.0.2.53:53 [2001:db8::53]:53]", "the file has come"},
		{"nameserver 192.0.2.54\n", time.Second / 2, "[192.0.2.53:53 [2001:db8::53]:53]", "not looked at again yet"},
		{"nameserver 192.0.2.54\n", time.Second, "[192.0.2.54:53]", "changed"},
		{"# none\n", time.Second, "[127.0.0.1:53]", "a file without servers"},
		{"nameserver 192.0.2.54\n", time.Second, "[192.0.2.54:53]", "back"},
		{"-", time.Second, "[127.0.0.1:53]", "gone"},
	} {
		now = now.Add(step.wait)
		os.Remove(file)
		if step.text != "-" {
			if err := os.WriteFile(file, []byte(step.text), 0o600); err != nil {
				t.Fatal(err)
			}
			os.Chtimes(file, now, now)
		}
		if got := addrs(s); got != step.want {
			t.Errorf("%s: got %s, want %s", step.why, got, step.want)
		}
	}
}

// TestAside: a server that another one had to stand in for comes last for a while, also across a change of the list.
func TestAside(t *testing.T) {
	now := time.Now()
	s := newServers(Config{Servers: []string{"192.0.2.1", "192.0.2.2", "192.0.2.3"}, Now: func() time.Time { return now }})
	s.list[0].setAside(now)
	if got := addrs(s); got != "[192.0.2.2:53 192.0.2.3:53 192.0.2.1:53]" {
		t.Errorf("set aside: %s", got)
	}
	s.list = s.adopt([]string{"192.0.2.9:53", "192.0.2.1:53", "192.0.2.2:53"})
	if got := addrs(s); got != "[192.0.2.9:53 192.0.2.2:53 192.0.2.1:53]" {
		t.Errorf("in a new list: %s", got)
	}
	now = now.Add(asideFor)
	if got := addrs(s); got != "[192.0.2.9:53 192.0.2.1:53 192.0.2.2:53]" {
		t.Errorf("later: %s", got)
	}
}
