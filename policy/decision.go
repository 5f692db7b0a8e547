package policy

import "fmt"

// Decision is what the rules say about the evidence. The zero Decision is "no rule matched": the message is taken.
type Decision struct {
	Action  Action
	Rule    string // the rule that decided, "" when none did
	Reply   Reply  // for Answer
	Decided Stage  // where nothing that could still happen would have changed it
	Spoken  Stage  // where it is spoken: the earliest place
	Share   Share  // of the rule that decided: the sender is among it; 0 where the rule is enforced for everybody
	index   int
}

// Refuses reports whether the decision answers with a 4xx or 5xx.
func (d Decision) Refuses() bool { return d.Action == Answer }

// What gives the decision as one word for logs: the reply code, or the action.
func (d Decision) What() string {
	if d.Action == Answer {
		return fmt.Sprint(d.Reply.Code)
	}
	return d.Action.String()
}

// severity orders decisions from the mildest to the harshest: a deferred or refused sender is told, a discarded one is not.
func (d Decision) severity() int {
	switch {
	case d.Action == Quarantine:
		return 1
	case d.Action == Answer && d.Reply.Temporary():
		return 2
	case d.Action == Answer:
		return 3
	case d.Action == Discard:
		return 4
	}
	return 0
}

// Would is what an observed rule, or a policy in observe mode, would have done.
type Would struct {
	Rule    string
	What    string // the reply code or the action
	Decided Stage
	Spoken  Stage
	Share   Share // of the rule; the sender is not among it. 0 where the rule is observed for everybody
}

// String gives it as logs and X-Gatepost-Would print it: "451 at rcpt by greylist", and "550 at data by spoofed, outside of its 10%" where
// the rule is enforced for others.
func (w Would) String() string {
	text := fmt.Sprintf("%s at %s by %s", w.What, w.Spoken, w.Rule)
	if w.Share > 0 {
		text += ", outside of its " + w.Share.String()
	}
	return text
}

// Field is a header field that a rule adds.
type Field struct {
	Name, Value string
	Rule        string
}
