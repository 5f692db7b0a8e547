package mta

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Sendmail is the configuration of a Sendmail as its sendmail.cf has it.
type Sendmail struct {
	Path     string // of sendmail.cf
	Hostname string // its own name, macro j
	RunAs    string // the user that speaks to milters
	Daemons  []Daemon
	Filters  []Filter
	Lenient  bool // DontBlameSendmail allows what Sendmail holds unsafe by itself
}

// Daemon is one socket at which Sendmail takes mail: an option DaemonPortOptions.
type Daemon struct {
	Name      string
	Addr      string // "" for every address
	Port      string // "25", "submission"
	Modifiers string // "Ea": see DAEMON_OPTIONS in cf/README
	Filters   []string
	Own       bool // Filters are its own, not those of all daemons
}

// Filter is a milter that Sendmail knows: a line X.
type Filter struct {
	Name   string
	Socket string // as Sendmail writes it: "inet:8894@127.0.0.1"
	Flags  string // what becomes of mail while it is away: "T" for 4xx, "R" for 5xx, "4" for 421, "" to go on without it
}

// sendmailTime bounds one run of sendmail.
const sendmailTime = 20 * time.Second

// ReadSendmail reads a sendmail.cf, and asks Sendmail for its own name. The error says why there is none.
func ReadSendmail(ctx context.Context, path string) (*Sendmail, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	s := ParseSendmail(string(text))
	s.Path = path
	out, err := s.testMode(ctx, "")
	if found := canonicalName.FindStringSubmatch(out); found != nil {
		s.Hostname = found[1]
	}
	return s, err
}

var canonicalName = regexp.MustCompile(`(?m)^\s*\(canonical domain name\) \$j = (\S+)$`)

// testMode runs Sendmail in its address test mode (op.txt 6.2) on commands, and gives what it printed.
func (s *Sendmail) testMode(ctx context.Context, commands string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, sendmailTime)
	defer cancel()
	c := exec.CommandContext(ctx, program("sendmail"), "-C", s.Path, "-d0.1", "-bt")
	c.Stdin = strings.NewReader(commands)
	out, err := c.Output()
	var failed *exec.ExitError
	switch {
	case err != nil && !errors.As(err, &failed): // its exit status says nothing
		return "", fmt.Errorf("sendmail does not run: %w", err)
	case !sendmailVersion.Match(out):
		return "", errors.New("the program sendmail of this machine is not that of Sendmail")
	}
	return string(out), nil
}

var sendmailVersion = regexp.MustCompile(`(?m)^Version (8\.[0-9.]+)`)

// SendmailVersion asks the sendmail of this machine which it is: "" where it is not Sendmail (the one of Postfix refuses to say).
func SendmailVersion(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, sendmailTime)
	defer cancel()
	out, _ := exec.CommandContext(ctx, program("sendmail"), "-d0.1", "-bt").Output() // its exit status says nothing
	if m := sendmailVersion.FindSubmatch(out); m != nil {
		return string(m[1])
	}
	return ""
}

var relayAnswer = regexp.MustCompile(`(?m)^(?:> )*check_rcpt\s+returns: (.*)$`)

// Relays asks the rules of sendmail.cf whether a client at an address without a name may send to a recipient; said is what they answer.
func (s *Sendmail) Relays(ctx context.Context, client, recipient string) (may bool, said string, err error) {
	out, err := s.testMode(ctx, fmt.Sprintf(".D{client_addr}%s\n.D{client_name}[%s]\n.D{client_resolve}FAIL\ncheck_rcpt <%s>\n", client, client, recipient))
	if err != nil {
		return false, "", err
	}
	found := relayAnswer.FindStringSubmatch(out)
	if found == nil {
		return false, "", errors.New("sendmail -bt does not say what ruleset check_rcpt returns")
	}
	said = strings.TrimSpace(found[1])
	return !strings.HasPrefix(said, "$# error"), said, nil
}

