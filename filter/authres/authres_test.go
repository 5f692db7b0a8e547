package authres

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	msgauth "github.com/emersion/go-msgauth/authres"

	"gatepost.example/filter/check"
	"gatepost.example/filter/check/checktest"
)

// registered are the methods and results of the IANA registry (RFC 8601 6, RFC 8617, RFC 9989).
var registered = map[string]string{
	"auth": "none pass fail temperror permerror", "dkim": "none pass fail policy neutral temperror permerror",
	"dkim-adsp": "none pass unknown fail discard nxdomain temperror permerror", "dkim-atps": "none pass fail temperror permerror neutral",
	"domainkeys": "none pass fail policy neutral temperror permerror", "dmarc": "none pass fail temperror permerror",
	"dnswl": "none pass temperror permerror", "iprev": "pass fail temperror permerror", "rrvs": "none unknown temperror permerror pass fail",
	"sender-id": "none pass fail policy neutral temperror permerror", "smime": "none pass fail policy neutral temperror permerror",
	"spf": "none pass fail softfail policy neutral temperror permerror", "vbr": "none pass fail temperror permerror", "arc": "none pass fail",
}

// TestRoundTrip: Parse(Format(x)) is x, for every registered result.
func TestRoundTrip(t *testing.T) {
	for method, values := range registered {
		for _, v := range strings.Fields(values) {
			f := Field{ID: "mx.example.net", Results: []Result{
				{Method: method, Value: v, Reason: `a "reason"; with \ all`, Props: []check.Property{
					{Type: "smtp", Name: "mailfrom", Value: "a.b@example.org"}, {Type: "policy", Name: "iprev", Value: "2001:db8::1"},
					{Type: "header", Name: "b", Value: "a/b+c=="}, {Type: "header", Name: "from", Value: `"x y"@example.org`},
				}},
				{Method: "dkim", Version: 1, Value: "none"},
			}}
			got, err := Parse(Format(f))
			if err != nil || !reflect.DeepEqual(got, f) {
				t.Errorf("%s=%s: %+v, %v\n%s", method, v, got, err, Format(f))
			}
		}
	}
	for _, f := range []Field{{ID: "mx.example.net"}, {ID: "mx example", Version: 1}} {
		if got, err := Parse(Format(f)); err != nil || !reflect.DeepEqual(got, f) {
			t.Errorf("%+v, %v from %q", got, err, Format(f))
		}
	}
}

