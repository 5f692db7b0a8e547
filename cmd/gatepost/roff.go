package main

import (
	"fmt"
	"strings"
)

// manPage is a page in the macros of man(7), as it grows.
type manPage struct {
	text  strings.Builder
	fresh bool // a heading or a term has just been written: no paragraph begins here
	item  bool // what comes is the text of a term
}

// newManPage begins a page; title and section make its heading, date stands in its foot.
func newManPage(title, section, date, manual string) *manPage {
	p := &manPage{}
	p.line(fmt.Sprintf(".TH %s %s %s %q %q", title, section, date, "Gatepost "+version, manual))
	p.line(".nh")
	return p
}

// line writes a line as it is.
func (p *manPage) line(s string) { p.text.WriteString(s + "\n") }

// heading begins a section (SH) or a part of one (SS).
func (p *manPage) heading(macro, title string) {
	p.line("." + macro + ` "` + strings.ReplaceAll(roffWords(title), `"`, `\(dq`) + `"`)
	p.fresh, p.item = true, false
}

// paragraph begins a paragraph of a section or of the text of a term.
func (p *manPage) paragraph() {
	switch {
	case p.fresh:
		p.fresh = false
	case p.item:
		p.line(".IP")
	default:
		p.line(".PP")
	}
}

// words writes text that the reader's terminal breaks into lines. Lines of the source stay short, as mandoc's checks want them.
func (p *manPage) words(text string) {
	line := ""
	for word := range strings.FieldsSeq(roffWords(text)) {
		if line != "" && len(line)+len(word) > 76 {
			p.textLine(line)
			line = ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	p.textLine(line)
}

func (p *manPage) textLine(line string) {
	if line == "" {
		return
	}
	if line[0] == '.' || line[0] == '\'' {
		line = `\&` + line
	}
	p.line(line)
}

// verbatim writes lines that are shown as they are.
func (p *manPage) verbatim(lines []string) {
	p.paragraph()
	p.line(".EX")
	for _, l := range lines {
		if l == "" {
			p.line(`\&`)
			continue
		}
		p.textLine(roffWords(strings.ReplaceAll(l, "\t", "    ")))
	}
	p.line(".EE")
}

// terms begins an entry of a list: what follows until the next paragraph of the section is its text.
func (p *manPage) terms(terms ...string) {
	for i, t := range terms {
		p.line([]string{".TP", ".TQ"}[min(i, 1)])
		p.line(`\fB` + roffWords(t) + `\fR`)
	}
	p.fresh, p.item = true, true
}

// entry writes a term of a list and what it means.
func (p *manPage) entry(term, text string) {
	p.terms(term)
	p.paragraph()
	p.words(text)
	p.item = false
}

// prose writes the text of --help: paragraphs between empty lines, examples that are indented.
func (p *manPage) prose(text string) {
	for paragraph := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		var words, example []string
		for line := range strings.SplitSeq(paragraph, "\n") {
			if strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t") {
				example = append(example, line)
			} else {
				words = append(words, line)
			}
		}
		if words != nil {
			p.paragraph()
			p.words(strings.Join(words, " "))
		}
		if example != nil {
			p.verbatim(example)
		}
	}
}

// roffWords makes roff show text as it is: hyphens that can be copied, no escapes.
func roffWords(s string) string {
	return strings.NewReplacer(`\`, `\e`, "-", `\-`, "~", `\(ti`, "^", `\(ha`, "`", `\(ga`, "'", `\(aq`).Replace(s)
}

// String gives the page.
func (p *manPage) String() string { return p.text.String() }

// see ends a page with other pages.
func (p *manPage) see(pages ...string) {
	p.heading("SH", "SEE ALSO")
	for i, page := range pages {
		name, section, _ := strings.Cut(page, "(")
		end := ","
		if i == len(pages)-1 {
			end = ""
		}
		p.line(fmt.Sprintf(`.BR %s (%s%s`, roffWords(name), section, end))
	}
}
