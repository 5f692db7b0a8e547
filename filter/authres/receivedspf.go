package authres

import (
	"strings"
)

// SPF is what a Received-SPF field says (RFC 7208 9.1).
type SPF struct {
	Result    string // "pass"
	Client    string // the client's address
	Sender    string // MAIL FROM, "" for the null sender
	Helo      string
	Receiver  string // our name
	Identity  string // "mailfrom" or "helo"
	Mechanism string // the term that matched, "" for none
}

// ReceivedSPF gives the value of a Received-SPF field: the result and what it rests on, printable ASCII whatever it holds.
func ReceivedSPF(s SPF) string {
	var b strings.Builder
	b.WriteString(keyword(s.Result))
	pairs := []struct{ key, value string }{
		{"receiver", s.Receiver}, {"identity", s.Identity}, {"client-ip", s.Client}, {"envelope-from", s.Sender}, {"helo", s.Helo}, {"mechanism", s.Mechanism},
	}
	separator := ""
	for _, p := range pairs {
		if p.value == "" && p.key != "envelope-from" {
			continue
		}
		text := strings.Map(func(r rune) rune {
			if r < ' ' || r > '~' {
				return '?'
			}
			return r
		}, p.value)
		text = text[:min(len(text), maxValue)]
		if !isDotAtom(text) {
			text = quote(text)
		}
		b.WriteString(separator + "\n\t" + p.key + "=" + text)
		separator = ";"
	}
	return b.String()
}
