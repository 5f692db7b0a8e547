package doctor

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gatepost.example/cmd/gatepost/mta"
)

// This file is what is asked of Sendmail in another way than of Postfix.

// sendmailSetup is the command that wires Sendmail, and what makes it take effect.
func (d *Doctor) sendmailSetup() string {
	return "gatepost setup sendmail" + d.flags() + " --mc " + d.mc() + " --apply && " + d.remake()
}

// remake makes sendmail.cf of sendmail.mc anew.
func (d *Doctor) remake() string {
	return "make -C " + filepath.Dir(d.Sendmail.Path) + " && systemctl restart sendmail"
}

// mc is the file that sendmail.cf is made of.
func (d *Doctor) mc() string { return filepath.Join(filepath.Dir(d.Sendmail.Path), "sendmail.mc") }

// filterOf finds Gatepost among the milters that a daemon asks.
func (d *Doctor) filterOf(one mta.Daemon) (mta.Filter, bool) {
	for _, f := range d.Sendmail.FiltersOf(one) {
		if isOurs(f) || d.listens(f.Place()) {
			return f, true
		}
	}
	return mta.Filter{}, false
}

// isOurs reports whether a milter is Gatepost by its name or socket.
func isOurs(f mta.Filter) bool {
	return strings.HasPrefix(f.Name, "gatepost") || mta.Software(f.Place()) == "gatepost"
}

// sendmailSockets says whether Sendmail finds a socket where it looks for it and may use it, and whether somebody answers there.
func (d *Doctor) sendmailSockets(ctx context.Context) {
	seen := map[string]bool{}
	for _, one := range d.Sendmail.Daemons {
		f, wired := d.filterOf(one)
		if !wired || seen[f.Place()] {
			continue
		}
		seen[f.Place()] = true
		if fix, trouble := d.filterTrouble(ctx, f); trouble != "" {
			d.say("socket", Wrong, fix, "%s", trouble)
			continue
		}
		d.say("socket", OK, "", "%s answers, and Sendmail may use it", f.Place())
	}
}

// filterTrouble says what keeps Sendmail from Gatepost's socket, "" for nothing.
func (d *Doctor) filterTrouble(ctx context.Context, f mta.Filter) (fix, what string) {
	path, isUnix := strings.CutPrefix(f.Place(), "unix:")
	switch {
	case !d.listens(f.Place()):
		return d.sendmailSetup(), fmt.Sprintf("Sendmail looks for Gatepost at %s, where it does not listen", f.Place())
	case isUnix && !exists(path):
		return "systemctl restart gatepost", fmt.Sprintf("%s is not there: Gatepost makes it when it starts", path)
	case isUnix:
		if fix, what := d.Sendmail.Barred(path); what != "" {
			return fix, what
		}
	}
	return unanswered(ctx, f.Place())
}

// sendmailServices says for each daemon whether it is wired, and tries it by a real session.
func (d *Doctor) sendmailServices(ctx context.Context) {
	for _, one := range d.Sendmail.Daemons {
		e, check := d.daemonEntry(one), "service "+one.Name
		f, wired := d.filterOf(one)
		switch {
		case e.off:
			d.say(check, Note, "", "milters are switched off there: right for mail that comes back from a content filter, wrong for anybody else's")
		case !wired && d.unmade():
			d.say(check, Wrong, d.remake(), "it does not ask Gatepost: %s names it, and %s was not made anew since", d.mc(), d.Sendmail.Path)
		case !wired:
			d.say(check, Wrong, d.sendmailSetup(), "it does not ask Gatepost: its INPUT_MAIL_FILTERs are %s", either(strings.Join(one.Filters, ", "), "none"))
		case d.Running == nil:
			d.say(check, Note, "", "it is wired to %s and was not tried: no daemon answers", f.Place())
		default:
			d.visit(ctx, check, e, f.IfDown(), advice{
				setup: "write the port or Name= of DAEMON_OPTIONS into [server] submission of " + d.Path, failed: "systemctl status sendmail, or see the mail log",
				lost: "see the line of the socket, then: systemctl restart sendmail", macros: "take the confMILTER_MACROS_* out of " + d.mc() + ", then: " + d.remake(),
			})
		}
	}
}

// maxMC bounds a sendmail.mc that is read.
const maxMC = 1 << 20

// unmade reports whether sendmail.mc has Gatepost and sendmail.cf has not.
func (d *Doctor) unmade() bool {
	text, err := os.ReadFile(d.mc())
	if err != nil || len(text) > maxMC || !strings.Contains(string(text), "MAIL_FILTER(`gatepost") {
		return false
	}
	return !slices.ContainsFunc(d.Sendmail.Filters, isOurs)
}

// sendmailRelay asks the rules of sendmail.cf whether a stranger may send to anywhere: an own address would be no stranger to them.
func (d *Doctor) sendmailRelay(ctx context.Context) {
	if d.Sendmail == nil {
		return
	}
	may, said, err := d.Sendmail.Relays(ctx, strangerIP, foreignRecipient)
	switch {
	case err != nil:
		d.say("relay", Note, "", "Sendmail was not asked whether strangers may relay: %v", err)
	case may:
		d.say("relay", Wrong, "take FEATURE(`promiscuous_relay') out of "+d.mc()+", and all but your own from /etc/mail/relay-domains and /etc/mail/access; then: "+d.remake(),
			"a stranger (%s) may send to anywhere: ruleset check_rcpt takes a foreign domain", strangerIP)
	default:
		d.say("relay", OK, "", "a stranger (%s) may not send to a foreign domain: ruleset check_rcpt gives %s", strangerIP, said)
	}
}
