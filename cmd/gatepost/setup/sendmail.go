package setup

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"gatepost.example/policy/policyfile"
)

// Sendmail is what is known of a Sendmail.
type Sendmail struct {
	Version string // "8.17.1.9"; "" where none was found
	MC      string // the text of sendmail.mc; "" where there is none
}

// Lines gives the lines of sendmail.mc (cf/README), and what an admin should know. The error says why there are none.
func (s Sendmail) Lines(w Wish) (lines, notes []string, err error) {
	if s.Version != "" && !s.atLeast(8, 14) {
		return nil, nil, fmt.Errorf("this is Sendmail %s; Gatepost needs 8.14 or later: before it a milter cannot say which macros it wants, nor see bytes as they are", s.Version)
	}
	if len(w.Endpoints) == 0 {
		return nil, nil, errors.New("listen.milter names no socket; set it")
	}
	socket := sendmailSocket(w.Endpoints[0])
	timeouts := fmt.Sprintf("T=C:10s;S:%ds;R:%ds;E:5m", w.commandSeconds(), w.commandSeconds())
	filter := func(name, down string) string {
		flag := ""
		if down == TempFail {
			flag = "F=T, "
		}
		return fmt.Sprintf("`%s', `S=%s, %s%s'", name, socket, flag, timeouts)
	}
	strangers, own := either(w.IfDown, TempFail), either(w.IfDown, Accept)
	lines = append(lines, "dnl gatepost: strangers' mail; while Gatepost is away: "+strangers, "INPUT_MAIL_FILTER("+filter("gatepost", strangers)+")dnl")
	if own != strangers {
		lines = append(lines,
			"dnl gatepost: mail of your users and of this machine; while Gatepost is away: "+own,
			"MAIL_FILTER("+filter("gatepost-submission", own)+")dnl")
		notes = append(notes, "the submission daemon takes the second filter in place of the first: write InputMailFilters=gatepost-submission into its DAEMON_OPTIONS, as in\n"+
			"DAEMON_OPTIONS(`Port=submission, Name=MSA, M=Ea, InputMailFilters=gatepost-submission')dnl")
	}
	for _, m := range existingFilters(s.MC) {
		if m != "gatepost" && m != "gatepost-submission" {
			notes = append(notes, fmt.Sprintf("%s is a filter already: write its line below Gatepost's, so that a signer comes behind the verifier", m))
		}
	}
	if strings.Contains(s.MC, "confINPUT_MAIL_FILTERS") {
		notes = append(notes, "sendmail.mc defines confINPUT_MAIL_FILTERS: it is the list that counts; put gatepost first in it")
	}
	if strings.Contains(s.MC, "confMILTER_MACROS_") {
		notes = append(notes, "confMILTER_MACROS_* need no change: Gatepost asks for the macros it needs")
	}
	return lines, notes, nil
}

func (w Wish) commandSeconds() int { return (&planner{Wish: w}).commandTimeout() }

func (s Sendmail) atLeast(major, minor int) bool {
	parts := strings.SplitN(s.Version, ".", 3)
	if len(parts) < 2 {
		return false
	}
	a, _ := strconv.Atoi(parts[0])
	b, _ := strconv.Atoi(parts[1])
	return a > major || a == major && b >= minor
}

// sendmailSocket writes an endpoint as Sendmail does: "inet:8894@127.0.0.1".
func sendmailSocket(e policyfile.Endpoint) string {
	if e.Network == "unix" {
		return "unix:" + e.Address
	}
	address := reachable(e.Address)
	i := strings.LastIndex(address, ":")
	host := strings.Trim(address[:i], "[]")
	if strings.Contains(host, ":") {
		return "inet6:" + address[i+1:] + "@" + host
	}
	return "inet:" + address[i+1:] + "@" + host
}

var mailFilter = regexp.MustCompile("(?m)^[ \t]*(?:INPUT_)?MAIL_FILTER\\([ \t]*`([^']{1,100})'")

// existingFilters gives the names of the milters in a sendmail.mc.
func existingFilters(mc string) []string {
	var out []string
	for _, m := range mailFilter.FindAllStringSubmatch(mc, -1) {
		out = append(out, m[1])
	}
	return out
}

const (
	mcBegin = "dnl >>> gatepost setup sendmail"
	mcEnd   = "dnl <<< gatepost setup sendmail"
)

var firstMailer = regexp.MustCompile(`(?m)^MAILER\(`)

// MergeMC gives a sendmail.mc with the lines in it: above the first MAILER, where definitions have to be. Lines of an earlier run are replaced.
func MergeMC(mc string, lines []string) string {
	mc = StripMC(mc)
	block := mcBegin + "\n" + strings.Join(lines, "\n") + "\n" + mcEnd + "\n"
	if at := firstMailer.FindStringIndex(mc); at != nil {
		return mc[:at[0]] + block + mc[at[0]:]
	}
	if mc != "" && !strings.HasSuffix(mc, "\n") {
		mc += "\n"
	}
	return mc + block
}

// StripMC takes the lines of setup out of a sendmail.mc.
func StripMC(mc string) string {
	var out strings.Builder
	inside := false
	for line := range strings.Lines(mc) {
		switch {
		case strings.HasPrefix(line, mcBegin):
			inside = true
		case strings.HasPrefix(line, mcEnd):
			inside = false
		case !inside:
			out.WriteString(line)
		}
	}
	return out.String()
}
