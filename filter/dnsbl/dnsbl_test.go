package dnsbl_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"gatepost.example/filter/check"
	"gatepost.example/filter/dnsbl"
	"gatepost.example/filter/message"
	"gatepost.example/filter/resolve"
	"gatepost.example/filter/resolve/resolvetest"
	"gatepost.example/policy"
)

// is is the weight of one code.
type is string

func (want is) Matches(code netip.Addr) bool { return code.String() == string(want) }

func weights() []dnsbl.Weight {
	return []dnsbl.Weight{{is("127.0.0.2"), 4}, {is("127.0.0.3"), 2}, {is("127.0.0.9"), -5}, {is("127.0.0.10"), -4}}
}

// zone is a list under the secret name s3cret.bl.test, with RFC 5782's test points.
const zone = `
2.0.0.127.s3cret.bl.test A 127.0.0.2
1.2.0.192.s3cret.bl.test A 127.0.0.2
2.2.0.192.s3cret.bl.test A 127.0.0.3
2.2.0.192.s3cret.bl.test A 127.0.0.2
3.2.0.192.s3cret.bl.test A 127.0.0.99
4.2.0.192.s3cret.bl.test A 127.255.255.254
5.2.0.192.s3cret.bl.test A 127.0.0.2
5.2.0.192.s3cret.bl.test A 203.0.113.80
6.2.0.192.s3cret.bl.test A SERVFAIL
7.2.0.192.s3cret.bl.test A 127.0.0.9
8.2.0.192.s3cret.bl.test A 127.0.0.2
8.2.0.192.s3cret.bl.test A 127.0.0.10
1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.s3cret.bl.test A 127.0.0.3
spam.test.s3cret.bl.test A 127.0.0.2
`

func list(subject dnsbl.Subject) dnsbl.List {
	return dnsbl.List{Name: "bl", Zone: "s3cret.bl.test", Subject: subject, URL: "https://bl.test/{" + string(subject) + "}", Weights: weights()}
}

func TestAsk(t *testing.T) {
	z := resolvetest.Must(zone)
	for _, test := range []struct {
		subject, result, code string
		score                 int
		why                   string
	}{
		{"192.0.2.1", "listed", "", 4, "RFC 5782 2.1: the bytes turned around"},
		{"192.0.2.2", "listed", "", 4, "several codes: the one that counts most"},
		{"192.0.2.3", "listed", "", 0, "a code without a weight counts nothing"},
		{"192.0.2.4", "temperror", "fault", 0, "127.255.255.0/24 is an error of the list: blocked resolver, too many questions"},
		{"192.0.2.5", "temperror", "fault", 0, "one address outside of 127/8 spoils the whole answer"},
		{"192.0.2.6", "temperror", "dns", 0, "SERVFAIL"},
		{"192.0.2.7", "listed", "", -5, "an allowlist"},
		{"192.0.2.8", "listed", "", 4, "for and against alike: against"},
		{"192.0.2.200", "none", "", 0, "not listed"},
		{"2001:db8::1", "listed", "", 2, "RFC 5782 2.4: IPv6 by nibbles"},
		{"spam.test", "listed", "", 4, "RFC 5782 3: a domain"},
		{"SPAM.test.", "listed", "", 4, "names have no case"},
		{"a..b", "none", "", 0, "no name"},
		{strings.Repeat("x", 64) + ".test", "none", "", 0, "a label that is too long"},
	} {
		got := dnsbl.Ask(context.Background(), z, list(dnsbl.ClientIP), test.subject)
		if got.Result != test.result || got.Code != test.code || got.Score != test.score {
			t.Errorf("%s: got %s %s %d, want %s %s %d (%s)", test.subject, got.Result, got.Code, got.Score, test.result, test.code, test.score, test.why)
		}
		if got.Lookup != nil && strings.Contains(got.Lookup.Name+got.Lookup.Detail+got.Detail, "s3cret") {
			t.Errorf("%s: the zone is shown: %+v", test.subject, got)
		}
	}
}

// outcome runs the check of a subject over the lists.
func outcome(t *testing.T, in *check.Input, w *dnsbl.Watch, name string, lists ...dnsbl.List) check.Outcome {
	t.Helper()
	for _, c := range dnsbl.Checks(lists, w) {
		if c.Name() == name {
			return c.Start(in)(context.Background())
		}
	}
	t.Fatalf("no check %s", name)
	return check.Outcome{}
}

func fact(out check.Outcome, name string) policy.Value {
	for _, f := range out.Facts {
		if f.Name == name {
			return f.Value
		}
	}
	return policy.Value{}
}

