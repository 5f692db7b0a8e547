package message

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/net/idna"
)

func authorOf(fields ...string) Author {
	h := NewHeader()
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ":")
		h.Add(name, value)
	}
	return ExtractAuthor(h)
}

// TestHonestAuthors: odd forms that all mail readers understand alike count as one author domain.
func TestHonestAuthors(t *testing.T) {
	for _, c := range []struct{ field, address, domain string }{
		{"From: a@x.test", "a@x.test", "x.test"},
		{"From: A <a@X.Test>", "a@X.Test", "x.test"},
		{"from:a@x.test", "a@x.test", "x.test"},
		{"From : a@x.test", "a@x.test", "x.test"},
		{"From: info@x.test <info@x.test>", "info@x.test", "x.test"},
		{"From: Doe, John <j@x.test>", "j@x.test", "x.test"},
		{"From: customer@y.test <webform@x.test>", "webform@x.test", "x.test"},
		{`From: "Doe, John" <j@x.test>`, "j@x.test", "x.test"},
		{`From: "a@y.test" <j@x.test>`, "j@x.test", "x.test"},
		{"From: =?unknown-8bit?Q?J=F6rg?= <j@x.test>", "j@x.test", "x.test"},
		{"From: =?utf-8?B?YUB5LnRlc3Q=?= <j@x.test>", "j@x.test", "x.test"},
		{"From: j@x.test (John)", "j@x.test", "x.test"},
		{"From: (a@y.test) j@x.test", "j@x.test", "x.test"},
		{"From: John\r\n <j@x.test>", "j@x.test", "x.test"},
		{"From: j@x.test.", "j@x.test.", "x.test"},
		{"From: j @ x.test", "j@x.test", "x.test"},
		{"From: j@b\u00fccher.test", "j@b\u00fccher.test", "xn--bcher-kva.test"},
		{`From: "x y"@a.test`, `"x y"@a.test`, "a.test"},
		{"From: j@x.test (ceo@y.test)", "j@x.test", "x.test"},
		{"From: =?utf-8?Q?Doe?=, John <j@x.test>", "j@x.test", "x.test"},
		{"From: =?utf-8?B?Sm9obiA8Y2VvQHkudGVzdD4=?= <j@x.test>", "j@x.test", "x.test"},
		{"From: a@x.test, b@x.test", "", "x.test"},
		{"From: The team: a@x.test, b@x.test;", "", "x.test"},
		{"From: j@x.test..", "j@x.test..", "x.test"},
		{"From: j@x.test\u3002", "j@x.test\u3002", "x.test"},
		{"From: j@\uff58.test", "j@\uff58.test", "x.test"},
		{"From: 'j@x.test'", "j@x.test", "x.test"},
		{"From: Shop :) <j@x.test>", "j@x.test", "x.test"},
		{"From: A -> B <j@x.test>", "j@x.test", "x.test"},
		{"From: Shop <j@x.test> <J@x.test>", "j@x.test", "x.test"},
		{`From: "a@x.test"`, "a@x.test", "x.test"},
		{"From: (a@x.test)", "a@x.test", "x.test"},
		{`From: "Doe, John" (at Shop @ Home), Shop <j@x.test>`, "j@x.test", "x.test"},
		{`From: "j@x.test", Shop <j@x.test>`, "", "x.test"},
		{`From: "(b@y.test via Shop)" j@x.test`, "j@x.test", "x.test"},
		{"From: Shop <j@x.test", "j@x.test", "x.test"},
		{`From: "Shop <j@x.test>`, "j@x.test", "x.test"},
		{`From: Shop 12" <j@x.test>`, "j@x.test", "x.test"},
		{"From: j@x.test (Shop", "j@x.test", "x.test"},
		{"From: (Shop j@x.test", "j@x.test", "x.test"},
		{"From: j@x.test (Shop :))", "j@x.test", "x.test"},
		{"From: Shop <<j@x.test>>", "j@x.test", "x.test"},
		{"From: Shop <mailto:j@x.test>", "j@x.test", "x.test"},
		{"From: =?utf-8?Q?Sh=C3=B6p?= <mailto:j@x.test>", "j@x.test", "x.test"},
		{`From: Shop <"j@x.test">`, "j@x.test", "x.test"},
		{"From: <Shop> <j@x.test>", "j@x.test", "x.test"},
		{"From: I <3 Shop <j@x.test>", "j@x.test", "x.test"},
		{"From: Ann @ Shop & Sons, Inc. <j@x.test>", "j@x.test", "x.test"},
		{"From: Ann (@ann): hello <j@x.test>", "j@x.test", "x.test"},
		{`From: "Ann @ Shop": <j@x.test>;`, "j@x.test", "x.test"},
		{"From: root@server", "root@server", "server"},
		{"From: Shop <j@x.test>\r", "j@x.test", "x.test"},
		{"From: \"\u05d1\u05e2\"\u05de\" <j@x.test>", "j@x.test", "x.test"}, // Hebrew "Ltd."
		{"From: \x1b$B3t<02q<R\x1b(B <j@x.test>", "j@x.test", "x.test"},
		{"From: \"\x1b$B3t<02q<R\x1b(B\" <j@x.test>", "j@x.test", "x.test"},
		{"From: \x1b$@@=IJ\x1b(J <j@x.test>", "j@x.test", "x.test"},
		{"From: j@x.test (\x1b$B@=IJ\x1b(B)", "j@x.test", "x.test"},
		{"From: =?iso-2022-jp?B?GyRCM3Q8MDJxPFIbKEI=?=, Shop <j@x.test>", "j@x.test", "x.test"},
		{"From: j@x.test (\xb3\\\xa5\\\xbb\\)", "j@x.test", "x.test"}, // Big5
		{"From: \"\xb3\\\xa5\\\xbb\\\" <j@x.test>", "j@x.test", "x.test"},
		{"From: \"\x83t\x83@\x83\x93\x83\\\" <j@x.test>", "j@x.test", "x.test"}, // Shift_JIS: an @ and a backslash
		{"From: \x83t\x83@, \x83\x93 <j@x.test>", "j@x.test", "x.test"},
		{"From: \x1b$B@.2q<R\x1b(B(ABC) <j@x.test>", "j@x.test", "x.test"},
		// One address twice: every reader that sees an author sees this one. The last is what addslashes of PHP makes.
		{`From: "j@x.test" <<j@x.test>>`, "j@x.test", "x.test"},
		{"From: j@x.test <j@x.test", "j@x.test", "x.test"},
		{"From: j@x.test <mailto:j@x.test>", "j@x.test", "x.test"},
		{`From: "j@x.test <j@x.test>`, "j@x.test", "x.test"},
		{`From: "j@x.test" j@x.test`, "j@x.test", "x.test"},
		{`From: \"j@x.test\" <j@x.test>`, "j@x.test", "x.test"},
		{"From: Shop [j@x.test]", "j@x.test", "x.test"},
		{"From: Shop <j@x.test;>", "j@x.test", "x.test"},
		{"From: Shop <\u202aj@x.test\u202c>", "j@x.test", "x.test"}, // copied with its marks of direction
		{"From: j@x.test\u00a0", "j@x.test", "x.test"},
		{"From: Sh\x0bop <j@x.test>", "j@x.test", "x.test"}, // a line break of a spreadsheet
		{"From: Yoga @ Home: Berlin <j@x.test>", "j@x.test", "x.test"},
		// iconv_mime_encode of PHP leaves what RFC 2047 5 (3) forbids in a name: parentheses, @ and commas.
		{"From: =?utf-8?Q?J=C3=B6rg=20(b@y.test)?= <j@x.test>", "j@x.test", "x.test"},
		{"From: =?utf-8?Q?Sch=C3=B6n=20@=20Home,=20Inc.?= <j@x.test>", "j@x.test", "x.test"},
		// All of it in an encoded word: who does not decode it sees no author at all.
		{"From: =?utf-8?B?U2hvcCA8akB4LnRlc3Q+?=", "j@x.test", "x.test"},
		{`From: "j@x.test\.y.test"`, "j@x.test.y.test", "x.test.y.test"},
	} {
		got := authorOf(c.field)
		if got.Fields != 1 || got.Address != c.address || got.Domain != c.domain {
			t.Errorf("%q: %+v, want address %q and domain %q", c.field, got, c.address, c.domain)
		}
	}
}

