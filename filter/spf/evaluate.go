package spf

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"gatepost.example/filter/resolve"
)

// evaluation is one run of check_host() with all the records it goes through (RFC 7208 4).
type evaluation struct {
	ctx          context.Context
	resolver     resolve.Resolver
	query        Query
	local        string
	senderDomain string
	terms        int
	voids        int
	lookups      []*resolve.Answer
	path         []string
	room         [usualPath]string // for path
	names        []string          // validated names of the client, once asked
	namesAsked   bool
}

// trouble ends an evaluation.
type trouble struct {
	result Result
	code   string
	text   string
}

func permError(code, format string, args ...any) *trouble {
	return &trouble{PermError, code, fmt.Sprintf(format, args...)}
}

// CheckMailFrom judges the MAIL FROM identity; for the null sender that is postmaster at the HELO name (RFC 7208 2.4).
// It asks at most 10 terms' worth of questions and stops soon after ctx does.
func CheckMailFrom(ctx context.Context, r resolve.Resolver, q Query) Verdict {
	sender := q.Sender
	if sender == "" {
		sender = "postmaster@" + q.Helo
	}
	return checkIdentity(ctx, r, q, sender)
}

// CheckHelo judges the HELO identity (RFC 7208 2.3).
func CheckHelo(ctx context.Context, r resolve.Resolver, q Query) Verdict {
	return checkIdentity(ctx, r, q, "postmaster@"+q.Helo)
}

// usualQuestions and usualPath are as many as the evaluation of most domains needs.
const (
	usualQuestions = 4
	usualPath      = 4
)

func checkIdentity(ctx context.Context, r resolve.Resolver, q Query, sender string) Verdict {
	local, domain := splitSender(sender)
	e := &evaluation{ctx: ctx, resolver: r, query: q}
	e.path = e.room[:0]
	clean, ok := cleanDomain(domain)
	e.local, e.senderDomain = local, clean
	switch {
	case !ok:
		return Verdict{Result: None, Domain: clean, Code: CodeNoDomain, Detail: "no name that DNS could know"}
	case !q.Client.IsValid():
		return Verdict{Result: None, Domain: clean, Code: CodeNoDomain, Detail: "the client has no address"}
	}
	e.lookups = make([]*resolve.Answer, 0, usualQuestions)
	v := e.checkHost(clean)
	v.Domain, v.Lookups = clean, e.lookups
	return v
}

func (e *evaluation) verdict(t *trouble) Verdict {
	return Verdict{Result: t.result, Code: t.code, Detail: t.text, Path: strings.Join(e.path, " ")}
}

// checkHost is check_host() for a domain (RFC 7208 4.4 to 4.7).
func (e *evaluation) checkHost(domain string) Verdict {
	e.path = append(e.path, domain)
	record, t := e.fetch(domain)
	if t != nil {
		return e.verdict(t)
	}
	for _, d := range record.Directives {
		matched, t := e.matches(d, domain)
		if t != nil {
			return e.verdict(t)
		}
		if !matched {
			continue
		}
		v := Verdict{Result: resultOf(d.Qualifier), Term: d.Text, Path: strings.Join(e.path, " ")}
		if v.Result == Fail && record.Explanation != "" {
			v.Explanation = e.explain(record.Explanation, domain)
		}
		return v
	}
	if record.Redirect != "" {
		return e.redirect(record.Redirect, domain)
	}
	return Verdict{Result: Neutral, Term: "default", Path: strings.Join(e.path, " ")} // RFC 7208 4.7
}

// resultOf gives what a directive says that matches (RFC 7208 4.6.2).
func resultOf(qualifier byte) Result {
	switch qualifier {
	case '-':
		return Fail
	case '~':
		return SoftFail
	case '?':
		return Neutral
	}
	return Pass
}

