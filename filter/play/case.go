// Package play plays recorded SMTP sessions against a policy, without MTA and without DNS.
//
// A session is a .txtar file: why it exists, a DNS zone, a policy, what the client does, and what must come of it. The project's own
// tests, `gatepost test` (a policy's unit tests) and bug reports share the format:
//
//	why: one line
//	-- dns --
//	example.org TXT "v=spf1 ip4:192.0.2.1 -all"
//	-- policy --
//	include: policy.toml                      (optional: the policy named by the caller; changes follow below)
//	-- memory --
//	client.reputation = "good"                (optional: facts that have this value whatever the memory says)
//	-- session --
//	connect 192.0.2.1:49152 [port 587] [name mail.example.org] [mta mx.example.net]
//	helo mail.example.org
//	mail <a@example.org>
//	rcpt <b@example.net>
//	data msg.eml
//	quit
//	wait 15m                                  (the clock goes on)
//	repeat 200                                (what stands before end, with the number in the place of {n})
//	rcpt <u{n}@example.net>
//	end
//	-- msg.eml --
//	From: a@example.org
//	-- want --
//	data none
//	header Authentication-Results: mx.example.net; *
//	fact spf.result = pass
//
// A file that the policy names, for a list or for login maps, may stand in the case as a section with its whole path:
//
//	-- policy --
//	include: policy.toml
//	submission.login_maps = "texthash:/etc/postfix/sender_logins"
//	-- /etc/postfix/sender_logins --
//	anna@example.net anna
//
// A case may state facts in the place of a session: what one rule makes of them. Whatever it does not name is that of an ordinary stranger's
// message (see ordinary):
//
//	why: one line
//	-- policy --
//	include: policy.toml
//	-- facts --
//	dmarc.result = fail
//	dmarc.policy = reject
//	header("List-Id") = "<list.example.org>"
//	-- want --
//	data 550 rule spoofed
package play

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/tools/txtar"
)

// Case is one session file, read.
type Case struct {
	Name    string            // of the file
	Why     string            // why the case exists
	DNS     string            // zone text
	Policy  string            // policy.toml
	Memory  []Given           // facts that have a value whatever the memory says
	Facts   []Given           // in the place of a session
	Include string            // the policy file that Policy is a change of; "" for none
	Session []Command         // what the client does
	Files   map[string][]byte // messages by name
	Disk    map[string][]byte // files that the policy names, by their whole path, in the place of those on disk
	Want    []Want            // what must come of it

	wantLine int // the line of the file at which the section want begins
}

// Command is one line of the session.
type Command struct {
	Line  int // within its section, from 1
	Verb  string
	Words []string
}

// Given is one line of the sections memory and facts: NAME = VALUE.
type Given struct {
	Line        int // within its section, from 1
	Name, Value string
}

// Want is one line of what must come of a session.
type Want struct {
	Line int // within its section, from 1
	Text string
}

// verbs are the commands of a session with the fewest words they take.
var verbs = map[string]int{
	"connect": 1, "helo": 1, "starttls": 1, "auth": 1, "mail": 1, "rcpt": 1, "data": 1, "rset": 0, "quit": 0, "wait": 1, "repeat": 1, "end": 0,
}

// maxCommands bounds a session with what it repeats.
const maxCommands = 50_000

// ReadCase reads a session file. Its errors name the file, the section and the line.
func ReadCase(name string, text []byte) (*Case, error) {
	archive := txtar.Parse(text)
	c := &Case{Name: name, Files: map[string][]byte{}, Disk: map[string][]byte{}}
	why, found := strings.CutPrefix(strings.TrimSpace(string(archive.Comment)), "why:")
	if !found || strings.TrimSpace(why) == "" {
		return nil, fmt.Errorf("%s: the first line says why the case exists: \"why: ...\"", name)
	}
	c.Why = strings.Join(strings.Fields(why), " ")
	var wrong []error
	seen := map[string]bool{}
	for _, f := range archive.Files {
		if seen[f.Name] {
			wrong = append(wrong, fmt.Errorf("%s: section %q stands twice", name, f.Name))
		}
		seen[f.Name] = true
		wrong = append(wrong, c.section(f))
	}
	switch {
	case seen["session"] && seen["facts"]:
		wrong = append(wrong, fmt.Errorf("%s: a case has a section session or a section facts, not both", name))
	case !seen["session"] && !seen["facts"]:
		wrong = append(wrong, fmt.Errorf("%s: there is no section \"-- session --\", nor \"-- facts --\" in its place", name))
	}
	if !seen["want"] {
		wrong = append(wrong, fmt.Errorf("%s: there is no section \"-- want --\"", name))
	}
	c.wantLine = 1 + bytes.Count(text[:wantSection(text).from], []byte("\n"))
	return c, errors.Join(wrong...)
}

