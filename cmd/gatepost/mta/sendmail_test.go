package mta

import (
	"slices"
	"strings"
	"testing"
)

// What m4 of Sendmail 8.17.1 made of a sendmail.mc with two milters and three daemons, but for the rules.
const made = `# comment
Djmx.example.net
O DaemonPortOptions=Name=MTA-v4, Family=inet, Port=smtp
O DaemonPortOptions=Name=MSA, Family=inet, Addr=192.0.2.25, Port=submission, M=Ea, InputMailFilters=gatepost-submission;opendkim
O DaemonPortOptions=Name=BACK, Addr=127.0.0.1, Port=10026,
	InputMailFilters=
O InputMailFilters=gatepost, opendkim
O RunAsUser=smmsp:smmsp
Xgatepost, S=inet:8894@127.0.0.1, F=T, T=C:10s;S:30s;R:30s;E:5m
Xgatepost-submission, S=inet:8894@127.0.0.1, T=C:10s;S:30s;R:30s;E:5m
Xopendkim, S=local:/run/opendkim/opendkim.sock, F=R
`

func TestParseSendmail(t *testing.T) {
	s := ParseSendmail(made)
	if len(s.Daemons) != 3 || s.RunAs != "smmsp" {
		t.Fatalf("%+v", s)
	}
	for i, want := range []struct{ dial, filters, ifDown string }{
		{"127.0.0.1:25", "inet:127.0.0.1:8894 unix:/run/opendkim/opendkim.sock", "tempfail reject"},
		{"192.0.2.25:587", "inet:127.0.0.1:8894 unix:/run/opendkim/opendkim.sock", "accept reject"},
		{"127.0.0.1:10026", "", ""},
	} {
		var places, ifDown []string
		for _, f := range s.FiltersOf(s.Daemons[i]) {
			places, ifDown = append(places, f.Place()), append(ifDown, f.IfDown())
		}
		if d := s.Daemons[i]; d.Dial() != want.dial || strings.Join(places, " ") != want.filters || strings.Join(ifDown, " ") != want.ifDown {
			t.Errorf("%s: %s, %q, %q", d.Name, d.Dial(), places, ifDown)
		}
	}
	if d := ParseSendmail("").Daemons; len(d) != 1 || d[0].Dial() != "127.0.0.1:25" {
		t.Errorf("without DaemonPortOptions: %+v", d)
	}
	if f := (Filter{Socket: "inet6:8894@::1"}); f.Place() != "inet:[::1]:8894" {
		t.Error(f.Place())
	}
}

// FuzzParseSendmail: there is a daemon always, and each asks milters that are there.
func FuzzParseSendmail(f *testing.F) {
	f.Add(made)
	f.Fuzz(func(t *testing.T, text string) {
		s := ParseSendmail(text)
		if len(s.Daemons) == 0 {
			t.Error("no daemon")
		}
		for _, d := range s.Daemons {
			for _, filter := range s.FiltersOf(d) {
				if !slices.Contains(d.Filters, filter.Name) || !strings.Contains(text, filter.Name) {
					t.Errorf("%+v asks %+v", d, filter)
				}
			}
		}
	})
}