// fetch gives the one SPF record of a domain (RFC 7208 4.4, 4.5).
func (e *evaluation) fetch(domain string) (*Record, *trouble) {
	a := e.ask(domain, resolve.TXT)
	if a.Trouble() {
		return nil, &trouble{TempError, CodeDNS, a.Detail}
	}
	read := a.Note("spf", func() any { return readRecords(a.Texts) }).(recordRead)
	switch {
	case read.number == 0:
		return nil, &trouble{None, CodeNoRecord, domain + " has no SPF record"}
	case read.number > 1:
		return nil, permError(CodeTwoRecords, "%s has %d SPF records", domain, read.number)
	case read.err != nil:
		return nil, permError(CodeSyntax, "%s: %v", domain, read.err)
	}
	return read.record, nil
}

// recordRead is what the TXT records of a name say.
type recordRead struct {
	number int // of SPF records
	record *Record
	err    error // of the syntax
}

func readRecords(texts []string) (read recordRead) {
	for _, text := range texts {
		if !isRecord(text) {
			continue
		}
		if read.number++; read.number == 1 {
			read.record, read.err = ParseRecord(text)
		}
	}
	return read
}

func (e *evaluation) ask(name string, t resolve.Type) *resolve.Answer {
	a := e.resolver.Lookup(e.ctx, name, t)
	e.lookups = append(e.lookups, a)
	return a
}

// askTerm asks for what a term needs: trouble is a temperror, an empty answer a void one (RFC 7208 4.6.4).
func (e *evaluation) askTerm(name string, t resolve.Type) (*resolve.Answer, *trouble) {
	a := e.ask(name, t)
	if a.Trouble() {
		return a, &trouble{TempError, CodeDNS, a.Detail}
	}
	if a.Status != resolve.Found && a.Status != resolve.BadName { // a malformed name is not asked for, and does not match (RFC 7208 4.8)
		if e.voids++; e.voids > maxVoids {
			return a, permError(CodeVoid, "over %d questions have an empty answer", maxVoids)
		}
	}
	return a, nil
}

// matches evaluates one mechanism (RFC 7208 5).
func (e *evaluation) matches(d Directive, domain string) (bool, *trouble) {
	switch d.Mechanism {
	case "all":
		return true, nil
	case "ip4", "ip6":
		return d.Network.Contains(e.query.Client), nil
	}
	if t := e.count(); t != nil {
		return false, t
	}
	target := domain
	if d.Domain != "" {
		name, err := e.expand(d.Domain, domain, false)
		if err != nil {
			return false, permError(CodeSyntax, "%v", err)
		}
		target = cutName(name)
	}
	switch d.Mechanism {
	case "include":
		return e.include(d, target)
	case "a":
		return e.hosts([]string{target}, d)
	case "mx":
		return e.mx(target, d)
	case "ptr":
		return e.ptr(target)
	default: // exists: an A record, whatever the client's family (RFC 7208 5.7)
		a, t := e.askTerm(target, resolve.A)
		return t == nil && a.Status == resolve.Found, t
	}
}

// count takes one of the 10 terms that may ask DNS (RFC 7208 4.6.4).
func (e *evaluation) count() *trouble {
	if e.terms++; e.terms > maxTerms {
		return permError(CodeLookups, "over %d terms ask DNS", maxTerms)
	}
	return nil
}

// include evaluates another record (RFC 7208 5.2).
func (e *evaluation) include(d Directive, target string) (bool, *trouble) {
	before := len(e.path)
	e.path = append(e.path, d.Text)
	v := e.checkHost(target)
	switch v.Result {
	case Pass:
		return true, nil
	case TempError:
		return false, &trouble{TempError, v.Code, v.Detail}
	case PermError:
		return false, permError(v.Code, "%s", v.Detail)
	case None:
		return false, permError(CodeIncludeNone, "%s: %s has no SPF record", d.Text, target)
	}
	e.path = e.path[:before]
	return false, nil
}

// redirect goes on with another record in the place of this one (RFC 7208 6.1).
func (e *evaluation) redirect(spec, domain string) Verdict {
	if t := e.count(); t != nil {
		return e.verdict(t)
	}
	name, err := e.expand(spec, domain, false)
	if err != nil {
		return e.verdict(permError(CodeSyntax, "%v", err))
	}
	e.path = append(e.path, "redirect="+spec)
	v := e.checkHost(cutName(name))
	if v.Result == None {
		return e.verdict(permError(CodeRedirectNone, "redirect=%s: %s has no SPF record", spec, name))
	}
	return v
}

