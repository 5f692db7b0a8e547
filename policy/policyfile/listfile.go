package policyfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/gaissmai/bart"

	"gatepost.example/policy"
)

// Reading is what a policy file may read besides its own text. The zero Reading reads nothing: files that lists name are then empty.
type Reading struct {
	Now  time.Time                         // entries whose time is over are left out
	File func(path string) ([]byte, error) // gives a file that a list names

	Tested bool // the policy is tested, not run: leave out the token, and what `gatepost list add` wrote on this machine

	// Instead of File: what the files of a list or of a table of pairs had in them, where that is known by other means.
	Lists func(name string) []string
	Pairs func(name string) [][2]string
}

// maxListFile bounds a file that a list names, in bytes: some millions of networks fit.
const maxListFile = 64 << 20

// ReadFile gives a file that a list names. It is for files that others than root may write: a pipe or a device in its place is an error, and holds nobody up.
func ReadFile(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe that nobody writes would keep the daemon
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, errors.New("it is no file of text but a folder, a pipe or a device")
	case info.Size() > maxListFile:
		return nil, fmt.Errorf("it has %d bytes; at most %d are read", info.Size(), maxListFile)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxListFile+1))
	if err == nil && len(text) > maxListFile {
		err = fmt.Errorf("it grows; at most %d bytes are read", maxListFile)
	}
	return text, err
}

// Stamp tells versions of a file apart. The zero Stamp is that of a file that is not there.
type Stamp struct{ modified, size int64 }

// StampOf gives the stamp of a file as it is now.
func StampOf(path string) Stamp {
	info, err := os.Stat(path)
	if err != nil {
		return Stamp{}
	}
	return Stamp{info.ModTime().UnixNano(), info.Size()}
}

// follow notes a file before it is read: what is written while it is read, or the policy compiled, makes it another one.
func (f *File) follow(path string) {
	f.Follow = append(f.Follow, path)
	if f.Stamps == nil {
		f.Stamps = map[string]Stamp{}
	}
	if _, known := f.Stamps[path]; !known {
		f.Stamps[path] = StampOf(path)
	}
}

// filePrefix makes an entry of a list the name of a file with more.
const filePrefix = "file:"

// ListFile gives the file of a list that `gatepost list` writes, below server.directory. Every list has one, whether it names files or not.
func (f *File) ListFile(list string) string {
	return filepath.Join(f.Server.Directory, "lists", list)
}

// listFiles reads what stands in the files of the lists.
func (d *decoder) listFiles(f *File, from Reading) {
	for i := range f.source.Lists {
		if list := &f.source.Lists[i]; from.Lists != nil {
			list.More = append(list.More, from.Lists(list.Name)...)
		}
	}
	if from.File == nil {
		return
	}
	for i := range f.source.Lists {
		list := &f.source.Lists[i]
		for j, entry := range list.Entries {
			path, isFile := strings.CutPrefix(entry, filePrefix)
			if !isFile {
				continue
			}
			if err := d.listFile(f, list, path, from); err != nil {
				d.wrong(item(join("list", list.Name), j), "%v", err)
			}
		}
		if from.Tested {
			continue
		}
		own := f.ListFile(list.Name)
		if err := d.listFile(f, list, own, from); err != nil && !errors.Is(err, fs.ErrNotExist) {
			d.wrong(join("list", list.Name), "%v", err)
		}
	}
}

// domainOrFile reads a domain, or the name of a file with more.
func domainOrFile(s string) (string, error) {
	if path, isFile := strings.CutPrefix(s, filePrefix); isFile {
		return s, absolute(path)
	}
	return domain(s)
}

// freemailFiles puts the domains of the files that reputation.freemail names in the place of their names.
func (d *decoder) freemailFiles(f *File, from Reading) {
	var domains []string
	for i, entry := range f.Reputation.Freemail {
		path, isFile := strings.CutPrefix(entry, filePrefix)
		if !isFile {
			domains = append(domains, entry)
			continue
		}
		if from.File == nil {
			continue
		}
		f.follow(path)
		more, err := domainFile(path, from)
		if err != nil {
			d.wrong(item("reputation.freemail", i), "%v", err)
		}
		domains = append(domains, more...)
	}
	f.Reputation.Freemail = domains
}

// tokenOf reads the token out of the file that the key names.
func (d *decoder) tokenOf(f *File, from Reading) {
	path, named := strings.CutPrefix(f.Admin.Token, filePrefix)
	if f.Admin.Token = ""; !named || from.File == nil || from.Tested {
		return
	}
	f.follow(path)
	text, err := from.File(path)
	if err != nil {
		d.wrong("admin.token", "%v", unreadable(path, err))
		return
	}
	f.Admin.Token = strings.TrimSpace(string(text))
	if n := len(f.Admin.Token); n < minToken || strings.ContainsFunc(f.Admin.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		d.wrong("admin.token", "the token in %s has %d characters; write one line of at least %d without spaces, as `openssl rand -hex 24` makes", path, n, minToken)
	}
}

// minToken is how long a token is at least.
const minToken = 24

// domainFile gives the domains of a file: one a line, and comments.
func domainFile(path string, from Reading) ([]string, error) {
	text, err := from.File(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	var out []string
	for n, line := range strings.Split(string(text), "\n") {
		entry := ParseListLine(line).Entry
		if entry == "" {
			continue
		}
		clean, err := domain(entry)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, n+1, err)
		}
		out = append(out, clean)
	}
	return out, nil
}

