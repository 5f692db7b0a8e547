package play

import (
	"slices"
	"strings"

	"gatepost.example/policy"
)

// Difference is one thing that came otherwise than a case wants it.
type Difference struct {
	Line   int    // of the file; 0 for what no line names
	Wanted string // the line, or "nothing more"
	Got    string
}

// Check compares what came of a case with what it wants. It gives the differences, none when all is as wanted.
//
// A line that begins with a stage stands for an event; all events must be named, in their order. "header NAME: VALUE" asks for a field of
// the last message that passed and "no header NAME" or "no header NAME: VALUE" for none; "fact NAME = VALUE" asks for a fact of the last decision. In values * stands
// for any text, and blanks and folds count as one blank.
func (r *Result) Check(c *Case) []Difference {
	var wrong []Difference
	next := 0
	for _, w := range c.Want {
		first, rest, _ := strings.Cut(w.Text, " ")
		got := ""
		switch _, isStage := policy.ParseStage(first); {
		case isStage:
			got = r.checkEvent(next, w.Text)
			next++
		case first == "header":
			got = r.checkHeader(rest)
		case strings.HasPrefix(w.Text, "no header "):
			got = r.checkNoHeader(strings.TrimPrefix(w.Text, "no header "))
		case first == "fact":
			got = r.checkFact(rest)
		default:
			got = "no such line: one begins with a stage, header, no header or fact"
		}
		if got != "" {
			wrong = append(wrong, Difference{c.wantLine + w.Line - 1, w.Text, got})
		}
	}
	for ; next < len(r.Events); next++ {
		wrong = append(wrong, Difference{0, "nothing more", r.Events[next].String()})
	}
	return wrong
}

// wantedEvent is a line "STAGE [REPLY-PREFIX] [rule NAME] [decided STAGE]".
type wantedEvent struct {
	stage, outcome, rule, decided string
	hasRule, hasDecided           bool
}

func parseEvent(line string) wantedEvent {
	w := wantedEvent{}
	line, w.decided, w.hasDecided = strings.Cut(line, " decided ")
	line, w.rule, w.hasRule = strings.Cut(line, " rule ")
	w.stage, w.outcome, _ = strings.Cut(line, " ")
	return w
}

// checkEvent compares a line with the event in its place; it gives what came where they differ.
func (r *Result) checkEvent(i int, want string) string {
	if i >= len(r.Events) {
		return "nothing more"
	}
	e, w := r.Events[i], parseEvent(want)
	switch {
	case w.stage != e.Stage.String(), !strings.HasPrefix(e.Outcome, w.outcome),
		w.hasRule && w.rule != e.Rule, w.hasDecided && (e.Rule == "" || w.decided != e.Decided.String()):
		return e.String()
	}
	return ""
}

func (r *Result) lastHeader() ([]policy.Field, bool) {
	for i := len(r.Events) - 1; i >= 0; i-- {
		if r.Events[i].Header != nil {
			return r.Events[i].Header, true
		}
	}
	return nil, false
}

// fieldsNamed gives the values of a field of the last message that passed, in their flat form.
func (r *Result) fieldsNamed(name string) []string {
	fields, _ := r.lastHeader()
	var out []string
	for _, f := range fields {
		if strings.EqualFold(f.Name, strings.TrimSpace(name)) {
			out = append(out, flat(f.Value))
		}
	}
	return out
}

func (r *Result) checkHeader(want string) string {
	if _, ok := r.lastHeader(); !ok {
		return "no message passed"
	}
	name, value, _ := strings.Cut(want, ":")
	got := r.fieldsNamed(name)
	if slices.ContainsFunc(got, func(v string) bool { return matches(value, v) }) {
		return ""
	}
	if got == nil {
		return "no header " + strings.TrimSpace(name)
	}
	return "header " + strings.TrimSpace(name) + ": " + strings.Join(got, " | ")
}

// checkNoHeader understands "NAME", for no such field at all, and "NAME: VALUE", for none with such a value.
func (r *Result) checkNoHeader(unwanted string) string {
	name, value, valued := strings.Cut(unwanted, ":")
	got := r.fieldsNamed(name)
	if valued {
		got = slices.DeleteFunc(got, func(v string) bool { return !matches(value, v) })
	}
	if len(got) > 0 {
		return "header " + strings.TrimSpace(name) + ": " + strings.Join(got, " | ")
	}
	return ""
}

func (r *Result) checkFact(want string) string {
	if len(r.Records) == 0 {
		return "nothing was decided"
	}
	name, value, _ := strings.Cut(want, "=")
	name = strings.TrimSpace(name)
	got, known := r.Records[len(r.Records)-1].Facts[name]
	switch {
	case !known && strings.TrimSpace(value) == "unknown":
		return ""
	case !known:
		return "fact " + name + " = unknown"
	case !matches(value, got):
		return "fact " + name + " = " + got
	}
	return ""
}

// flat brings a value into one line with single blanks.
func flat(value string) string { return strings.Join(strings.Fields(value), " ") }

// matches compares texts in their flat form; * in the wanted one stands for any text.
func matches(want, got string) bool {
	parts := strings.Split(flat(want), "*")
	got = flat(got)
	if len(parts) == 1 {
		return parts[0] == got
	}
	got, ok := strings.CutPrefix(got, parts[0])
	if !ok {
		return false
	}
	for _, part := range parts[1 : len(parts)-1] {
		_, rest, found := strings.Cut(got, strings.TrimSpace(part))
		if !found {
			return false
		}
		got = rest
	}
	return strings.HasSuffix(got, strings.TrimSpace(parts[len(parts)-1]))
}