// family gives the type of the client's addresses: only that one is asked for (RFC 7208 5).
func (e *evaluation) family() resolve.Type {
	if e.query.Client.Is4() {
		return resolve.A
	}
	return resolve.AAAA
}

// hosts compares the client with the addresses of names.
func (e *evaluation) hosts(names []string, d Directive) (bool, *trouble) {
	for _, name := range names {
		a, t := e.askTerm(name, e.family())
		if t != nil {
			return false, t
		}
		if e.within(a.Addrs, d) {
			return true, nil
		}
	}
	return false, nil
}

func (e *evaluation) within(addrs []netip.Addr, d Directive) bool {
	bits := d.Bits6
	if e.query.Client.Is4() {
		bits = d.Bits4
	}
	for _, addr := range addrs {
		if p, err := addr.Prefix(bits); err == nil && p.Contains(e.query.Client) {
			return true
		}
	}
	return false
}

// mx compares the client with the hosts that take a domain's mail, at most 10 of them (RFC 7208 5.4, 4.6.4).
func (e *evaluation) mx(target string, d Directive) (bool, *trouble) {
	a, t := e.askTerm(target, resolve.MX)
	if t != nil {
		return false, t
	}
	if len(a.MXs) > maxHosts {
		return false, permError(CodeManyHosts, "%s has over %d mail servers", target, maxHosts)
	}
	for _, mx := range a.MXs {
		if mx.Host == "" {
			continue
		}
		// RFC 7208 4.6.4 counts terms as void. The questions for the hosts of one mx are bounded by their own limit: mail servers with
		// IPv4 only must not make a permerror of a client with IPv6.
		answer := e.ask(mx.Host, e.family())
		if answer.Trouble() {
			return false, &trouble{TempError, CodeDNS, answer.Detail}
		}
		if e.within(answer.Addrs, d) {
			return true, nil
		}
	}
	return false, nil
}

// ptr asks whether a validated name of the client is in the target domain (RFC 7208 5.5).
func (e *evaluation) ptr(target string) (bool, *trouble) {
	for _, name := range e.validated() {
		if isWithin(name, target) {
			return true, nil
		}
	}
	return false, nil
}

func isWithin(name, domain string) bool {
	domain = strings.ToLower(domain)
	return name == domain || strings.HasSuffix(name, "."+domain)
}

// validated gives the client's names whose addresses hold the client, out of the first 10. Trouble counts as no name (RFC 7208 5.5).
func (e *evaluation) validated() []string {
	if e.namesAsked {
		return e.names
	}
	e.namesAsked = true
	hosts := e.ask(resolve.ReverseName(e.query.Client), resolve.PTR).Hosts
	for _, host := range hosts[:min(len(hosts), maxHosts)] {
		if slices.Contains(e.ask(host, e.family()).Addrs, e.query.Client) {
			e.names = append(e.names, host)
		}
	}
	return e.names
}

// validatedName gives %{p}: a validated name, the domain itself or one in it first, "unknown" without (RFC 7208 7.3).
func (e *evaluation) validatedName(domain string) string {
	names := e.validated()
	if slices.Contains(names, domain) {
		return domain
	}
	for _, name := range names {
		if isWithin(name, domain) {
			return name
		}
	}
	if len(names) > 0 {
		return names[0]
	}
	return "unknown"
}

// explain gives the explanation of a fail, "" when there is any trouble with it (RFC 7208 6.2).
func (e *evaluation) explain(spec, domain string) string {
	name, err := e.expand(spec, domain, false)
	if err != nil {
		return ""
	}
	a := e.ask(cutName(name), resolve.TXT)
	if a.Status != resolve.Found || len(a.Texts) != 1 {
		return ""
	}
	text, err := e.expand(a.Texts[0], domain, true)
	if err != nil || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
		return ""
	}
	return text
}
