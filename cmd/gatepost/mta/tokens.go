package mta

import (
	"net"
	"path/filepath"
	"strings"
)

// Split cuts a list as Postfix writes it into its items, at blanks and commas outside of braces. What opens no brace is no group; a brace that
// is never closed takes the rest.
func Split(list string) []string {
	var out []string
	depth, from := 0, -1
	for i := range len(list) {
		switch c := list[i]; {
		case c == '{':
			depth++
		case c == '}':
			depth = max(0, depth-1)
		case depth == 0 && isSeparator(rune(c)):
			if from >= 0 {
				out = append(out, list[from:i])
			}
			from = -1
			continue
		}
		if from < 0 {
			from = i
		}
	}
	if from >= 0 {
		out = append(out, list[from:])
	}
	return out
}

// Milter is one item of smtpd_milters or non_smtpd_milters.
type Milter struct {
	Text     string            // as it is written: "$opendkim", "{ inet:127.0.0.1:8894, default_action=accept }"
	Endpoint string            // "inet:127.0.0.1:8894"; "" where Text stands for none
	Settings map[string]string // of its own; empty without braces
}

// Milters reads a list of milters as it is written in the instance. A parameter that stands for several gives several with one Text.
func (p *Postfix) Milters(list string) []Milter {
	var out []Milter
	for _, text := range Split(list) {
		items := Split(p.Expand(text))
		if len(items) == 0 {
			items = []string{""}
		}
		for _, item := range items {
			out = append(out, parseMilter(text, item))
		}
	}
	return out
}

// Endpoint gives the address out of an item that may stand in braces with settings behind it.
func Endpoint(item string) string { return parseMilter(item, item).Endpoint }

func parseMilter(text, item string) Milter {
	m := Milter{Text: text, Endpoint: item, Settings: map[string]string{}}
	inner, braced := strings.CutPrefix(item, "{")
	if !braced {
		return m
	}
	m.Endpoint = ""
	for _, part := range Split(strings.TrimSuffix(inner, "}")) {
		name, value, isSetting := strings.Cut(part, "=")
		switch {
		case isSetting:
			m.Settings[strings.TrimSpace(name)] = strings.TrimSpace(value)
		case m.Endpoint == "":
			m.Endpoint = part
		}
	}
	return m
}

// Place gives where an endpoint as Postfix writes it really is, for a service with or without chroot: "inet:127.0.0.1:8894", or "unix:" and
// the whole path (MILTER_README: in a chroot a path is seen below the queue directory; a relative one always is).
func (p *Postfix) Place(endpoint string, chroot bool) string {
	kind, address, _ := strings.Cut(endpoint, ":")
	switch kind {
	case "unix", "local":
		if chroot || !filepath.IsAbs(address) {
			address = filepath.Join(p.Value("queue_directory"), address)
		}
		return "unix:" + filepath.Clean(address)
	case "inet", "inet6":
		return "inet:" + hostPort(address)
	}
	return endpoint
}

// hostPort gives "localhost:8894" and "8894@localhost" in one form.
func hostPort(address string) string {
	if port, host, atForm := strings.Cut(address, "@"); atForm {
		address = net.JoinHostPort(strings.Trim(host, "[]"), port)
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	if host == "localhost" || host == "" {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(strings.ToLower(host), port)
}

// Restriction is one item of a list of smtpd restrictions, with its argument.
type Restriction struct {
	Name     string // "check_policy_service"
	Argument string // "unix:private/policyd-spf", "" for those without
	Warns    bool   // warn_if_reject stands before it
}

// String gives the restriction as main.cf writes it.
func (r Restriction) String() string {
	text := strings.TrimSpace(r.Name + " " + r.Argument)
	if r.Warns {
		text = "warn_if_reject " + text
	}
	return text
}

// Restrictions reads a list of smtpd restrictions.
func Restrictions(list string) []Restriction {
	var out []Restriction
	warns := false
	items := Split(list)
	for i := 0; i < len(items); i++ {
		name := items[i]
		if name == "warn_if_reject" {
			warns = true
			continue
		}
		r := Restriction{Name: name, Warns: warns}
		warns = false
		if takesArgument(name) && i+1 < len(items) {
			i++
			r.Argument = items[i]
		}
		out = append(out, r)
	}
	return out
}

func takesArgument(name string) bool {
	return strings.HasPrefix(name, "check_") || strings.Contains(name, "_rbl_") || strings.Contains(name, "_rhsbl_") || strings.Contains(name, "_dnswl_") ||
		strings.Contains(name, "_rhswl_") || name == "sleep" || name == "reject_rbl"
}

// RestrictionLists are the parameters that hold restrictions, in the order in which smtpd asks them.
var RestrictionLists = []string{
	"smtpd_client_restrictions", "smtpd_helo_restrictions", "smtpd_sender_restrictions", "smtpd_relay_restrictions",
	"smtpd_recipient_restrictions", "smtpd_data_restrictions", "smtpd_end_of_data_restrictions",
}

// software are filters and policy servers by what gives them away in an address: part of a path, or the port that they come with.
var software = []struct{ name, path, port string }{
	{"gatepost", "gatepost", "8894"},
	{"opendkim", "opendkim", "8891"}, {"opendmarc", "opendmarc", "8893"}, {"openarc", "openarc", ""}, {"dkimpy-milter", "dkimpy", "8892"},
	{"rspamd", "rspamd", "11332"}, {"milter-greylist", "milter-greylist", ""}, {"spamass-milter", "spamass", ""}, {"clamav-milter", "clamav", ""},
	{"amavis", "amavis", ""}, {"spf-milter", "spf-milter", ""}, {"postgrey", "postgrey", "10023"}, {"postfwd", "postfwd", "10040"},
	{"policyd-spf", "spf", ""}, {"policyd-rate-limit", "rate-limit", ""}, {"cluebringer", "policyd", "10031"}, {"sqlgrey", "sqlgrey", "2501"},
	{"quota-status", "quota-status", "12340"}, {"postlicyd", "postlicyd", ""}, {"mtpolicyd", "mtpolicyd", "12345"},
}

// Software names who answers at an address of a milter or policy server, by what people call it; the address itself where it is unknown.
func Software(endpoint string) string {
	_, port, _ := cutLast(hostPort(strings.TrimPrefix(endpoint, "inet:")), ":")
	for _, s := range software {
		if strings.Contains(strings.ToLower(endpoint), s.path) || s.port != "" && port == s.port {
			return s.name
		}
	}
	return endpoint
}
