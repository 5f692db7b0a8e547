package resolve

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestShow(t *testing.T) {
	for _, c := range []struct {
		answer Answer
		want   string
	}{
		{Answer{Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}, TTL: 300 * time.Second, Age: 12 * time.Second}, "found 192.0.2.1, 2001:db8::1, ttl 5m0s, age 12s"},
		{Answer{Texts: []string{"v=spf1 -all", "\x1b[31m\r\n\u00e9"}}, `found "v=spf1 -all", "\x1b[31m\r\n\u00e9", ttl 0s, age 0s`},
		{Answer{MXs: []Mailserver{{10, "mx.example.org"}, {0, ""}}, TTL: time.Hour}, `found 10 "mx.example.org", 0 "", ttl 1h0m0s, age 0s`},
		{Answer{Hosts: make([]string, 20)}, `found ` + strings.Repeat(`"", `, 7) + `"" and 12 more, ttl 0s, age 0s`},
		{Answer{Texts: []string{strings.Repeat("x", 60_000)}}, `found "` + strings.Repeat("x", 200) + `"..., ttl 0s, age 0s`},
		{Answer{Status: NXDomain, TTL: time.Minute}, "no such domain, ttl 1m0s, age 0s"},
		{Answer{Status: Timeout, Detail: "no answer from 192.0.2.53:53 within 2s\n"}, `timeout (no answer from 192.0.2.53:53 within 2s\n)`},
	} {
		if got := c.answer.String(); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}
