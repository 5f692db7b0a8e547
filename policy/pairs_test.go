package policy

import "testing"

// TestPair: a table of two columns, * for all, without regard to case; unknown until both facts are there.
func TestPair(t *testing.T) {
	table := newPairTable([][2]string{{"Tenant.example", "partner.example"}, {"*", "everybody.example"}, {"open.example", "*"}})
	for _, test := range []struct {
		a, b string
		want bool
	}{
		{"tenant.example", "PARTNER.example", true}, {"partner.example", "tenant.example", false}, {"x.example", "everybody.example", true},
		{"open.example", "whoever.example", true}, {"", "", false}, {"tenant.example", "", false},
	} {
		if got := table.has(test.a, test.b); got != test.want {
			t.Errorf("%q %q: %v", test.a, test.b, got)
		}
	}
}
