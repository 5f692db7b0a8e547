package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gatepost.example/policy/policyfile"
)

// listShown is one entry as `gatepost list show` prints it.
type listShown struct {
	Entry string    `json:"entry"`
	From  string    `json:"from"` // the file, or the policy
	Until time.Time `json:"until,omitzero"`
	Note  string    `json:"note,omitempty"`
}

// showList gives the entries of a list: of the policy, of the files it names, and of its own file.
func (d *daemon) showList(name string) ([]listShown, error) {
	file := d.current()
	entries, err := listNamed(file, name)
	if err != nil {
		return nil, err
	}
	out := []listShown{}
	paths := []string{}
	for _, entry := range entries {
		if path, isFile := strings.CutPrefix(entry, "file:"); isFile {
			paths = append(paths, path)
			continue
		}
		out = append(out, listShown{Entry: entry, From: file.Name})
	}
	for _, path := range append(paths, file.ListFile(name)) {
		lines, err := readList(path)
		if err != nil {
			return nil, err
		}
		for _, l := range lines {
			if l.Entry != "" {
				out = append(out, listShown{Entry: l.Entry, From: path, Until: l.Until, Note: l.Note})
			}
		}
	}
	return out, nil
}

func listNamed(file *policyfile.File, name string) ([]string, error) {
	var names []string
	for _, l := range file.Source().Lists {
		if l.Name == name {
			return l.Entries, nil
		}
		names = append(names, l.Name)
	}
	return nil, fmt.Errorf("there is no list %q; the policy has %s", name, cmp.Or(strings.Join(names, ", "), "none"))
}

func readList(path string) ([]policyfile.ListLine, error) {
	text, err := policyfile.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []policyfile.ListLine
	for line := range strings.SplitSeq(strings.TrimRight(string(text), "\n"), "\n") {
		out = append(out, policyfile.ParseListLine(line))
	}
	return out, nil
}

// changeList adds an entry to a list's own file or removes it there, and loads the policy anew. What makes the policy wrong is taken back.
func (d *daemon) changeList(r *http.Request) (any, error) {
	name, entry := r.FormValue("name"), strings.TrimSpace(r.FormValue("entry"))
	line := policyfile.ListLine{Entry: entry, Note: r.FormValue("note")}
	if until := r.FormValue("until"); until != "" {
		t, err := time.Parse(time.RFC3339, until)
		if err != nil {
			return nil, err
		}
		line.Until = t
	}
	if entry == "" || strings.ContainsAny(entry, "#\n\r") || strings.ContainsAny(line.Note, "\n\r") {
		return nil, fmt.Errorf("%q is no entry; write one network, address, domain or user", entry)
	}
	file := d.current()
	if _, err := listNamed(file, name); err != nil {
		return nil, err
	}
	d.listMu.Lock()
	defer d.listMu.Unlock()
	path := file.ListFile(name)
	before, err := readList(path)
	if err != nil {
		return nil, err
	}
	same := func(l policyfile.ListLine) bool { return l.Entry != "" && policyfile.SameEntry(l.Entry, entry) }
	found := slices.ContainsFunc(before, same)
	after := slices.DeleteFunc(slices.Clone(before), same)
	if r.FormValue("op") == "add" {
		after = append(after, line)
	}
	if err := writeList(path, after); err != nil {
		return nil, err
	}
	if err := d.askReload(r.Context()); err != nil {
		return nil, errors.Join(fmt.Errorf("list %s stays as it was, because the policy would not load:\n%w", name, err), writeList(path, before))
	}
	return found, nil
}

// writeList puts lines into a file in one step, so that nobody reads half of it.
func writeList(path string, lines []policyfile.ListLine) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	var text strings.Builder
	for _, l := range lines {
		text.WriteString(l.String() + "\n")
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".list-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(text.String())
	if err = errors.Join(err, f.Chmod(0o640), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
