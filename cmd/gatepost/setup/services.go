package setup

import (
	"net"
	"slices"
	"strings"

	"gatepost.example/cmd/gatepost/mta"
	"gatepost.example/policy/policyfile"
)

// services plans what differs from main.cf in the services of master.cf.
func (b *planner) services(others []string) {
	for _, s := range b.Servers() {
		own, overridden := s.Written["smtpd_milters"]
		base := others
		if overridden {
			base = b.others(own)
		}
		for i := range base {
			base = slices.Clone(base)
			base[i] = strings.Join(strings.FieldsFunc(base[i], func(r rune) bool { return r == ' ' || r == '\t' }), "")
		}
		switch role := Role(b.Postfix, s, b.Submission); {
		case MiltersOff(b.Postfix, s):
			b.note("%s: milters are switched off there, and stay so", s.Key())
		case Reinjects(b.Postfix, s):
			b.option(s, "smtpd_milters", "", "takes mail back from the content filter: it was judged when it came in")
		case role == "submission":
			action := b.ifDown(Accept)
			if overridden || action != b.ifDown(TempFail) && b.AtLeast(3, 0) {
				b.option(s, "smtpd_milters", b.join(b.item(action, true), base, ","), "mail of your users; while Gatepost is away: "+action)
			}
			if !namedSubmission(b.Postfix, s, b.Submission) {
				b.option(s, "milter_macro_daemon_name", "ORIGINATING", "so that Gatepost knows this service as one of your users")
			}
		case overridden:
			b.option(s, "smtpd_milters", b.join(b.item(b.ifDown(TempFail), true), base, ","), "this service has milters of its own")
		}
	}
}

// oldVersion plans what Postfix before 3.0 needs, which knows no settings of one milter.
func (b *planner) oldVersion() {
	if b.AtLeast(3, 0) {
		return
	}
	b.note("Postfix %s knows no settings of a single milter: what follows holds for all milters", b.Version)
	b.main("milter_default_action", b.ifDown(TempFail), "while a milter is away")
	if b.ifDown(Accept) == b.ifDown(TempFail) {
		return
	}
	for _, s := range b.Services {
		if s.Command == "cleanup" || s.Command == "smtpd" && Role(b.Postfix, s, b.Submission) == "submission" {
			b.option(s, "milter_default_action", b.ifDown(Accept), "your own mail; while a milter is away: "+b.ifDown(Accept))
		}
	}
}

// Role says what server.role is for the sessions of an smtpd service: "submission" or "mx".
func Role(p *mta.Postfix, s mta.Service, w policyfile.Submission) string {
	if namedSubmission(p, s, w) || s.Port() != 25 && strings.HasPrefix(s.Options["smtpd_sasl_auth_enable"], "y") {
		return "submission"
	}
	return "mx"
}

// namedSubmission reports whether Gatepost knows the service as one of users by its port or name.
func namedSubmission(p *mta.Postfix, s mta.Service, w policyfile.Submission) bool {
	return s.Type == "inet" && slices.Contains(w.Ports, s.Port()) || slices.Contains(w.Names, p.Of(s, "milter_macro_daemon_name"))
}

// MiltersOff reports whether a service has no milters on purpose.
func MiltersOff(p *mta.Postfix, s mta.Service) bool {
	milters, overridden := s.Options["smtpd_milters"]
	return overridden && milters == "" || strings.Contains(p.Of(s, "receive_override_options"), "no_milters")
}

// Reinjects reports whether a service takes mail back from a content filter (FILTER_README): it listens on loopback, and mail is sent out to one.
func Reinjects(p *mta.Postfix, s mta.Service) bool {
	addr := net.ParseIP(s.Host())
	if (addr == nil || !addr.IsLoopback()) && s.Host() != "localhost" {
		return false
	}
	own := s.Options["content_filter"]
	filters := func(of mta.Service) bool {
		return p.Of(of, "content_filter") != "" || p.Of(of, "smtpd_proxy_filter") != ""
	}
	_, unfiltered := s.Options["content_filter"]
	return own == "" && (unfiltered || p.Value("content_filter") == "") && slices.ContainsFunc(p.Servers(), filters)
}

// remarks says what stays as it is and what an admin should know of it.
func (b *planner) remarks() {
	if maps := b.Value("smtpd_milter_maps"); maps != "" {
		b.note("smtpd_milter_maps = %s: clients that it gives DISABLE never meet Gatepost", maps)
	}
	for _, s := range b.Servers() {
		if b.Of(s, "smtpd_proxy_filter") != "" {
			b.note("%s hands mail to smtpd_proxy_filter: milters see no header and no body there, so SPF works and DKIM and DMARC do not", s.Key())
		}
	}
	for _, m := range b.Milters(b.Value("smtpd_milters")) {
		switch name := mta.Software(m.Endpoint); {
		case b.retires(m.Endpoint):
		case name == "opendmarc" || name == "openarc" || name == "milter-greylist" || name == "spf-milter":
			b.note("%s stays among the milters behind Gatepost, which does its work now; when you are content: %s --apply --retire %s", name, b.Command, name)
		case name == "opendkim" || name == "dkimpy-milter":
			b.note("%s stays behind Gatepost to sign; let it sign only (Mode s), for Gatepost verifies", name)
		}
	}
	if zones := b.zones(); len(zones) > 0 {
		b.note("blocklists in main.cf go on refusing by themselves, before Gatepost speaks (%s); when you are content: %s --apply --retire ZONE", strings.Join(zones, ", "), b.Command)
	}
	for _, service := range b.policyServices() {
		if !b.retires(service) {
			name := mta.Software(service)
			b.note("policy server %s goes on refusing by itself; when you are content: %s --apply --retire %s", name, b.Command, name)
		}
	}
}
