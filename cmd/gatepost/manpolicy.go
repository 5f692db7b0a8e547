package main

import (
	"regexp"
	"strings"
)

// This file makes policy.toml(5) of the policy file that packages install: its comments are the text.

var (
	dividerLine  = regexp.MustCompile(`^# --- (.*?) -+$`)
	sectionLine  = regexp.MustCompile(`^\[+[a-z_]+\]+$`)
	settingLine  = regexp.MustCompile(`^#?([a-z_]+ *= .*)$`)
	shownExample = regexp.MustCompile(`^# ? ?(\[\[?[a-z]+\]|[a-z_]+ += |smtpd_milters)`)
)

// policyPage gives the page of a policy file with its comments.
func policyPage(text string, facts []factRow, date string) string {
	head, rest, _ := strings.Cut(text, "\n\n")
	settings, rules, _ := strings.Cut(rest, "\n# --- names for the rules")
	p := newManPage("POLICY.TOML", "5", date, "File Formats Manual")
	p.heading("SH", "NAME")
	p.line(`policy.toml \- what gatepost does`)
	p.heading("SH", "SYNOPSIS")
	p.line(".I " + defaultPolicy)
	p.heading("SH", "DESCRIPTION")
	p.comments(strings.Split(head, "\n"))
	p.heading("SH", "SETTINGS")
	p.settings(settings)
	p.chapters("# --- names for the rules" + rules)
	p.heading("SH", "FACTS")
	p.prose("What conditions can ask for, with the type and the stage of the SMTP session from which on it is known.")
	for _, f := range facts {
		p.entry(f.name, f.text+"; "+f.kind+", from "+f.stage+" on")
	}
	p.see("gatepost(1)", "gatepost(8)")
	return p.String()
}

// settings writes the part of the file in which each key has its text above it.
func (p *manPage) settings(text string) {
	var above, keys []string
	flush := func() {
		if keys != nil {
			p.terms(keys...)
			if above == nil {
				p.line(`\&`)
			}
		}
		p.comments(above)
		above, keys, p.item = nil, nil, false
	}
	for line := range strings.SplitSeq(text, "\n") {
		setting := settingLine.FindStringSubmatch(line)
		switch {
		case dividerLine.MatchString(line):
		case line == "":
			flush()
		case sectionLine.MatchString(line):
			flush()
			p.heading("SS", line)
		case setting != nil:
			keys = append(keys, setting[1])
		default:
			if keys != nil {
				flush()
			}
			above = append(above, line)
		}
	}
	flush()
}

// chapters writes the part of the file that is to be read as it is, with its comments as text.
func (p *manPage) chapters(text string) {
	var comments, code []string
	flush := func() {
		p.comments(comments)
		if code != nil {
			p.verbatim(code)
		}
		comments, code = nil, nil
	}
	for line := range strings.SplitSeq(text, "\n") {
		divider := dividerLine.FindStringSubmatch(line)
		switch {
		case divider != nil:
			flush()
			p.heading("SH", strings.ToUpper(strings.TrimPrefix(divider[1], "the ")))
		case line == "":
			flush()
		case strings.HasPrefix(line, "#"):
			if code != nil {
				flush()
			}
			comments = append(comments, line)
		default:
			code = append(code, line)
		}
	}
	flush()
}

// comments writes lines that begin with #: their text, and what they show as it is.
func (p *manPage) comments(lines []string) {
	var words, shown []string
	flush := func() {
		if words != nil {
			p.paragraph()
			p.words(strings.Join(words, " "))
		}
		if shown != nil {
			p.verbatim(shown)
		}
		words, shown = nil, nil
	}
	for _, l := range lines {
		text := strings.TrimPrefix(l, "#")
		switch {
		case strings.TrimSpace(text) == "":
			flush()
		case strings.HasPrefix(text, "   ") || shownExample.MatchString(l):
			shown = append(shown, "    "+strings.TrimSpace(text))
		default:
			if shown != nil {
				flush()
			}
			words = append(words, text)
		}
	}
	flush()
}
