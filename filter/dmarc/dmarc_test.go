package dmarc

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"gatepost.example/filter/check"
	"gatepost.example/filter/check/checktest"
	"gatepost.example/filter/message"
	"gatepost.example/filter/resolve"
	"gatepost.example/filter/resolve/resolvetest"
)

// finding makes what SPF or DKIM found of "pass example.org", with "key" behind it where the key record exists.
func findings(texts ...string) []check.Finding {
	var out []check.Finding
	for _, text := range texts {
		words := strings.Fields(text + " ")
		f := check.Finding{Result: words[0]}
		if len(words) > 1 {
			f.Domain = words[1]
		}
		f.KeyFound = len(words) > 2 && words[2] == "key"
		out = append(out, f)
	}
	return out
}

// run gives "result policy domain aligned-by dkim.author".
func run(t testing.TB, zone, author string, spf, dkim []check.Finding) (string, *resolvetest.Zone) {
	t.Helper()
	r := resolvetest.Must(zone)
	in := &check.Input{
		Resolver: r, Author: message.Author{Fields: 1, Domains: []string{author}, Domain: author},
		Findings: func(_ context.Context, name string) []check.Finding {
			return map[string][]check.Finding{"spf": spf, "dkim": dkim}[name]
		},
	}
	out := New().Start(in)(context.Background())
	var values []string
	for _, f := range out.Facts {
		values = append(values, fmt.Sprint(f.Value))
	}
	return strings.Trim(strings.Join(values, " "), "{}"), r
}

func tell(out string) string { return strings.NewReplacer("{", "", "}", "").Replace(out) }

