package play

import (
	"bytes"
	"strings"

	"gatepost.example/policy"
)

// span is where a section's lines stand in the text of a file.
type span struct{ from, to int }

// wantSection finds the lines below "-- want --", as txtar does; without one both ends are those of the text.
func wantSection(text []byte) span {
	s := span{len(text), len(text)}
	found := false
	for at := 0; at < len(text); {
		line := text[at:]
		if n := bytes.IndexByte(line, '\n'); n >= 0 {
			line = line[:n+1]
		}
		trimmed := strings.TrimRight(string(line), " \t\r\n")
		name, opens := strings.CutPrefix(trimmed, "-- ")
		name, closes := strings.CutSuffix(name, " --")
		switch isMarker := opens && closes && strings.TrimSpace(name) != ""; {
		case isMarker && found:
			s.to = at
			return s
		case isMarker && strings.TrimSpace(name) == "want":
			found, s.from = true, at+len(line)
		}
		at += len(line)
	}
	return s
}

// Update gives the text of a case's file with its section want as it came: lines that hold stay as they are, and so do comments and blank
// lines; those that do not hold are written anew in their place, as closely as they asked; what happened beyond them follows behind the last
// line that names an event.
func (r *Result) Update(text []byte) []byte {
	at := wantSection(text)
	lines := strings.SplitAfter(string(text[at.from:at.to]), "\n")
	if last := len(lines) - 1; lines[last] == "" {
		lines = lines[:last]
	}
	end := "\n"
	if bytes.Contains(text, []byte("\r\n")) {
		end = "\r\n"
	}
	next, behind := 0, 0
	var out []string
	for _, line := range lines {
		trimmed := strings.TrimSpace(line)
		_, isEvent := policy.ParseStage(firstWord(trimmed))
		switch got := r.got(trimmed, next); {
		case trimmed == "" || trimmed[0] == '#' || got == trimmed:
			out = append(out, line)
		case got != "":
			out = append(out, got+end)
		}
		if isEvent {
			next, behind = next+1, len(out)
		}
	}
	var more []string
	for ; next < len(r.Events); next++ {
		more = append(more, r.Events[next].String()+end)
	}
	out = append(out[:behind:behind], append(more, out[behind:]...)...)
	return []byte(string(text[:at.from]) + strings.Join(out, "") + string(text[at.to:]))
}

// got gives the line that holds in the place of one: itself where it does, "" where nothing of its kind happened.
func (r *Result) got(line string, event int) string {
	first, rest, _ := strings.Cut(line, " ")
	_, isStage := policy.ParseStage(first)
	switch {
	case isStage && r.checkEvent(event, line) == "":
	case isStage && event < len(r.Events):
		return r.Events[event].like(parseEvent(line))
	case isStage:
		return ""
	case first == "header":
		name, _, _ := strings.Cut(rest, ":")
		if values := r.fieldsNamed(name); r.checkHeader(rest) != "" && values == nil {
			return "no header " + name
		} else if r.checkHeader(rest) != "" {
			return "header " + name + ": " + values[0]
		}
	case strings.HasPrefix(line, "no header "):
		name := strings.TrimSpace(strings.TrimPrefix(line, "no header "))
		if values := r.fieldsNamed(name); values != nil {
			return "header " + name + ": " + values[0]
		}
	case first == "fact" && r.checkFact(rest) != "":
		name, _, _ := strings.Cut(rest, "=")
		name = strings.TrimSpace(name)
		if len(r.Records) == 0 {
			return ""
		}
		if value, known := r.Records[len(r.Records)-1].Facts[name]; known {
			return "fact " + name + " = " + value
		}
		return "fact " + name + " = unknown"
	}
	return line
}

// like gives an event as a line that says as much as another does: a bare code stays one, and rule and stage stand where they stood.
func (e Event) like(w wantedEvent) string {
	outcome := e.Outcome
	if w.outcome == firstWord(w.outcome) {
		outcome = firstWord(outcome)
	}
	text := e.Stage.String()
	if outcome != "" {
		text += " " + outcome
	}
	if e.Rule != "" && w.hasRule {
		text += " rule " + e.Rule
	}
	if e.Rule != "" && w.hasDecided {
		text += " decided " + e.Decided.String()
	}
	return text
}

func firstWord(text string) string {
	word, _, _ := strings.Cut(text, " ")
	return word
}
