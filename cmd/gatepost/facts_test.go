package main

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestJSONOnATerminal: what a sender wrote does nothing to a terminal that --json prints on, and whoever reads the JSON has it as it was.
func TestJSONOnATerminal(t *testing.T) {
	const wrote = "a\u009b2Jb\u202ec\U000e0041d\x1be<ü>"
	var out bytes.Buffer
	c := &cobra.Command{}
	c.SetOut(&out)
	if err := printJSON(c, wrote); err != nil {
		t.Fatal(err)
	}
	if want := `"a\u009b2Jb\u202ec\udb40\udc41d\u001be<ü>"` + "\n"; out.String() != want {
		t.Errorf("%s, want %s", out.String(), want)
	}
	var read string
	if err := json.Unmarshal(out.Bytes(), &read); err != nil || read != wrote {
		t.Errorf("read as %q, %v", read, err)
	}
}

// TestTablesOnATerminal: the same of a table, whose cells stay apart.
func TestTablesOnATerminal(t *testing.T) {
	var out bytes.Buffer
	c := &cobra.Command{}
	c.SetOut(&out)
	if err := printTable(c, false, nil, "KEY\tLEVEL", []string{"a\x1b[2J\n\u202e@example.org\t3"}); err != nil {
		t.Fatal(err)
	}
	if want := "KEY                  LEVEL\na?[2J??@example.org  3\n"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
}

// TestTryOnATerminal: nothing of a hostile message does anything to the terminal of whoever asks what would become of it.
func TestTryOnATerminal(t *testing.T) {
	const esc = "\x1b[31m\u009b2J\u202e"
	message := filepath.Join(t.TempDir(), "message.eml")
	write(t, message, "Subject: "+esc+"\r\nDKIM-Signature: v=1; a="+esc+"; d="+esc+".example; s="+esc+"; h=from; bh=AAAA; b=AAAA\r\n"+
		"ARC-Seal: i=1; a=rsa-sha256; cv="+esc+"; d="+esc+"; s="+esc+"; b=AAAA\r\nFrom: "+esc+" <a"+esc+"@e"+esc+"vil.example>\r\n\r\n")
	policy := "mode = \"enforce\"\n[dns]\nservers = [\"127.0.0.1:1\"]\n"
	_, out := run(t, policy, "try", "--policy", "POLICY", "--ip", "192.0.2.9", "--helo", "he"+esc+"lo", "--from", "s@e"+esc+"vil.example", "--rcpt", "r"+esc+"@example.net", message)
	if !strings.Contains(out, "he?[31m?2j?lo") {
		t.Errorf("the HELO name is not shown:\n%q", out)
	}
	if i := strings.IndexAny(out, esc[:1]+"\u009b\u202e"); i >= 0 {
		t.Errorf("%q reaches the terminal", out[max(0, i-60):i+20])
	}
}
