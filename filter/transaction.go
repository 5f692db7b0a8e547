package filter

import (
	"strings"
	"time"

	"gatepost.example/filter/authres"
	"gatepost.example/filter/check"
	"gatepost.example/filter/limit"
	"gatepost.example/filter/message"
	"gatepost.example/policy"
)

// transaction is what belongs to one message, from MAIL to its end or RSET.
type transaction struct {
	id           string
	now          time.Time
	from         Sender
	senderDomain string
	walk         *policy.Walk
	recipients   *policy.Recipients
	paused       bool        // everything is accepted, for the pause at MAIL
	behind       []Recipient // taken, and the rules not asked about them yet
	count        int         // recipients that reached the rules
	unknown      int         // recipients that the MTA refused because they do not exist
	all          []string    // the taken recipients, as far as they are learned from
	taken        []string    // the first taken recipients, for the log
	refused      bool        // at its end
	hop          message.Hop // of a relay's message: who it came from
	header       *message.Header
	author       message.Author
	body         *message.BodyHasher // nil before the end of the header
	bodies       *message.BodyHasher // that of an earlier message, to be used again
	size         int
	queueID      string
	trail        messageTrail
	counted      map[countedAs]limit.Verdict // nil for none

	findings []check.Finding  // memory for a while
	results  []authres.Result // the same
	runs
}

// maxLogged bounds the recipients that one log line names.
const maxLogged = 5

func newTransaction(s *Session, from Sender) *transaction {
	s.enterRoom()
	t := s.server.transactions.Get().(*transaction)
	t.id, t.now, t.from, t.senderDomain, t.queueID = s.newID(), s.present(), from, mailDomain(from.Address), from.QueueID
	t.walk, t.runs = s.conn.walk.Clone(), t.runs.of(len(s.settings.checks))
	if t.header == nil {
		t.header = message.NewHeader()
	}
	if t.queueID == "" {
		t.queueID = s.conn.QueueID
	}
	t.paused = s.pausedAt(t.now)
	t.recipients = policy.NewRecipients(t.walk)
	t.header.Watch(s.watches)
	return t
}

// wipe makes ready for another message, with nothing in it of this one.
func (t *transaction) wipe() {
	t.runs.wipe()
	if t.body == nil {
		t.body = t.bodies
	}
	*t = transaction{
		header: t.header.Again(), bodies: t.body.Again(),
		runs: t.runs, findings: wiped(t.findings), results: wiped(t.results), all: wiped(t.all), taken: wiped(t.taken),
		trail: messageTrail{recipients: wiped(t.trail.recipients), readings: wiped(t.trail.readings), lines: wiped(t.trail.lines)},
	}
}

func (t *transaction) publishSender(e *policy.Evidence) {
	address := plainAddress(t.from.Address)
	local, _ := splitAddress(address)
	e.Publish("tls.version", policy.StringOf(t.from.TLS.Version), policy.Mail)
	e.Publish("tls.cipher", policy.StringOf(t.from.TLS.Cipher), policy.Mail)
	e.Publish("tls.bits", policy.IntOf(t.from.TLS.Bits), policy.Mail)
	e.Publish("auth.user", policy.StringOf(t.from.User), policy.Mail)
	e.Publish("auth.method", policy.StringOf(t.from.Method), policy.Mail)
	e.Publish("sender.address", policy.StringOf(address), policy.Mail)
	e.Publish("sender.local", policy.StringOf(local), policy.Mail)
	e.Publish("sender.domain", policy.StringOf(t.senderDomain), policy.Mail)
	e.Publish("sender.empty", policy.BoolOf(t.from.Address == ""), policy.Mail)
}

// refused reports whether the MTA itself refused the recipient: {rcpt_mailer} is "error" and {rcpt_host} nothing but an enhanced
// code. With text behind the code it is an accepted recipient of a virtual alias domain.
func (r Recipient) refused() bool {
	return r.Mailer == "error" && isEnhancedCode(r.Host)
}

func isEnhancedCode(text string) bool {
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return false
	}
	for _, p := range parts {
		if p == "" || len(p) > 3 || strings.Trim(p, "0123456789") != "" {
			return false
		}
	}
	return true
}

