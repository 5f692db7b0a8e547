package resolve

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// reading builds an Answer out of one or more messages.
type reading struct {
	answer *Answer
	name   string        // where the chain of CNAMEs has come to
	links  int           // CNAME records followed so far
	ttl    time.Duration // the least so far
	timed  bool          // ttl is set
	done   bool          // else the name at the end of the chain is still to be asked for
}

// read takes what a server said. It gives trouble in words when that is no answer, and then leaves the reading as it was.
func (r *reading) read(got reply) (trouble string) {
	msg := got.msg
	if msg.Rcode != dns.RcodeSuccess && msg.Rcode != dns.RcodeNameError {
		word := dns.RcodeToString[msg.Rcode]
		if word == "" {
			word = fmt.Sprintf("response code %d", msg.Rcode)
		}
		return word + " from " + got.from.addr
	}
	before := *r
	if trouble = r.follow(msg); trouble != "" {
		*r = before
		return trouble + " from " + got.from.addr
	}
	if msg.Rcode == dns.RcodeNameError { // of the name at the end of the chain (RFC 6604 3)
		r.endWithout(NXDomain, msg)
		return ""
	}
	if r.collect(msg) {
		r.end(Found)
		return ""
	}
	soa := authority(msg)
	switch {
	case soa == nil && r.links > before.links: // the server knows no more than the chain
	case soa == nil && isReferral(msg): // RFC 2308 2.2: NS without SOA sends us on, which a stub cannot follow
		*r = before
		return "no recursion (a referral)" + " from " + got.from.addr
	default:
		r.endWithout(NoData, msg)
	}
	return ""
}

// follow goes along the CNAME records of a message, in whatever order they stand (RFC 1034 3.6.2).
func (r *reading) follow(msg *dns.Msg) (trouble string) {
	next := map[string]*dns.CNAME{}
	for _, rr := range msg.Answer {
		if link, ok := rr.(*dns.CNAME); ok && link.Hdr.Class == dns.ClassINET {
			if owner, ok := rawName(link.Hdr.Name); ok && next[owner] == nil {
				next[owner] = link
			}
		}
	}
	for link := next[r.name]; link != nil; link = next[r.name] {
		if r.links++; r.links > maxChain {
			return fmt.Sprintf("a loop or more than %d CNAME records", maxChain)
		}
		target, ok := rawName(link.Target)
		if _, valid := CleanName(target); !ok || !valid {
			return "a CNAME to no usable name"
		}
		r.name = target
		r.lower(link.Hdr.Ttl)
	}
	return ""
}

// collect takes the records that were asked for at the end of the chain, and reports whether there are any.
func (r *reading) collect(msg *dns.Msg) (found bool) {
	for _, rr := range msg.Answer {
		h := rr.Header()
		if h.Rrtype != uint16(r.answer.Type) || h.Class != dns.ClassINET {
			continue
		}
		if owner, ok := rawName(h.Name); !ok || owner != r.name {
			continue
		}
		found = true
		r.lower(h.Ttl)
		r.answer.add(rr)
	}
	return found
}

// add puts a record's data into the answer. A name that contains a dot inside a label is left out: it is no host's name, and written
// with plain dots it would be another's.
func (a *Answer) add(rr dns.RR) {
	switch rr := rr.(type) {
	case *dns.A:
		if addr, ok := netip.AddrFromSlice(rr.A); ok {
			a.Addrs = append(a.Addrs, addr.Unmap())
		}
	case *dns.AAAA:
		if addr, ok := netip.AddrFromSlice(rr.AAAA); ok {
			a.Addrs = append(a.Addrs, addr.Unmap())
		}
	case *dns.TXT:
		a.Texts = append(a.Texts, joinTexts(rr.Txt))
	case *dns.MX:
		if host, ok := rawName(rr.Mx); ok {
			a.MXs = append(a.MXs, Mailserver{Preference: rr.Preference, Host: host})
		}
	case *dns.PTR:
		if host, ok := rawName(rr.Ptr); ok {
			a.Hosts = append(a.Hosts, host)
		}
	}
}

// end closes the reading.
func (r *reading) end(status Status) {
	r.answer.Status, r.answer.TTL, r.done = status, r.ttl, true
}

// endWithout closes the reading with a negative answer. Its TTL is that of the SOA record, capped by the record's last number
// (RFC 2308 5); without one it is 0: not to be kept.
func (r *reading) endWithout(status Status, msg *dns.Msg) {
	if soa := authority(msg); soa != nil {
		r.lower(min(soa.Hdr.Ttl, soa.Minttl))
	} else {
		r.lower(0)
	}
	r.end(status)
}

// lower makes the TTL at most this many seconds. A TTL with the top bit set is 0 (RFC 2181 8).
func (r *reading) lower(seconds uint32) {
	if seconds > 1<<31-1 {
		seconds = 0
	}
	if ttl := time.Duration(seconds) * time.Second; !r.timed || ttl < r.ttl {
		r.timed, r.ttl = true, ttl
	}
}

func authority(msg *dns.Msg) *dns.SOA {
	for _, rr := range msg.Ns {
		if soa, ok := rr.(*dns.SOA); ok {
			return soa
		}
	}
	return nil
}

// isReferral reports whether a message without an answer names other servers to ask.
func isReferral(msg *dns.Msg) bool {
	for _, rr := range msg.Ns {
		if rr.Header().Rrtype == dns.TypeNS {
			return !msg.Authoritative
		}
	}
	return false
}

// rawName turns a name as package dns prints it into raw bytes: lower case, no trailing dot, the root is "".
// It is false for a name with a dot inside a label.
func rawName(presented string) (string, bool) {
	name := strings.TrimSuffix(presented, ".")
	if !strings.Contains(name, `\`) {
		return lower(name), true
	}
	raw, dots := unescape(name)
	return lower(raw), dots == 0
}

// joinTexts joins the character-strings of a TXT record, without separator (RFC 7208 3.3, RFC 6376 3.6.2.2).
func joinTexts(texts []string) string {
	var b strings.Builder
	for _, text := range texts {
		raw, _ := unescape(text)
		if len(texts) == 1 {
			return raw
		}
		b.WriteString(raw)
	}
	return b.String()
}

// unescape undoes the escapes of RFC 1035 5.1, \X and \DDD, which package dns puts into names and texts that it reads off the wire.
// It counts the dots among what was escaped.
func unescape(text string) (raw string, dots int) {
	if !strings.Contains(text, `\`) {
		return text, 0
	}
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '\\' && i+1 < len(text) {
			i++
			c = text[i]
			if i+2 < len(text) && isDigit(c) && isDigit(text[i+1]) && isDigit(text[i+2]) {
				c = (c-'0')*100 + (text[i+1]-'0')*10 + text[i+2] - '0'
				i += 2
			}
			if c == '.' {
				dots++
			}
		}
		out = append(out, c)
	}
	return string(out), dots
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
