// Package mta reads how the mail server of this machine is configured: Postfix by what postconf(1) prints of it, Sendmail by its sendmail.cf. It
// writes nothing and knows nothing of policies; packages setup and doctor rest on it.
package mta

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Postfix is the configuration of one instance of Postfix.
type Postfix struct {
	Dir      string // its configuration directory
	Version  string // "3.7.11"
	Services []Service
	values   map[string]string // every parameter, expanded
	written  map[string]string // those that main.cf sets, as they are written there
}

// Service is one service of master.cf.
type Service struct {
	Name    string // "smtp", "587", "127.0.0.1:10025", or the name of a socket
	Type    string // inet, unix, pass
	Chroot  bool
	Command string            // "smtpd"
	Written map[string]string // its -o options as they are written
	Options map[string]string // the same, expanded
}

// Key names the service as postconf -P does: "submission/inet".
func (s Service) Key() string { return s.Name + "/" + s.Type }

// postconfTime bounds one run of postconf.
const postconfTime = 20 * time.Second

// Postconf runs postconf(1) on the instance in dir ("" for the system's) and gives what it printed. The error holds what it complained of.
func Postconf(ctx context.Context, dir string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, postconfTime)
	defer cancel()
	if dir != "" {
		args = append([]string{"-c", dir}, args...)
	}
	out, err := exec.CommandContext(ctx, program("postconf"), args...).Output()
	var failed *exec.ExitError
	switch {
	case errors.As(err, &failed):
		return "", fmt.Errorf("postconf %s: %s", strings.Join(args, " "), strings.TrimSpace(string(failed.Stderr)))
	case err != nil:
		return "", fmt.Errorf("postconf does not run: %w; is Postfix installed?", err)
	}
	return string(out), nil
}

// program finds a program of the mail server: an admin's PATH may lack /usr/sbin.
func program(name string) string {
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	return filepath.Join("/usr/sbin", name)
}

// Program gives the path of a program of the mail server, such as postfix(1).
func Program(name string) string { return program(name) }

// ReadPostfix asks postconf for the configuration of the instance in dir, "" for the system's. It needs Postfix 2.11 or later.
func ReadPostfix(ctx context.Context, dir string) (*Postfix, error) {
	var outputs []string
	for _, args := range [][]string{{"-x"}, {"-n"}, {"-F"}, {"-P"}, {"-x", "-P"}} {
		out, err := Postconf(ctx, dir, args...)
		if err != nil {
			return nil, err
		}
		outputs = append(outputs, out)
	}
	return ParsePostfix(outputs[0], outputs[1], outputs[2], outputs[3], outputs[4]), nil
}

// ParsePostfix reads what postconf prints: -x (every parameter, expanded), -n (what main.cf sets), -F (the fields of master.cf), -P and -x -P
// (its options as they are written, and expanded). Lines that are none of these are passed over.
func ParsePostfix(all, set, fields, options, expanded string) *Postfix {
	p := &Postfix{values: parseLines(all), written: parseLines(set)}
	p.Version, p.Dir = p.values["mail_version"], p.values["config_directory"]
	at := map[string]int{}
	for line := range strings.Lines(fields) {
		key, field, value, ok := parseServiceLine(line)
		if !ok {
			continue
		}
		i, known := at[key]
		if !known {
			i = len(p.Services)
			at[key] = i
			name, kind, _ := cutLast(key, "/")
			p.Services = append(p.Services, Service{Name: name, Type: kind, Written: map[string]string{}, Options: map[string]string{}})
		}
		p.Services[i].set(field, value, p.chrootDefault())
	}
	p.options(at, options, func(s *Service) map[string]string { return s.Written })
	p.options(at, expanded, func(s *Service) map[string]string { return s.Options })
	return p
}

// options reads what -P prints into a map of each service.
func (p *Postfix) options(at map[string]int, text string, into func(*Service) map[string]string) {
	for line := range strings.Lines(text) {
		if key, name, value, ok := parseServiceLine(line); ok {
			if i, known := at[key]; known {
				into(&p.Services[i])[name] = value
			}
		}
	}
}

func (s *Service) set(field, value string, chroot bool) {
	switch field {
	case "chroot":
		s.Chroot = value == "y" || value == "-" && chroot
	case "command":
		s.Command, _, _ = strings.Cut(value, " ")
	}
}

// chrootDefault is what "-" in the chroot column means (master(5)): y before Postfix 3.0 and at compatibility level 0.
func (p *Postfix) chrootDefault() bool {
	level, _, _ := strings.Cut(p.values["compatibility_level"], ".")
	n, err := strconv.Atoi(level)
	return !p.AtLeast(3, 0) || err != nil || n < 1
}

