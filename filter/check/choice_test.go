package check

import (
	"fmt"
	"reflect"
	"testing"

	"gatepost.example/policy"
)

// TestChoice: each word is the fact's value, and a word that was forgotten in the list is all the same.
func TestChoice(t *testing.T) {
	c := NewChoice("helo.resolves", "yes", "no", "")
	if got := fmt.Sprintf("%q", c.Words()); got != `["yes" "no" ""]` {
		t.Error(got)
	}
	for _, word := range []string{"yes", "no", "", "temperror"} {
		want := []Named{{Name: "helo.resolves", Value: policy.StringOf(word)}}
		for range 2 {
			if got := c.Only(word); !reflect.DeepEqual(got, want) {
				t.Errorf("%q: %+v", word, got)
			}
			if got := c.Of(word); !reflect.DeepEqual(got, want[0]) {
				t.Errorf("%q: %+v", word, got)
			}
		}
	}
}

// TestChoiceIsNobodysToAppendTo: who appends to a word's facts does so in memory of its own, not in that of the next word.
func TestChoiceIsNobodysToAppendTo(t *testing.T) {
	c := NewChoice("mine", "a", "b")
	if got := append(c.Only("a"), Named{Name: "other", Value: policy.StringOf("x")}); len(got) != 2 {
		t.Error(got)
	}
	if got := c.Of("b"); got.Name != "mine" || got.Value.Text() != "b" {
		t.Errorf("%+v", got)
	}
}

// TestAlone: a finding with its properties, however many, each time in memory of its own: the filter writes into findings.
func TestAlone(t *testing.T) {
	all := []Property{{"smtp", "mailfrom", "a.example"}, {"policy", "dmarc", "none"}, {"header", "from", "b.example"}}
	for n := range len(all) + 1 {
		first, second := Alone(Finding{Method: "spf", Result: "pass"}, all[:n]...), Alone(Finding{Method: "spf", Result: "fail"}, all[:n]...)
		first[0].Check = "spf"
		first[0].Props = append(first[0].Props, Property{"x", "y", "z"})
		if len(first) != 1 || len(second) != 1 || len(second[0].Props) != n || second[0].Check != "" || second[0].Result != "fail" {
			t.Fatalf("%d properties: %+v, %+v", n, first, second)
		}
		for i, p := range second[0].Props {
			if p != all[i] || first[0].Props[i] != all[i] {
				t.Errorf("property %d of %d: %+v, %+v", i, n, first[0].Props[i], p)
			}
		}
		if len(append(first, Finding{Result: "none"})) != 2 || second[0].Result != "fail" {
			t.Error("one finding is behind another")
		}
	}
}
