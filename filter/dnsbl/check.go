package dnsbl

import (
	"context"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"gatepost.example/filter/check"
	"gatepost.example/filter/resolve"
	"gatepost.example/policy"
)

// dnsbl is the check of all lists that are asked about one subject.
type dnsbl struct {
	name    string
	score   string // its fact
	text    string
	starts  policy.Stage
	scope   policy.Scope
	subject Subject
	lists   []List
	watch   *Watch
	nothing func(context.Context) check.Outcome // the work where nobody is asked
}

// Checks gives one check for each subject, over the lists that are asked about it.
func Checks(lists []List, w *Watch) []check.Check {
	all := []*dnsbl{
		{name: "dnsbl", score: "client.dnsbl_score", text: "the client's address", subject: ClientIP},
		{name: "dnsbl-helo", score: "helo.dnsbl_score", text: "the HELO name", subject: HeloName, starts: policy.Helo},
		{name: "dnsbl-sender", score: "sender.dnsbl_score", text: "the domain of MAIL FROM", subject: SenderDomain, starts: policy.Mail, scope: policy.OfMessage},
		{name: "dnsbl-author", score: "author.dnsbl_score", text: "the author domain", subject: AuthorDomain, starts: policy.Data, scope: policy.OfMessage},
		{name: "dnsbl-dkim", score: "dkim.dnsbl_score", text: "the domain of a DKIM signature that passes, the worst of them", subject: DKIMDomains, starts: policy.Data, scope: policy.OfMessage},
	}
	out := make([]check.Check, len(all))
	for i, d := range all {
		d.watch = w
		for _, l := range lists {
			if l.Subject == d.subject {
				d.lists = append(d.lists, l)
			}
		}
		d.nothing = check.Always(d.outcome(nil, nil).Facts)
		out[i] = d
	}
	return out
}

// Name implements check.Check.
func (d *dnsbl) Name() string { return d.name }

// Starts implements check.Check.
func (d *dnsbl) Starts() policy.Stage { return d.starts }

// Facts implements check.Check. A list that is out of use or does not answer counts 0: nobody is refused for trouble of a list.
func (d *dnsbl) Facts() []policy.Fact {
	facts := []policy.Fact{{
		Name: d.score, Type: policy.Int, Stage: d.starts, Scope: d.scope, Trouble: policy.IntOf(0),
		Text: "what the [[dnsbl]] lists count about " + d.text + "; below 0 speaks for it",
	}}
	if d.subject == ClientIP {
		facts = append(facts,
			policy.Fact{Name: "client.dnsbls", Type: policy.Strings, Trouble: policy.StringsOf(nil), Text: "names of the [[dnsbl]] lists that speak against the client's address"},
			policy.Fact{Name: "client.dnsbl_url", Trouble: policy.StringOf(""), Text: "where one reads about the first of those listings that has a page"},
		)
	}
	return facts
}

// Start implements check.Check.
func (d *dnsbl) Start(in *check.Input) func(context.Context) check.Outcome {
	if len(d.lists) == 0 {
		return d.nothing
	}
	said, r, earlier := d.subjects(in), in.Resolver, in.Findings
	if len(said) == 0 && d.subject != DKIMDomains {
		return d.nothing
	}
	return func(ctx context.Context) check.Outcome {
		subjects := said
		if d.subject == DKIMDomains {
			subjects = passing(earlier(ctx, "dkim"))
		}
		return d.ask(ctx, r, subjects)
	}
}

// subjects gives what the session says about the subject, as questions are put; nothing where there is nothing to ask.
func (d *dnsbl) subjects(in *check.Input) []string {
	text := ""
	switch d.subject {
	case ClientIP:
		if in.Client.IsValid() {
			text = in.Client.WithZone("").String()
		}
	case HeloName:
		text = strings.ToLower(in.Helo)
		if !strings.Contains(strings.Trim(text, "."), ".") || strings.HasPrefix(text, "[") { // an address literal, or no name of a domain
			text = ""
		}
	case SenderDomain:
		text = in.SenderDomain
	case AuthorDomain:
		text = in.Author.Domain
	}
	// Lists of domains have a code for who asks about an address, and none that lists it.
	if _, err := netip.ParseAddr(text); text == "" || strings.HasPrefix(text, "[") || err == nil && d.subject != ClientIP {
		return nil
	}
	return []string{text}
}

// maxDomains bounds the domains of signatures that lists are asked about.
const maxDomains = 5

// passing gives the domains of signatures that pass, each once.
func passing(findings []check.Finding) []string {
	var out []string
	for _, f := range findings {
		if f.Result == "pass" && f.Domain != "" && !slices.Contains(out, f.Domain) && len(out) < maxDomains {
			out = append(out, f.Domain)
		}
	}
	return out
}

// ask puts all questions at once: each subject to each list.
func (d *dnsbl) ask(ctx context.Context, r resolve.Resolver, subjects []string) check.Outcome {
	listings := make([]Listing, len(subjects)*len(d.lists))
	var work resolve.Group
	for i, subject := range subjects {
		for j, l := range d.lists {
			if !d.watch.Usable(l) {
				listings[i*len(d.lists)+j] = Listing{Result: TempError, Code: CodeUnfit, Detail: "the list is out of use"}
				continue
			}
			work.Go(func() { listings[i*len(d.lists)+j] = Ask(ctx, r, l, subject) })
		}
	}
	work.Wait()
	return d.outcome(subjects, listings)
}

// outcome adds up what the lists say. Of several subjects the one with the highest sum counts.
func (d *dnsbl) outcome(subjects []string, listings []Listing) check.Outcome {
	var findings []check.Finding
	var names []string
	best, where := 0, ""
	for i, subject := range subjects {
		sum := 0
		for j, l := range d.lists {
			found := listings[i*len(d.lists)+j]
			sum += found.Score
			if found.Score > 0 {
				names = append(names, l.Name)
				if where == "" {
					where = l.page(subject)
				}
			}
			if found.Code == CodeFault {
				d.watch.fault(l, found.Detail)
			}
			findings = append(findings, found.finding(l, subject))
		}
		if i == 0 || sum > best {
			best = sum
		}
	}
	facts := []check.Named{{Name: d.score, Value: policy.IntOf(best)}}
	if d.subject == ClientIP {
		facts = append(facts, check.Named{Name: "client.dnsbls", Value: policy.StringsOf(names)}, check.Named{Name: "client.dnsbl_url", Value: policy.StringOf(where)})
	}
	return check.Outcome{Facts: facts, Findings: findings}
}

// page gives the list's URL for a subject, which a stranger may have written.
func (l List) page(subject string) string {
	return strings.ReplaceAll(l.URL, "{"+string(l.Subject)+"}", url.PathEscape(subject))
}

func (found Listing) finding(l List, subject string) check.Finding {
	f := check.Finding{Result: found.Result, Code: found.Code, Domain: subject, Detail: l.Name}
	if found.Detail != "" {
		f.Detail += ": " + found.Detail
	}
	if found.Result == Listed {
		f.Detail += fmt.Sprintf(" counts %d", found.Score)
		if page := l.page(subject); page != "" {
			f.Detail += "; see " + page
		}
	}
	if found.Lookup != nil {
		f.Lookups = []*resolve.Answer{found.Lookup}
	}
	return f
}
