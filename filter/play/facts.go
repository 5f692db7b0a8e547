package play

import (
	"bytes"
	"fmt"
	"maps"
	"net/netip"
	"strings"

	"gatepost.example/policy"
)

// ordinary makes a session of a case that states facts. The message is that of an ordinary stranger who may send as whom he says he is: a
// client at 192.0.2.1 with the verified name mail.example.org, from a@example.org, to b@example.net, SPF and the names right, no DKIM,
// no DMARC record, nothing in the memory. Client, HELO, sender, recipient, author, login and role are as the facts say; every other fact that
// the case names has its value, whatever the checks find.
func (c *Case) ordinary(v *policy.Vocabulary, given map[string]policy.Value) (*Case, error) {
	var fields strings.Builder
	var facts []Given
	texts := map[string]string{}
	for _, g := range c.Facts {
		if name, ok := strings.CutPrefix(g.Name, "header("); ok {
			fmt.Fprintf(&fields, "%s: %s\n", unquoted(strings.TrimSuffix(name, ")")), unquoted(g.Value))
			continue
		}
		facts = append(facts, g)
		texts[g.Name] = unquoted(g.Value)
	}
	all, err := values(c.Name, "facts", facts, v)
	if err != nil {
		return nil, err
	}
	maps.Copy(given, all)
	get := func(name, otherwise string) string {
		if text, ok := texts[name]; ok {
			return text
		}
		return otherwise
	}
	addr, err := netip.ParseAddr(get("client.ip", "192.0.2.1"))
	if err != nil {
		return nil, fmt.Errorf("%s: facts: client.ip: %q is no address", c.Name, texts["client.ip"])
	}
	helo, domain := get("helo.name", "mail.example.org"), get("sender.domain", "example.org")
	sender := get("sender.address", get("sender.local", "a")+"@"+domain)
	if get("sender.empty", "false") == "true" {
		sender = ""
	}
	recipient := get("rcpt.address", get("rcpt.local", "b")+"@"+get("rcpt.domain", "example.net"))
	author := get("author.address", "a@"+get("author.domain", "example.org"))
	connect := []string{netip.AddrPortFrom(addr, 49152).String(), "name", get("client.name", helo)}
	switch get("server.role", "mx") {
	case "submission":
		connect = append(connect, "port", "587")
	case "local":
		connect = []string{"local"}
	}
	out := *c
	out.DNS = c.DNS + "\n" + zoneOf(addr, helo, sender)
	out.Session = []Command{{0, "connect", connect}, {0, "helo", []string{helo}}}
	if user := get("auth.user", ""); user != "" {
		out.Session = append(out.Session, Command{0, "auth", []string{user}})
	}
	out.Session = append(out.Session, Command{0, "mail", []string{"<" + sender + ">"}}, Command{0, "rcpt", []string{"<" + recipient + ">"}}, Command{0, "data", []string{"ordinary"}})
	text := "From: " + author + "\nSubject: a subject\n" + fields.String() + "\nhello\n"
	out.Files = map[string][]byte{"ordinary": bytes.ReplaceAll([]byte(text), []byte("\n"), []byte("\r\n"))}
	return &out, nil
}

// zoneOf gives the DNS of a client that is who it says, and may send for its sender's domain.
func zoneOf(addr netip.Addr, helo, sender string) string {
	_, domain, _ := strings.Cut(sender, "@")
	kind, mechanism := "A", "ip4:"
	if addr.Is6() {
		kind, mechanism = "AAAA", "ip6:"
	}
	zone := fmt.Sprintf("%s PTR %s\n%s %s %s\n", addr, helo, helo, kind, addr)
	if domain == "" {
		return zone + fmt.Sprintf("%s TXT %q\n", helo, "v=spf1 "+mechanism+addr.String()+" -all")
	}
	return zone + fmt.Sprintf("%s MX 10 %s\n%s TXT %q\n", domain, helo, domain, "v=spf1 "+mechanism+addr.String()+" -all")
}

// unquoted takes the quotes off a text that has them.
func unquoted(text string) string {
	if inner, ok := strings.CutPrefix(text, `"`); ok && strings.HasSuffix(inner, `"`) {
		return strings.TrimSuffix(inner, `"`)
	}
	return text
}
