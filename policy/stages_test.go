package policy

import (
	"fmt"
	"strings"
	"testing"
)

// contractVocabulary has the facts that the rules of design/policy.toml name, with their stages and scopes.
func contractVocabulary(t testing.TB) *Vocabulary {
	t.Helper()
	var all []Fact
	add := func(at Stage, scope Scope, typ Type, trouble Value, names string) {
		for name := range strings.FieldsSeq(names) {
			kind := map[string]Kind{"client.ip": KindIP, "sender.address": KindAddress, "sender.domain": KindDomain}[name]
			all = append(all, Fact{Name: name, Type: typ, Stage: at, Scope: scope, Kind: kind, Trouble: trouble})
		}
	}
	text, number, truth := StringOf(""), IntOf(0), BoolOf(false)
	add(Connect, OfConnection, String, text, "client.ip client.network client.iprev client.reputation client.dnsbls client.dnsbl_url server.role")
	add(Connect, OfConnection, Int, number, "client.dnsbl_score")
	add(Connect, OfConnection, Bool, truth, "client.trusted over.client_sessions memory.settled")
	add(Connect, OfMessage, Bool, truth, "over.harvest over.client_messages")
	add(Mail, OfMessage, String, text, "auth.user sender.address sender.domain sender.mx spf.result")
	add(Mail, OfMessage, Bool, truth, "sender.owned sender.correspondent sender.empty")
	add(Rcpt, OfRecipient, String, text, "rcpt.local")
	add(Rcpt, OfRecipient, Bool, truth, "over.user_recipients over.user_strangers over.local_recipients")
	add(Data, OfMessage, String, text, "author.domain author.reputation signer.reputation dkim.author dkim.result dmarc.result dmarc.policy arc.dmarc")
	add(Data, OfMessage, Bool, truth, "author.owned author.ours arc.trusted")
	add(Data, OfMessage, Int, number, "author.fields author.domains")
	v, err := NewVocabulary(all)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// contract is the shape of the rules of design/policy.toml: "name: condition => what it does".
func contract() Source {
	s := source(
		`flood: server.role == "mx" && !client.trusted && (over.client_sessions || (over.harvest && client.reputation != "good")) => 421 4.7.0 Too much from {client.network} at_once`,
		`not-your-sender: auth.user != "" && !sender.owned => 553 5.7.1 Sender address not owned by {auth.user}`,
		`user-limit: auth.user != "" && (over.user_recipients || over.user_strangers) => 450 4.7.1 Sending limit of {auth.user} reached`,
		`not-your-from: auth.user != "" && !author.owned => 553 5.7.1 From: address not owned by {auth.user} observe`,
		`our-users: auth.user != "" => accept`,
		`local-flood: client.trusted && over.local_recipients => quarantine observe`,
		`own-machines: client.trusted => accept`,
		`blocked: client.ip in list.block || sender.address in list.block || sender.domain in list.block => 554 5.7.1 Refused by local policy`,
		`allowed: client.ip in list.allow || (spf.result == "pass" && (sender.address in list.allow || sender.domain in list.allow)) => accept`,
		`too-much: over.client_messages && !sender.correspondent => 421 4.7.0 Too many messages from {client.network}`,
		`postmaster: rcpt.local in ["postmaster", "abuse"] => accept`,
		`blocklisted: client.dnsbl_score >= 4 && client.reputation != "good" && !sender.correspondent => 554 5.7.1 {client.ip} is listed by {client.dnsbls}`,
		`null-mx: sender.mx == "null" => 550 5.7.27 {sender.domain} says that it takes no mail`,
		`no-such-sender: sender.mx == "none" => 450 4.1.8 {sender.domain} not found`,
		`greylist: client.reputation == "new" && suspicion >= 2 && !sender.correspondent => 451 4.7.1 Come again observe`,
		`several-from: author.fields > 1 || author.domains > 1 => 550 5.6.0 More than one From: domain`,
		`no-from: author.fields == 0 => 550 5.6.0 No From: field observe`,
		`spoofed: dmarc.result == "fail" && dmarc.policy == "reject" && dkim.author == "none" && !vouched && !sender.empty && (memory.settled || dkim.result == "none") => 550 5.7.1 Email rejected per DMARC policy for {author.domain}`,
		`dns-trouble: dmarc.result == "temperror" && dmarc.policy == "reject" && dkim.author in ["none", "temperror"] && !vouched && !sender.empty => 451 4.7.5 DNS does not answer for {author.domain}`,
		`bad-reputation: memory.settled && client.reputation == "bad" && !(author.reputation in ["good", "neutral"]) && !(signer.reputation in ["good", "neutral"]) && !sender.correspondent => 550 5.7.1 Refused for the record of {client.network} here`,
		`junk: (dmarc.result in ["fail", "temperror"] && dmarc.policy in ["reject", "quarantine"] && !(arc.trusted && arc.dmarc != "fail")) || (dmarc.result == "none" && spf.result == "fail" && dkim.author != "pass" && !vouched) => tag`,
		`our-name: author.ours && dmarc.result != "pass" && dkim.author == "none" && !vouched => tag observe`,
	)
	s.Lists = []NamedList{{Name: "allow", Entries: []string{"198.51.100.0/24", "partner.example"}}, {Name: "block", Entries: []string{"203.0.113.0/24", "bad.example"}}}
	s.Define = []Definition{
		{"suspicion", `(spf.result in ["fail", "softfail", "neutral", "none", "permerror"] ? 1 : 0) + (client.iprev in ["fail", "permerror"] ? 1 : 0) + (client.dnsbl_score > 0 ? 1 : 0)`},
		{"vouched", `(arc.trusted && arc.dmarc != "fail") || signer.reputation in ["good", "neutral"] || client.reputation == "good"`},
	}
	return s
}

func compileContract(t testing.TB) *Policy {
	t.Helper()
	p, problems := Compile(contractVocabulary(t), contract())
	if p == nil {
		t.Fatal(problems)
	}
	return p
}

// brief gives a report as one line: "name decides/settled/speaks waits dead".
func brief(r RuleReport) string {
	line := fmt.Sprintf("%s %s/%s/%s", r.Name, r.Decides, r.Settled, r.Speaks)
	if r.Waits != "" {
		line += " waits for " + r.Waits
	}
	if r.Dead != "" {
		line = r.Name + " dead: " + r.Dead
	}
	return line
}

func briefs(p *Policy) string {
	var out []string
	for _, r := range p.Report() {
		out = append(out, brief(r))
	}
	return strings.Join(out, "\n")
}

// TestContractReport: the order of events of the contract's rules. The limit of a user counts recipients, so that everything below
// it is decided for each recipient.
func TestContractReport(t *testing.T) {
	want := `flood connect/connect/connect
not-your-sender mail/mail/rcpt
user-limit rcpt/rcpt/rcpt
not-your-from data/data/data
our-users rcpt/mail/data waits for user-limit
local-flood rcpt/rcpt/data
own-machines rcpt/connect/data waits for user-limit
blocked rcpt/mail/rcpt waits for user-limit
allowed rcpt/mail/data waits for user-limit
too-much rcpt/mail/rcpt waits for user-limit
postmaster rcpt/rcpt/data
blocklisted rcpt/mail/rcpt waits for user-limit
null-mx rcpt/mail/rcpt waits for user-limit
no-such-sender rcpt/mail/rcpt waits for user-limit
greylist rcpt/mail/rcpt waits for user-limit
several-from data/data/data
no-from data/data/data
spoofed data/data/data
dns-trouble data/data/data
bad-reputation data/data/data
junk data/data/data
our-name data/data/data`
	if got := briefs(compileContract(t)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestReport(t *testing.T) {
	many := func(names string, op string) string {
		var terms []string
		for i := range 20 {
			terms = append(terms, fmt.Sprintf(names, i))
		}
		return strings.Join(terms, op)
	}
	for _, c := range []struct {
		why   string
		rules []string
		want  string
	}{
		{"a fact of connect", []string{`r: server.role == "mx" && over.client_messages => 421 4.3.2 no at_once`}, "r connect/connect/connect"},
		{"auth.user is unknown until MAIL and makes all below wait", []string{`ours: auth.user != "" && client.trusted => accept`, `r: client.ip in list.block => 554 5.7.1 no`},
			"ours mail/mail/data\nr connect/connect/rcpt"}, // client.trusted may be false at connect
		{"alone it makes all below wait", []string{`ours: auth.user != "" => accept`, `r: client.ip in list.block => 554 5.7.1 no`},
			"ours mail/mail/data\nr mail/connect/rcpt waits for ours"},
		{"a tag makes nobody wait", []string{`t: dmarc.result == "fail" => tag`, `r: client.trusted => accept`}, "t data/data/data\nr connect/connect/data"},
		{"an observed rule neither", []string{`o: dmarc.result == "fail" => 550 5.7.1 no observe`, `r: client.trusted => accept`}, "o data/data/data\nr connect/connect/data"},
		{"true or unknown is true", []string{`r: dmarc.result == "fail" || client.trusted => 550 5.7.1 no`}, "r connect/data/rcpt"},
		{"a rule about the recipient is not asked before RCPT", []string{`r: client.trusted || rcpt.local == "x" => 550 5.7.1 no at_once`}, "r rcpt/rcpt/rcpt"},
		{"nor is a final rule below it, though it might be false at connect",
			[]string{`pm: client.trusted && rcpt.local == "x" => accept`, `r: client.ip in list.block => 554 5.7.1 no at_once`}, "pm rcpt/rcpt/data\nr rcpt/connect/rcpt waits for pm"},
		{"a tag about the recipient holds nobody up", []string{`t: rcpt.local == "x" => tag`, `r: client.ip in list.block => 554 5.7.1 no at_once`},
			"t rcpt/rcpt/data\nr connect/connect/connect"},
		{"always true", []string{`all: true => accept`, `r: client.trusted => 554 5.7.1 no`, `s: true => accept`},
			"all connect/connect/data\nr dead: rule \"all\" above it is always true\ns dead: rule \"all\" above it is always true"},
		{"always true, observed", []string{`all: true => 550 5.7.1 no observe`, `r: client.trusted => accept`}, "all connect/connect/rcpt\nr connect/connect/data"},
		{"never true", []string{`r: client.trusted && false => accept`, `s: client.trusted => accept`}, "r dead: its condition is never true\ns connect/connect/data"},
		{"a term and its opposite", []string{`r: client.trusted && !client.trusted => accept`}, "r dead: its condition is never true"},
		{"one that can fail is not always true", []string{`r: 1 / rcpt.count > 0 || !(1 / rcpt.count > 0) => accept`, `s: client.trusted => accept`},
			"r rcpt/rcpt/data\ns rcpt/connect/data waits for r"},
		{"one that can fail is false as soon as it does", []string{`r: 1 / rcpt.count > message.size => accept`, `s: client.trusted => 554 5.7.1 no`},
			"r data/data/data\ns rcpt/connect/rcpt waits for r"},
		{"the longest wait is named", []string{`a: auth.user != "" => accept`, `b: dmarc.result == "pass" => accept`, `r: client.trusted => 554 5.7.1 no`},
			"a mail/mail/data\nb data/data/data\nr data/connect/data waits for b"},
		{"a sum waits for its terms, not for what a term has no need of",
			[]string{`r: (client.trusted ? 2 : (dmarc.result == "fail" ? 2 : 0)) >= 2 => 554 5.7.1 no`}, "r connect/data/rcpt"},
		{"a look through an empty list", []string{`r: !dkim.domains.exists(d, d == helo.name) => 554 5.7.1 no`}, "r data/data/data"},
		{"a field of the header", []string{`r: header("Subject") == [] => 554 5.7.1 no`}, "r data/data/data"},
		{"more terms than can be tried all", []string{"r: " + many(`client.ip == "192.0.2.%d"`, " || ") + ` || dmarc.result == "fail" => 554 5.7.1 no`, `s: client.trusted => accept`},
			"r connect/data/rcpt\ns data/connect/data waits for r"},
		{"more terms, joined by and", []string{"r: " + many(`client.ip != "192.0.2.%d"`, " && ") + ` && dmarc.result == "fail" => 554 5.7.1 no`, `s: client.trusted => accept`},
			"r data/data/data\ns connect/connect/data"},
	} {
		if got := briefs(compile(t, source(c.rules...))); got != c.want {
			t.Errorf("%s:\ngot\n%s\nwant\n%s", c.why, got, c.want)
		}
	}
}

// TestDelivers: the MTA waits for our answer only at stages at which something can be spoken.
func TestDelivers(t *testing.T) {
	early := `r: client.ip in list.block => 554 5.7.1 no`
	change := func(f func(*Source), rules ...string) Source {
		s := source(rules...)
		f(&s)
		return s
	}
	for _, c := range []struct {
		why    string
		source Source
		want   string
	}{
		{"no rules", source(), "data"},
		{"an accept", source(`a: client.trusted => accept`), "data"},
		{"a refusal is spoken at RCPT", source(early), "rcpt data"},
		{"at once", source(early + " at_once"), "connect helo mail rcpt data"},
		{"at once, decided at MAIL", source(`r: spf.result == "fail" => 554 5.7.1 no at_once`), "mail rcpt data"},
		{"below a rule that waits for DATA", source(`d: dmarc.result == "pass" => accept`, early), "data"},
		{"at once below a rule about the recipient", source(`pm: rcpt.local == "postmaster" => accept`, early+" at_once"), "rcpt data"},
		{"delay_reject off", change(func(s *Source) { s.DelayReject = false }, `r: sender.domain in list.block => 554 5.7.1 no`), "mail rcpt data"},
		{"observed", source(early + " observe"), "data"},
		{"dead", source(`all: true => accept`, early), "data"},
		{"observe mode", change(func(s *Source) { s.Observe, s.DelayReject = true, false }, early+" at_once"), "data"},
		{"a refusal at DATA only", source(`d: dmarc.result == "fail" => 550 5.7.1 no`), "data"},
		{"recipients of several classes are put off at RCPT", source(`pm: rcpt.local == "postmaster" => accept`), "rcpt data"},
		{"unless the mildest decision holds", change(func(s *Source) { s.Mildest = true }, `pm: rcpt.local == "postmaster" => accept`), "data"},
		{"a tag about the recipient puts nobody off", source(`t: rcpt.local == "postmaster" => tag`), "data"},
	} {
		p := compile(t, c.source)
		var got []string
		for at := Connect; at <= Data; at++ {
			if p.Delivers(at) {
				got = append(got, at.String())
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: got %v, want %s", c.why, got, c.want)
		}
		if p.Observes() != c.source.Observe {
			t.Errorf("%s: observes %v", c.why, p.Observes())
		}
	}
}

// TestMayWait: nothing is awaited where nothing can be spoken.
func TestMayWait(t *testing.T) {
	for _, c := range []struct {
		why   string
		delay bool
		rules []string
		want  string
	}{
		{"a refusal for RCPT", true, []string{`r: client.iprev == "fail" => 554 5.7.1 no`}, "rcpt data"},
		{"one at once", true, []string{`r: client.iprev == "fail" => 554 5.7.1 no at_once`}, "connect helo mail rcpt data"},
		{"one at once that needs MAIL", true, []string{`r: spf.result == "fail" => 554 5.7.1 no at_once`}, "mail rcpt data"},
		{"one at once below a rule about the recipient", true, []string{`pm: rcpt.local == "x" => accept`, `r: client.iprev == "fail" => 554 5.7.1 no at_once`}, "rcpt data"},
		{"one at once that is observed", true, []string{`r: client.iprev == "fail" => 554 5.7.1 no at_once observe`}, "rcpt data"},
		{"an accept above one at once", true, []string{`a: client.iprev == "pass" => accept`, `r: client.iprev == "fail" => 554 5.7.1 no at_once`}, "connect helo mail rcpt data"},
		{"delay_reject off", false, []string{`r: client.iprev == "fail" => 554 5.7.1 no`}, "connect helo mail rcpt data"},
		{"delay_reject off, nothing but accept", false, []string{`r: client.iprev == "fail" => accept`}, "rcpt data"},
	} {
		s := source(c.rules...)
		s.DelayReject = c.delay
		p := compile(t, s)
		e, w := p.NewEvidence(), p.NewWalk()
		var got []string
		for at := Connect; at <= Data; at++ {
			w.Step(e, at)
			if w.MayWait(at) {
				got = append(got, at.String())
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: got %v, want %s", c.why, got, c.want)
		}
	}
}

// TestWants: a check whose facts no rule names has nobody who waits for it.
func TestWants(t *testing.T) {
	s := source(`r: known || header("X") == [] => accept`, `t: dmarc.result == "fail" => tag`, `o: client.trusted => 550 5.7.1 no observe`)
	s.Define = []Definition{{"known", `spf.result == "pass"`}, {"unused", `client.iprev == "fail"`}}
	p := compile(t, s)
	for name, want := range map[string]bool{"spf.result": true, "dmarc.result": true, "client.trusted": true, "client.iprev": false, "client.ip": false} {
		if got := p.Wants([]Fact{{Name: "helo.name"}, {Name: name}}); got != want {
			t.Errorf("%s is wanted: %v", name, got)
		}
	}
	if p.Wants(nil) {
		t.Error("a check without facts is wanted")
	}
}
