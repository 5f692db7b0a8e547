// Package setup wires Gatepost to the mail server: which lines of main.cf, master.cf or sendmail.mc change and how (plan.go, sendmail.go), what
// is configured today and becomes lines of policy.toml (import.go and the files of its sources), and how both are written and taken back
// (apply.go, policy.go). Plans are made of what was read and change nothing; only Apply and Undo write.
package setup

import (
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gatepost.example/cmd/gatepost/mta"
	"gatepost.example/policy/policyfile"
)

// What the mail server does with mail while Gatepost is not there.
const (
	TempFail = "tempfail" // it is put off: senders come again
	Accept   = "accept"   // it passes unjudged
)

// Wish is what the wiring has to fit.
type Wish struct {
	Endpoints  []policyfile.Endpoint  // where Gatepost listens
	Usable     func(path string) bool // whether Postfix may use a unix socket as it is now; nil for yes
	Submission policyfile.Submission  // the services that take mail from users
	Budget     time.Duration          // how long Gatepost may wait for DNS at one step
	FilterName string                 // the field of a content filter that has to come before Gatepost; "" for none
	IfDown     string                 // TempFail or Accept for all services; "" for TempFail where strangers come in and Accept elsewhere
	Command    string                 // the command line of this run, for notes that name another one
	Retire     []string               // old milters, policy servers and blocklists that are taken out
}

// Change is one parameter of main.cf, or one -o option of a service of master.cf.
type Change struct {
	Service string `json:"service,omitempty"` // "submission/inet"; "" for main.cf
	Name    string `json:"name"`
	Had     bool   `json:"had"` // it was set before
	Before  string `json:"before,omitempty"`
	After   string `json:"after"`
	Why     string `json:"why,omitempty"`
}

// Plan is what has to change.
type Plan struct {
	Endpoint string // of Gatepost, as Postfix is told
	Changes  []Change
	Notes    []string // what an admin should know and nothing here changes
	Retired  []string // what of Wish.Retire was found and taken out
}

// planner makes a plan over one configuration.
type planner struct {
	*mta.Postfix
	Wish
	plan Plan
}

// ForPostfix plans the wiring of an instance. It gives an error where no endpoint of Gatepost can be reached by it.
func ForPostfix(p *mta.Postfix, w Wish) (*Plan, error) {
	b := &planner{Postfix: p, Wish: w}
	endpoint, err := b.chooseEndpoint()
	if err != nil {
		return nil, err
	}
	b.plan.Endpoint = endpoint
	others := b.others(firstOf(p.Written("smtpd_milters")))
	b.main("smtpd_milters", b.join(b.item(b.ifDown(TempFail), false), others, ", "), "strangers' mail; while Gatepost is away: "+b.ifDown(TempFail))
	local := b.others(firstOf(p.Written("non_smtpd_milters")))
	if i := slices.Index(local, "$smtpd_milters"); i >= 0 {
		local = slices.Concat(local[:i], others, local[i+1:])
	}
	b.main("non_smtpd_milters", b.join(b.item(b.ifDown(Accept), false), local, ", "), "mail made on this machine; while Gatepost is away: "+b.ifDown(Accept))
	if v := p.Value("milter_protocol"); v != "" && v < "6" {
		b.main("milter_protocol", "6", "header bytes and refused recipients are told from version 6 on")
	}
	b.services(others)
	b.oldVersion()
	b.retireRestrictions()
	b.remarks()
	return &b.plan, nil
}

func firstOf(value string, _ bool) string { return value }

// ifDown gives the default action, which --if-down changes for all.
func (b *planner) ifDown(usual string) string {
	if b.IfDown != "" {
		return b.IfDown
	}
	return usual
}

