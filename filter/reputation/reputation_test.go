package reputation_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"gatepost.example/filter/check"
	"gatepost.example/filter/reputation"
	"gatepost.example/filter/state"
	"gatepost.example/policy"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// TestInterval: values of R. G. Newcombe, Stat. Med. 17 (1998) 857-872, table I, method 3, and some by hand.
func TestInterval(t *testing.T) {
	for _, test := range []struct{ wanted, unwanted, low, high float64 }{
		{81, 263 - 81, 0.2553, 0.3662},
		{15, 148 - 15, 0.0624, 0.1605},
		{0, 20, 0, 0.1611},
		{1, 28, 0.0061, 0.1718},
		{0, 0, 0, 1},
		{16, 0, 0.8064, 1}, // n / (n + 1.96^2)
		{0, 16, 0, 0.1936},
		{8, 8, 0.2800, 0.7200},
		{8, 0, 0.6756, 1},
	} {
		low, high := reputation.Interval(test.wanted, test.unwanted)
		if math.Abs(low-test.low) > 5e-5 || math.Abs(high-test.high) > 5e-5 {
			t.Errorf("%v and %v: %.4f to %.4f, want %.4f to %.4f", test.wanted, test.unwanted, low, high, test.low, test.high)
		}
	}
}

func TestBands(t *testing.T) {
	for _, test := range []struct {
		wanted, unwanted float64
		want             string
	}{
		{0, 0, reputation.New}, {3, 0, reputation.New}, {0, 3, reputation.New}, {5, 5, reputation.New},
		{4, 0, reputation.Neutral}, {15, 0, reputation.Neutral}, {6, 6, reputation.Neutral},
		{16, 0, reputation.Good}, {95, 5, reputation.Good}, {80, 20, reputation.Neutral},
		{0, 4, reputation.Poor}, {0, 15, reputation.Poor}, {30, 70, reputation.Poor},
		{0, 16, reputation.Bad}, {5, 95, reputation.Bad},
	} {
		if got := reputation.Judge(cell(test.wanted, test.unwanted), state.Cell{}).Band; got != test.want {
			t.Errorf("%v wanted, %v unwanted: %s, want %s", test.wanted, test.unwanted, got, test.want)
		}
	}
}

func cell(wanted, unwanted float64) state.Cell { return state.Cell{A: wanted, B: unwanted, At: noon} }

// TestPrior: the wider name lends an opinion to who is new, at most as much as four messages, and is outvoted by own evidence.
func TestPrior(t *testing.T) {
	for _, test := range []struct {
		own, wider state.Cell
		want       string
		why        string
	}{
		{cell(0, 0), cell(0, 1000), reputation.Poor, "a new address of a bad network"},
		{cell(0, 0), cell(1000, 0), reputation.Neutral, "a new address of a good network is not good by that"},
		{cell(0, 0), cell(0, 2), reputation.New, "who knows little lends little"},
		{cell(100, 0), cell(0, 1000), reputation.Good, "a good address of a bad network"},
		{cell(0, 100), cell(1000, 0), reputation.Bad, "a bad address of a good network"},
	} {
		o := reputation.Judge(test.own, test.wider)
		if o.Band != test.want {
			t.Errorf("%s: %s, want %s", test.why, o.Band, test.want)
		}
		if o.Weight != test.own.A+test.own.B {
			t.Errorf("%s: weight %v is not that of the own evidence", test.why, o.Weight)
		}
	}
	if lent, own := reputation.Judge(cell(0, 0), cell(30, 10)), reputation.Judge(cell(3, 1), cell(0, 0)); lent.Low != own.Low || lent.High != own.High || lent.Score != own.Score {
		t.Errorf("30 to 10 lends %+v, want four messages at the same share: %+v", lent, own)
	}
}

// FuzzLaws: unwanted mail never raises an opinion, wanted mail never lowers it, and all stays a share.
func FuzzLaws(f *testing.F) {
	f.Add(uint16(0), uint16(0), uint16(10), uint16(0), uint16(10))
	f.Add(uint16(38), uint16(60), uint16(0), uint16(500), uint16(3))
	f.Fuzz(func(t *testing.T, wanted, unwanted, wideWanted, wideUnwanted, more uint16) {
		a, b, n := float64(wanted)/10, float64(unwanted)/10, float64(more)/10
		wide := cell(float64(wideWanted)/10, float64(wideUnwanted)/10)
		now, worse, better := reputation.Judge(cell(a, b), wide), reputation.Judge(cell(a, b+n), wide), reputation.Judge(cell(a+n, b), wide)
		if below(now, worse) {
			t.Errorf("%v more unwanted raises %+v to %+v", n, now, worse)
		}
		if below(better, now) {
			t.Errorf("%v more wanted lowers %+v to %+v", n, now, better)
		}
		if now.Low < 0 || now.High > 1 || now.Low > now.Score+1e-9 || now.Score > now.High+1e-9 || !slices.Contains(reputation.Words(), now.Band) {
			t.Errorf("%+v", now)
		}
	})
}

