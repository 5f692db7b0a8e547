package spf

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost.example/filter/resolve"
)

// casesFolder holds the SPF suites of other projects, where the project is developed and in its CI.
const casesFolder = "../../../shared/cases/spf"

// scenario is one file of those suites: a zone and cases.
type scenario struct {
	Zone  map[string][]zoneRecord
	Cases []struct {
		ID       string
		ClientIP string `json:"client_ip"`
		Helo     string
		MailFrom string `json:"mail_from"`
		Data     struct{ Explanation string }
	}
}

type zoneRecord struct {
	Type  string
	Value json.RawMessage
	B64   json.RawMessage
}

// text gives the value of a record: one string, the strings of a TXT record, or base64.
func (r zoneRecord) text() string {
	out := ""
	for _, part := range stringsOf(r.B64) {
		raw, _ := base64.StdEncoding.DecodeString(part)
		out += string(raw)
	}
	return out + strings.Join(stringsOf(r.Value), "")
}

// stringsOf reads one string or an array of them.
func stringsOf(raw json.RawMessage) []string {
	var many []string
	var one string
	if json.Unmarshal(raw, &many) != nil && json.Unmarshal(raw, &one) == nil {
		many = []string{one}
	}
	return many
}

// Lookup implements resolve.Resolver over the zone.
func (s *scenario) Lookup(_ context.Context, name string, t resolve.Type) *resolve.Answer {
	clean, _ := resolve.CleanName(name)
	a := &resolve.Answer{Name: clean, Type: t, Status: resolve.NXDomain}
	for owner, records := range s.Zone {
		if !strings.EqualFold(strings.TrimSuffix(owner, "."), clean) {
			continue
		}
		a.Status = resolve.NoData
		for _, r := range records {
			switch {
			case r.Type == "TIMEOUT":
				a.Status = resolve.Timeout
			case r.Type == t.String():
				a.Status = resolve.Found
				a.Addrs = append(a.Addrs, address(r.text())...)
				a.Hosts = append(a.Hosts, strings.TrimSuffix(strings.ToLower(r.text()), "."))
				a.Texts = append(a.Texts, r.text())
			}
		}
	}
	return a
}

func address(text string) []netip.Addr {
	if addr, err := netip.ParseAddr(text); err == nil {
		return []netip.Addr{addr}
	}
	return nil
}

// TestExplanationsOfOthers compares exp= with what the suites of RFC 7208 and RFC 4408 expect; DEFAULT there means that the domain gives none.
func TestExplanationsOfOthers(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(casesFolder, "*", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	compared, passed := 0, 0
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var s scenario
		if !strings.Contains(string(raw), `"explanation"`) {
			continue
		}
		if err := json.Unmarshal(raw, &s); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, c := range s.Cases {
			want := c.Data.Explanation
			if want == "" {
				continue
			}
			if want == "DEFAULT" {
				want = ""
			}
			compared++
			v := CheckMailFrom(context.Background(), &s, Query{
				Client: netip.MustParseAddr(c.ClientIP), Helo: c.Helo, Sender: c.MailFrom, Receiver: "mx.receiver.example", Now: time.Unix(1e9, 0),
			})
			same := v.Explanation == want
			if c.ID == "v-macro-ip6" { // the suite has the digits in upper case, the example of RFC 7208 7.4 in lower: 1.0.b.c.0...
				same = strings.EqualFold(v.Explanation, want)
			}
			if v.Result != Fail || !same {
				t.Errorf("%s %s: %s, explanation %q, want %q", filepath.Base(filepath.Dir(file)), c.ID, v.Result, v.Explanation, want)
				continue
			}
			passed++
		}
	}
	switch {
	case compared > 0:
		t.Logf("conformance: spf exp= %d of %d", passed, compared)
	case os.Getenv("GATEPOST_CI") != "" || os.Getenv("CI") != "":
		t.Errorf("%s has no explanation to compare, and in CI nothing may be left out", casesFolder)
	default:
		t.Skipf("left out, for %s is not there", casesFolder)
	}
}
