package filter

import (
	"net/netip"

	"gatepost.example/filter/limit"
	"gatepost.example/filter/message"
	"gatepost.example/policy"
)

// A client in trust.relays took mail from a stranger for us: a backup MX, a front proxy. Its messages are judged by the host that its newest
// Received field of a host that is not ours names, so client.*, helo.* and what is asked of them are known at the end of the header only. Refusing would make it
// bounce to somebody forged, so nothing is refused to it, and nothing is counted.

// isRelay reports whether an address is in trust.relays.
func (set *Settings) isRelay(addr netip.Addr) bool {
	for _, network := range set.Relays {
		if network.Contains(addr) {
			return true
		}
	}
	return false
}

// who gives the client that the message is judged by.
func (s *Session) who() (addr netip.Addr, name, helo string) {
	if s.conn.relay {
		if s.msg == nil {
			return netip.Addr{}, "", ""
		}
		return s.msg.hop.Addr, s.msg.hop.Name, s.msg.hop.Helo
	}
	return s.conn.Addr, s.conn.Name, s.conn.helo
}

// adoptHop makes the host that the relay took the message from the client of this message, and starts the checks that wait for one.
func (s *Session) adoptHop() {
	s.msg.hop = s.settings.stranger(s.msg.header.Values("Received"))
	s.adoptClient()
}

// maxOwnHops bounds the Received fields of own machines that are passed over.
const maxOwnHops = 10

// stranger gives who handed a message to the first of our own machines: the newest Received field names the relay's client, but where that is one
// of ours, as a content filter on the relay is, it wrote the next field. Where a user logged in to it, or no client is named, the message is that
// machine's own.
func (set *Settings) stranger(received []string) message.Hop {
	var own message.Hop
	for i, value := range received[:min(len(received), maxOwnHops)] {
		t := message.ReadTrace(value)
		known := t.Addr.IsValid()
		if i > 0 && (!known || t.User) {
			break
		}
		if !known || !set.trusts(t.Addr) && !set.isRelay(t.Addr) && !t.Addr.IsLinkLocalUnicast() { // by a link-local one Exchange calls itself
			return t.Hop
		}
		own = t.Hop
	}
	return own
}

// adoptClient publishes that host and starts the checks that wait for one.
func (s *Session) adoptClient() {
	t := s.msg
	ip, network := s.settings.textsOf(t.hop.Addr)
	s.publishHost(ip, network, t.hop.Name, "", policy.Data)
	s.publishHelo(t.hop.Helo, policy.Data)
	for i := range s.settings.limits {
		if l := &s.settings.limits[i]; l.Scope != policy.OfRecipient {
			s.publishLimit(l, limit.Verdict{}, occasion{at: policy.Data})
		}
	}
	for _, at := range []policy.Stage{policy.Connect, policy.Helo, policy.Mail} {
		s.begin(at, &t.runs, s.input(t.now))
	}
}

// meetRelayed publishes of a relay's recipient what is otherwise asked of the memory.
func (s *Session) meetRelayed() {
	for i := range s.settings.limits {
		if l := &s.settings.limits[i]; l.Scope == policy.OfRecipient {
			s.publishLimit(l, limit.Verdict{}, occasion{at: policy.Rcpt})
		}
	}
	s.publishMemory("rcpt.relayed", policy.BoolOf(false), policy.Rcpt)
	s.publishMemory("greylist.wait", policy.BoolOf(false), policy.Rcpt)
	s.publishMemory("greylist.retry", policy.StringOf(""), policy.Rcpt)
}

// cannotRefuse reports whether a refusal would bounce to somebody forged: local mail and that of relays.
func (s *Session) cannotRefuse() bool { return s.conn.role == roleLocal || s.conn.relay }