// chooseEndpoint takes the first endpoint that every smtpd and cleanup of the instance can reach. Unix sockets come first, where Postfix may use
// them: their modes say who may, a TCP port is open to every user of the machine.
func (b *planner) chooseEndpoint() (string, error) {
	queue := b.Value("queue_directory")
	var chrooted string
	for _, s := range b.Services {
		if s.Chroot && (s.Command == "smtpd" || s.Command == "cleanup") {
			chrooted = s.Key()
		}
	}
	var tcp, barred, far string
	for _, e := range b.Endpoints {
		if e.Network != "unix" {
			tcp = either(tcp, "inet:"+reachable(e.Address))
			continue
		}
		path, seen := "unix:"+e.Address, chrooted == ""
		if below, isBelow := strings.CutPrefix(filepath.Clean(e.Address), filepath.Clean(queue)+"/"); isBelow {
			path, seen = "unix:"+below, true // Postfix works in its queue directory, with or without a chroot
		}
		switch {
		case !seen:
			far = e.Address
		case b.Usable == nil || b.Usable(e.Address):
			return path, nil
		default:
			barred = either(barred, path)
		}
	}
	if endpoint := either(tcp, barred); endpoint != "" {
		return endpoint, nil
	}
	return "", fmt.Errorf("%s runs in the chroot %s and cannot see %s; write listen.milter = [\"unix:%s\"] or [\"inet:127.0.0.1:8894\"] into policy.toml and start the daemon anew",
		chrooted, queue, far, filepath.Join(queue, "gatepost/milter.sock"))
}

func either(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// reachable gives an address to connect to for one to listen on.
func reachable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return address
}

// item gives the text of our milter with its settings: tight for master.cf, where a value holds no blank.
func (b *planner) item(action string, tight bool) string {
	if !b.AtLeast(3, 0) {
		return b.plan.Endpoint
	}
	text := fmt.Sprintf("{ %s, connect_timeout=10s, command_timeout=%ds, default_action=%s }", b.plan.Endpoint, b.commandTimeout(), action)
	if tight {
		text = strings.ReplaceAll(text, " ", "")
	}
	return text
}

// commandTimeout is how long Postfix waits for an answer to one command, in seconds: longer than DNS may take at one step, and at least the 30 s
// that Postfix has by itself. The end of a message has milter_content_timeout (300 s).
func (b *planner) commandTimeout() int {
	return max(30, int((2*b.Budget+10*time.Second)/time.Second))
}

// others gives the items of a list of milters that are neither ours nor retired, as they are written.
func (b *planner) others(list string) []string {
	var out []string
	for _, m := range b.Milters(list) {
		switch {
		case m.Endpoint != "" && mta.Software(m.Endpoint) == "gatepost" || b.isOurs(m.Endpoint):
		case b.retires(m.Endpoint):
		case !slices.Contains(out, m.Text):
			out = append(out, m.Text)
		}
	}
	return out
}

func (b *planner) isOurs(endpoint string) bool {
	return slices.ContainsFunc(b.Endpoints, func(e policyfile.Endpoint) bool {
		return b.Place(endpoint, false) == e.String() || b.Place(endpoint, true) == e.String()
	})
}

// contentFilters write the verdict that [content_filter] reads, so they have to come before us.
var contentFilters = []string{"rspamd", "spamass-milter", "amavis", "clamav-milter"}

// join puts our item among the others: first, so that what we refuse costs the others nothing and a signer comes behind a verifier; behind the
// content filters where the policy reads their field.
func (b *planner) join(ours string, others []string, sep string) string {
	at := 0
	for i, text := range others {
		if b.FilterName != "" && slices.Contains(contentFilters, mta.Software(mta.Endpoint(b.Expand(text)))) {
			at = i + 1
		}
	}
	return strings.Join(slices.Concat(others[:at], []string{ours}, others[at:]), sep)
}

// main plans a parameter of main.cf, if it is not so already.
func (b *planner) main(name, after, why string) {
	before, had := b.Written(name)
	if after == before && (had || after == "") || !had && after == b.Value(name) {
		return
	}
	b.plan.Changes = append(b.plan.Changes, Change{Name: name, Had: had, Before: before, After: after, Why: why})
}

// option plans an -o option of a service. Its value must hold no blank: postconf -P takes none.
func (b *planner) option(s mta.Service, name, after, why string) {
	before, had := s.Written[name]
	if after == before && had {
		return
	}
	b.plan.Changes = append(b.plan.Changes, Change{Service: s.Key(), Name: name, Had: had, Before: before, After: after, Why: why})
}

func (b *planner) note(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(b.plan.Notes, text) {
		b.plan.Notes = append(b.plan.Notes, text)
	}
}