// TestDoubtfulAuthors: where mail readers could see different authors, or none, there is no one domain that could pass for the message.
func TestDoubtfulAuthors(t *testing.T) {
	for _, c := range []struct {
		why    string
		fields []string
	}{
		{"no From", []string{"To: a@x.test"}},
		{"two fields", []string{"From: a@x.test", "From: b@y.test"}},
		{"two fields of one domain", []string{"From: a@x.test", "From: b@x.test"}},
		{"two addresses", []string{"From: a@x.test, b@y.test"}},
		{"two in angles", []string{"From: <a@x.test> <b@y.test>"}},
		{"an address in angles, and another behind it", []string{"From: <a@x.test> b@y.test"}},
		{"a source route", []string{"From: <@a.test,@b.test:c@x.test>"}},
		{"an address in angles, and another in an encoded word behind it", []string{"From: <a@x.test> =?utf-8?Q?=3Cb=40y.test=3E?="}},
		{"the same in quotes", []string{`From: <a@x.test> "=?utf-8?Q?b=40y.test?="`}},
		{"a quote that is never closed, and words against the angle", []string{`From: "<a@x.test>.y.test`}},
		{"the same address behind it, with what some readers join", []string{"From: <a@x.test> a@x.test .y.test"}},
		{"an address in an encoded word for a group's name", []string{"From: =?utf-8?Q?b=40y.test?=: <a@x.test>"}},
		{"an angle that is never closed, and another address", []string{"From: c@y.test <b@x.test"}},
		{"a quote that is never closed, and another address", []string{`From: "c@y.test <b@x.test>`}},
		{"a comment that is never closed, and another address", []string{"From: (c@y.test b@x.test"}},
		{"a quote that is never closed, and another address in an encoded word", []string{`From: "=?utf-8?Q?c=40y.test?= <b@x.test>`}},
		{"two addresses beside ISO-2022-JP", []string{"From: \x1b$B!!\x1b(B \"x) <c@y.test> (\" <b@x.test>"}},
		{"an address for who knows no ISO-2022-JP", []string{"From: \x1b$B<cc@y.test>\x1b(B <b@x.test>"}},
		{"the same, in the escape of 1978", []string{"From: \x1b$@<cc@y.test>\x1b(J <b@x.test>"}},
		{"ISO-2022-JP that is never closed", []string{"From: \x1b$B3t<0 <b@x.test>"}},
		{"a parenthesis within a domain", []string{"From: a@x.te)st"}},
		{"an angle within a domain", []string{"From: a@x.te>st"}},
		{"ISO-2022-JP within a domain", []string{"From: b@x.\x1b$B3t<0\x1b(Btest"}},
		{"a quote that is never closed, and a domain that a blank divides", []string{`From: "A <b@pay .x.test>`}},
		{"a quote that is never closed, and a domain that a comment divides", []string{`From: "A <b@p(c)ay.x.test>`}},
		{"an address behind the escape of 1978", []string{"From: \x1b$@y.test\x1b(B <b@x.test>"}},
		{"a piece of a name with an encoded word that is an address", []string{"From: =?utf-8?Q?=3Cc=40y.test=3E?= @ A, <b@x.test>"}},
		{"an address in quotes behind an address", []string{`From: b@x.test "c@y.test A"`}},
		{"an address in angles in quotes", []string{`From: "A <c@y.test>" b@x.test`}},
		{"a piece of a name with a quoted address", []string{`From: "c@y.test" @ A, <b@x.test>`}},
		{"an address at a host of the site", []string{"From: ceo@intranet, B <b@x.test>"}},
		{"a name and an address with dots", []string{"From: A @ y.test, B <b@x.test>"}},
		{"the same with blanks in it", []string{"From: A @ y .test, B <b@x.test>"}},
		{"a domain in quotes behind an @", []string{`From: ceo @"y.test", B <b@x.test>`}},
		{"a dot in quotes behind an @", []string{`From: ceo @y"."test, B <b@x.test>`}},
		{"the same before a colon", []string{`From: ceo @"y.test": B <b@x.test>;`}},
		{"a name in an encoded word that is an address", []string{"From: =?utf-8?Q?ceo_@_y=2Etest,?= <b@x.test>"}},
		{"Latin 1 before the @", []string{"From: caf\xe9@y.test, B <b@x.test>"}},
		{"the same with a comment in the domain", []string{"From: caf\xe9@y(c).test, B <b@x.test>"}},
		{"a comment with an address that divides words behind the angles", []string{"From: <b@x.test> a(c@y.test)d"}},
		{"NUL", []string{"From: a@x.test\x00@y.test"}},
		{"a bare CR", []string{"From: a@x.test\rFrom: b@y.test"}},
		{"a bare LF", []string{"From: a@x.test\nFrom: b@y.test"}},
		{"a byte order mark before the name", []string{"\ufeffFrom: a@x.test"}},
		{"a control character in the name", []string{"Fr\x01om: a@x.test"}},
		{"several @", []string{"From: a@x.test@y.test"}},
		{"a quoted local part that is an address", []string{`From: "x@evil.test"@a.test`}},
		{"an address behind quoted pairs", []string{`From: \,a@x.test,<b@y.test>`}},
		{"an encoded word that is an address, for who decodes first", []string{"From: =?utf-8?B?PGFAeC50ZXN0Pg==?=,<b@y.test>"}},
		{"the same, quoted-printable, folded", []string{"From: =?iso-8859-1?Q?=3Ca=40x=2Etest=3E?=,\r\n <b@y.test>"}},
		{"an encoded word as local part", []string{"From: =?utf-8?B?YUB4LnRlc3Q=?=@y.test"}},
		{"an address in a comment within an address", []string{"From: a(b@y.test)@x.test"}},
		{"the same with blanks", []string{"From: a (b@y.test) @x.test"}},
		{"a comment within a domain", []string{"From: a@x(<b@y.test>).test"}},
		{"a comment with an address in angles", []string{"From: <a@x.test(b@y.test)>"}},
		{"a route of one", []string{"From: <@x.test:b@y.test>"}},
		{"a comment behind a route", []string{"From: <@x.test(,):b@y.test>"}},
		{"empty angles", []string{"From: a@x.test <>"}},
		{"an address for a group's name", []string{"From: a@x.test: b@y.test;"}},
		{"two groups", []string{"From: g: a@x.test;, h: b@y.test;"}},
		{"text behind the angles", []string{"From: <a@x.test>b@y.test"}},
		{"a name on the next line that looks like a field", []string{"From: a@x.test\r\n From: b@y.test"}},
		{"a blank in the name", []string{"Fr om: a@x.test", "From: b@y.test"}},
		{"no-break spaces around an address", []string{"From: a@x.test\u00a0, b@y.test"}},
		{"a full stop of another script", []string{"From: a@x.test, b@y\u3002test"}},
		{"brackets in a domain", []string{"From: a@[x.test"}},
		{"a quote in a domain", []string{`From: a@x.test"@y.test`}},
		{"no address", []string{"From: MAILER-DAEMON"}},
		{"an empty group", []string{"From: undisclosed:;"}},
		{"an address literal", []string{"From: a@[192.0.2.1]"}},
		{"an empty domain", []string{"From: a@"}},
		{"an empty field", []string{"From:"}},
	} {
		if got := authorOf(c.fields...); got.Domain != "" {
			t.Errorf("%s: %+v", c.why, got)
		}
	}
}