// below reports whether a is lower than b in anything.
func below(a, b reputation.Opinion) bool {
	const rounding = 1e-9
	return a.Score < b.Score-rounding || a.Low < b.Low-rounding || a.High < b.High-rounding
}

// TestDecay: after a half-life half is left, whether it is read once or written in between, and in the end nothing is known.
func TestDecay(t *testing.T) {
	rules, s := reputation.Rules{HalfLife: 14 * 24 * time.Hour}, state.NewEmbedded(1000, noon)
	learn := func(at time.Time, wanted, unwanted float64) {
		s.Do(context.Background(), at, rules.Steps(reputation.Evidence{IP: "192.0.2.1", Wanted: wanted, Unwanted: unwanted}), nil)
	}
	read := func(at time.Time) state.Cell {
		return s.Do(context.Background(), at, []state.Step{reputation.Look(reputation.TableIP, "192.0.2.1")}, nil)[0].Cell.Decayed(rules.HalfLife, at)
	}
	learn(noon, 8, 4)
	learn(noon.Add(14*24*time.Hour), 2, 0)
	if c := read(noon.Add(14 * 24 * time.Hour)); math.Abs(c.A-6) > 1e-9 || math.Abs(c.B-2) > 1e-9 {
		t.Errorf("after one half-life and 2 more: %v and %v, want 6 and 2", c.A, c.B)
	}
	if c := read(noon.Add(28 * 24 * time.Hour)); math.Abs(c.A-3) > 1e-9 || math.Abs(c.B-1) > 1e-9 {
		t.Errorf("after two: %v and %v, want 3 and 1", c.A, c.B)
	}
	if c := read(noon.Add(160 * 24 * time.Hour)); c.A+c.B != 0 {
		t.Errorf("after 160 days: %v and %v are still known", c.A, c.B)
	}
}

// TestAuthenticated: only a pass vouches for a name; each counts once, and no message can name more than six.
func TestAuthenticated(t *testing.T) {
	find := func(result, domain string) check.Finding { return check.Finding{Result: result, Domain: domain} }
	spf := []check.Finding{find("pass", "a.example")}
	dkim := []check.Finding{find("fail", "bank.example"), find("pass", "b.example"), find("pass", "a.example"), find("temperror", "c.example"), find("pass", "")}
	if got := reputation.Authenticated(spf, dkim); !slices.Equal(got, []string{"a.example", "b.example"}) {
		t.Error(got)
	}
	var many []check.Finding
	for _, c := range "abcdefghij" {
		many = append(many, find("pass", string(c)+".example"))
	}
	if got := reputation.Authenticated(nil, many); len(got) != 6 {
		t.Errorf("%d domains", len(got))
	}
	if got := reputation.Authenticated([]check.Finding{find("softfail", "a.example"), find("none", "b.example")}, nil); len(got) != 0 {
		t.Error(got)
	}
}