func TestEverySubject(t *testing.T) {
	in := &check.Input{
		Resolver: resolvetest.Must(zone), Client: netip.MustParseAddr("192.0.2.1"), Helo: "Spam.TEST", SenderDomain: "spam.test",
		Author: message.Author{Domain: "spam.test"},
		Findings: func(context.Context, string) []check.Finding {
			return []check.Finding{{Result: "fail", Domain: "innocent.test"}, {Result: "pass", Domain: "good.test"}, {Result: "pass", Domain: "spam.test"}, {Result: "pass", Domain: "good.test"}}
		},
	}
	for name, subject := range map[string]dnsbl.Subject{
		"dnsbl": dnsbl.ClientIP, "dnsbl-helo": dnsbl.HeloName, "dnsbl-sender": dnsbl.SenderDomain, "dnsbl-author": dnsbl.AuthorDomain, "dnsbl-dkim": dnsbl.DKIMDomains,
	} {
		out := outcome(t, in, nil, name, list(subject))
		if got := out.Facts[0].Value; got != policy.IntOf(4) {
			t.Errorf("%s: %s = %v, want 4", name, out.Facts[0].Name, got)
		}
		questions := 1
		if name == "dnsbl-dkim" {
			questions = 2 // good.test once, innocent.test never
		}
		if len(out.Findings) != questions {
			t.Errorf("%s: findings %+v, want %d", name, out.Findings, questions)
		}
	}
	empty := &check.Input{Resolver: in.Resolver, Helo: "[192.0.2.1]", Findings: func(context.Context, string) []check.Finding { return nil }}
	bare := &check.Input{Resolver: in.Resolver, Helo: "192.0.2.1", SenderDomain: "192.0.2.1"} // a list of domains has no addresses
	for _, c := range dnsbl.Checks([]dnsbl.List{list(dnsbl.HeloName), list(dnsbl.SenderDomain)}, nil)[1:3] {
		if out := c.Start(bare)(context.Background()); len(out.Findings) != 0 {
			t.Errorf("%s asks about an address: %+v", c.Name(), out)
		}
	}
	for _, c := range dnsbl.Checks([]dnsbl.List{list(dnsbl.ClientIP), list(dnsbl.HeloName), list(dnsbl.SenderDomain), list(dnsbl.AuthorDomain), list(dnsbl.DKIMDomains)}, nil) {
		if out := c.Start(empty)(context.Background()); len(out.Findings) != 0 || out.Facts[0].Value != policy.IntOf(0) {
			t.Errorf("%s with nothing to ask about: %+v", c.Name(), out)
		}
	}
}

func TestListsAddUp(t *testing.T) {
	second := list(dnsbl.ClientIP)
	second.Name, second.Zone, second.URL = "other", "other.test", ""
	in := &check.Input{Client: netip.MustParseAddr("192.0.2.1"), Resolver: resolvetest.Must(zone + "1.2.0.192.other.test A 127.0.0.3\n")}
	out := outcome(t, in, nil, "dnsbl", second, list(dnsbl.ClientIP))
	if got := fact(out, "client.dnsbl_score"); got != policy.IntOf(6) {
		t.Errorf("score %v, want 2 and 4", got)
	}
	if got := fact(out, "client.dnsbl_url"); got != policy.StringOf("https://bl.test/192.0.2.1") {
		t.Errorf("url %v, want that of the first list that has one", got)
	}
	if got := fact(outcome(t, in, nil, "dnsbl", list(dnsbl.ClientIP), second), "client.dnsbl_url"); got != policy.StringOf("https://bl.test/192.0.2.1") {
		t.Errorf("url %v", got)
	}
	second.Weights = []dnsbl.Weight{{is("127.0.0.3"), -3}}
	out = outcome(t, in, nil, "dnsbl", second, list(dnsbl.ClientIP))
	if got := fact(out, "client.dnsbl_score"); got != policy.IntOf(1) {
		t.Errorf("score %v, want 4 less 3", got)
	}
}

// TestStrangersTextInURL: a HELO name is written by the client.
func TestStrangersTextInURL(t *testing.T) {
	in := &check.Input{Helo: "a/../%.test\"><b", Resolver: resolvetest.Must("")}
	for _, f := range outcome(t, in, nil, "dnsbl-helo", list(dnsbl.HeloName)).Findings {
		if strings.ContainsAny(f.Detail, "<>\"") {
			t.Errorf("detail %q", f.Detail)
		}
	}
}

