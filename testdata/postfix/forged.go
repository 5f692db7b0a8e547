package postfix

import (
	"fmt"
	"strings"
)

// Forged is a header with fields of our own name among foreign ones, which exactly are to be left.
type Forged struct {
	Fields  string
	foreign int
}

// ForgedPolicy takes all mail and adds X-Spam-Flag to that of marked@ any domain.
const ForgedPolicy = AcceptAll + "[[rule]]\nname = \"mark\"\nwhen = 'sender.local == \"marked\"'\naction = \"tag\"\nheader = { \"X-Spam-Flag\" = \"YES\" }\n"

func foreign(i int) string {
	return fmt.Sprintf("Authentication-Results: other.example; dkim=pass header.d=foreign%d.example\n", i)
}

// ForgedHeaders are the disguises in which a field of our own name comes. What an MTA makes of a field's name and of the order of fields must not
// move a deletion to a neighbour.
func ForgedHeaders() map[string]Forged {
	var many strings.Builder
	for i := range 40 {
		fmt.Fprintf(&many, "Authentication-Results: mx.example.net; dkim=pass header.d=forged%d.example\n%s", i, foreign(i))
	}
	return map[string]Forged{
		"forty among forty":             {many.String(), 40},
		"a blank before the colon":      {foreign(0) + "Authentication-Results : mx.example.net; dkim=pass header.d=forged.example\n" + foreign(1), 2},
		"a tab before the colon":        {foreign(0) + "Authentication-Results\t: mx.example.net; dkim=pass header.d=forged.example\n" + foreign(1), 2},
		"the name on the next line":     {foreign(0) + "Authentication-Results:\n mx.example.net;\n dkim=pass header.d=forged.example\n" + foreign(1), 2},
		"no blank behind the colon":     {foreign(0) + "Authentication-Results:mx.example.net;dkim=pass header.d=forged.example\n" + foreign(1), 2},
		"a dot behind the name":         {foreign(0) + "Authentication-Results: mx.example.net.; dkim=pass header.d=forged.example\n" + foreign(1), 2},
		"at the top and at the end":     {"Authentication-Results: mx.example.net; dkim=pass header.d=forged.example\n" + foreign(0) + "authentication-RESULTS: mx.example.net; dkim=pass header.d=forged.example\n", 1},
		"our other fields":              {foreign(0) + "X-Spam-Flag: forged\nx-spam-flag : forged\nX-Gatepost-Would: forged\nGatepost-ID: forged\ngatepost-id : forged\n", 1},
		"ours alone, nothing else":      {"Authentication-Results: mx.example.net; none (forged)\n", 0},
		"fields of names that resemble": {foreign(0) + "X-Authentication-Results: mx.example.net; dkim=pass\nAuthentication-Results-Original: mx.example.net; dkim=pass\n" + foreign(1), 2},
		"folded":                        {foreign(0) + "Authentication-Results:\n mx.example.net;\n\tdkim=pass header.d=forged.example\n" + foreign(1), 2},
		"an empty one among them":       {foreign(0) + "Authentication-Results:\nAuthentication-Results: mx.example.net; dkim=pass header.d=forged.example\n" + foreign(1), 2},
		"Return-Path and Received too":  {"Return-Path: <forged@example.org>\n" + foreign(0) + "Received: from x.example by y.example; Tue, 24 Nov 2026 12:00:00 +0000\nAuthentication-Results: mx.example.net; none (forged)\n" + foreign(1), 2},
	}
}

// Wrong tells what a delivered header has that it should not have, or lacks.
func (f Forged) Wrong(header string) (wrong []string) {
	if strings.Contains(header, "forged") {
		wrong = append(wrong, "a forged field is there")
	}
	for i := range f.foreign {
		if strings.Count(header, foreign(i)) != 1 {
			wrong = append(wrong, fmt.Sprintf("the foreign field %d is gone or twice", i))
		}
	}
	for _, name := range []string{"Authentication-Results: mx.example.net", "Gatepost-Id"} {
		if n := strings.Count("\n"+header, "\n"+name); n != 1 {
			wrong = append(wrong, fmt.Sprintf("%d fields %s", n, name))
		}
	}
	for _, line := range strings.Split(f.Fields, "\n") {
		if (strings.HasPrefix(line, "X-Auth") || strings.HasPrefix(line, "Authentication-Results-O")) && !strings.Contains(header, line) {
			wrong = append(wrong, fmt.Sprintf("%q is gone", line))
		}
	}
	return wrong
}
