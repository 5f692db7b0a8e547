package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"
)

// release is what is packaged: a version, its time, and what changed.
type release struct {
	version    string // as `gatepost version` says it
	prerelease string // "" for a release; else what makes this build older than it, and newer than earlier builds
	at         time.Time
	changes    []change
}

// change is a part of CHANGELOG.md: a version with its lines.
type change struct {
	version string // "" for what is not released yet
	at      time.Time
	lines   []string
}

// maintainer is who the packages name.
const maintainer = "The Gatepost authors <maintainers@gatepost.example>"

var (
	versionConst = regexp.MustCompile(`(?m)^const version = "([0-9.]+)"$`)
	changeHead   = regexp.MustCompile(`^## (?:Unreleased|([0-9.]+) \(([0-9-]+)\))$`)
)

// newRelease reads the version from the source and the changes from CHANGELOG.md, and sees that they agree.
func newRelease(at time.Time) (release, error) {
	source, err := os.ReadFile("cmd/gatepost/version.go")
	if err != nil {
		return release{}, err
	}
	found := versionConst.FindSubmatch(source)
	if found == nil {
		return release{}, fmt.Errorf("cmd/gatepost/version.go has no line that matches %s", versionConst)
	}
	text, err := os.ReadFile("CHANGELOG.md")
	if err != nil {
		return release{}, err
	}
	r := release{version: string(found[1]), at: at}
	if r.changes, err = readChanges(string(text)); err != nil {
		return r, err
	}
	switch newest := r.changes[0].version; newest {
	case "":
		r.prerelease = at.Format("20060102.150405")
	case r.version:
	default:
		return r, fmt.Errorf("CHANGELOG.md begins with %s, cmd/gatepost/version.go says %s; bring them together", newest, r.version)
	}
	return r, nil
}

// readChanges reads CHANGELOG.md: "## Unreleased" or "## 1.2.3 (2026-12-24)", and below it a line "- [TAG] text" for each change.
func readChanges(text string) ([]change, error) {
	var out []change
	for n, line := range strings.Split(text, "\n") {
		head := changeHead.FindStringSubmatch(line)
		switch {
		case head != nil:
			c := change{version: head[1]}
			if c.version != "" {
				at, err := time.Parse(time.DateOnly, head[2])
				if err != nil {
					return nil, fmt.Errorf("CHANGELOG.md:%d: %w", n+1, err)
				}
				c.at = at
			}
			out = append(out, c)
		case strings.HasPrefix(line, "## "):
			return nil, fmt.Errorf("CHANGELOG.md:%d: write \"## Unreleased\" or \"## 1.2.3 (2026-12-24)\"", n+1)
		case strings.HasPrefix(line, "- ") && len(out) > 0:
			c := &out[len(out)-1]
			c.lines = append(c.lines, strings.ReplaceAll(strings.TrimPrefix(line, "- "), "`", ""))
		}
	}
	if len(out) == 0 || out[0].lines == nil {
		return nil, fmt.Errorf("CHANGELOG.md has no changes")
	}
	return out, nil
}

// full is the version as Debian and RPM write it, without the number of the packaging: a pre-release comes before the release.
func (r release) full() string {
	if r.prerelease == "" {
		return r.version
	}
	return r.version + "~" + r.prerelease
}

// named gives the changes with the version and time that the packages give them.
func (r release) named() []change {
	out := make([]change, len(r.changes))
	for i, c := range r.changes {
		if c.version == "" {
			c.version, c.at = r.full(), r.at
		}
		out[i] = c
	}
	return out
}

// debianChangelog gives the changes as debian/changelog (Debian Policy 4.4).
func (r release) debianChangelog() string {
	var b strings.Builder
	for _, c := range r.named() {
		fmt.Fprintf(&b, "gatepost (%s-1) unstable; urgency=medium\n\n", c.version)
		for _, l := range c.lines {
			b.WriteString(folded("  * "+l, "    "))
		}
		fmt.Fprintf(&b, "\n -- %s  %s\n\n", maintainer, c.at.Format(time.RFC1123Z))
	}
	return b.String()
}

// folded breaks a line at blanks, at 80 characters; what follows is indented.
func folded(line, indent string) string {
	var b strings.Builder
	width := 0
	for i, word := range strings.Split(line, " ") {
		switch {
		case i == 0:
		case width+1+len(word) > 80:
			b.WriteString("\n" + indent)
			width = len(indent)
		default:
			b.WriteString(" ")
			width++
		}
		b.WriteString(word)
		width += len(word)
	}
	return b.String() + "\n"
}
