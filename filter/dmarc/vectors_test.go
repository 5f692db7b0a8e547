package dmarc

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"golang.org/x/net/idna"
)

// casesFolder holds the vectors of other projects, where the project is developed and in its CI.
const casesFolder = "../../../shared/cases/"

// vectors reads the vectors of a file of other projects into out.
func vectors(t *testing.T, file string, out any) {
	t.Helper()
	raw, err := os.ReadFile(casesFolder + file)
	switch {
	case err == nil:
	case os.Getenv("GATEPOST_CI") != "" || os.Getenv("CI") != "":
		t.Fatalf("%v; in CI nothing may be left out", err)
	default:
		t.Skipf("left out, for %s is not there", casesFolder+file)
	}
	if err := json.Unmarshal(raw, out); err != nil {
		t.Fatal(err)
	}
}

// turned are the records of OpenDMARC's test, which has the verdicts of RFC 7489, that RFC 9989 judges otherwise, with its reason.
var turned = map[string]string{
	"v=DMARC1; p=n;":                    "4.7: p is one of three words; anything else, without a valid rua, is no record",
	"v=DMARC1; p=none; adkim=bob;":      "4.7: a tag with an invalid value other than p, sp and np is ignored, in favour of its default",
	"v=DMARC1; p=none; aspf=bob;":       "4.7: the same",
	"v=DMARC1; p=none; rf=bob;":         "4.7: unknown tags are ignored; rf was removed",
	"v=DMARC1; p=none; ri=bob;":         "4.7: unknown tags are ignored; ri was removed",
	"v=DMARC1; p=none; pct=500;":        "4.7: unknown tags are ignored; pct was removed",
	"v=DMARC1; p=none; rf=" + zeros(33): "4.7: unknown tags are ignored; rf was removed",
}

func zeros(n int) string { return strings.Repeat("0", n) }

// TestRecordsOfOthers reads records as OpenDMARC's test has them.
func TestRecordsOfOthers(t *testing.T) {
	var all struct {
		Vectors []struct{ Record, OpenDMARC string }
	}
	vectors(t, "dmarc/record-vectors.json", &all)
	passed := 0
	for _, v := range all.Vectors {
		_, valid := ParseRecord(v.Record)
		want := v.OpenDMARC == "okay"
		if turned[v.Record] != "" {
			want = !want
		}
		if got := isRecord(v.Record) && valid; got != want {
			t.Errorf("%q: valid %v, want %v %s", v.Record, got, want, turned[v.Record])
			continue
		}
		passed++
	}
	if passed == 0 {
		t.Error("no record was compared")
	}
	t.Logf("conformance: dmarc/record-vectors %d of %d, %d turned around by RFC 9989 4.7", passed, len(all.Vectors), len(turned))
}

// TestSuffixesOfOthers compares organizational domains with the test of the public suffix list. For the comparison with RFC 7489 only.
func TestSuffixesOfOthers(t *testing.T) {
	var all struct {
		Vectors []struct{ Input, Registrable *string }
	}
	vectors(t, "psl/vectors.json", &all)
	passed, empty := 0, 0
	for _, v := range all.Vectors {
		if v.Input == nil || strings.HasPrefix(*v.Input, ".") { // no author domain is such a text
			empty++
			continue
		}
		input, want := ascii(*v.Input), ascii(*v.Input) // a suffix itself is nobody's but its own
		if v.Registrable != nil {
			want = ascii(*v.Registrable)
		}
		if got := organization(input); got != strings.ToLower(want) {
			t.Errorf("%s: %s, want %s", *v.Input, got, want)
			continue
		}
		passed++
	}
	if passed == 0 {
		t.Error("no name was compared")
	}
	t.Logf("conformance: psl %d of %d, %d more are no names", passed, len(all.Vectors)-empty, empty)
}

// ascii gives a name as author domains have it.
func ascii(name string) string {
	if a, err := idna.Lookup.ToASCII(name); err == nil {
		return a
	}
	return name
}
