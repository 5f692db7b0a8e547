package spf

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	other "blitiri.com.ar/go/spf"

	"gatepost.example/filter/check/checktest"
	"gatepost.example/filter/resolve"
	"gatepost.example/filter/resolve/resolvetest"
)

// FuzzRecord: a record that is read gives the same directives when they are written and read again.
func FuzzRecord(f *testing.F) {
	for _, s := range []string{"v=spf1 -all", "v=spf1 a:x.test/24//64 mx ~all", "v=spf1 include:%{d2r-}.test redirect=_spf.%{d}", "v=spf1 ip6:2001:db8::/32 exp=a.test"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseRecord(text)
		if err != nil {
			return
		}
		again := "v=spf1"
		for _, d := range r.Directives {
			again += " " + d.Text
		}
		second, err := ParseRecord(again)
		if err != nil || fmt.Sprint(second.Directives) != fmt.Sprint(r.Directives) {
			t.Errorf("%q: %v, then %v, %v", text, r.Directives, second, err)
		}
	})
}

// FuzzMacro: an expansion is bounded, and text without % stays as it is.
func FuzzMacro(f *testing.F) {
	f.Add("%{s}%{l1r-}.%{ir}", "a.b.c@example.org")
	f.Add(strings.Repeat("%{s}", 200), strings.Repeat("x.", 100)+"@example.org")
	f.Fuzz(func(t *testing.T, text, sender string) {
		e := &evaluation{query: Query{Client: netip.MustParseAddr("192.0.2.1")}, ctx: context.Background(), resolver: resolvetest.Must("")}
		e.local, e.senderDomain = splitSender(sender)
		out, err := e.expand(text, "example.org", true)
		if len(out) > maxExpansion {
			t.Errorf("%d bytes", len(out))
		}
		if err == nil && !strings.Contains(text, "%") && len(text) <= maxExpansion && out != text {
			t.Errorf("%q became %q", text, out)
		}
	})
}

// FuzzCheckHost: whatever the record, the sender and the HELO name, the questions are bounded (RFC 7208 4.6.4), a record that cannot be read
// gives permerror, and an explanation is printable.
func FuzzCheckHost(f *testing.F) {
	f.Add("v=spf1 mx a:%{d} include:%{o} ?exists:%{l}.%{h} -all exp=%{d}", "a@d.test", "h.test")
	f.Add("v=spf1 redirect=%{s}", "\"a@evil.test\"@d.test", "[192.0.2.1]")
	f.Add("v=spf1 ptr:%{p} a//64 mx/24", "@d.test", "")
	f.Fuzz(func(t *testing.T, record, sender, helo string) {
		q := Query{Client: netip.MustParseAddr("192.0.2.1"), Sender: sender, Helo: helo, Receiver: "mx.example.net"}
		v := CheckMailFrom(context.Background(), everywhere{record}, q)
		if !isWord(v.Result) || len(v.Lookups) > MaxQuestions {
			t.Errorf("%q: %q after %d questions", record, v.Result, len(v.Lookups))
		}
		if _, err := ParseRecord(record); err != nil && isRecord(record) && v.Result != PermError && v.Result != None {
			t.Errorf("%q: %s, though it cannot be read: %v", record, v.Result, err)
		}
		if strings.ContainsFunc(v.Explanation, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("%q explains %q", record, v.Explanation)
		}
	})
}

func isWord(r Result) bool { return slices.Contains(words, string(r)) }

// everywhere answers every question: with a record, with many hosts, or with many addresses.
type everywhere struct{ text string }

func (e everywhere) Lookup(_ context.Context, name string, t resolve.Type) *resolve.Answer {
	a := &resolve.Answer{Name: name, Type: t, Status: resolve.Found, Texts: []string{e.text}}
	for i := range 10 {
		a.Hosts = append(a.Hosts, fmt.Sprintf("h%d.test", i))
		a.MXs = append(a.MXs, resolve.Mailserver{Host: fmt.Sprintf("h%d.test", i)})
		a.Addrs = append(a.Addrs, netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}))
	}
	return a
}

// FuzzLinear: no record, macro-string or sender takes longer than its length.
func FuzzLinear(f *testing.F) {
	for _, piece := range []string{" a", " ip4:192.0.2.1", "%{s}", "%{d}.", "%{l1r-}", "%", "x.", " a=b", "/1", "@", "\"@\""} {
		f.Add(piece)
	}
	f.Fuzz(func(t *testing.T, piece string) {
		checktest.Linear(t, "v=spf1 ", piece, func(text string) { ParseRecord(text) })
		checktest.Linear(t, "v=spf1 exists:", piece, func(text string) { ParseRecord(text) })
		checktest.Linear(t, "", piece, func(text string) {
			e := &evaluation{query: Query{Client: netip.MustParseAddr("192.0.2.1"), Helo: text}, ctx: context.Background(), resolver: resolvetest.Must("")}
			e.local, e.senderDomain = splitSender(text)
			e.expand(text, "example.org", true)
			e.expand("%{s}%{l1r-}%{h2r.}%{S}", "example.org", true)
			cutName(text)
		})
	})
}

// asOther gives the other implementation our resolver.
type asOther struct{ r resolve.Resolver }