// ParseSendmail reads the text of a sendmail.cf: its daemons and milters. Other lines are passed over.
func ParseSendmail(text string) *Sendmail {
	s := &Sendmail{RunAs: "root"}
	var input []string
	var daemons []string
	for _, line := range logicalLines(text) {
		switch line[0] {
		case 'X':
			s.Filters = append(s.Filters, parseFilter(line[1:]))
		case 'O':
			name, value, _ := strings.Cut(strings.TrimSpace(line[1:]), "=")
			value = strings.TrimSpace(value)
			switch strings.ToLower(strings.TrimSpace(name)) {
			case "inputmailfilters":
				input = filterNames(value)
			case "daemonportoptions":
				daemons = append(daemons, value)
			case "runasuser":
				s.RunAs, _, _ = strings.Cut(value, ":")
			case "dontblamesendmail":
				s.Lenient = !strings.EqualFold(value, "safe")
			}
		}
	}
	if len(daemons) == 0 {
		daemons = []string{"Name=MTA"}
	}
	for _, options := range daemons {
		s.Daemons = append(s.Daemons, parseDaemon(options, input))
	}
	return s
}

// logicalLines gives the lines of a sendmail.cf without comments; what begins with a blank goes on the line before.
func logicalLines(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		switch {
		case line == "" || line[0] == '#':
		case line[0] == ' ' || line[0] == '\t':
			if len(out) > 0 {
				out[len(out)-1] += " " + strings.TrimSpace(line)
			}
		default:
			out = append(out, line)
		}
	}
	return out
}

func filterNames(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return isSeparator(r) || r == ';' })
}

// parseFilter reads "gatepost, S=inet:8894@127.0.0.1, F=T, T=C:10s;S:30s"; the first letter of a key counts.
func parseFilter(line string) Filter {
	name, rest, _ := strings.Cut(line, ",")
	f := Filter{Name: strings.TrimSpace(name)}
	for key, value := range equates(rest) {
		switch key {
		case 'S':
			f.Socket = value
		case 'F':
			f.Flags = value
		}
	}
	return f
}

func parseDaemon(options string, input []string) Daemon {
	d := Daemon{Port: "25", Filters: input}
	for key, value := range equates(options) {
		switch key {
		case 'N':
			d.Name = value
		case 'A':
			d.Addr = value
		case 'P':
			d.Port = value
		case 'M':
			d.Modifiers = value
		case 'I':
			d.Filters, d.Own = filterNames(value), true
		}
	}
	if d.Addr == "0.0.0.0" || d.Addr == "::" {
		d.Addr = ""
	}
	return d
}

// equates reads "Key=value, Key=value"; of a key the first letter counts, in upper case.
func equates(list string) map[byte]string {
	out := map[byte]string{}
	for part := range strings.SplitSeq(list, ",") {
		if key, value, ok := strings.Cut(strings.TrimSpace(part), "="); ok && key != "" {
			out[strings.ToUpper(key)[0]] = strings.TrimSpace(value)
		}
	}
	return out
}

// FiltersOf gives the milters that a daemon asks, in order.
func (s *Sendmail) FiltersOf(d Daemon) []Filter {
	var out []Filter
	for _, name := range d.Filters {
		if i := slices.IndexFunc(s.Filters, func(f Filter) bool { return f.Name == name }); i >= 0 {
			out = append(out, s.Filters[i])
		}
	}
	return out
}

// Place gives where the milter's socket is: "inet:127.0.0.1:8894", or "unix:" and the path.
func (f Filter) Place() string {
	kind, address, found := strings.Cut(f.Socket, ":")
	switch {
	case !found:
		return "unix:" + filepath.Clean(f.Socket)
	case kind == "unix" || kind == "local":
		return "unix:" + filepath.Clean(address)
	}
	return "inet:" + hostPort(address)
}

// IfDown says what becomes of mail while the milter is away, in the words of Postfix's default_action.
func (f Filter) IfDown() string {
	for flag, action := range map[string]string{"T": "tempfail", "4": "tempfail, and the connection is closed", "R": "reject"} {
		if strings.Contains(f.Flags, flag) {
			return action
		}
	}
	return "accept"
}

// Number gives the port, 0 for an unknown name.
func (d Daemon) Number() int { return portOf(d.Port) }

// Dial gives an address of this machine at which the daemon answers.
func (d Daemon) Dial() string {
	host := d.Addr
	if host == "" {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, strconv.Itoa(d.Number()))
}