// unreadable says that a file which the policy names cannot be read.
func unreadable(path string, err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("the file %s cannot be read: %w; let the user that runs gatepost read it and enter the folders above it", path, err)
	}
	return fmt.Errorf("the file %s cannot be read: %w; make it, empty if there is nothing to list", path, err)
}

// pairFiles reads the files of the tables of pairs: two columns, and comments.
func (d *decoder) pairFiles(f *File, from Reading) {
	for i := range f.source.Pairs {
		if table := &f.source.Pairs[i]; from.Pairs != nil {
			table.Pairs = append(table.Pairs, from.Pairs(table.Name)...)
		}
	}
	if from.File == nil {
		return
	}
	for i := range f.source.Pairs {
		table := &f.source.Pairs[i]
		for j, path := range table.Files {
			f.follow(path)
			pairs, err := pairFile(path, from)
			if err != nil {
				d.wrong(item(join("pairs", table.Name), j), "%v", err)
			}
			table.Pairs = append(table.Pairs, pairs...)
		}
	}
}

func pairFile(path string, from Reading) ([][2]string, error) {
	text, err := from.File(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	var out [][2]string
	for n, line := range strings.Split(string(text), "\n") {
		line, _, _ = strings.Cut(strings.TrimPrefix(line, byteOrderMark), "#")
		columns := strings.Fields(line)
		switch len(columns) {
		case 0:
		case 2:
			pair := [2]string{columns[0], columns[1]}
			for i := range pair {
				if clean, err := entry(pair[i]); err == nil { // in the form in which facts are compared
					pair[i] = clean
				}
			}
			out = append(out, pair)
		default:
			return nil, fmt.Errorf("%s:%d: %d columns; write two, such as \"tenant.example partner.example\", * for all", path, n+1, len(columns))
		}
	}
	return out, nil
}

// listFile adds the entries of one file to a list.
func (d *decoder) listFile(f *File, list *policy.NamedList, path string, from Reading) error {
	f.follow(path)
	text, err := from.File(path)
	if err != nil {
		return unreadable(path, err)
	}
	for n, line := range strings.Split(string(text), "\n") {
		one := ParseListLine(line)
		switch {
		case one.Entry == "":
			continue
		case !one.Until.IsZero() && !from.Now.Before(one.Until):
			continue
		case !one.Until.IsZero() && (f.Expires.IsZero() || one.Until.Before(f.Expires)):
			f.Expires = one.Until
		}
		clean, err := Entry(one.Entry)
		if err != nil {
			return fmt.Errorf("%s:%d: %w", path, n+1, err)
		}
		list.More = append(list.More, clean)
	}
	return nil
}

// newNetworks gives an empty table for the networks of a list. What it costs to ask it does not grow with their number.
func newNetworks() policy.Networks { return new(bart.Lite) }

// withTables gives the source with what its lists stand in.
func (f *File) withTables() policy.Source {
	source := f.source
	source.Networks = newNetworks
	return source
}

// Entry gives an entry of a list in the form in which facts are compared with it, or says why it can be none.
func Entry(text string) (string, error) {
	if strings.HasPrefix(text, filePrefix) {
		return "", fmt.Errorf("%q is a file, and a file of a list names no other; name it in the policy", text)
	}
	clean, err := entry(text)
	if err == nil {
		_, wrong := policy.NewList([]string{clean}, newNetworks())
		err = wrong[0]
	}
	return clean, err
}

// SameEntry reports whether two entries are one in two writings: 192.0.2.1 and 192.0.2.1/32, 2001:DB8:0::1 and 2001:db8::1, bücher.example and
// xn--bcher-kva.example, alice and user:alice.
func SameEntry(a, b string) bool {
	kindA, plainA := plainEntry(a)
	kindB, plainB := plainEntry(b)
	return kindA == kindB && plainA == plainB
}

func plainEntry(text string) (policy.Kind, string) {
	if clean, err := Entry(text); err == nil {
		text = clean
	}
	kind, plain := policy.KindOf(text), strings.ToLower(text)
	switch network, err := network(plain); {
	case kind == policy.KindUser:
		plain = strings.TrimPrefix(plain, "user:")
	case kind == policy.KindIP && err == nil:
		plain = network.String()
	}
	return kind, plain
}

// ListLine is one line of a list's file: an entry, and in its comment until when it holds and why.
type ListLine struct {
	Entry string    // "" for a line without
	Until time.Time // zero for always
	Note  string
}

// byteOrderMark is what some editors write at the beginning of a file; no entry has it.
const byteOrderMark = "\ufeff"

// ParseListLine reads a line of a list's file: "ENTRY", "ENTRY # note" or "ENTRY # until 2026-12-24T10:00:00Z note".
func ParseListLine(line string) ListLine {
	text, comment, _ := strings.Cut(strings.TrimPrefix(line, byteOrderMark), "#")
	out := ListLine{Entry: strings.TrimSpace(text), Note: strings.TrimSpace(comment)}
	if rest, ok := strings.CutPrefix(out.Note, "until "); ok {
		stamp, note, _ := strings.Cut(rest, " ")
		if t, err := time.Parse(time.RFC3339, stamp); err == nil {
			out.Until, out.Note = t, strings.TrimSpace(note)
		}
	}
	return out
}

// String gives the line as it is read.
func (l ListLine) String() string {
	comment := l.Note
	if !l.Until.IsZero() {
		comment = strings.TrimSpace("until " + l.Until.UTC().Format(time.RFC3339) + " " + l.Note)
	}
	if comment == "" {
		return l.Entry
	}
	return l.Entry + " # " + comment
}