func (a asOther) look(ctx context.Context, name string, t resolve.Type) (*resolve.Answer, error) {
	answer := a.r.Lookup(ctx, name, t)
	switch answer.Status {
	case resolve.Found:
		return answer, nil
	case resolve.NXDomain, resolve.NoData:
		return answer, &net.DNSError{IsNotFound: true, Name: name}
	}
	return answer, &net.DNSError{IsTemporary: true, Name: name}
}

func (a asOther) LookupTXT(ctx context.Context, name string) ([]string, error) {
	answer, err := a.look(ctx, name, resolve.TXT)
	return answer.Texts, err
}

func (a asOther) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	answer, err := a.look(ctx, name, resolve.MX)
	var out []*net.MX
	for _, m := range answer.MXs {
		out = append(out, &net.MX{Host: m.Host, Pref: m.Preference})
	}
	return out, err
}

func (a asOther) LookupIPAddr(ctx context.Context, name string) ([]net.IPAddr, error) {
	var out []net.IPAddr
	for _, t := range []resolve.Type{resolve.A, resolve.AAAA} {
		answer, err := a.look(ctx, name, t)
		if answer.Trouble() {
			return nil, err
		}
		for _, addr := range answer.Addrs {
			out = append(out, net.IPAddr{IP: addr.AsSlice()})
		}
	}
	if out == nil {
		return nil, &net.DNSError{IsNotFound: true, Name: name}
	}
	return out, nil
}

func (a asOther) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	ip, err := netip.ParseAddr(addr)
	if err != nil {
		return nil, err
	}
	answer, err := a.look(ctx, resolve.ReverseName(ip), resolve.PTR)
	return answer.Hosts, err
}

// FuzzOther compares the verdict with another implementation's over records made of pieces that both understand. Known disagreements are
// left out: it does not look for syntax errors behind a match, checks no domain-spec and ignores exp= (RFC 7208 4.6, 7.1, 6.2).
func FuzzOther(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 20}, byte(1))
	f.Add([]byte{5, 6, 7, 21}, byte(9))
	pieces := []string{"ip4:192.0.2.0/28", "-ip4:192.0.2.1", "?ip4:192.0.2.2", "a", "a:h.test/30", "mx", "~mx:m.test", "include:i.test", "?include:j.test",
		"exists:%{ir}.e.test", "ip6:2001:db8::/32", "include:k.test", "-exists:%{d}", "a:h.test"}
	tails := []string{" -all", " ~all", " ?all", " +all", "", " redirect=i.test"}
	zone := resolvetest.Must(`
h.test A 192.0.2.5
m.test MX 10 h.test
d.test MX 10 h.test
d.test A 192.0.2.9
i.test TXT "v=spf1 ip4:192.0.2.7 -all"
j.test TXT "v=spf1 ip4:192.0.2.8 ~all"
k.test TXT "v=spf1 include:i.test ?all"
3.2.0.192.e.test A 127.0.0.2
`)
	f.Fuzz(func(t *testing.T, choice []byte, host byte) {
		record := "v=spf1"
		for i, c := range choice[:min(len(choice), 6)] {
			if i == len(choice)-1 || i == 5 {
				record += tails[int(c)%len(tails)]
				break
			}
			record += " " + pieces[int(c)%len(pieces)]
		}
		all := overlay{zone, "d.test", record}
		ip := netip.AddrFrom4([4]byte{192, 0, 2, host % 16})
		ours := CheckMailFrom(context.Background(), all, Query{Client: ip, Helo: "d.test", Sender: "a@d.test"})
		theirs, _ := other.CheckHostWithSender(ip.AsSlice(), "d.test", "a@d.test", other.WithResolver(asOther{all}))
		if string(ours.Result) != string(theirs) {
			t.Errorf("%s from %s: %s, the other says %s (%s)", record, ip, ours.Result, theirs, ours.Detail)
		}
	})
}

// overlay answers the TXT question for one name, and leaves the rest to a zone.
type overlay struct {
	resolve.Resolver
	name, text string
}

func (o overlay) Lookup(ctx context.Context, name string, t resolve.Type) *resolve.Answer {
	if name == o.name && t == resolve.TXT {
		return &resolve.Answer{Name: name, Type: t, Status: resolve.Found, Texts: []string{o.text}}
	}
	return o.Resolver.Lookup(ctx, name, t)
}

// BenchmarkSPF10Lookups: a record whose ten includes are all asked for.
func BenchmarkSPF10Lookups(b *testing.B) {
	var zone strings.Builder
	zone.WriteString("example.org TXT \"v=spf1")
	for i := range 10 {
		fmt.Fprintf(&zone, " include:i%d.example.org", i)
	}
	zone.WriteString(" -all\"\n")
	for i := range 10 {
		fmt.Fprintf(&zone, "i%d.example.org TXT \"v=spf1 ip4:203.0.113.%d -all\"\n", i, i)
	}
	r := resolvetest.Must(zone.String())
	q := Query{Client: netip.MustParseAddr("192.0.2.1"), Helo: "mail.example.org", Sender: "a@example.org", Now: time.Unix(1_800_000_000, 0)}
	b.ReportAllocs()
	for b.Loop() {
		if v := CheckMailFrom(context.Background(), r, q); v.Result != Fail {
			b.Fatal(v.Result)
		}
	}
}
