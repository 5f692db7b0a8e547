package main

import (
	"bytes"
	"encoding/json"
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