// parseLines reads lines "name = value".
func parseLines(text string) map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(line, "=")
		if ok {
			out[strings.TrimSpace(name)] = strings.TrimSpace(value)
		}
	}
	return out
}

// parseServiceLine reads "smtp/inet/chroot = y". A service's name may hold slashes.
func parseServiceLine(line string) (key, name, value string, ok bool) {
	left, value, ok := strings.Cut(line, "=")
	if !ok {
		return "", "", "", false
	}
	key, name, ok = cutLast(strings.TrimSpace(left), "/")
	return key, name, strings.TrimSpace(value), ok && strings.Contains(key, "/")
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// AtLeast reports whether the instance is of a version or a later one.
func (p *Postfix) AtLeast(major, minor int) bool {
	parts := strings.SplitN(p.Version, ".", 3)
	if len(parts) < 2 {
		return false
	}
	a, _ := strconv.Atoi(parts[0])
	b, _ := strconv.Atoi(strings.TrimRight(parts[1], "-abcdefghijklmnopqrstuvwxyzRC"))
	return a > major || a == major && b >= minor
}

// Value gives a parameter, expanded, with its default where main.cf does not set it.
func (p *Postfix) Value(name string) string { return p.values[name] }

// Written gives a parameter as main.cf writes it, and whether it does.
func (p *Postfix) Written(name string) (string, bool) {
	value, ok := p.written[name]
	return value, ok
}

// Of gives a parameter as a service sees it, expanded.
func (p *Postfix) Of(s Service, name string) string {
	if value, own := s.Options[name]; own {
		return value
	}
	return p.values[name]
}

// Expand replaces $name, ${name} and $(name) in a text by the parameters' values; what is no parameter stays.
func (p *Postfix) Expand(text string) string {
	var out strings.Builder
	for {
		before, after, found := strings.Cut(text, "$")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		name, rest := after, ""
		if after != "" && strings.Contains("{(", after[:1]) {
			closing := map[byte]string{'{': "}", '(': ")"}[after[0]]
			name, rest, _ = strings.Cut(after[1:], closing)
		} else {
			end := strings.IndexFunc(after, func(r rune) bool {
				return r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
			})
			if end >= 0 {
				name, rest = after[:end], after[end:]
			}
		}
		value, known := p.values[name]
		if !known {
			out.WriteString("$")
			text = after
			continue
		}
		out.WriteString(value)
		text = rest
	}
}

// Servers gives the smtpd services: those that a milter can be wired to.
func (p *Postfix) Servers() []Service {
	var out []Service
	for _, s := range p.Services {
		if s.Command == "smtpd" && s.Type != "unix" {
			out = append(out, s)
		}
	}
	return out
}

// Host gives the address that a service listens on by its name in master.cf, "" for those of inet_interfaces.
func (s Service) Host() string {
	host, _, err := net.SplitHostPort(s.Name)
	if err != nil {
		return ""
	}
	return strings.Trim(host, "[]")
}

// wellKnown are the ports of the services that mail servers have: /etc/services may lack the new ones.
var wellKnown = map[string]int{"smtp": 25, "smtpd": 25, "submission": 587, "submissions": 465, "smtps": 465, "ssmtp": 465, "urd": 465}

// Port gives the port that a service listens on, 0 for an unknown name. The smtpd behind postscreen (type pass) has port 25.
func (s Service) Port() int {
	name := s.Name
	if _, port, err := net.SplitHostPort(name); err == nil {
		name = port
	}
	return portOf(name)
}

// portOf gives the number of a port by its number or name, 0 for an unknown one.
func portOf(name string) int {
	if port, known := wellKnown[name]; known {
		return port
	}
	port, err := net.LookupPort("tcp", name)
	if err != nil {
		return 0
	}
	return port
}

// Dial gives an address of this machine at which a service answers: of itself, or of the postscreen in front of it.
func (p *Postfix) Dial(s Service) string {
	host := s.Host()
	for _, one := range strings.FieldsFunc(p.Of(s, "inet_interfaces"), isSeparator) {
		if host != "" {
			break
		}
		if addr := net.ParseIP(strings.Trim(one, "[]")); addr != nil {
			host = addr.String()
		}
	}
	if host == "" || host == "0.0.0.0" || host == "::" {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, strconv.Itoa(s.Port()))
}

func isSeparator(r rune) bool { return r == ' ' || r == ',' || r == '\t' || r == '\n' || r == '\r' }

// WrittenNames gives the names of the parameters that main.cf sets, in order.
func (p *Postfix) WrittenNames() []string { return slices.Sorted(maps.Keys(p.written)) }

// Now gives a parameter as main.cf writes it, or an option as a service of master.cf does (by its key); "" where there is none.
func (p *Postfix) Now(service, name string) string {
	for _, s := range p.Services {
		if s.Key() == service {
			return s.Written[name]
		}
	}
	return p.written[name]
}