// in gives the recipient with a whole address: of a local user Sendmail tells the name alone. The address as typed has the domain then, and one
// without is of the MTA itself.
func (r Recipient) in(mta string) Recipient {
	if r.Mailer == "error" || r.Resolved == "" || strings.Contains(r.Resolved, "@") {
		return r
	}
	r.Resolved = r.Address
	if !strings.Contains(r.Resolved, "@") && mta != "" {
		r.Resolved += "@" + mta
	}
	return r
}

// parts gives local part and domain of the address as the MTA resolved it.
func (r Recipient) parts() (local, domain string) {
	resolved := r.Resolved
	if r.Mailer == "error" || resolved == "" {
		resolved = r.Address // of an alias domain the MTA says its table's text, not an address
	}
	local, domain = splitAddress(resolved)
	local = unquoted(local)
	for _, name := range [...]string{"postmaster", "abuse"} { // RFC 5321 4.5.1, RFC 2142 2: without regard to case
		if strings.EqualFold(local, name) {
			local = name
		}
	}
	return local, domainOf(domain)
}

// whole gives the address in the one way of all in which it can be written: "bob"@example.net, bob@Example.net. and, of the MTA's own domain, bob
// alone are the same mailbox, and no list or limit is to be passed by another writing.
func (r Recipient) whole() string {
	if local, domain := r.parts(); domain != "" {
		return addressOf(local, domain, r.Resolved)
	}
	return r.Address
}

func (t *transaction) publishRecipient(e *policy.Evidence, r Recipient) {
	local, domain := r.parts()
	e.Publish("rcpt.address", policy.StringOf(r.whole()), policy.Rcpt)
	e.Publish("rcpt.local", policy.StringOf(local), policy.Rcpt)
	e.Publish("rcpt.domain", policy.StringOf(domain), policy.Rcpt)
	e.Publish("rcpt.count", policy.IntOf(t.count), policy.Rcpt)
}

func (t *transaction) took(address string) {
	if len(t.all) < maxLearned {
		t.all = append(t.all, address)
	}
	if len(t.taken) < maxLogged {
		t.taken = append(t.taken, address)
	}
}

func (t *transaction) publishMessage(e *policy.Evidence) {
	e.Publish("message.size", policy.IntOf(t.header.Size()+len("\r\n")+t.size), policy.Data)
	e.Publish("message.list_id", policy.StringOf(domainOf(bracketed(t.header.First("List-Id")))), policy.Data)
	e.Publish("message.id", policy.StringOf(bracketed(t.header.First("Message-ID"))), policy.Data)
	e.Publish("author.address", policy.StringOf(t.author.Address), policy.Data)
	e.Publish("author.domain", policy.StringOf(t.author.Domain), policy.Data)
	e.Publish("author.fields", policy.IntOf(t.author.Fields), policy.Data)
	e.Publish("author.domains", policy.IntOf(len(t.author.Domains)), policy.Data)
	e.PublishHeader(t.fieldValues)
}

// Bounds on what header("X") gives: a sender may write a field a thousand times.
const (
	maxValues     = 20
	maxValueBytes = 2000
)

func (t *transaction) fieldValues(name string) []string {
	var out []string
	for _, v := range t.header.Values(name) {
		if len(out) == maxValues {
			break
		}
		v = strings.TrimSpace(unfold(v))
		out = append(out, strings.ToValidUTF8(v[:min(len(v), maxValueBytes)], "?"))
	}
	return out
}

var lineEnds = strings.NewReplacer("\r\n", "", "\r", "", "\n", "")

func unfold(value string) string {
	if !strings.ContainsAny(value, "\r\n") {
		return value
	}
	return lineEnds.Replace(value)
}

// bracketed gives what stands between the last < and the > behind it, or the whole trimmed text without brackets.
func bracketed(value string) string {
	value = strings.TrimSpace(unfold(value))
	value = value[:min(len(value), maxValueBytes)]
	if i := strings.LastIndexByte(value, '<'); i >= 0 {
		value, _, _ = strings.Cut(value[i+1:], ">")
	}
	return strings.TrimSpace(value)
}