// TestWatch: a list is used only while its test points answer right (RFC 5782 5).
func TestWatch(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		zone   string
		list   dnsbl.List
		usable bool
		log    string
		why    string
	}{
		{zone, list(dnsbl.ClientIP), true, "in use", "127.0.0.2 is listed, 127.0.0.1 is not"},
		{"", list(dnsbl.ClientIP), false, "127.0.0.2 is not listed", "a zone that has ended"},
		{"*.s3cret.bl.test A 127.0.0.2", list(dnsbl.ClientIP), false, "127.0.0.1 is listed", "a zone that lists the world"},
		{"*.s3cret.bl.test A 203.0.113.1", list(dnsbl.ClientIP), false, "no listing but an error", "a domain that was sold"},
		{"*.s3cret.bl.test A 127.255.255.254", list(dnsbl.ClientIP), false, "no listing but an error", "our resolver is refused"},
		{"2.0.0.127.s3cret.bl.test A TIMEOUT", list(dnsbl.ClientIP), false, "do not answer", "not known to work yet"},
		{"2.0.0.0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.s3cret.bl.test A 127.0.0.2", list(dnsbl.ClientIP), true, "in use", "a list of IPv6 only: ::FFFF:7F00:2"},
		{"test.s3cret.bl.test A 127.0.1.2", list(dnsbl.SenderDomain), true, "in use", "a list of domains: TEST is listed, INVALID is not"},
		{"test.s3cret.bl.test A 127.0.1.2\ninvalid.s3cret.bl.test A 127.0.1.2", list(dnsbl.SenderDomain), false, "invalid is listed", "INVALID must not be there"},
		{"own.example.s3cret.bl.test A 127.0.1.2", func() dnsbl.List { l := list(dnsbl.AuthorDomain); l.Test = "own.example"; return l }(), true, "in use", "a test point of its own"},
	} {
		var log bytes.Buffer
		w := dnsbl.NewWatch(resolvetest.Must(test.zone), slog.New(slog.NewTextHandler(&log, nil)), func() time.Time { return now })
		w.Follow([]dnsbl.List{test.list})
		if w.Usable(test.list) {
			t.Errorf("%s: used before it was tested", test.why)
		}
		w.Test(context.Background())
		if w.Usable(test.list) != test.usable || !strings.Contains(log.String(), test.log) {
			t.Errorf("%s: usable %v, want %v; log %q, want %q", test.why, w.Usable(test.list), test.usable, log.String(), test.log)
		}
		if strings.Contains(log.String(), "s3cret") {
			t.Errorf("%s: the log shows the zone: %s", test.why, log.String())
		}
		in := &check.Input{Client: netip.MustParseAddr("192.0.2.1"), SenderDomain: "spam.test", Author: message.Author{Domain: "spam.test"}, Resolver: resolvetest.Must(zone)}
		for _, c := range dnsbl.Checks([]dnsbl.List{test.list}, w)[:4] {
			for _, f := range c.Start(in)(context.Background()).Findings {
				if (f.Code == dnsbl.CodeUnfit) == test.usable {
					t.Errorf("%s: finding %+v", test.why, f)
				}
			}
		}
	}
}

// TestWatchOverTime: tested hourly, a minute after trouble; trouble takes no list out of use, a wrong answer does; a reload keeps what is known.
func TestWatchOverTime(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	source := &switched{resolvetest.Must(zone)}
	var log bytes.Buffer
	w := dnsbl.NewWatch(source, slog.New(slog.NewTextHandler(&log, nil)), func() time.Time { return now })
	l := list(dnsbl.ClientIP)
	w.Follow([]dnsbl.List{l})
	step := func(after time.Duration, zone string, questions int, usable bool) {
		t.Helper()
		now = now.Add(after)
		source.Zone = resolvetest.Must(zone)
		w.Test(context.Background())
		if got := len(source.Asked()); got != questions || w.Usable(l) != usable {
			t.Errorf("at %s: %d questions, usable %v; want %d, %v", now.Format("15:04"), got, w.Usable(l), questions, usable)
		}
	}
	step(0, zone, 2, true)
	step(59*time.Minute, zone, 0, true)
	w.Follow([]dnsbl.List{l}) // a reload
	step(0, zone, 0, true)
	step(time.Minute, "2.0.0.127.s3cret.bl.test A SERVFAIL", 2, true)
	step(time.Minute, "*.s3cret.bl.test A 127.0.0.2", 4, false)
	step(time.Second, zone, 0, false)
	step(time.Minute, zone, 2, true)
	in := &check.Input{Client: netip.MustParseAddr("192.0.2.4"), Resolver: resolvetest.Must(zone)}
	for range 3 {
		outcome(t, in, w, "dnsbl", l)
	}
	if got := strings.Count(log.String(), "blocklist fault"); got != 1 {
		t.Errorf("a fault in answers was said %d times, want once an hour", got)
	}
	step(time.Second, zone, 2, true) // a fault has the list tested at once
	w.Follow(nil)
	step(2*time.Hour, zone, 0, true) // a policy without it: sessions that began before it still ask
	w.Follow(nil)
	step(0, zone, 0, false)
}

type switched struct{ *resolvetest.Zone }

// breaking is a resolver that panics with what it was asked.
type breaking struct{ resolve.Resolver }

func (breaking) Lookup(_ context.Context, name string, _ resolve.Type) *resolve.Answer {
	panic("broken at " + name)
}

// TestWatchPanics: a panic in a list's test is said without its zone, and leaves the list out of use as trouble of DNS does.
func TestWatchPanics(t *testing.T) {
	var log bytes.Buffer
	w := dnsbl.NewWatch(breaking{}, slog.New(slog.NewTextHandler(&log, nil)), time.Now)
	l := list(dnsbl.ClientIP)
	w.Follow([]dnsbl.List{l})
	w.Test(context.Background())
	if got := log.String(); w.Usable(l) || strings.Contains(got, "s3cret") || !strings.Contains(got, "panicked") || !strings.Contains(got, "examine") {
		t.Errorf("usable %v; the log: %s", w.Usable(l), got)
	}
}
