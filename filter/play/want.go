package play

import (
	"fmt"
	"strings"

	"gatepost.example/policy"
)

// Check compares what came of a case with what it wants. It gives one line for each difference, none when all is as wanted.
//
// A line that begins with a stage stands for an event; all events must be named, in their order. "header NAME: VALUE" asks for a field of
// the last message that passed and "no header NAME" for none; "fact NAME = VALUE" asks for a fact of the last decision. In values * stands
// for any text, and blanks and folds count as one blank.
func (r *Result) Check(c *Case) []string {
	var wrong []string
	next := 0
	for _, w := range c.Want {
		first, rest, _ := strings.Cut(w.Text, " ")
		problem := ""
		switch _, isStage := policy.ParseStage(first); {
		case isStage:
			problem = r.checkEvent(next, w.Text)
			next++
		case first == "header":
			problem = r.checkHeader(rest)
		case strings.HasPrefix(w.Text, "no header "):
			problem = r.checkNoHeader(strings.TrimPrefix(w.Text, "no header "))
		case first == "fact":
			problem = r.checkFact(rest)
		default:
			problem = "a line begins with a stage, header, no header or fact"
		}
		if problem != "" {
			wrong = append(wrong, fmt.Sprintf("%s: want:%d: %s: %s", c.Name, w.Line, w.Text, problem))
		}
	}
	for ; next < len(r.Events); next++ {
		wrong = append(wrong, fmt.Sprintf("%s: not wanted: %s", c.Name, r.Events[next]))
	}
	return wrong
}

// checkEvent compares "STAGE [REPLY-PREFIX] [rule NAME] [decided STAGE]" with the event in its place.
func (r *Result) checkEvent(i int, want string) string {
	if i >= len(r.Events) {
		return "nothing more happened"
	}
	e := r.Events[i]
	want, decided, hasDecided := strings.Cut(want, " decided ")
	want, rule, hasRule := strings.Cut(want, " rule ")
	stage, prefix, _ := strings.Cut(want, " ")
	switch {
	case stage != e.Stage.String(), !strings.HasPrefix(e.Outcome, prefix),
		hasRule && rule != e.Rule, hasDecided && (e.Rule == "" || decided != e.Decided.String()):
		return "got " + e.String()
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

func (r *Result) checkHeader(want string) string {
	fields, ok := r.lastHeader()
	if !ok {
		return "no message passed"
	}
	name, value, _ := strings.Cut(want, ":")
	var got []string
	for _, f := range fields {
		if !strings.EqualFold(f.Name, name) {
			continue
		}
		if matches(value, f.Value) {
			return ""
		}
		got = append(got, flat(f.Value))
	}
	if got == nil {
		return "there is no such field"
	}
	return "got " + strings.Join(got, " | ")
}

func (r *Result) checkNoHeader(name string) string {
	fields, _ := r.lastHeader()
	for _, f := range fields {
		if strings.EqualFold(f.Name, strings.TrimSpace(name)) {
			return "got " + flat(f.Value)
		}
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
		return "the fact is unknown"
	case !matches(value, got):
		return "got " + got
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
