package sendmail

import (
	"fmt"
	"strings"
	"testing"

	"github.com/emersion/go-msgauth/dkim"

	"gatepost.example/testdata/postfix"
)

// TestOurFields: Authentication-Results and Gatepost-Id stand above Sendmail's own Received, the message is otherwise as it came.
func TestOurFields(t *testing.T) {
	setPolicy(t, acceptAll)
	s := subject()
	text := postfix.Mail("a@example.org", s)
	if reply := send(t, Good, "a@example.org", text); !strings.HasPrefix(reply, "250") {
		t.Fatal(reply)
	}
	raw := deliveredRaw(t, "u", s)
	at := -1
	for _, field := range []string{"Authentication-Results: mx.example.net;\n\tiprev=pass policy.iprev=192.0.2.1;\n\tspf=pass smtp.mailfrom=example.org;\n", "\nGatepost-Id: ", "\nReceived: from mail.example.org", "\nFrom: a@example.org\n"} {
		next := strings.Index(raw, field)
		if next <= at {
			t.Fatalf("%q is not where it should be:\n%s", field, raw)
		}
		at = next
	}
	if !strings.HasPrefix(raw, "Return-Path: <a@example.org>\nAuthentication-Results: ") || !strings.HasSuffix(raw, "\n"+text) {
		t.Errorf("not our fields at the very top and the message as it was:\n%s", raw)
	}
}

// TestForged: what Sendmail makes of a field's name and of the order of fields must not move a deletion to a neighbour. Each message has foreign
// fields between the forged ones; exactly the foreign ones are left.
func TestForged(t *testing.T) {
	setPolicy(t, acceptAll)
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
		"forty among forty":            {many.String(), 40},
		"a blank before the colon":     {foreign(0) + "Authentication-Results : mx.example.net; dkim=pass header.d=forged.example\n" + foreign(1), 2},
		"a tab before the colon":       {foreign(0) + "Authentication-Results\t: mx.example.net; dkim=pass header.d=forged.example\n" + foreign(1), 2},
		"folded":                       {foreign(0) + "Authentication-Results:\n mx.example.net;\n\tdkim=pass header.d=forged.example\n" + foreign(1), 2},
		"no blank behind the colon":    {foreign(0) + "Authentication-Results:mx.example.net;dkim=pass header.d=forged.example\n" + foreign(1), 2},
		"at the top and at the end":    {"Authentication-Results: mx.example.net; dkim=pass header.d=forged.example\n" + foreign(0) + "authentication-RESULTS: mx.example.net; dkim=pass header.d=forged.example\n", 1},
		"our other fields":             {foreign(0) + "X-Gatepost-Would: forged\nGatepost-ID: forged\ngatepost-id : forged\n", 1},
		"an empty one among them":      {foreign(0) + "Authentication-Results:\nAuthentication-Results: mx.example.net; dkim=pass header.d=forged.example\n" + foreign(1), 2},
		"Return-Path and Received too": {"Return-Path: <forged@example.org>\n" + foreign(0) + "Received: from x.example by y.example; Tue, 24 Nov 2026 12:00:00 +0000\nAuthentication-Results: mx.example.net; none (forged)\n" + foreign(1), 2},
		"names that resemble":          {foreign(0) + "X-Authentication-Results: mx.example.net; dkim=pass\nAuthentication-Results-Original: mx.example.net; dkim=pass\n" + foreign(1), 2},
	} {
		t.Run(name, func(t *testing.T) {
			s := subject()
			if reply := send(t, Good, "a@example.org", c.fields+postfix.Mail("a@example.org", s)); !strings.HasPrefix(reply, "250") {
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
}

// TestTagged: a tag stands alone beside a forged one.
func TestTagged(t *testing.T) {
	setPolicy(t, acceptAll+"[[rule]]\nname = \"mark\"\nwhen = 'true'\naction = \"tag\"\nheader = { \"X-Spam-Flag\" = \"YES\" }\n")
	s := subject()
	if reply := send(t, Good, "a@example.org", "X-Spam-Flag: NO\n"+postfix.Mail("a@example.org", s)); !strings.HasPrefix(reply, "250") {
		t.Fatal(reply)
	}
	if header := delivered(t, "u", s); strings.Count(header, "X-Spam-Flag") != 1 || !strings.Contains(header, "X-Spam-Flag: YES") {
		t.Errorf("not exactly our own flag:\n%s", header)
	}
}

// TestSimpleCanonicalization: Sendmail gives the bytes of a header as they came, so that signatures with simple canonicalization hold whatever its
// blanks, folds and letters are.
func TestSimpleCanonicalization(t *testing.T) {
	setPolicy(t, acceptAll)
	simple := func(o *dkim.SignOptions) {
		o.HeaderCanonicalization, o.BodyCanonicalization = dkim.CanonicalizationSimple, dkim.CanonicalizationSimple
	}
	long := "X-Long: " + strings.Repeat("word ", 60) + "\n " + strings.Repeat("more ", 60) + "\n"
	for name, field := range map[string]string{
		"the usual":                 "X-A: b\n",
		"no blank":                  "X-A:b\n",
		"two blanks":                "X-A:  b\n",
		"a tab":                     "X-A:\tb\n",
		"blanks at the end":         "X-A: b  \n",
		"a fold":                    "X-A: b\n\tc\n  d\n",
		"a fold right at the start": "X-A:\n b\n",
		"nothing":                   "X-A:\n",
		"one blank only":            "X-A: \n",
		"letters beyond ASCII":      "X-A: \xc3\xa9t\xc3\xa9\n",
		"long lines":                long,
		"addresses":                 "Cc: \"A, B\" <a@x.example>,b@y.example (c),\n\tGroup: d@z.example;\nX-A: b\n",
		"a percent sign":            "X-A: %s %d 100%\n",
	} {
		t.Run(name, func(t *testing.T) {
			for _, kind := range []func(*dkim.SignOptions){simple, func(o *dkim.SignOptions) { simple(o); o.Selector, o.Signer = "rsa", senders.RSA }} {
				s := subject()
				text := sign(t, field+postfix.Mail("a@example.org", s)+"..dots\n.\n\n  end \n", "example.org", kind)
				if reply := send(t, Good, "a@example.org", text); !strings.HasPrefix(reply, "250") {
					t.Fatal(reply)
				}
				if header := delivered(t, "u", s); !strings.Contains(header, "dkim=pass header.d=example.org") {
					t.Errorf("the signature does not hold:\n%s", deliveredRaw(t, "u", s))
				}
			}
		})
	}
}

// TestLargeMessage: 20 MB arrive whole, and the signature over them holds.
func TestLargeMessage(t *testing.T) {
	setPolicy(t, acceptAll)
	s := subject()
	text := sign(t, postfix.Mail("a@example.org", s)+strings.Repeat(strings.Repeat("x", 76)+"\n", 20<<20/77), "example.org", nil)
	if reply := send(t, Good, "a@example.org", text); !strings.HasPrefix(reply, "250") {
		t.Fatal(reply)
	}
	raw := deliveredRaw(t, "u", s)
	if !strings.Contains(raw, "dkim=pass header.d=example.org") || len(raw) < len(text) {
		t.Errorf("the signature does not hold, or %d of %d bytes arrived:\n%s", len(raw), len(text), raw[:min(len(raw), 2000)])
	}
}