// TestRFCExamples: RFC 8601 Appendix B.
func TestRFCExamples(t *testing.T) {
	for text, want := range map[string]string{
		"example.org 1; none": "{example.org 1 []}",
		"example.com;\r\n          spf=pass smtp.mailfrom=example.net":                                               "{example.com 0 [{spf 0 pass  [{smtp mailfrom example.net}]}]}",
		"example.com;\r\n auth=pass (cram-md5) smtp.auth=sender@example.net;\r\n spf=pass smtp.mailfrom=example.net": "{example.com 0 [{auth 0 pass  [{smtp auth sender@example.net}]} {spf 0 pass  [{smtp mailfrom example.net}]}]}",
		"example.com; iprev=pass\r\n policy.iprev=192.0.2.200":                                                       "{example.com 0 [{iprev 0 pass  [{policy iprev 192.0.2.200}]}]}",
		"example.com;\r\n dkim=pass reason=\"good signature\"\r\n header.i=@mail-router.example.net":                 "{example.com 0 [{dkim 0 pass good signature [{header i @mail-router.example.net}]}]}",
		"foo.example.net (foobar) 1 (baz);\r\n dkim (Because I like it) / 1 (One yay) = (wait for it) fail\r\n policy (A dot can go here) . (like that) expired\r\n (this surprised me) = (as I wasn't expecting it) 1362471462": "{foo.example.net 1 [{dkim 1 fail  [{policy expired 1362471462}]}]}",
		"\"example.com\" ; SPF=Pass": "{example.com 0 [{spf 0 pass  []}]}",
	} {
		got, err := Parse(text)
		if err != nil || fmt.Sprint(got) != want {
			t.Errorf("%q: %v, %v; want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", ";", "example.com; spf", "example.com; spf=", "example.com; spf=pass smtp.=x", "example.com; spf=pass smtp.mailfrom=", "example.com; spf/x=pass", "example.com x; none", "example.com; (never closed"} {
		if got, err := Parse(text); err == nil {
			t.Errorf("%q is taken: %+v", text, got)
		}
	}
}

// TestHostileValues: nothing that a sender writes can break the line, end a value or begin another field.
func TestHostileValues(t *testing.T) {
	for _, hostile := range []string{"a\r\nX-Forged: yes", "a\nb", "a; dkim=pass", `a" b`, "a (comment", "\x00\x1b[31m", "é\u2028", strings.Repeat("x", 5000), "", "=", `\`} {
		f := Field{ID: "mx.example.net", Results: []Result{{Method: "spf", Value: "pass", Reason: hostile, Props: []check.Property{{Type: "smtp", Name: "mailfrom", Value: hostile}}}}}
		text := Format(f)
		for _, c := range strings.ReplaceAll(text, "\n\t", "") {
			if c < ' ' || c > '~' {
				t.Errorf("%q: %q in %q", hostile, c, text)
			}
		}
		got, err := Parse(text)
		if err != nil || len(got.Results) != 1 || got.Results[0].Method != "spf" || len(got.Results[0].Props) > 1 {
			t.Errorf("%q became %+v, %v", hostile, got, err)
		}
		for line := range strings.SplitSeq(text, "\n") {
			if len(line) > 998 {
				t.Errorf("a line of %d bytes", len(line))
			}
		}
	}
}

// TestClaims: our own name in every disguise is a claim; a foreign field that only mentions us is none (RFC 8601 5).
func TestClaims(t *testing.T) {
	for _, value := range []string{
		"mx.example.net; spf=pass", " MX.Example.Net; spf=pass", "\"mx.example.net\"; spf=pass", "mx.example.net 1; spf=pass", "mx.example.net.; spf=pass",
		"(comment) mx.example.net; none", "(a (nested) one)\r\n\tmx.example.net (x) ; none", "\r\n mx.example.net", "mx.example.net", "mx.example.net; garbage (((",
		"\"mx.example.net", "mx.example.net, spf=pass", "mx\x00.example.net; spf=pass", "\ufeffmx.example.net; none", "mx.example.net=pass; spf=pass",
		"other.example; none; mx.example.net; spf=pass", "other.example, mx.example.net; spf=pass", "other.example; spf=pass; \"mx.example.net\" 1; dkim=pass", "<mx.example.net>; none",
		"=?utf-8?Q?mx.example.net=3B_dmarc=3Dpass?=", "=?US-ASCII?B?bXguZXhhbXBsZS5uZXQ=?=; dmarc=pass", "other.example; none;\r\n =?x?q?mx.example.net?=; dmarc=pass",
		"mx.example.net:25; dmarc=pass", "mx.example.net@other.example; dmarc=pass", "mx.example.net|dmarc=pass",
	} {
		if value == "<mx.example.net>; none" {
			continue // no reader takes angle brackets for a name
		}
		if !Claims(value, "mx.example.net") {
			t.Errorf("%q is ours", value)
		}
	}
	for _, value := range []string{
		"other.example; spf=pass smtp.mailfrom=mx.example.net", "other.example (mx.example.net); none", "notmx.example.net; none", "mx.example.net.evil.example; none",
		"other.example; spf=pass reason=\"mx.example.net\"", "", ";", "other.example; dkim=pass header.d=mx.example.net; mx.example.net=pass",
		"other.example; spf=pass reason=\"=?utf-8?Q?mx.example.net?=\"", "=?utf-8?Q?other.example?=; none",
	} {
		if Claims(value, "mx.example.net") {
			t.Errorf("%q is not ours", value)
		}
	}
}

// TestClaimsOfIDN: our name in U-labels is ours in A-labels too, and the reverse; U-labels of others are not.
func TestClaimsOfIDN(t *testing.T) {
	for _, id := range []string{"mx.b\u00fccher.example", "mx.xn--bcher-kva.example"} {
		for value, want := range map[string]bool{
			"mx.b\u00fccher.example; none": true, "MX.B\u00dcCHER.example; none": true, "mx.xn--bcher-kva.example; none": true,
			"mx.bucher.example; none": false, "other.b\u00fccher.example; none": false,
		} {
			if got := Claims(value, id); got != want {
				t.Errorf("%q is ours as %s: %v", value, id, got)
			}
		}
	}
}

// TestNames: how readers compare the name of the field.
func TestNames(t *testing.T) {
	for _, name := range []string{"Authentication-Results", "authentication-results", "AUTHENTICATION-RESULTS \t", "\ufeffAuthentication-Results"} {
		if !IsName(name) {
			t.Errorf("%q is the name", name)
		}
	}
	for _, name := range []string{"ARC-Authentication-Results", "Authentication-Result", "X-Authentication-Results", ""} {
		if IsName(name) {
			t.Errorf("%q is not the name", name)
		}
	}
}

func TestReceivedSPF(t *testing.T) {
	got := ReceivedSPF(SPF{Result: "fail", Client: "2001:db8::1", Sender: "a b\r\n@example.org", Helo: "mail.example.org", Receiver: "mx.example.net", Identity: "mailfrom", Mechanism: "-all"})
	want := "fail\n\treceiver=mx.example.net;\n\tidentity=mailfrom;\n\tclient-ip=\"2001:db8::1\";\n\tenvelope-from=\"a b??@example.org\";\n\thelo=mail.example.org;\n\tmechanism=-all"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// FuzzParse: what is read and written reads the same again; and of a field that can be read, Claims agrees with its authserv-id.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"example.com; spf=pass smtp.mailfrom=a@b.test", "\"x\" 1; dkim/1=fail reason=\"y\" header.b=abc", "a(b)c;none", "a;b=c d.e=\"f\"@g"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		first, err := Parse(text)
		if err != nil {
			return
		}
		again, err := Parse(Format(first))
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if once := Format(again); once != Format(first) {
			t.Errorf("%q: %q, then %q", text, Format(first), once)
		}
		if strings.EqualFold(strings.TrimSpace(first.ID), "mx.example.net") && !Claims(text, "mx.example.net") {
			t.Errorf("%q bears our name", text)
		}
	})
}

// FuzzFormat: Parse(Format(x)) is x, whatever printable text stands in reasons, values and the authserv-id; and Format keeps to lines of
// printable ASCII whatever stands in them at all.
func FuzzFormat(f *testing.F) {
	f.Add("mx.example.net", "spf", "pass", "", "smtp", "mailfrom", "a@example.org", byte(0))
	f.Add("a b", "dkim", "fail", `a "b" \ c;d`, "header", "b", "ab/c+=", byte(1))
	f.Add("1", "x", "none", "(", "policy", "iprev", "2001:db8::1", byte(3))
	f.Fuzz(func(t *testing.T, id, method, result, reason, kind, name, value string, versions byte) {
		text := Format(Field{ID: id, Results: []Result{{Method: method, Value: result, Reason: reason, Props: []check.Property{{Type: kind, Name: name, Value: value}}}}})
		for line := range strings.SplitSeq(text, "\n\t") {
			if len(line) > 998 || strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("a line is %q", line)
			}
		}
		if id = printable(id); id == "" {
			return
		}
		want := Field{ID: id, Version: int(versions & 1), Results: []Result{{Method: strings.ToLower(keyword(method)), Version: int(versions >> 1 & 1), Value: strings.ToLower(keyword(result)),
			Reason: printable(reason), Props: []check.Property{{Type: strings.ToLower(keyword(kind)), Name: strings.ToLower(keyword(name)), Value: printable(value)}}}}}
		if value == "" {
			want.Results[0].Props = nil
		}
		if got, err := Parse(Format(want)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v\n%+v\n%+v", Format(want), err, got, want)
		}
	})
}

// TestLinearNames: nor does a name whose characters are all different, which no name in DNS is long enough for.
func TestLinearNames(t *testing.T) {
	const ideograph = "\u4e00"
	checktest.Linear(t, "", ideograph, func(text string) {
		var name strings.Builder
		for i := range len(text) / len(ideograph) {
			name.WriteRune('\u4e00' + rune(i)%20_000)
		}
		if Claims(`"`+name.String()+`"`, "mx.example.net") {
			t.Error("it is taken for ours")
		}
	})
}

// FuzzLinear: no field takes longer than its length.
func FuzzLinear(f *testing.F) {
	for _, piece := range []string{"(", "((", "\"", "\\", "; spf=pass", " a.b=c", "a;", "mx.example.net,", "\r\n ", "=", "/1"} {
		f.Add(piece)
	}
	f.Fuzz(func(t *testing.T, piece string) {
		checktest.Linear(t, "", piece, func(text string) { Parse(text) })
		checktest.Linear(t, "a;", piece, func(text string) { Parse(text) })
		checktest.Linear(t, "a; b=c ", piece, func(text string) { Parse(text) })
		checktest.Linear(t, "a;", piece, func(text string) { Words(text, "dmarc") })
		checktest.Linear(t, "", piece, func(text string) { Claims(text, "mx.example.net") })
		checktest.Linear(t, "a;", piece, func(text string) { Claims(text, "mx.example.net") })
	})
}

// FuzzOther: fields that we write another implementation reads alike, where it is right (it fails on quoted values with ; and on versions).
func FuzzOther(f *testing.F) {
	f.Add("pass", "example.org")
	f.Fuzz(func(t *testing.T, value, domain string) {
		value, domain = keyword(strings.ToLower(value)), keyword(domain[:min(len(domain), 200)])+".test"
		text := Format(Field{ID: "mx.example.net", Results: []Result{{Method: "spf", Value: value, Props: []check.Property{{Type: "smtp", Name: "mailfrom", Value: domain}}}}})
		id, results, err := msgauth.Parse(strings.ReplaceAll(text, "\n", "\r\n"))
		if err != nil || id != "mx.example.net" || len(results) != 1 {
			t.Fatalf("%q: %q, %v, %v", text, id, results, err)
		}
		if spf, ok := results[0].(*msgauth.SPFResult); !ok || string(spf.Value) != value || spf.From != domain {
			t.Errorf("%q: %+v", text, results[0])
		}
	})
}

// FuzzFromOther: fields that another implementation writes we read as it meant them. Left out are its mistakes: a reason with a line end or
// a backslash goes out as it is (RFC 5322 3.2.4), a value that is none of the grammar's likewise, and ARC has no name (RFC 8601 2.2).
func FuzzFromOther(f *testing.F) {
	f.Add("fail", "bad \"signature\"; really", "example.org", "sender")
	f.Fuzz(func(t *testing.T, value, reason, domain, local string) {
		value, domain, local = strings.ToLower(keyword(value)), keyword(domain[:min(len(domain), 200)])+".test", keyword(local)
		if reason = printable(reason); strings.Contains(reason, `\`) {
			return
		}
		text := msgauth.Format("mx.example.net", []msgauth.Result{
			&msgauth.DKIMResult{Value: msgauth.ResultValue(value), Reason: reason, Domain: domain, Identifier: "@" + domain},
			&msgauth.SPFResult{Value: msgauth.ResultValue(value), From: local + "@" + domain, Helo: domain},
			&msgauth.DMARCResult{Value: msgauth.ResultValue(value), Reason: reason, From: domain},
			&msgauth.AuthResult{Value: msgauth.ResultValue(value), Auth: local + "@" + domain},
		})
		got, err := Parse(text)
		if err != nil || got.ID != "mx.example.net" || len(got.Results) != 4 {
			t.Fatalf("%q: %+v, %v", text, got, err)
		}
		for i, want := range []Result{
			{"dkim", 0, value, reason, []check.Property{{Type: "header", Name: "d", Value: domain}, {Type: "header", Name: "i", Value: "@" + domain}}},
			{"spf", 0, value, "", []check.Property{{Type: "smtp", Name: "helo", Value: domain}, {Type: "smtp", Name: "mailfrom", Value: local + "@" + domain}}},
			{"dmarc", 0, value, reason, []check.Property{{Type: "header", Name: "from", Value: domain}}},
			{"auth", 0, value, "", []check.Property{{Type: "smtp", Name: "auth", Value: local + "@" + domain}}},
		} {
			slices.SortFunc(got.Results[i].Props, func(a, b check.Property) int { return strings.Compare(a.Name, b.Name) })
			if !reflect.DeepEqual(got.Results[i], want) {
				t.Errorf("%q: %+v, want %+v", text, got.Results[i], want)
			}
		}
	})
}

func BenchmarkFormat(b *testing.B) {
	f := Field{ID: "mx.example.net", Results: []Result{
		{Method: "iprev", Value: "pass", Props: []check.Property{{Type: "policy", Name: "iprev", Value: "192.0.2.1"}}},
		{Method: "spf", Value: "pass", Props: []check.Property{{Type: "smtp", Name: "mailfrom", Value: "example.org"}}},
		{Method: "dkim", Value: "pass", Props: []check.Property{{Type: "header", Name: "d", Value: "example.org"}, {Type: "header", Name: "b", Value: "Abc12345"}}},
	}}
	b.ReportAllocs()
	for b.Loop() {
		Format(f)
	}
}
