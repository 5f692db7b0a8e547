package postfix

import (
	"fmt"
	"strings"
	"testing"
)

// TestForgedDisguises: what Postfix makes of a field's name and of the order of fields must not move a deletion to a neighbour. Each message
// has foreign fields between the forged ones; exactly the foreign ones are left.
func TestForgedDisguises(t *testing.T) {
	setPolicy(t, acceptAll+"[[rule]]\nname = \"mark\"\nwhen = 'sender.local == \"marked\"'\naction = \"tag\"\nheader = { \"X-Spam-Flag\" = \"YES\" }\n")
	foreign := func(i int) string {
		return fmt.Sprintf("Authentication-Results: other.example; dkim=pass header.d=foreign%d.example\n", i)
	}
	var many strings.Builder
	for i := range 40 {
		fmt.Fprintf(&many, "Authentication-Results: mx.example.net; dkim=pass header.d=forged%d.example\n%s", i, foreign(i))
	}
	for name, c := range map[string]struct {
		fields  string
		foreign int
	}{
		"forty among forty":             {many.String(), 40},
		"a blank before the colon":      {foreign(0) + "Authentication-Results : mx.example.net; dkim=pass header.d=forged.example\n" + foreign(1), 2},
		"a tab before the colon":        {foreign(0) + "Authentication-Results\t: mx.example.net; dkim=pass header.d=forged.example\n" + foreign(1), 2},
		"the name on the next line":     {foreign(0) + "Authentication-Results:\n mx.example.net;\n dkim=pass header.d=forged.example\n" + foreign(1), 2},
		"no blank behind the colon":     {foreign(0) + "Authentication-Results:mx.example.net;dkim=pass header.d=forged.example\n" + foreign(1), 2},
		"a dot behind the name":         {foreign(0) + "Authentication-Results: mx.example.net.; dkim=pass header.d=forged.example\n" + foreign(1), 2},
		"at the top and at the end":     {"Authentication-Results: mx.example.net; dkim=pass header.d=forged.example\n" + foreign(0) + "authentication-RESULTS: mx.example.net; dkim=pass header.d=forged.example\n", 1},
		"our other fields":              {foreign(0) + "X-Spam-Flag: forged\nx-spam-flag : forged\nX-Gatepost-Would: forged\nGatepost-ID: forged\n", 1},
		"ours alone, nothing else":      {"Authentication-Results: mx.example.net; none (forged)\n", 0},
		"fields of names that resemble": {foreign(0) + "X-Authentication-Results: mx.example.net; dkim=pass\nAuthentication-Results-Original: mx.example.net; dkim=pass\n" + foreign(1), 2},
	} {
		t.Run(name, func(t *testing.T) {
			s := subject()
			if reply := sendMail(t, good, "a@example.org", c.fields+mail("a@example.org", s)); !strings.HasPrefix(reply, "250") {
				t.Fatal(reply)
			}
			header := delivered(t, "u", s)
			if strings.Contains(header, "forged") {
				t.Errorf("a forged field is there:\n%s", header)
			}
			for i := range c.foreign {
				if strings.Count(header, strings.TrimSuffix(foreign(i), "\n")+"\n") != 1 {
					t.Errorf("the foreign field %d is gone or twice:\n%s", i, header)
				}
			}
			for _, name := range []string{"Authentication-Results: mx.example.net", "Gatepost-Id"} {
				if n := strings.Count("\n"+header, "\n"+name); n != 1 {
					t.Errorf("%d fields %s:\n%s", n, name, header)
				}
			}
			for _, line := range strings.Split(c.fields, "\n") {
				if (strings.HasPrefix(line, "X-Auth") || strings.HasPrefix(line, "Authentication-Results-O")) && !strings.Contains(header, line) {
					t.Errorf("%q is gone:\n%s", line, header)
				}
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
