// Package doctor walks the whole way of a mail from the mail server to Gatepost and says what is wrong on it: the policy, the daemon, the
// sockets as each service of Postfix or Sendmail sees them, real test sessions (session.go), whether strangers may relay (relay.go), DNS and blocklists
// (dns.go), the machine (machine.go), and the filters behind us (later.go). It changes nothing; each Line that is wrong names what mends it.
package doctor

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"gatepost.example/cmd/gatepost/mta"
	"gatepost.example/filter/resolve"
	"gatepost.example/policy/policyfile"
)

// State is how a thing is.
type State string

// The states.
const (
	OK    State = "ok"
	Wrong State = "wrong"
	Note  State = "note" // could not be asked, or is for an admin to judge
)

// Line is the answer of one check.
type Line struct {
	Check string `json:"check"` // "policy", "service smtp/inet"
	State State  `json:"state"`
	Text  string `json:"text"`
	Fix   string `json:"fix,omitempty"` // the command that mends it, or what to write where
}

// Daemon is what the running daemon says of itself.
type Daemon struct {
	Version string
	Hash    string // of the policy that is in force
	Mode    string
	Refused string // why the policy file as it is now was not taken
	Memory  string // what is wrong with the memory
	History string // what is wrong with the history
	Paused  time.Time
	Milter  []policyfile.Endpoint // where it listens
}

// Doctor is what the checks rest on.
type Doctor struct {
	Postfix  *mta.Postfix     // nil where there is none
	Sendmail *mta.Sendmail    // the same; at most one of both is there
	NoMTA    error            // why there is none of both
	Config   string           // --config-dir, "" for the system's Postfix
	Path     string           // of the policy file
	File     *policyfile.File // nil when it is wrong
	FileErr  error            // why
	Running  *Daemon          // nil when no daemon answers
	RunErr   error            // why
	Would    *Would           // nil where no history is kept
	Ask      func(path string, values url.Values, out any) error
	Resolver resolve.Resolver
	Root     string // below it other programs have their configuration
	Now      time.Time

	lines []Line
}

// Would is what a policy in observe mode would have refused.
type Would struct {
	Since   time.Time // of the oldest message that is remembered
	Refused int
	Whole   int
}

// Examine makes every check whose name (its first word) is not among those left out.
func (d *Doctor) Examine(ctx context.Context, without []string) []Line {
	for _, check := range []struct {
		name string
		ask  func(context.Context)
	}{
		{"policy", d.policy}, {"daemon", d.daemon}, {"socket", d.sockets}, {"service", d.services}, {"local", d.local}, {"relay", d.relay},
		{"dns", d.dns}, {"dnsbl", d.blocklists}, {"clock", d.clock}, {"space", d.space}, {"authserv-id", d.later},
	} {
		if !contains(without, check.name) && ctx.Err() == nil {
			check.ask(ctx)
		}
	}
	return d.lines
}

func contains(names []string, name string) bool {
	for _, n := range names {
		if strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}

func (d *Doctor) say(check string, state State, fix, format string, args ...any) {
	d.lines = append(d.lines, Line{check, state, fmt.Sprintf(format, args...), fix})
}

// flags are the flags of a command that mends something.
func (d *Doctor) flags() string {
	if d.Path == "/etc/gatepost/policy.toml" {
		return ""
	}
	return " --policy " + d.Path
}

// setup is the command that wires Postfix.
func (d *Doctor) setup() string {
	config := ""
	if d.Config != "" {
		config = " -c " + d.Config
	}
	return "gatepost setup postfix" + config + d.flags() + " --apply --reload"
}

// policy says whether the file is good.
func (d *Doctor) policy(context.Context) {
	if d.FileErr != nil {
		first, _, _ := strings.Cut(d.FileErr.Error(), "\n")
		d.say("policy", Wrong, "gatepost check "+d.Path, "%s", first)
		return
	}
	d.say("policy", OK, "", "%s is good, %d rules", d.Path, len(d.File.Policy.Report()))
}

// settled is how long a policy is watched before it is enforced.
const settled = 7 * 24 * time.Hour

// daemon says whether it runs, under the file as it is now, and whether it refuses.
func (d *Doctor) daemon(context.Context) {
	r := d.Running
	if r == nil {
		d.say("daemon", Wrong, "systemctl start gatepost", "%v", d.RunErr)
		return
	}
	d.say("daemon", OK, "", "gatepost %s runs", r.Version)
	switch {
	case r.Refused != "":
		first, _, _ := strings.Cut(r.Refused, "\n")
		d.say("loaded", Wrong, "gatepost check "+d.Path, "the policy file was refused and an older one is in force: %s", first)
	case d.File != nil && r.Hash != d.File.Hash:
		d.say("loaded", Wrong, "gatepost reload"+d.flags(), "the policy in force (hash %s) is not the file as it is now (hash %s)", r.Hash, d.File.Hash)
	case d.File != nil:
		d.say("loaded", OK, "", "the file as it is now is in force, hash %s", r.Hash)
	}
	d.enforced()
	if !r.Paused.IsZero() {
		d.say("paused", Wrong, "gatepost pause 0"+d.flags(), "everything is accepted until %s", r.Paused.Format(time.RFC3339))
	}
	if r.History != "" {
		d.say("history", Wrong, "make room, or see the log: journalctl -u gatepost", "%s", r.History)
	}
	if r.Memory != "" {
		fix := "see the log: journalctl -u gatepost"
		if d.File != nil && d.File.Store.Kind == policyfile.StoreRedis {
			fix = "start Redis, or mend [store] url; Gatepost joins it again by itself"
		}
		d.say("memory", Wrong, fix, "%s", r.Memory)
		return
	}
	d.say("memory", OK, "", "the memory answers")
}

// enforced says whether the policy refuses, and after a week of watching what it would have refused.
func (d *Doctor) enforced() {
	switch w := d.Would; {
	case d.Running.Mode != string(policyfile.Observe):
		d.say("enforced", OK, "", "mode %s", d.Running.Mode)
	case w == nil || d.Now.Sub(w.Since) < settled:
		d.say("enforced", Note, "", "mode observe: nothing is refused yet; watch it for a week")
	default:
		d.say("enforced", Note, "gatepost mode enforce", "mode observe for %d days: %d of %d messages would have been refused; when you are content, enforce it",
			int(d.Now.Sub(w.Since)/(24*time.Hour)), w.Refused, w.Whole)
	}
}
