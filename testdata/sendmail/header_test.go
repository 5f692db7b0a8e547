package sendmail

import (
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

// TestForged: exactly the foreign fields are left of each header.
func TestForged(t *testing.T) {
	setPolicy(t, postfix.ForgedPolicy)
	for name, c := range postfix.ForgedHeaders() {
		t.Run(name, func(t *testing.T) {
			s := subject()
			if reply := send(t, Good, "a@example.org", c.Fields+postfix.Mail("a@example.org", s)); !strings.HasPrefix(reply, "250") {
				t.Fatal(reply)
			}
			header := delivered(t, "u", s)
			for _, wrong := range c.Wrong(header) {
				t.Errorf("%s:\n%s", wrong, header)
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
