package policyfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestListFiles: files are read, comments and what is over are left out, and a wrong line is named with its file.
func TestListFiles(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	files := map[string]string{
		"/etc/gatepost/block":   "# spammers\n192.0.2.0/24\n\n  .bad.example # seen in May\nold.example # until 2026-11-24T12:00:00Z\nnew.example # until 2026-12-01T00:00:00Z ticket 4711\n",
		"/state/lists/block":    "bücher.example\n",
		"/etc/gatepost/broken":  "good.example\n192.0.2.1/24\n",
		"/etc/gatepost/broken2": "two words\n",
	}
	read := func(text string) (*File, error) {
		return ParseWith("policy.toml", []byte("[server]\ndirectory = \"/state\"\n"+text), vocabulary(t), Reading{Now: now, File: func(path string) ([]byte, error) {
			if content, ok := files[path]; ok {
				return []byte(content), nil
			}
			return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
		}})
	}
	f, err := read("[list]\nblock = [\"file:/etc/gatepost/block\", \"198.51.100.1\"]\n")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := f.Source().Lists[0].More, []string{"192.0.2.0/24", ".bad.example", "new.example", "xn--bcher-kva.example"}; !reflect.DeepEqual(got, want) {
		t.Errorf("entries %q, want %q", got, want)
	}
	if want := []string{"/etc/gatepost/block", "/state/lists/block"}; !reflect.DeepEqual(f.Follow, want) || f.Expires.Day() != 1 {
		t.Errorf("follows %q until %s, want %q until the first of December", f.Follow, f.Expires, want)
	}
	for text, want := range map[string]string{
		"block = [\"file:/etc/gatepost/none\"]":                   "policy.toml:4:10: list \"block\": the file /etc/gatepost/none cannot be read: open /etc/gatepost/none: file does not exist; make it, empty if there is nothing to list",
		"block = [\"192.0.2.1\", \"file:/etc/gatepost/broken\"]":  "policy.toml:4:23: list \"block\": /etc/gatepost/broken:2: \"192.0.2.1/24\" has bits beyond its length; write 192.0.2.0/24",
		"block = [\"192.0.2.1\", \"file:/etc/gatepost/broken2\"]": "/etc/gatepost/broken2:1: \"two words\" is empty or has a blank in it; write one network, address, domain or user",
	} {
		if _, err := read("[list]\n" + text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\ngot  %v\nwant %s", text, err, want)
		}
	}
	files["/etc/gatepost/tenants"] = "# recipient sender\nTenant.example partner.example\n* everybody.example # all\n"
	text := "[pairs]\ntenants = [\"file:/etc/gatepost/tenants\"]\n[[rule]]\nname = \"p\"\nwhen = 'pair(rcpt.domain, sender.domain, \"tenants\")'\naction = \"accept\"\n"
	if f, err = read(text); err != nil || len(f.Source().Pairs[0].Pairs) != 2 {
		t.Fatalf("%v", err)
	}
	files["/etc/gatepost/tenants"] += "three of them\n"
	if _, err = read(text); err == nil || err.Error() != "policy.toml:4:12: pairs \"tenants\": /etc/gatepost/tenants:4: 3 columns; write two, such as \"tenant.example partner.example\", * for all" {
		t.Errorf("%v", err)
	}
	var wrong Errors
	if _, err := read("[list]\nblock = [\"file:/etc/gatepost/broken\"]"); !errors.As(err, &wrong) {
		t.Errorf("%v is no Errors", err)
	}
}

// FuzzListLine: a line that is read is written so that it reads the same.
func FuzzListLine(f *testing.F) {
	for _, line := range []string{"example.org", " .example.org # note", "a # until 2026-12-24T10:00:00Z ticket 4711", "# nothing", "x # until never", "x#y#z"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if strings.ContainsAny(line, "\n\r") {
			return
		}
		one := ParseListLine(line)
		if again := ParseListLine(one.String()); one.Entry != "" && !reflect.DeepEqual(again, one) {
			t.Errorf("%q: %+v, then %q: %+v", line, one, one.String(), again)
		}
	})
}

// TestFreemailFiles: reputation.freemail may name files, as package gatepost brings one.
func TestFreemailFiles(t *testing.T) {
	files := map[string]string{"/good": "# providers\nFreemail.example # since 2020\n\nmail.example\n", "/bad": "mail.example\nnobody@mail.example\n"}
	read := func(entries string) (*File, error) {
		return ParseWith("policy.toml", []byte("[reputation]\nfreemail = ["+entries+"]\n"), vocabulary(t), Reading{File: func(path string) ([]byte, error) {
			if text, ok := files[path]; ok {
				return []byte(text), nil
			}
			return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
		}})
	}
	f, err := read(`"own.example", "file:/good"`)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"own.example", "freemail.example", "mail.example"}; !reflect.DeepEqual(f.Reputation.Freemail, want) || f.Follow[0] != "/good" {
		t.Errorf("freemail is %q, want %q; follows %q", f.Reputation.Freemail, want, f.Follow)
	}
	for entries, want := range map[string]string{
		`"file:/none"`: "policy.toml:2:13: reputation.freemail: the file /none cannot be read: open /none: file does not exist; make it, empty if there is nothing to list",
		`"file:/bad"`:  `policy.toml:2:13: reputation.freemail: /bad:2: "nobody@mail.example" is no domain name; write for example forwarder.example`,
		`"file:good"`:  `policy.toml:2:13: reputation.freemail: "good" is no absolute path; begin it with /`,
	} {
		if _, err := read(entries); err == nil || err.Error() != want {
			t.Errorf("%s\ngot  %v\nwant %s", entries, err, want)
		}
	}
}

