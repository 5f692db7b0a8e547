package postfix

import (
	"strings"
	"testing"
)

// TestForgedDisguises: exactly the foreign fields are left of each header.
func TestForgedDisguises(t *testing.T) {
	setPolicy(t, ForgedPolicy)
	for name, c := range ForgedHeaders() {
		t.Run(name, func(t *testing.T) {
			s := subject()
			if reply := sendMail(t, good, "a@example.org", c.Fields+mail("a@example.org", s)); !strings.HasPrefix(reply, "250") {
				t.Fatal(reply)
			}
			header := delivered(t, "u", s)
			for _, wrong := range c.Wrong(header) {
				t.Errorf("%s:\n%s", wrong, header)
			}
		})
	}
	t.Run("a tag stands alone beside a forged one", func(t *testing.T) {
		s := subject()
		if reply := sendMail(t, good, "marked@example.org", "X-Spam-Flag: NO\n"+mail("a@example.org", s)+"\nX-Spam-Flag: body\n"); !strings.HasPrefix(reply, "250") {
			t.Fatal(reply)
		}
		if header := delivered(t, "u", s); strings.Count(header, "X-Spam-Flag") != 1 || !strings.Contains(header, "X-Spam-Flag: YES") {
			t.Errorf("not exactly our own flag:\n%s", header)
		}
	})
}

// TestResultsOfTrustedHosts: what a host of trust.networks brings under our name stays, and gets none of ours.
func TestResultsOfTrustedHosts(t *testing.T) {
	const field = "Authentication-Results: mx.example.net; dmarc=pass header.from=example.org"
	for _, c := range []struct {
		name, more string
		kept       bool
	}{
		{"kept by default", "", true},
		{"removed with keep_from_trusted = false", "[authres]\nkeep_from_trusted = false\n", false},
	} {
		setPolicy(t, "mode = \"enforce\"\n"+c.more+"[trust]\nnetworks = [\"192.0.2.0/24\"]\n")
		s := subject()
		if reply := sendMail(t, good, "a@example.org", field+"\n"+mail("a@example.org", s)); !strings.HasPrefix(reply, "250") {
			t.Fatal(reply)
		}
		want := 0
		if c.kept {
			want = 1
		}
		if header := delivered(t, "u", s); strings.Count(header, "Authentication-Results") != want || strings.Contains(header, field) != c.kept {
			t.Errorf("%s:\n%s", c.name, header)
		}
	}
}
