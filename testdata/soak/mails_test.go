package soak

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// zone is the Internet of these tests.
const zone = `
good.example MX 10 mail.good.example
good.example TXT "v=spf1 ip4:192.0.2.0/24 -all"
mail.good.example A 192.0.2.1
1.2.0.192.in-addr.arpa PTR mail.good.example
_dmarc.good.example TXT "v=DMARC1; p=reject"
bank.example MX 10 mail.bank.example
mail.bank.example A 192.0.2.9
bank.example TXT "v=spf1 -all"
_dmarc.bank.example TXT "v=DMARC1; p=reject"
plain.example A 198.51.100.5
`

// shippedRules gives the shipped policy from its names on, with what is about the machine left out.
func shippedRules(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "policy.toml"))
	if err != nil {
		t.Fatal(err)
	}
	_, rules, found := strings.Cut(string(text), "# --- names for the rules")
	if !found {
		t.Fatal("the shipped policy has no names")
	}
	return "# " + rules
}

// length is how long the mixed load runs, times how often faults are repeated: of GATEPOST_SOAK, short without it.
func length(t testing.TB) (long bool, d time.Duration) {
	t.Helper()
	text := os.Getenv("GATEPOST_SOAK")
	if text == "" {
		return false, 8 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("GATEPOST_SOAK: %v", err)
	}
	return true, d
}

// seed gives the seed of a run, which the test's output names.
func seed(t testing.TB) *rand.Rand {
	t.Helper()
	n := uint64(time.Now().UnixNano())
	if text := os.Getenv("GATEPOST_SEED"); text != "" {
		var err error
		if n, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("GATEPOST_SEED: %v", err)
		}
	}
	t.Logf("seed: GATEPOST_SEED=%d", n)
	return rand.New(rand.NewPCG(n, 1))
}

// pick gives a number for a mail: the low n bits of a random one.
func pick(r *rand.Rand, n int) int { return r.IntN(n) }

// good is honest mail that passes SPF and DMARC.
func good() Mail {
	return Mail{
		Addr: "192.0.2.1", Name: "mail.good.example", Helo: "mail.good.example", Sender: "a@good.example", Recipients: []string{"u@example.net"},
		Header: [][2]string{{"From", " a@good.example"}, {"To", " u@example.net"}, {"Subject", " hello"}, {"Message-Id", " <1@good.example>"}},
		Body:   "hello\r\n",
	}
}

// spoof is a bank's name without a signature.
func spoof() Mail {
	m := good()
	m.Addr, m.Name, m.Helo, m.Sender = "203.0.113.9", "", "spoofer.example", "a@plain.example"
	m.Header = [][2]string{{"From", " Your Bank <info@bank.example>"}, {"Subject", " pay"}}
	return m
}

// hostile are mails made to be dear, each within what an MTA passes on.
func hostile() map[string]Mail {
	out := map[string]Mail{}
	add := func(name string, change func(*Mail)) {
		m := good()
		change(&m)
		out[name] = m
	}
	add("10,000 header fields", func(m *Mail) {
		for i := range 10_000 {
			m.Header = append(m.Header, [2]string{"X-Field-" + strconv.Itoa(i), " value"})
		}
	})
	add("a field of 1 MB", func(m *Mail) { m.Header = append(m.Header, [2]string{"X-Large", " " + strings.Repeat("a ", 500_000)}) })
	add("a header of 2 MB", func(m *Mail) {
		for range 40 {
			m.Header = append(m.Header, [2]string{"X-Large", " " + strings.Repeat("a ", 25_000)})
		}
		m.Header = append(m.Header, [2]string{"DKIM-Signature", " v=1; a=rsa-sha256; d=good.example; s=s; h=from; bh=AAAA; b=AAAA"})
	})
	add("10,000 recipients", func(m *Mail) {
		m.Recipients = nil
		for i := range 10_000 {
			m.Recipients = append(m.Recipients, fmt.Sprintf("u%d@example.net", i))
		}
	})
	add("1,000 signatures", func(m *Mail) {
		for i := range 1000 {
			m.Header = append(m.Header, [2]string{"DKIM-Signature", fmt.Sprintf(" v=1; a=rsa-sha256; d=d%d.example; s=s; h=from:to:subject; bh=AAAA; b=AAAA", i)})
		}
	})
	add("nested comments", func(m *Mail) {
		m.Header[0][1] = " " + strings.Repeat("(", 50_000) + "a@good.example" + strings.Repeat(")", 50_000)
	})
	add("forged results, folded", func(m *Mail) {
		for range 2000 {
			m.Header = append(m.Header, [2]string{"Authentication-Results", " mx.example.net\n\t(" + strings.Repeat("\\(", 20) + ");\n\tdmarc=pass"})
		}
	})
	add("empty lines", func(m *Mail) { m.Body = strings.Repeat("\r\n", 1_000_000) })
	return out
}

// hostileList gives them in an order that does not change.
func hostileList() []Mail {
	all := hostile()
	var out []Mail
	for _, name := range slices.Sorted(maps.Keys(all)) {
		out = append(out, all[name])
	}
	return out
}

// random gives one mail of any kind; about one in eight hangs up somewhere.
func random(r *rand.Rand) Mail {
	m := good()
	switch pick(r, 8) {
	case 0:
		m = spoof()
	case 1:
		m.User, m.Port, m.Sender = fmt.Sprintf("user%d", pick(r, 20)), "587", "user@example.net"
		m.Recipients = []string{fmt.Sprintf("r%d@other.example", pick(r, 500))}
	case 2:
		m.Addr, m.Name, m.Helo, m.Sender = fmt.Sprintf("198.51.100.%d", pick(r, 255)), "", "x", fmt.Sprintf("n%d@plain.example", pick(r, 1000))
	case 3:
		m.Unknown = []string{fmt.Sprintf("guess%d@example.net", pick(r, 1000))}
		m.Addr = fmt.Sprintf("203.0.113.%d", pick(r, 255))
	case 4:
		m.Recipients = []string{"postmaster@example.net", "u@example.net", "v@example.net"}
	case 5:
		m.Addr, m.Name, m.Sender = "2001:db8::"+strconv.FormatInt(int64(pick(r, 60_000)), 16), "", ""
	case 6:
		m.Body = strings.Repeat("a line of text that is neither short nor long\r\n", 1+pick(r, 4000))
	}
	m.Header = append(m.Header, [2]string{"X-Number", " " + strconv.Itoa(pick(r, 1_000_000))})
	if pick(r, 8) == 0 {
		m.Stop = []string{"connect", "helo", "mail", "rcpt", "header", "body"}[pick(r, 6)]
	}
	return m
}
