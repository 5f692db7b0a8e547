package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"gatepost.example/filter"
	"gatepost.example/filter/history"
	"gatepost.example/policy"
	"gatepost.example/policy/policyfile"
)

// This file is how commands reach the history: they read its file, whether the daemon runs or not.

// pastPlace is where a command finds the history, as its flags say.
type pastPlace struct {
	policy, directory string
	hiding            []byte // the key of hidden addresses, nil where there is none
}

// directoryLine finds server.directory in a policy file.
var directoryLine = regexp.MustCompile(`(?m)^\s*directory\s*=\s*["'](.*?)["']`)

// open opens the history of the policy's daemon. The policy is read without its checks: one with mistakes still names its directory.
func (p *pastPlace) open() (*history.Reader, error) {
	directory := p.directory
	if directory == "" {
		var err error
		if directory, err = namedIn(p.policy, directoryLine, policyfile.Default().Server.Directory); err != nil {
			return nil, err
		}
	}
	file := &policyfile.File{Server: policyfile.Server{Directory: directory}}
	r, err := history.OpenReader(historyPath(file))
	if err == nil {
		if p.hiding, err = os.ReadFile(historyKey(file)); errors.Is(err, fs.ErrNotExist) {
			err = nil // nothing is hidden
		}
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		err = fmt.Errorf("%w; be root or in the group of %s", err, directory)
	case errors.Is(err, fs.ErrNotExist):
		err = fmt.Errorf("%w; has the daemon run with [history] keep above 0, and is it the policy's server.directory?", err)
	}
	if err != nil && r != nil {
		err = errors.Join(err, r.Close())
	}
	return r, err
}

// key gives the key of hidden addresses, nil where there is none.
func (p *pastPlace) key() []byte { return p.hiding }

// settled is how long a record may take from its decision into the history's file, where the daemon cannot be asked to write it at once.
const settled = 1500 * time.Millisecond

// catchUp has the daemon write what was decided just now, so that it is found; where it cannot be asked, it waits as long as that takes at most.
func (p *pastPlace) catchUp(ctx context.Context) error {
	if p.flushed() {
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(settled):
		return nil
	}
}

// flushed has the daemon of the policy write its history; false where whether it did cannot be known, as of another directory than the policy's.
func (p *pastPlace) flushed() bool {
	if p.directory != "" {
		return false
	}
	t, err := talkTo(p.policy, "")
	if err != nil {
		return false
	}
	t.client.Timeout = settled
	err = t.ask("POST", "/history/flush", nil, nil, nil)
	return err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) // no daemon holds anything
}

// find finds a record; one that was decided just now may still be on its way.
func (p *pastPlace) find(ctx context.Context, r *history.Reader, id string) (*history.Row, error) {
	row, err := r.Find(ctx, id)
	if !errors.Is(err, history.ErrNone) {
		return row, err
	}
	if err := p.catchUp(ctx); err != nil {
		return nil, err
	}
	if row, err = r.Find(ctx, id); errors.Is(err, history.ErrNone) {
		return nil, answerNo{fmt.Errorf("nothing is known of %q: it is neither an id of ours nor a queue id nor a message id in the history, or it is older than [history] keep", id)}
	}
	return row, err
}

// findLast finds the last record that was not simply accepted, also when it was decided just now.
func (p *pastPlace) findLast(ctx context.Context, r *history.Reader) (*history.Row, error) {
	if err := p.catchUp(ctx); err != nil {
		return nil, err
	}
	var heldBack []string
	if file, err := loadPolicy(p.policy); err == nil { // where it cannot be read, nobody knows
		heldBack = file.HeldBack
	}
	return r.LastRefused(ctx, heldBack)
}

// recordedPolicy gives the policy that records were decided under, as it was. With a key its lists hold what is hidden under it too.
func recordedPolicy(ctx context.Context, r *history.Reader, identity string, key []byte) (*policyfile.File, error) {
	text, matched, err := r.PolicyText(ctx, identity)
	if err != nil {
		return nil, err
	}
	if text == "" {
		return nil, errors.New("its text could not be kept without the password in it")
	}
	return withHidden("policy "+identity, []byte(text), key, policyfile.Reading{
		Now: time.Now(),
		Lists: func(name string) (out []string) {
			for _, m := range matched {
				if m.List == name {
					out = append(out, m.Text)
				}
			}
			return out
		},
		Pairs: func(name string) (out [][2]string) {
			for _, m := range matched {
				if a, b, ok := strings.Cut(m.Text, "\t"); ok && m.Table == name {
					out = append(out, [2]string{a, b})
				}
			}
			return out
		},
	})
}

// withHidden reads a policy whose lists hold the people among their entries also as the history hides them.
func withHidden(name string, text, key []byte, from policyfile.Reading) (*policyfile.File, error) {
	vocabulary, err := filter.Vocabulary()
	if err != nil {
		return nil, err
	}
	file, err := policyfile.ParseWith(name, text, vocabulary, from)
	if err != nil || key == nil {
		return file, err
	}
	hidden := map[string][]string{}
	for _, list := range file.Source().Lists {
		for _, entry := range append(slices.Clone(list.Entries), list.More...) {
			switch policy.KindOf(entry) {
			case policy.KindAddress:
				hidden[list.Name] = append(hidden[list.Name], history.HideAddress(entry, key))
			case policy.KindUser:
				if !strings.HasPrefix(entry, "file:") {
					hidden[list.Name] = append(hidden[list.Name], "user:"+history.HideLocal(strings.TrimPrefix(entry, "user:"), key))
				}
			}
		}
	}
	plain := from.Lists
	from.Lists = func(name string) []string {
		if plain == nil {
			return hidden[name]
		}
		return append(plain(name), hidden[name]...)
	}
	return policyfile.ParseWith(name, text, vocabulary, from)
}
