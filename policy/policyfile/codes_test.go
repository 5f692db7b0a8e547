package policyfile

import (
	"net/netip"
	"strings"
	"testing"
)

func codes(t testing.TB, text string) Codes {
	t.Helper()
	c, err := parseCodes(text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestCodes: the pattern of postscreen_dnsbl_sites in postconf(5).
func TestCodes(t *testing.T) {
	for _, test := range []struct{ pattern, in, out string }{
		{"127.0.0.2", "127.0.0.2", "127.0.0.3 127.0.1.2 0.0.0.0 ::ffff:127.0.0.2"},
		{"127.0.[0..255].[1;3]", "127.0.0.1 127.0.255.3 127.0.7.1", "127.0.0.2 127.1.0.1"},
		{"127.0.0.[2;4..11]", "127.0.0.2 127.0.0.4 127.0.0.11", "127.0.0.3 127.0.0.12"},
		{"127.0.0.[63..64]", "127.0.0.63 127.0.0.64", "127.0.0.62 127.0.0.65"},
	} {
		c := codes(t, test.pattern)
		for _, addr := range strings.Fields(test.in) {
			if !c.Matches(netip.MustParseAddr(addr)) {
				t.Errorf("%s has no %s", test.pattern, addr)
			}
		}
		for _, addr := range strings.Fields(test.out) {
			if c.Matches(netip.MustParseAddr(addr)) {
				t.Errorf("%s has %s", test.pattern, addr)
			}
		}
	}
	for _, wrong := range []string{"", "127.0.0", "127.0.0.2.1", "127.0.0.256", "127.0.0.02", "127.0.0.[2", "127.0.0.2]", "127.0.0.[4..2]", "127.0.0.[]", "127.0.0.[1;]", "127.0.0.-1", "::1", "127.0.0.[[1]]"} {
		if _, err := parseCodes(wrong); err == nil {
			t.Errorf("%q was taken", wrong)
		}
	}
}

// FuzzCodes: a pattern that is taken matches some address of four bytes, and one without brackets is that one address.
func FuzzCodes(f *testing.F) {
	f.Add("127.0.[0..255].[1;3]")
	f.Add("127.0.0.2")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseCodes(text)
		if err != nil {
			return
		}
		var some [4]byte
		for i := range some {
			for b := 255; b >= 0; b-- {
				if c[i].has(byte(b)) {
					some[i] = byte(b)
				}
			}
		}
		if !c.Matches(netip.AddrFrom4(some)) {
			t.Errorf("%q matches nothing", text)
		}
		if addr, err := netip.ParseAddr(text); !strings.Contains(text, "[") && (err != nil || addr != netip.AddrFrom4(some)) {
			t.Errorf("%q is %v", text, netip.AddrFrom4(some))
		}
	})
}