func (c *Case) section(f txtar.File) error {
	switch f.Name {
	case "dns":
		c.DNS = string(f.Data)
	case "policy":
		c.policy(string(f.Data))
	case "memory":
		return c.given(f.Name, string(f.Data), &c.Memory)
	case "facts":
		return c.given(f.Name, string(f.Data), &c.Facts)
	case "session":
		return c.session(string(f.Data))
	case "want":
		for i, line := range strings.Split(string(f.Data), "\n") {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
				c.Want = append(c.Want, Want{i + 1, line})
			}
		}
	default:
		if strings.HasPrefix(f.Name, "/") {
			c.Disk[f.Name] = f.Data
			break
		}
		c.Files[f.Name] = bytes.ReplaceAll(f.Data, []byte("\n"), []byte("\r\n"))
	}
	return nil
}

func (c *Case) policy(text string) {
	first, rest, _ := strings.Cut(text, "\n")
	if file, ok := strings.CutPrefix(first, "include:"); ok {
		c.Include, text = strings.TrimSpace(file), rest
	}
	c.Policy = text
}

// given reads a section of lines NAME = VALUE.
func (c *Case) given(section, text string, into *[]Given) error {
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok {
			return fmt.Errorf("%s: %s:%d: a line is NAME = VALUE, as in client.reputation = \"good\"", c.Name, section, i+1)
		}
		*into = append(*into, Given{i + 1, strings.TrimSpace(name), strings.TrimSpace(value)})
	}
	return nil
}

func (c *Case) session(text string) error {
	for i, line := range strings.Split(text, "\n") {
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		least, known := verbs[words[0]]
		switch {
		case !known:
			return fmt.Errorf("%s: session:%d: unknown command %q; there are connect, helo, starttls, auth, mail, rcpt, data, rset, quit, wait, repeat and end", c.Name, i+1, words[0])
		case len(words) <= least-1 || len(words)-1 < least:
			return fmt.Errorf("%s: session:%d: %s needs a word behind it", c.Name, i+1, words[0])
		}
		c.Session = append(c.Session, Command{i + 1, words[0], words[1:]})
	}
	var err error
	c.Session, err = c.unroll(c.Session)
	return err
}

// unroll writes out what stands between repeat and end.
func (c *Case) unroll(lines []Command) ([]Command, error) {
	var out []Command
	for i := 0; i < len(lines); i++ {
		if lines[i].Verb == "end" {
			return nil, fmt.Errorf("%s: session:%d: end without repeat", c.Name, lines[i].Line)
		}
		if lines[i].Verb != "repeat" {
			out = append(out, lines[i])
			continue
		}
		times, err := strconv.Atoi(lines[i].Words[0])
		length := slices.IndexFunc(lines[i+1:], func(l Command) bool { return l.Verb == "end" || l.Verb == "repeat" })
		switch {
		case err != nil || times < 1 || times > maxCommands:
			return nil, fmt.Errorf("%s: session:%d: repeat takes a number of times up to %d, as in repeat 200", c.Name, lines[i].Line, maxCommands)
		case length < 0 || lines[i+1+length].Verb != "end":
			return nil, fmt.Errorf("%s: session:%d: repeat without end; one does not stand within another", c.Name, lines[i].Line)
		case len(out)+times*length > maxCommands:
			return nil, fmt.Errorf("%s: session:%d: more than %d commands", c.Name, lines[i].Line, maxCommands)
		}
		for n := 1; n <= times; n++ {
			for _, l := range lines[i+1 : i+1+length] {
				out = append(out, l.numbered(n))
			}
		}
		i += length + 1
	}
	return out, nil
}

// numbered puts the number of a repetition in the place of {n}.
func (l Command) numbered(n int) Command {
	words := make([]string, len(l.Words))
	for i, w := range l.Words {
		words[i] = strings.ReplaceAll(w, "{n}", strconv.Itoa(n))
	}
	l.Words = words
	return l
}