// TestNoDescriptors: where a file cannot be opened because there are too many, nothing is wrong with the policy.
func TestNoDescriptors(t *testing.T) {
	_, err := ParseWith("policy.toml", []byte("[list]\nblock = [\"file:/etc/gatepost/block\"]\n"), vocabulary(t), Reading{File: func(path string) ([]byte, error) {
		return nil, &fs.PathError{Op: "open", Path: path, Err: syscall.EMFILE}
	}})
	var wrong Errors
	if err == nil || errors.As(err, &wrong) || err.Error() != "the policy cannot be read: open /etc/gatepost/block: too many open files" {
		t.Errorf("got %v", err)
	}
}

// TestFileWrittenMeanwhile: what is written to a file while it is read makes it another one, so that half a file does not stay in force.
func TestFileWrittenMeanwhile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "block")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("192.0.2.1\n")
	whole := "192.0.2.1\n192.0.2.2\n"
	f, err := ParseWith("policy.toml", []byte("[list]\nblock = [\"file:"+path+"\"]\n"), vocabulary(t), Reading{File: func(name string) ([]byte, error) {
		text, err := os.ReadFile(name)
		if name == path {
			write(whole)
		}
		return text, err
	}})
	if err != nil {
		t.Fatal(err)
	}
	if f.Stamps[path] == StampOf(path) || f.Stamps[path] == (Stamp{}) {
		t.Errorf("%v, and now %v: the rest of the file is never read", f.Stamps[path], StampOf(path))
	}
}

// TestEditors: line ends and the byte order mark of editors elsewhere, blanks and tabs, no end of the last line.
func TestEditors(t *testing.T) {
	for _, text := range []string{"alice\na@b.example\n", "\ufeffalice\na@b.example\n", "\ufeff# comment\r\nalice\r\n\r\na@b.example", "\t alice \t# x\n  a@b.example\n\n\n"} {
		f, err := ParseWith("policy.toml", []byte("[list]\nblock = [\"file:/block\"]\n[pairs]\np = [\"file:/pairs\"]\n"), vocabulary(t), Reading{File: func(name string) ([]byte, error) {
			switch name {
			case "/block":
				return []byte(text), nil
			case "/pairs":
				return []byte("\ufeffa b\r\nb\u00fccher.example\tc"), nil
			}
			return nil, fs.ErrNotExist
		}})
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got, want := f.Source().Lists[0].More, []string{"alice", "a@b.example"}; !reflect.DeepEqual(got, want) {
			t.Errorf("%q: entries %q, want %q", text, got, want)
		}
		if got, want := f.Source().Pairs[0].Pairs, [][2]string{{"a", "b"}, {"xn--bcher-kva.example", "c"}}; !reflect.DeepEqual(got, want) {
			t.Errorf("pairs %q, want %q", got, want)
		}
	}
}

// TestSameEntry: an entry is removed however it was written when it was added.
func TestSameEntry(t *testing.T) {
	for _, pair := range [][2]string{
		{"192.0.2.1", "192.0.2.1/32"}, {"192.0.2.1", "::ffff:192.0.2.1"}, {"2001:DB8:0::1", "2001:db8::1"}, {"2001:db8::/32", "2001:0DB8::/32"},
		{"b\u00fccher.example", "xn--bcher-kva.example"}, {".Example.org", ".example.ORG"}, {"A@b\u00fccher.example", "a@xn--bcher-kva.example"}, {"Alice", "user:alice"},
	} {
		if !SameEntry(pair[0], pair[1]) || !SameEntry(pair[1], pair[0]) {
			t.Errorf("%s is not %s", pair[0], pair[1])
		}
	}
	for _, pair := range [][2]string{{"192.0.2.0", "192.0.2.0/24"}, {"example.org", ".example.org"}, {"user:192.0.2.1", "192.0.2.1"}, {"user:a@b.example", "a@b.example"}, {"2001:db8::", "2001:db8::/64"}} {
		if SameEntry(pair[0], pair[1]) {
			t.Errorf("%s is %s", pair[0], pair[1])
		}
	}
	if _, err := Entry("file:/etc/gatepost/more"); err == nil {
		t.Error("a file of a list names another, which nobody reads")
	}
}

// TestReadFile: whoever may write the folder of a list puts something else in its place.
func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink("/dev/zero", link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{pipe, link, dir} {
		if _, err := ReadFile(path); err == nil || !strings.Contains(err.Error(), "a folder, a pipe or a device") {
			t.Errorf("%s: %v", path, err)
		}
	}
	huge := filepath.Join(dir, "huge")
	if err := os.WriteFile(huge, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(huge, maxListFile+1); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadFile(huge); err == nil || !strings.Contains(err.Error(), "67108865 bytes; at most 67108864 are read") {
		t.Errorf("a list of 64 MiB and one byte: %v", err)
	}
}
