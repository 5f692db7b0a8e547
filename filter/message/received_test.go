package message

import (
	"strings"
	"testing"
)

// TestReadReceived: the forms in which mail servers write who a message came from.
func TestReadReceived(t *testing.T) {
	for _, test := range []struct{ why, value, helo, name, addr string }{
		{"Postfix", "from mail.example.org (mail.example.org [192.0.2.1])\r\n\tby mx2.example.net (Postfix) with ESMTPS id 4F; Tue, 24 Nov 2026 12:00:00 +0000", "mail.example.org", "mail.example.org", "192.0.2.1"},
		{"Postfix, no name", "from [10.0.0.1] (unknown [192.0.2.1]) by mx2.example.net", "[10.0.0.1]", "", "192.0.2.1"},
		{"Postfix, IPv6", "from six.example.org (six.example.org [IPv6:2001:db8::1]) by mx2.example.net", "six.example.org", "six.example.org", "2001:db8::1"},
		{"Sendmail", "from mail.example.org (host.example.org [192.0.2.1] (may be forged)) by mx2.example.net (8.17.1/8.17.1)", "mail.example.org", "host.example.org", "192.0.2.1"},
		{"Exim", "from host.example.org ([192.0.2.1] helo=mail.example.org) by mx2.example.net", "host.example.org", "", "192.0.2.1"},
		{"a lying HELO", "from [203.0.113.9] (mail.example.org [192.0.2.1]) by mx2.example.net", "[203.0.113.9]", "mail.example.org", "192.0.2.1"},
		{"by the machine itself", "by mx2.example.net (Postfix, from userid 0) id 4F", "", "", ""},
		{"no address", "from mail.example.org by mx2.example.net", "", "", ""},
		{"no end", "from mail.example.org (mail.example.org [192.0.2.1", "", "", ""},
	} {
		h, ok := ReadReceived(test.value)
		addr := ""
		if ok {
			addr = h.Addr.String()
		}
		if ok != (test.addr != "") || addr != test.addr || h.Helo != test.helo || h.Name != test.name {
			t.Errorf("%s: %+v %v, want %q %q %q", test.why, h, ok, test.helo, test.name, test.addr)
		}
	}
}

// FuzzReceived: what is read is in the field, and folds change nothing.
func FuzzReceived(f *testing.F) {
	f.Add("from mail.example.org (mail.example.org [192.0.2.1]) by x")
	f.Add("from a (b [IPv6:2001:db8::1])")
	f.Fuzz(func(t *testing.T, value string) {
		h, ok := ReadReceived(value)
		if !ok {
			return
		}
		if !strings.Contains(value, h.Helo) || !strings.Contains(value, h.Name) || h.Addr.Is4In6() {
			t.Errorf("%q: %+v", value, h)
		}
		if len(value) < maxReceived/4 {
			if again, ok := ReadReceived(strings.ReplaceAll(value, " ", "\r\n\t ")); !ok || again != h {
				t.Errorf("folded: %+v, %v, not %+v", again, ok, h)
			}
		}
	})
}
