package setup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"gatepost.example/cmd/gatepost/mta"
)

// record is what --undo needs. It stands in the folder gatepost-setup beside main.cf, with a copy of each file as it was before.
type record struct {
	Changes []Change             `json:"changes"`
	Files   map[string]*keptFile `json:"files"` // by path
}

// keptFile is one file that setup changed.
type keptFile struct {
	Kept    string `json:"kept"`    // the copy's name in the folder
	Written string `json:"written"` // hash of what setup wrote
	Edited  bool   `json:"edited"`  // somebody else changed it between two runs of setup, so that the copy is too old to be put back whole
}

// Store is where the copies of one mail server's files are kept.
type Store struct{ dir string }

// StoreOf gives the store beside a configuration directory.
func StoreOf(config string) Store { return Store{filepath.Join(config, "gatepost-setup")} }

// ErrNothing says that there is nothing to undo.
var ErrNothing = errors.New("there is nothing to undo: setup has changed nothing here")

func (s Store) read() (*record, error) {
	text, err := os.ReadFile(filepath.Join(s.dir, "record.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNothing
	}
	if err != nil {
		return nil, err
	}
	r := &record{}
	if err := json.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("%s/record.json is damaged: %w; the copies of your files stand beside it", s.dir, err)
	}
	return r, nil
}

func (s Store) write(r *record) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(s.dir, "record.json"), append(text, '\n'), 0o600)
}

// Edit changes files, and keeps a copy of each as it was before the first time. When change fails, the files are put back as they were before
// this call, and the error says so.
func (s Store) Edit(files []string, changes []Change, change func() error) error {
	r, err := s.read()
	fresh := errors.Is(err, ErrNothing)
	if fresh {
		r, err = &record{Files: map[string]*keptFile{}}, os.MkdirAll(s.dir, 0o700)
	}
	if err != nil {
		return err
	}
	before := map[string][]byte{}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		before[path] = text
		if err := s.keep(r, path, text); err != nil {
			return err
		}
	}
	r.merge(changes)
	if err := s.write(r); err != nil { // before anything is changed: a run that is cut off can be undone
		return err
	}
	if err := change(); err != nil {
		for path, text := range before {
			err = errors.Join(err, Replace(path, text))
		}
		if fresh {
			err = errors.Join(err, os.RemoveAll(s.dir))
		}
		return fmt.Errorf("nothing was changed: %w", err)
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		r.Files[path].Written = hash(text)
	}
	return s.write(r)
}

// keep copies a file, if there is no copy yet, and notes when somebody else has changed it since.
func (s Store) keep(r *record, path string, text []byte) error {
	if known := r.Files[path]; known != nil {
		known.Edited = known.Edited || known.Written != "" && known.Written != hash(text)
		return nil
	}
	c := &keptFile{Kept: fmt.Sprintf("%d-%s", len(r.Files), filepath.Base(path)), Written: hash(text)}
	r.Files[path] = c
	return os.WriteFile(filepath.Join(s.dir, c.Kept), text, 0o600)
}

// merge adds changes: of one that was made twice, what was there before the first and after the last counts.
func (r *record) merge(changes []Change) {
	for _, c := range changes {
		i := slices.IndexFunc(r.Changes, func(old Change) bool { return old.Service == c.Service && old.Name == c.Name })
		if i < 0 {
			r.Changes = append(r.Changes, c)
			continue
		}
		r.Changes[i].After = c.After
	}
}

func hash(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// Replace puts a text into a file in one step, so that nobody reads half of it, with the owner and the rights that the file has.
func Replace(path string, text []byte) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".gatepost-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	err = errors.Join(err, keepOwner(f, info), f.Chmod(info.Mode().Perm()), f.Sync())
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// keepOwner gives a new file the owner and group of the one whose place it takes.
func keepOwner(f *os.File, old os.FileInfo) error {
	was, known := old.Sys().(*syscall.Stat_t)
	info, err := f.Stat()
	if err != nil || !known {
		return err
	}
	if is, ok := info.Sys().(*syscall.Stat_t); ok && is.Uid == was.Uid && is.Gid == was.Gid {
		return nil
	}
	if err := f.Chown(int(was.Uid), int(was.Gid)); err != nil {
		return fmt.Errorf("the file's owner could not be kept (%w); run this as root or as the owner", err)
	}
	return nil
}

// ConfigFiles gives the files of an instance that a plan changes.
func (plan *Plan) ConfigFiles(dir string) []string {
	var out []string
	for _, c := range plan.Changes {
		name := filepath.Join(dir, "main.cf")
		if c.Service != "" {
			name = filepath.Join(dir, "master.cf")
		}
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// Commands gives the plan as arguments of postconf, one command a change.
func (plan *Plan) Commands() [][]string {
	var out [][]string
	for _, c := range plan.Changes {
		out = append(out, c.command())
	}
	return out
}

func (c Change) command() []string {
	if c.Service != "" {
		return []string{"-P", c.Service + "/" + c.Name + "=" + c.After}
	}
	return []string{"-e", c.Name + " = " + c.After}
}

// revert gives the command that takes a change back.
func (c Change) revert() []string {
	switch {
	case c.Had:
		return Change{Service: c.Service, Name: c.Name, After: c.Before}.command()
	case c.Service != "":
		return []string{"-PX", c.Service + "/" + c.Name}
	}
	return []string{"-X", c.Name}
}

// Write has postconf make the changes of a plan in an instance.
func (plan *Plan) Write(ctx context.Context, dir string) error {
	for _, args := range plan.Commands() {
		if _, err := mta.Postconf(ctx, dir, args...); err != nil {
			return err
		}
	}
	return nil
}

// Undo puts every file back as it was before setup, byte for byte. In a file that somebody else has changed since, only setup's own lines are
// taken back, by unwrite for the files of Postfix and by strip for others. It gives what it did, a line a file, and removes the copies.
func (s Store) Undo(ctx context.Context, p *mta.Postfix, strip func(string) string) ([]string, error) {
	r, err := s.read()
	if err != nil {
		return nil, err
	}
	var done []string
	for path, c := range r.Files {
		now, err := os.ReadFile(path)
		if err != nil {
			return done, err
		}
		kept, err := os.ReadFile(filepath.Join(s.dir, c.Kept))
		if err != nil {
			return done, err
		}
		said := path + " is as it was"
		switch {
		case !c.Edited && hash(now) == c.Written:
			err = Replace(path, kept)
		case p != nil && filepath.Dir(path) == filepath.Clean(p.Dir):
			said = path + " was changed by others since: only setup's own lines are taken back"
			err = r.unwrite(ctx, p, strings.HasSuffix(path, "master.cf"))
		default:
			said = path + " was changed by others since: only what stands between setup's marks is taken out"
			err = Replace(path, []byte(strip(string(now))))
		}
		if err != nil {
			return done, err
		}
		done = append(done, said)
	}
	slices.Sort(done)
	return done, os.RemoveAll(s.dir)
}

// unwrite takes back those changes of main.cf or master.cf that are still as setup made them.
func (r *record) unwrite(ctx context.Context, p *mta.Postfix, services bool) error {
	for _, c := range r.Changes {
		if (c.Service != "") != services || p.Now(c.Service, c.Name) != c.After {
			continue
		}
		if _, err := mta.Postconf(ctx, p.Dir, c.revert()...); err != nil {
			return err
		}
	}
	return nil
}
