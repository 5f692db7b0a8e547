package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// module is what the binary is made of besides Gatepost's own code.
type module struct {
	path, version string
	licences      []string // SPDX identifiers, each once
	copyright     []string // the lines that say whose it is
	texts         []licenceText
}

// licenceText is a file of a module that says under which licence it is.
type licenceText struct {
	file, text string
	licences   []string
}

// linkedModules gives the modules whose packages are linked into the binary, for whichever architecture, and Go itself; sorted.
func linkedModules() ([]module, error) {
	folders := map[string][2]string{}
	for _, arch := range []string{"amd64", "arm64"} {
		if err := listModules(arch, folders); err != nil {
			return nil, err
		}
	}
	root, err := output("go", "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	folders["Go standard library"] = [2]string{"", root}
	var out []module
	for path, where := range folders {
		m, err := readModule(path, where[0], where[1])
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b module) int { return strings.Compare(a.path, b.path) })
	return out, nil
}

// listModules adds the version and folder of each module that a build for an architecture links.
func listModules(arch string, folders map[string][2]string) error {
	c := exec.Command("go", "list", "-deps", "-json=Module", "./cmd/gatepost")
	c.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
	out, err := c.Output()
	if err != nil {
		return fmt.Errorf("go list: %w", err)
	}
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			Module *struct {
				Path, Version, Dir string
				Main               bool
			}
		}
		switch err := decoder.Decode(&p); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if p.Module != nil && !p.Module.Main {
			folders[p.Module.Path] = [2]string{p.Module.Version, p.Module.Dir}
		}
	}
}

// licenceFile is how files are called that say under which licence something is.
var licenceFile = regexp.MustCompile(`(?i)^([a-z0-9]+-)?(licen[cs]e|copying|notice|unlicense)([-.].*)?$`)

func readModule(path, version, dir string) (module, error) {
	m := module{path: path, version: version}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return m, err
	}
	for _, e := range entries {
		if e.IsDir() || !licenceFile.MatchString(e.Name()) {
			continue
		}
		raw, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return m, err
		}
		text := strings.ReplaceAll(string(raw), "\r\n", "\n")
		m.texts = append(m.texts, licenceText{e.Name(), text, licencesIn(text)})
	}
	for _, t := range m.texts {
		m.licences = append(m.licences, t.licences...)
		for _, c := range copyrightLine.FindAllString(t.text, -1) {
			if c = strings.Trim(c, " \t#*"); !slices.Contains(m.copyright, c) {
				m.copyright = append(m.copyright, c)
			}
		}
	}
	slices.Sort(m.licences)
	m.licences = slices.Compact(m.licences)
	if m.licences == nil {
		return m, fmt.Errorf("%s %s: no file says under which known licence it is; look into %s", path, version, dir)
	}
	return m, nil
}

var copyrightLine = regexp.MustCompile(`(?m)^[ \t#*]*Copyright (?:\(c\)|©|\(C\)|[0-9]{4}).*$`)

// marks tell licences apart, by words that only they have.
var marks = []struct{ licence, words string }{
	{"Apache-2.0", `Apache License,? Version 2\.0`},
	{"BSD-3-Clause", `Redistribution and use in source and binary forms.*Neither (the )?name`},
	{"ISC", `Permission to use, copy, modify, and/or distribute`},
	{"MIT", `Permission is hereby granted, free of charge`},
	{"MPL-2.0", `Mozilla Public License,? Version 2\.0`},
	{"blessing", `May you do good and not evil`},
}

// licencesIn gives the SPDX identifiers of the licences that a text holds.
func licencesIn(text string) []string {
	text = strings.Join(strings.Fields(text), " ")
	var out []string
	for _, m := range marks {
		if regexp.MustCompile("(?i)" + m.words).MatchString(text) {
			out = append(out, m.licence)
		}
	}
	if strings.Contains(text, "Redistribution and use in source and binary forms") && !slices.Contains(out, "BSD-3-Clause") {
		out = append(out, "BSD-2-Clause")
	}
	return out
}

// licencesOf gives every licence of the binary: its own and its parts'.
func licencesOf(modules []module) []string {
	all := []string{"MIT"}
	for _, m := range modules {
		all = append(all, m.licences...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// tableOf gives licences.md.
func tableOf(modules []module) string {
	var b strings.Builder
	b.WriteString("# Licences of what is linked into the binary\n\n" +
		"Gatepost itself is under the MIT licence. Written by `go -C packaging/tools run . licences`; a test proves that it is current.\n\n" +
		"| module | version | licence |\n|---|---|---|\n")
	for _, m := range modules {
		version := m.version
		if version == "" {
			version = "of the build"
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", m.path, version, strings.Join(m.licences, ", "))
	}
	return b.String()
}

// allTexts gives the licences of all modules in full.
func allTexts(modules []module) string {
	var b strings.Builder
	for _, m := range modules {
		for _, t := range m.texts {
			fmt.Fprintf(&b, "===== %s %s: %s =====\n\n%s\n\n", m.path, m.version, t.file, strings.TrimSpace(t.text))
		}
	}
	return b.String()
}

// apacheTerms are the terms that every Debian system has already (Debian Policy 12.5).
var apacheTerms = regexp.MustCompile(`(?s)TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION.*?(END OF TERMS AND CONDITIONS|\z)`)

// debianCopyright gives the machine-readable file of Debian Policy 12.5: a paragraph for each module, and each text once.
func debianCopyright(own string, modules []module) string {
	var b strings.Builder
	b.WriteString("Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: gatepost\nSource: https://gatepost.example\n" +
		"Comment: The binary is linked with the modules below, in the versions that\n packaging/licences.md of the source names.\n\n")
	paragraph := func(files, copyright, name, text string) {
		fmt.Fprintf(&b, "Files: %s\nCopyright: %s\nLicense: %s\n%s\n", files, copyright, name, indented(text))
	}
	paragraph("*", "2026 The Gatepost authors", "MIT", own)
	for _, m := range modules {
		var copyright []string
		for _, c := range m.copyright {
			copyright = append(copyright, strings.Join(strings.Fields(strings.TrimPrefix(c, "Copyright")), " "))
		}
		if copyright == nil {
			copyright = []string{"the authors of " + m.path}
		}
		var texts []string
		for _, t := range m.texts {
			t.text = apacheTerms.ReplaceAllString(t.text, "The terms of version 2.0 stand in /usr/share/common-licenses/Apache-2.0.")
			texts = append(texts, strings.TrimSpace(t.text))
		}
		folder := "module/" + strings.ReplaceAll(m.path, " ", "-") + "/*"
		paragraph(folder, strings.Join(copyright, "\n "), strings.Join(m.licences, " and "), strings.Join(texts, "\n\n"))
	}
	return b.String()
}

// indented writes text as the value of a field: an empty line is a dot.
func indented(text string) string {
	var b strings.Builder
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		if line = strings.TrimRight(line, " \t\f\r"); strings.TrimSpace(line) == "" {
			line = "."
		}
		b.WriteString(" " + strings.ReplaceAll(line, "\f", "") + "\n")
	}
	return b.String()
}