// TestSteps: evidence goes to address, network and authenticated domains, to the wider domain once, and none leaves nothing.
func TestSteps(t *testing.T) {
	r := reputation.Rules{HalfLife: time.Hour}
	if got := r.Steps(reputation.Evidence{IP: "192.0.2.1", Network: "192.0.2.0/24", Domains: []string{"a.example"}}); len(got) != 0 {
		t.Errorf("nothing for and nothing against: %v", got)
	}
	var got []string
	for _, s := range r.Steps(reputation.Evidence{
		IP: "192.0.2.1", Network: "192.0.2.0/24", Domains: []string{"x.a.example", "y.a.example", "a.example"}, Wanted: 1, Recipients: 2, Unknown: 1,
	}) {
		if s.Op != state.Weigh || s.HalfLife != time.Hour {
			t.Errorf("%+v", s)
		}
		got = append(got, s.Table+" "+s.Key)
	}
	want := []string{
		"reputation:ip 192.0.2.1", "reputation:network 192.0.2.0/24", "reputation:domain x.a.example", "reputation:domain a.example",
		"reputation:domain y.a.example", "recipients 192.0.2.1",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if got := r.Steps(reputation.Evidence{Unwanted: 1}); len(got) != 0 {
		t.Errorf("nobody is to blame: %v", got)
	}
}

// TestNobodyBorrowsASuffix: a domain gets its organization's reputation where that sends mail itself, and never that of strangers under the
// same suffix, neither good nor bad.
func TestNobodyBorrowsASuffix(t *testing.T) {
	s := state.NewEmbedded(1000, noon)
	rules := reputation.Rules{HalfLife: 24 * time.Hour}
	for _, e := range []reputation.Evidence{
		{Domains: []string{"honest.co.test"}, Wanted: 1000}, {Domains: []string{"abuser.com.test"}, Unwanted: 1000}, {Domains: []string{"org.example"}, Wanted: 1000},
	} {
		s.Do(context.Background(), noon, append(rules.Steps(e), reputation.AppendKnows(nil, e.Domains)...), nil)
	}
	for domain, want := range map[string]string{"honest.co.test": "good", "evil.co.test": "new", "new.com.test": "new", "sub.org.example": "neutral", "abuser.com.test": "bad"} {
		in := &check.Input{Now: noon, Findings: func(_ context.Context, of string) []check.Finding {
			if of == "spf" {
				return []check.Finding{{Result: "pass", Domain: domain}}
			}
			return nil
		}}
		for _, f := range reputation.NewDomains(reputation.Memory{Store: s, Rules: rules}).Start(in)(context.Background()).Facts {
			if f.Name == "signer.reputation" && f.Value != policy.StringOf(want) {
				t.Errorf("%s is %v, want %s", domain, f.Value, want)
			}
		}
	}
}

// TestDomainsOfAMessage: author.reputation is new unless the message is authenticated as the author, whatever is known of that name.
func TestDomainsOfAMessage(t *testing.T) {
	s := state.NewEmbedded(1000, noon)
	rules := reputation.Rules{HalfLife: 24 * time.Hour}
	s.Do(context.Background(), noon, append(rules.Steps(reputation.Evidence{Domains: []string{"bank.example"}, Wanted: 100}), reputation.AppendKnows(nil, []string{"bank.example"})...), nil)
	for name, test := range map[string]struct {
		spf, dmarc     string // SPF's domain, DMARC's result
		author, signer string
	}{
		"the bank itself":        {"bank.example", "pass", "good", "good"},
		"through a subdomain":    {"", "pass", "good", "good"},
		"a spoof":                {"throwaway.example", "fail", "new", "new"},
		"a spoof without domain": {"", "fail", "new", "new"},
	} {
		in := &check.Input{Now: noon}
		in.Author.Domain = "bank.example"
		in.Findings = func(_ context.Context, of string) []check.Finding {
			switch {
			case of == "spf" && test.spf != "":
				return []check.Finding{{Result: "pass", Domain: test.spf}}
			case of == "dmarc":
				return []check.Finding{{Result: test.dmarc, Domain: "bank.example"}}
			}
			return nil
		}
		out := reputation.NewDomains(reputation.Memory{Store: s, Rules: rules}).Start(in)(context.Background())
		got := map[string]policy.Value{}
		for _, f := range out.Facts {
			got[f.Name] = f.Value
		}
		if got["author.reputation"] != policy.StringOf(test.author) || got["signer.reputation"] != policy.StringOf(test.signer) || got["author.known"] != policy.BoolOf(true) {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// BenchmarkReading is what one client's reputation costs: its address, its network and its recipients read and judged.
func BenchmarkReading(b *testing.B) {
	s := state.NewEmbedded(100_000, noon)
	rules := reputation.Rules{HalfLife: 14 * 24 * time.Hour}
	steps := make([][]state.Step, 10_000)
	for i := range steps {
		e := reputation.Evidence{IP: fmt.Sprintf("10.%d.%d.1", i/256, i%256), Network: fmt.Sprintf("10.%d.%d.0/24", i/256, i%256), Wanted: 3, Unwanted: 1}
		s.Do(context.Background(), noon, rules.Steps(e), nil)
		steps[i] = []state.Step{reputation.Look(reputation.TableIP, e.IP), reputation.Look(reputation.TableNetwork, e.Network), reputation.Look(reputation.TableAsked, e.IP)}
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r := s.Do(context.Background(), noon, steps[i%len(steps)], nil)
		reputation.Judge(r[0].Cell.Decayed(rules.HalfLife, noon), r[1].Cell.Decayed(rules.HalfLife, noon))
	}
}