// TestDoubtIsOneMore: the shipped rule refuses more than one author domain: an address that readers cut apart in different ways counts as two,
// one that nobody can read at all, or none, as one.
func TestDoubtIsOneMore(t *testing.T) {
	for field, want := range map[string]int{
		"From: ceo@x.test\x01": 2, "From: a@x.test\x00@y.test": 2, "From: <@x.test:b@y.test>": 2,
		"From: a@x.test\xa0": 2, "From: a@x.test\u00a0.y.test": 2, "From: a@x.test]": 2, "From: a@[x.test]": 2, "From: a@x\\.test": 2, "From: a@x.test/y": 2,
		"From: a@x.test Name": 2, "From: <a@x.test y.test>": 2, "From: a@x.test(c)y.test": 2, "From: a@" + strings.Repeat("a.", 127) + "x.test": 2,
		`From: "a@x.test", <b@y.test>`: 2, `From: (a@x.test), <b@y.test>`: 2, `From: <b@y.test>; "a@x.test"`: 2, `From: <b@y.test> "a@x.test"`: 2, `From: "A (a@x.test)", B <b@y.test>`: 2,
		`From: "a@x.test": b@y.test;`: 2, `From: "a@x.test]"`: 2, "From: a@x.test. y.test": 2, "From: a@x.(c)test": 2, `From: "=?utf-8?Q?a=40x.test?=", <b@y.test>`: 2, `From: "<a@x.test>@ y.test"`: 2, `From: a@"b@x.test".`: 2,
		`From: "a@x.test" b@y.test`: 2, "From: (<a@x.test>) b@y.test": 2, "From: =?utf-8?Q?a=40x.test.?= y.test": 2, `From: "a@x.test".y.test`: 2, `From: a@x.test".y.test"`: 2, "From: a@x.test:.y.test": 2, "From: =?utf-16?Q?a=00=40=00x=00?=": 2, "From: a@x.test <>": 2,
		"Subject: y\rFrom: a@x.test": 1, "Subject: y\nFROM : a@x.test": 1, "Subject: y\r\nFrom: a@x.test": 1, "Subject: y\r\n From: a@x.test": 0, "Subject: y\r\r\r\n\tFrom: a@x.test": 0,
		"From\u00a0: a@x.test": 2, "\u2060From: a@x.test": 2,
		"From: <>": 1, "From: <MAILER-DAEMON>": 1, "From: Mail Delivery System <MAILER-DAEMON>": 1,
		"From: MAILER-DAEMON": 1, "From: a@[192.0.2.1]": 1, "From: <a@[IPv6:2001:db8::1]>": 1, "From: undisclosed:;": 1, "From:": 1,
	} {
		if got := authorOf(field); len(got.Domains) != want || got.Domain != "" {
			t.Errorf("%q: %+v, want %d domains", field, got, want)
		}
	}
}

