package filter

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"

	"gatepost.example/filter/history"
	"gatepost.example/policy"
	"gatepost.example/policy/policyfile"
)

// keptPolicy gives a policy as the history keeps it: without secrets, and with what its decisions rest on in files.
func keptPolicy(f *policyfile.File) *history.Policy {
	k := &history.Policy{Identity: f.Identity(), Text: withoutSecrets(f)}
	if f.Policy == nil {
		return k
	}
	var lookups []policy.Lookup
	for _, l := range f.Policy.Lookups() {
		if f.Policy.MayFind(l) {
			lookups = append(lookups, l)
		}
	}
	if len(lookups) > 0 {
		k.Matches = func(r *history.Record) []history.Match { return matchesOf(f.Policy, lookups, r) }
	}
	return k
}

var (
	zoneValue  = regexp.MustCompile(`\bzone(["']?\s*=\s*)("[^"\n]*"|'[^'\n]*')([ \t]*#[^\n]*)?`)
	storeValue = regexp.MustCompile(`(["'])rediss?://[^"'\n]*["']([ \t]*#[^\n]*)?`)
	comment    = regexp.MustCompile(`(?m)^[ \t]*#.*$`)
)

// withoutSecrets gives the policy's text without what must not be kept: the zones of blocklists, which may hold a key, the URL of the store,
// which may hold a password, and comments, in which people leave either. It gives "" where the URL stands elsewhere too.
func withoutSecrets(f *policyfile.File) string {
	n := 0
	text := zoneValue.ReplaceAllStringFunc(comment.ReplaceAllString(f.Text, "#"), func(found string) string {
		n++
		return fmt.Sprintf(`%s "zone-%d.invalid"`, found[:strings.IndexByte(found, '=')+1], n)
	})
	text = storeValue.ReplaceAllString(text, `"redis://127.0.0.1:6379/0"`)
	for _, l := range f.DNSBL {
		text = regexp.MustCompile("(?i)"+regexp.QuoteMeta(l.Zone)).ReplaceAllString(text, "zone.invalid")
	}
	if f.Store.Kind == policyfile.StoreRedis && strings.Contains(text, f.Store.URL) && f.Store.URL != policyfile.Default().Store.URL {
		return ""
	}
	return text
}

// maxPairs bounds what is kept of a table of pairs that is asked about more than plain facts.
const maxPairs = 10_000

// matchesOf gives what of the lists and tables facts of a record were found in.
func matchesOf(p *policy.Policy, lookups []policy.Lookup, r *history.Record) []history.Match {
	var out []history.Match
	var one, other [4]string // room for as many as there mostly are
	for _, l := range lookups {
		switch {
		case l.Pair != "" && l.Fact == "":
			for _, pair := range p.Pairs(l.Pair, maxPairs) {
				out = append(out, history.Match{Table: l.Pair, Text: pair[0] + "\t" + pair[1]})
			}
		case l.Pair != "":
			for _, a := range appendTexts(one[:0], r, l.Fact) {
				for _, b := range appendTexts(other[:0], r, l.With) {
					if p.HasPair(l, a, b) {
						out = append(out, history.Match{Table: l.Pair, Text: a + "\t" + b})
					}
				}
			}
		default:
			for _, text := range appendTexts(one[:0], r, l.Fact) {
				if entry := p.Entry(l, text); entry != "" {
					out = append(out, history.Match{List: l.List, Kind: l.Kind, Text: entry})
				}
			}
		}
	}
	return out
}

// appendTexts appends the texts that a fact had in a record: one, or one for each recipient.
func appendTexts(to []string, r *history.Record, fact string) []string {
	m := r.Message
	if m == nil {
		m = &history.Message{}
	}
	switch fact {
	case "client.ip":
		for _, addr := range [...]netip.Addr{r.Client.Addr, m.HopAddr} {
			if addr.IsValid() {
				to = append(to, addr.String())
			}
		}
		return to
	case "client.name":
		return append(to, domainOf(r.Client.Name), domainOf(m.HopName))
	case "client.ptr":
		return append(to, domainOf(r.Client.PTR))
	case "helo.name":
		return append(to, domainOf(r.Helo), domainOf(m.HopHelo))
	case "auth.user":
		return append(to, r.Sender.User)
	case "sender.address":
		return append(to, plainAddress(r.Sender.Address))
	case "sender.local":
		local, _ := splitAddress(plainAddress(r.Sender.Address))
		return append(to, local)
	case "sender.domain":
		return append(to, mailDomain(r.Sender.Address))
	case "message.list_id":
		return append(to, m.ListID)
	case "author.address":
		return append(to, m.AuthorAddress)
	case "author.domain":
		return append(to, m.AuthorDomain)
	case "rcpt.address", "rcpt.local", "rcpt.domain":
		return appendRecipients(to, r, fact)
	}
	if v, ok := r.Fact(fact); ok {
		return append(to, v.Text())
	}
	return to
}

func appendRecipients(to []string, r *history.Record, fact string) []string {
	for _, one := range r.Recipients {
		if one.Refused {
			continue
		}
		said := Recipient{Address: one.Address, Resolved: one.Resolved, Mailer: one.Mailer}
		local, domain := said.parts()
		switch fact {
		case "rcpt.address":
			to = append(to, said.whole())
		case "rcpt.local":
			to = append(to, local)
		default:
			to = append(to, domain)
		}
	}
	return to
}
