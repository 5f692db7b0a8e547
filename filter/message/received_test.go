package message

import (
	"fmt"
	"net/netip"
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
		// Exim's specification, sender_rcvhost: the verified name stands before the brackets, and the greeting in them where it differs.
		{"Exim", "from host.example.org ([192.0.2.1] helo=mail.example.org) by mx2.example.net", "mail.example.org", "host.example.org", "192.0.2.1"},
		{"Exim, greeted as it is called", "from mail.example.org ([192.0.2.1]) by mx2.example.net with esmtps (TLS1.3)", "mail.example.org", "", "192.0.2.1"},
		{"Exim, port and ident", "from host.example.org ([192.0.2.1]:49152 helo=mail.example.org ident=x) by mx2.example.net", "mail.example.org", "host.example.org", "192.0.2.1"},
		{"Exim, no name", "from [192.0.2.1] (helo=mail.example.org) by mx2.example.net with esmtp (Exim 4.97)", "mail.example.org", "", "192.0.2.1"},
		{"Exim, no name, with port", "from [192.0.2.1] (port=49152 helo=[10.0.0.1]) by mx2.example.net", "[10.0.0.1]", "", "192.0.2.1"},
		{"Sendmail, ident", "from mail.example.org (IDENT:root@host.example.org [192.0.2.1]) by mx2.example.net", "mail.example.org", "host.example.org", "192.0.2.1"},
		{"qmail", "from unknown (HELO mail.example.org) (192.0.2.1) by 0 with SMTP", "mail.example.org", "", "192.0.2.1"},
		{"qmail, a name", "from host.example.org (HELO mail.example.org) (192.0.2.1) by 0 with SMTP", "mail.example.org", "host.example.org", "192.0.2.1"},
		{"an address as a name", "from x (203.0.113.9 [192.0.2.1]) by mx2.example.net", "x", "", "192.0.2.1"},
		{"Exchange", "from mail.example.org (192.0.2.1) by mx2.example.net (10.0.0.2) with Microsoft SMTP Server (version=TLS1_2, cipher=TLS_X) id 15.1.2507.37 via Frontend Transport", "mail.example.org", "", "192.0.2.1"},
		{"Exchange, from itself", "from MX2.example.net (fe80::1%12) by MX2.example.net (fe80::1%12) with Microsoft SMTP Server id 15.1.2507.37", "MX2.example.net", "", "fe80::1"},
		{"Exchange, from a mailbox", "from MX2.example.net ([fe80::1%12]) by MX2.example.net ([fe80::1%12]) with mapi id 15.01.2507.037", "MX2.example.net", "", "fe80::1"},
		{"Cisco", "from host.example.org (HELO mail.example.org) ([192.0.2.1]) by mx2.example.net with ESMTP/TLS/TLS_AES_256_GCM_SHA384", "mail.example.org", "host.example.org", "192.0.2.1"},
		{"a literal alone", "from [192.0.2.1] by mx2.example.net", "[192.0.2.1]", "", ""},
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
		if test.addr == "" {
			h = Hop{Helo: test.helo}
		}
		if ok != (test.addr != "") || addr != test.addr || h.Helo != test.helo || h.Name != test.name {
			t.Errorf("%s: %+v %v, want %q %q %q", test.why, h, ok, test.helo, test.name, test.addr)
		}
	}
}

// TestReadTrace: what else a Received field says.
func TestReadTrace(t *testing.T) {
	for value, want := range map[string]string{
		"from a.example (a.example [192.0.2.1]) by mx.example.net (Postfix) with ESMTPS id 4F for <u@example.net>; Tue, 24 Nov 2026 12:00:00 +0000": "true mx.example.net ESMTPS false u@example.net  false",
		"from [10.0.0.1] (x [192.0.2.1]) (Authenticated sender: alice) by mx.example.net (Postfix) with ESMTPSA id 4F":                              "true mx.example.net ESMTPSA true   false",
		"from a ([192.0.2.1]) by mx.example.net with esmtpa (Exim 4.97) (envelope-from <b@a.example>) id 1 for u@example.net":                       "true mx.example.net ESMTPA true u@example.net b@a.example true",
		"from a ([192.0.2.1]) by mx.example.net with esmtp (envelope-from <>) id 1":                                                                 "true mx.example.net ESMTP false   true",
		"by mx.example.net (Postfix, from userid 0) id 4F":                                                                                          "false mx.example.net  false   false",
		"(from root@localhost) by mx.example.net (8.17.1/8.17.1/Submit) id 4F":                                                                      "false mx.example.net  false   false",
		"from mx.example.net by store.example.net with LMTP id 4F (envelope-from <b@a.example>)":                                                    "true store.example.net LMTP false  b@a.example true",
		"from a (by with (from for) by) by mx.example.net":                                                                                          "true mx.example.net  false   false",
	} {
		r := ReadTrace(value)
		if got := fmt.Sprint(r.From, " ", r.By, " ", r.With, " ", r.User, " ", r.For, " ", r.Mail, " ", r.Mails); got != want {
			t.Errorf("%s\n%q\nwant %q", value, got, want)
		}
	}
}

// FuzzWritten: whatever names a client has, each mail server's way of writing them is read back.
func FuzzWritten(f *testing.F) {
	f.Add("mail.example.org", "host.example.org", []byte{192, 0, 2, 1})
	f.Add("[10.0.0.1]", "x.example", []byte{0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, helo, name string, bytes []byte) {
		addr, ok := netip.AddrFromSlice(bytes)
		plain := func(s string) bool {
			return s != "" && strings.Trim(strings.ToLower(s), "abcdefghijklmnopqrstuvwxyz0123456789.-") == "" && len(s) < 250
		}
		if _, err := netip.ParseAddr(name); !ok || err == nil || !plain(strings.Trim(helo, "[]")) || !plain(name) || !strings.Contains(name, ".") {
			return
		}
		addr = addr.Unmap()
		text := addr.String()
		if addr.Is6() {
			text = "IPv6:" + text
		}
		for form, value := range map[string]string{
			"Postfix":  fmt.Sprintf("from %s (%s [%s])\r\n\tby mx.example.net (Postfix) with ESMTP id 4F", helo, name, text),
			"Sendmail": fmt.Sprintf("from %s (%s [%s] (may be forged)) by mx.example.net (8.17.1/8.17.1) with ESMTP id 4F", helo, name, text),
			"Exim":     fmt.Sprintf("from %s ([%s]:25 helo=%s) by mx.example.net with esmtp (Exim 4.97)", name, addr, helo),
			"qmail":    fmt.Sprintf("from %s (HELO %s) (%s) by 0 with SMTP", name, helo, addr),
		} {
			if got, ok := ReadReceived(value); !ok || got != (Hop{helo, name, addr}) {
				t.Errorf("%s: %q is read as %+v", form, value, got)
			}
		}
	})
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