// TestEvaluate goes through the branches of RFC 9989 4.6 to 4.10.
func TestEvaluate(t *testing.T) {
	pass := findings("pass example.org")
	for _, c := range []struct {
		name, zone, author string
		spf, dkim          []check.Finding
		want               string
	}{
		{"by SPF", `_dmarc.example.org TXT "v=DMARC1; p=reject"`, "example.org", pass, nil, "pass reject example.org spf none"},
		{"by DKIM", `_dmarc.example.org TXT "v=DMARC1; p=reject"`, "example.org", nil, findings("fail x.test", "pass example.org"), "pass reject example.org dkim pass"},
		{"by both", `_dmarc.example.org TXT "v=DMARC1; p=none"`, "example.org", pass, pass, "pass none example.org both pass"},
		{"nothing aligned", `_dmarc.example.org TXT "v=DMARC1; p=quarantine"`, "example.org", findings("pass evil.test"), findings("pass evil.test"), "fail quarantine example.org  none"},
		{"relaxed: a subdomain of the same organization", `_dmarc.example.org TXT "v=DMARC1; p=reject"`, "example.org", findings("pass mail.example.org"), nil, "pass reject example.org spf none"},
		{"relaxed: a sibling", `_dmarc.example.org TXT "v=DMARC1; p=reject"`, "a.example.org", findings("pass b.example.org"), nil, "pass reject example.org spf none"},
		{"strict SPF", `_dmarc.example.org TXT "v=DMARC1; p=reject; aspf=s"`, "example.org", findings("pass mail.example.org"), nil, "fail reject example.org  none"},
		{"strict DKIM", `_dmarc.example.org TXT "v=DMARC1; p=reject; adkim=s"`, "example.org", nil, findings("pass mail.example.org"), "fail reject example.org  none"},
		{"no record", ``, "example.org", pass, nil, "none    none"},
		{"sp for a subdomain", "_dmarc.example.org TXT \"v=DMARC1; p=reject; sp=none\"\nsub.example.org A 192.0.2.1", "sub.example.org", nil, nil, "fail none example.org  none"},
		{"np for one that does not exist", `_dmarc.example.org TXT "v=DMARC1; p=none; sp=none; np=reject"`, "sub.example.org", nil, nil, "fail reject example.org  none"},
		{"np falls back to sp, sp to p", `_dmarc.example.org TXT "v=DMARC1; p=quarantine"`, "sub.example.org", nil, nil, "fail quarantine example.org  none"},
		{"np: an empty non-terminal exists", "_dmarc.example.org TXT \"v=DMARC1; p=none; np=reject\"\nx.sub.example.org A 192.0.2.1", "sub.example.org", nil, nil, "fail none example.org  none"},
		{"t=y: one level milder", `_dmarc.example.org TXT "v=DMARC1; p=reject; t=y"`, "example.org", nil, nil, "fail quarantine example.org  none"},
		{"two records are none", "_dmarc.example.org TXT \"v=DMARC1; p=reject\"\n_dmarc.example.org TXT \"v=DMARC1; p=none\"", "example.org", nil, nil, "none    none"},
		{"no valid p, no rua: permerror, not the parent's", "_dmarc.sub.example.org TXT \"v=DMARC1; adkim=s\"\n_dmarc.example.org TXT \"v=DMARC1; p=reject\"", "sub.example.org", pass, nil, "permerror  sub.example.org  none"},
		{"no valid p but rua: p=none", `_dmarc.example.org TXT "v=DMARC1; rua=mailto:d@example.org"`, "example.org", nil, nil, "fail none example.org  none"},
		{"psd=y: the organization is one label below", "_dmarc.bank.example TXT \"v=DMARC1; p=reject; psd=y\"", "mail.giant.bank.example", findings("pass giant.bank.example"), nil, "pass reject bank.example spf none"},
		{"psd=y: two organizations below it are not aligned", "_dmarc.bank.example TXT \"v=DMARC1; p=reject; psd=y\"", "a.bank.example", findings("pass b.bank.example"), nil, "fail reject bank.example  none"},
		{"psd=n ends the walk", "_dmarc.b.example.org TXT \"v=DMARC1; p=quarantine; psd=n\"\n_dmarc.example.org TXT \"v=DMARC1; p=reject\"", "a.b.example.org", findings("pass example.org"), nil, "fail quarantine b.example.org  none"},
		{"the policy's question has no answer", "_dmarc.example.org TXT TIMEOUT", "example.org", pass, nil, "temperror    none"},
		{"nor has that of a subdomain: what the domain above asks for", "_dmarc.a.example.org TXT SERVFAIL\n_dmarc.example.org TXT \"v=DMARC1; p=none; sp=reject\"", "a.example.org", nil, nil, "temperror reject example.org  none"},
		{"the trouble is on the way", "_dmarc.b.example.org TXT SERVFAIL\n_dmarc.example.org TXT \"v=DMARC1; p=quarantine\"", "a.b.example.org", nil, nil, "temperror quarantine example.org  none"},
		{"and a public suffix above asks for less", "_dmarc.a.b.example TXT SERVFAIL\n_dmarc.b.example TXT \"v=DMARC1; p=reject\"\n_dmarc.example TXT \"v=DMARC1; p=none; psd=y\"", "a.b.example", nil, nil, "temperror reject b.example  none"},
		{"the domain above is authenticated", "_dmarc.a.example.org TXT SERVFAIL\n_dmarc.example.org TXT \"v=DMARC1; p=reject\"", "a.example.org", pass, nil, "temperror  example.org  none"},
		{"a broken signature of it is a trace all the same", "_dmarc.a.example.org TXT SERVFAIL\n_dmarc.example.org TXT \"v=DMARC1; p=reject\"", "a.example.org", nil, findings("fail example.org key"), "temperror reject example.org  fail"},
		{"does a subdomain exist?", "a.example.org A SERVFAIL\n_dmarc.example.org TXT \"v=DMARC1; p=reject; np=none\"", "a.example.org", nil, nil, "temperror reject example.org  none"},
		{"trouble above as well", "_dmarc.a.example.org TXT SERVFAIL\n_dmarc.example.org TXT TIMEOUT", "a.example.org", nil, nil, "temperror    none"},
		{"SPF owes an aligned answer", `_dmarc.example.org TXT "v=DMARC1; p=reject"`, "example.org", findings("temperror example.org"), nil, "temperror reject example.org  none"},
		{"SPF owes an answer that could not align", `_dmarc.example.org TXT "v=DMARC1; p=reject"`, "example.org", findings("temperror evil.test"), nil, "fail reject example.org  none"},
		{"DKIM owes an aligned answer", `_dmarc.example.org TXT "v=DMARC1; p=reject"`, "example.org", nil, findings("temperror example.org"), "temperror reject example.org  temperror"},
		{"a pass counts, whatever else is owed", `_dmarc.example.org TXT "v=DMARC1; p=reject"`, "example.org", pass, findings("temperror example.org"), "pass reject example.org spf temperror"},
		{"a check that was cut off may have passed", `_dmarc.example.org TXT "v=DMARC1; p=reject"`, "example.org", nil, findings("temperror"), "temperror reject example.org  temperror"},
		{"an alignment that DNS owes", "_dmarc.example.org TXT \"v=DMARC1; p=reject\"\n_dmarc.mail.example.org TXT TIMEOUT", "example.org", findings("pass mail.example.org"), nil, "temperror reject example.org  none"},
		{"a broken signature whose key exists is a trace", `_dmarc.example.org TXT "v=DMARC1; p=reject"`, "example.org", nil, findings("fail example.org key"), "fail reject example.org  fail"},
		{"one without a key is none", `_dmarc.example.org TXT "v=DMARC1; p=reject"`, "example.org", nil, findings("permerror example.org"), "fail reject example.org  none"},
		{"capitals in tags and values", `_dmarc.example.org TXT "V=DMARC1; P=Reject"`, "example.org", nil, nil, "fail reject example.org  none"},
	} {
		got, _ := run(t, c.zone+"\n", c.author, c.spf, c.dkim)
		if got = tell(got); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// TestWalkIsBounded: at most 8 questions, and a long name goes straight to its last 7 labels (RFC 9989 4.10).
func TestWalkIsBounded(t *testing.T) {
	_, zone := run(t, "", "a.b.c.d.e.f.g.h.i.j.example.org", nil, nil)
	var names []string
	for _, q := range zone.Asked() {
		if q.Type == resolve.TXT {
			names = append(names, q.Name)
		}
	}
	want := []string{"_dmarc.a.b.c.d.e.f.g.h.i.j.example.org", "_dmarc.f.g.h.i.j.example.org"}
	if len(names) > 8 || names[0] != want[0] || names[1] != want[1] {
		t.Errorf("asked %d: %v", len(names), names)
	}
}

// TestNoWalkWithoutNeed: where the names are equal and the author has a record, one question is enough.
func TestNoWalkWithoutNeed(t *testing.T) {
	_, zone := run(t, "_dmarc.a.example.org TXT \"v=DMARC1; p=reject\"\n", "a.example.org", findings("pass a.example.org"), nil)
	if n := len(zone.Asked()); n != 1 {
		t.Errorf("%d questions: %v", n, zone.Asked())
	}
}

// TestAuthors: without exactly one author domain DMARC is not possible, and it is said why.
func TestAuthors(t *testing.T) {
	for _, c := range []struct {
		author message.Author
		code   string
	}{
		{message.Author{}, CodeNoAuthor},
		{message.Author{Fields: 1, Domains: []string{""}}, CodeNoAuthor},
		{message.Author{Fields: 2, Domains: []string{"example.org"}}, CodeSeveralAuthors},
		{message.Author{Fields: 1, Domains: []string{"example.org", "evil.test"}}, CodeSeveralAuthors},
	} {
		in := &check.Input{Resolver: resolvetest.Must(""), Author: c.author, Findings: func(context.Context, string) []check.Finding { return nil }}
		out := New().Start(in)(context.Background())
		if f := out.Findings[0]; f.Result != "none" || f.Code != c.code {
			t.Errorf("%+v: %s %s, want none %s", c.author, f.Result, f.Code, c.code)
		}
	}
}

// TestRecords: what is a record at all (RFC 9989 4.7).
func TestRecords(t *testing.T) {
	for text, want := range map[string]bool{
		"v=DMARC1; p=none": true, "v=DMARC1": true, "V = DMARC1 ;p=none": true, "v=dmarc1; p=none": false, "v=DMARC1x; p=none": false,
		"p=none; v=DMARC1": false, "": false, "DMARC1": false, " v=DMARC1;": true,
	} {
		if got := isRecord(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// FuzzRecord: a record that counts has a policy of the three, and the same tags in another order of the rest mean the same.
func FuzzRecord(f *testing.F) {
	f.Add("v=DMARC1; p=reject; sp=none; t=y")
	f.Add("v=DMARC1; rua=mailto:a@b.test!10m")
	f.Add("v=DMARC1; p=none; p=reject; psd=y")
	f.Fuzz(func(t *testing.T, text string) {
		r, ok := ParseRecord(text)
		if ok && policyOf(string(r.P)) == "" {
			t.Errorf("%q: policy %q", text, r.P)
		}
		again, okAgain := ParseRecord(text + "; unknown=tag")
		if *again != *r || ok != okAgain {
			t.Errorf("%q: %+v, with an unknown tag %+v", text, r, again)
		}
		for _, own := range []bool{true, false} {
			if p := r.of(own, true); ok && p != Monitor && p != Quarantine && p != Reject {
				t.Errorf("%q applies %q", text, p)
			}
		}
	})
}

// FuzzLinear: no record takes longer than its length.
func FuzzLinear(f *testing.F) {
	for _, piece := range []string{";", "p=", "rua=mailto:a@b.test,", ",", "!", "x=y;", " "} {
		f.Add(piece)
	}
	f.Fuzz(func(t *testing.T, piece string) {
		for _, head := range []string{"", "v=DMARC1;", "v=DMARC1; rua="} {
			checktest.Linear(t, head, piece, func(text string) {
				isRecord(text)
				ParseRecord(text)
			})
		}
	})
}

// FuzzNoPassWithoutAligned: whatever the record, no author passes on the word of a domain of another top-level domain.
func FuzzNoPassWithoutAligned(f *testing.F) {
	f.Add("v=DMARC1; p=none; psd=y", "a.b.example.org")
	f.Fuzz(func(t *testing.T, record, author string) {
		author = strings.Trim(strings.Map(func(r rune) rune {
			if r >= 'a' && r <= 'z' || r == '.' {
				return r
			}
			return -1
		}, author), ".") + ".example"
		if strings.Contains(author, "..") {
			return
		}
		r := overlay{record}
		w := newWalker(context.Background(), r)
		d := w.discover(author)
		if d.record == nil {
			return
		}
		if v := w.evaluate(author, d, evidence{spf: findings("pass evil.test"), dkim: findings("pass example.org")}); v.result == Pass {
			t.Errorf("%q of %s: passes", record, author)
		}
	})
}

// overlay answers every question with one record.
type overlay struct{ text string }

func (o overlay) Lookup(_ context.Context, name string, t resolve.Type) *resolve.Answer {
	return &resolve.Answer{Name: name, Type: t, Status: resolve.Found, Texts: []string{o.text}}
}

func BenchmarkDMARC(b *testing.B) {
	b.ReportAllocs()
	zone := "_dmarc.example.org TXT \"v=DMARC1; p=reject\"\n"
	for b.Loop() {
		run(b, zone, "a.example.org", findings("pass b.example.org"), nil)
	}
}
