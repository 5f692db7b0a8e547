package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/goreleaser/chglog"
	"go.yaml.in/yaml/v3"
)

// documents makes in dist/build what the packages carry beside the binary. The binary of this machine's architecture writes its own manual.
func documents(r release) error {
	gatepost := filepath.Join("dist/build", runtime.GOARCH, "gatepost")
	if _, err := os.Stat(gatepost); err != nil {
		return fmt.Errorf("%w; the manual is written by the binary of this machine's architecture, so build that too", err)
	}
	if _, err := output(gatepost, "man", "--policy", "policy.toml", "--date", r.at.Format(time.DateOnly), "dist/build"); err != nil {
		return err
	}
	files := map[string]string{"changelog.Debian": r.debianChangelog()}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		text, err := output(gatepost, "completion", shell)
		if err != nil {
			return err
		}
		files["completion."+shell] = text + "\n"
	}
	history, err := r.rpmChangelog()
	if err != nil {
		return err
	}
	files["changelog.yaml"] = history
	modules, err := linkedModules()
	if err != nil {
		return err
	}
	own, err := os.ReadFile("LICENSE")
	if err != nil {
		return err
	}
	files["copyright"] = debianCopyright(string(own), modules)
	files["LICENSES.dependencies"] = allTexts(modules)
	upstream, err := os.ReadFile("CHANGELOG.md")
	if err != nil {
		return err
	}
	files["changelog"] = string(upstream)
	for name, text := range files {
		if err := os.WriteFile(filepath.Join("dist/build", name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	for _, name := range []string{"gatepost.1", "policy.toml.5", "gatepost.8", "changelog", "changelog.Debian"} {
		if err := compress(filepath.Join("dist/build", name)); err != nil {
			return err
		}
	}
	return nil
}

// rpmChangelog gives the changes as nfpm reads them for an rpm.
func (r release) rpmChangelog() (string, error) {
	var entries chglog.ChangeLogEntries
	for _, c := range r.named() {
		e := &chglog.ChangeLog{Semver: c.version + "-1", Date: c.at, Packager: maintainer}
		for _, l := range c.lines {
			e.Changes = append(e.Changes, &chglog.ChangeLogChange{Note: l})
		}
		entries = append(entries, e)
	}
	text, err := yaml.Marshal(entries)
	return string(text), err
}

// compress writes a file once more as gzip -9n does: without name and time.
func compress(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := w.Write(text); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return os.WriteFile(path+".gz", b.Bytes(), 0o644)
}