var visible = regexp.MustCompile(`^[^"(\\]*<[a-z]+@([a-z]+\.test)>[^"(\\]*<[a-z]+@([a-z]+\.test)>`)

// FuzzAuthor: two addresses of two domains in angles, plainly visible, never give one author domain; and a domain is always a clean name.
func FuzzAuthor(f *testing.F) {
	for _, value := range []string{" a@x.test", " <a@x.test> <b@y.test>", ` "q" <a@x.test>`, " g: a@x.test;", " (c (d)) a@x.test", " a@x.test,,<", "\x00"} {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		got := authorOf("From:" + value)
		if got.Domain != strings.ToLower(got.Domain) || strings.ContainsAny(got.Domain, " \t\r\n<>@\"()") {
			t.Errorf("%q: domain %q", value, got.Domain)
		}
		if m := visible.FindStringSubmatch(value); m != nil && m[1] != m[2] && got.Domain != "" {
			t.Errorf("%q: one domain %q", value, got.Domain)
		}
	})
}

// BenchmarkAuthor: time is straight in the size of the field.
func BenchmarkAuthor(b *testing.B) {
	for _, n := range []int{100, 1000, 10000} {
		value := "From: " + strings.Repeat("a@x.test, ", n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				authorOf(value)
			}
		})
	}
}

// FuzzALabels: what is given without asking the library is what it gives, or refuses to change, but for what DNS could not hold.
func FuzzALabels(f *testing.F) {
	for _, name := range []string{"example.org", "a_b.example", "a..b.", "-a.example-", "xn--bcher-kva.example", "bücher.example", "a b", "a.xn--0", "", strings.Repeat("0", 63) + "\u0323"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		name = strings.ToLower(name)
		want, err := idna.Lookup.ToASCII(name)
		if err != nil || isTooLong(name) {
			want = name
		}
		if got := ALabels(name); got != want {
			t.Errorf("%q: %q, not %q", name, got, want)
		}
	})
}
