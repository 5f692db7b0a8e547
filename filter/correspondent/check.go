package correspondent

import (
	"context"
	"strings"

	"gatepost.example/filter/check"
	"gatepost.example/filter/state"
	"gatepost.example/policy"
)

// correspondent is the check of the sender.
type correspondent struct {
	rules Rules
}

// New gives the check "correspondent". It reads what the check "spf" found.
func New(rules Rules) check.Check { return correspondent{rules} }

// Name implements check.Check.
func (correspondent) Name() string { return "correspondent" }

// Starts implements check.Check.
func (correspondent) Starts() policy.Stage { return policy.Mail }

// Facts implements check.Check.
func (correspondent) Facts() []policy.Fact {
	return []policy.Fact{{
		Name: "sender.correspondent", Type: policy.Bool, Stage: policy.Mail, Scope: policy.OfMessage, Trouble: policy.BoolOf(false),
		Text: "one of our users wrote to this sender, or to its domain where SPF passes and it is no freemail",
	}}
}

// AppendRecalls implements check.Recaller: the sender and its domain; nothing of the null sender.
func (c correspondent) AppendRecalls(steps []state.Step, in *check.Input) []state.Step {
	sender := strings.ToLower(in.Sender)
	if sender == "" {
		return steps
	}
	at := strings.LastIndexByte(sender, '@') + 1
	if in.SenderDomain != "" && sender[at:] != in.SenderDomain { // in A-labels, as that of the recipients that were learned
		sender = sender[:at] + in.SenderDomain
	}
	steps = append(steps, state.Step{Op: state.Read, Table: TableAddress, Key: sender})
	if domain := c.rules.domain(sender); domain != "" {
		steps = append(steps, state.Step{Op: state.Read, Table: TableDomain, Key: domain})
	}
	return steps
}

// Start implements check.Check.
func (c correspondent) Start(in *check.Input) func(context.Context) check.Outcome {
	now, findings, memory, recalled := in.Now, in.Findings, in.Memory, in.Recalled
	var steps []state.Step
	if recalled == nil {
		steps = c.AppendRecalls(nil, in)
	}
	return func(ctx context.Context) check.Outcome {
		results := recalled
		if len(steps) > 0 {
			results = memory.Do(ctx, now, steps, nil)
		}
		switch {
		case len(results) == 0:
			return outcome(false)
		case results[0].Found:
			return outcome(true)
		case len(results) < 2 || !results[1].Found:
			return outcome(false)
		}
		for _, f := range findings(ctx, "spf") {
			if f.Result == "pass" {
				return outcome(true)
			}
		}
		return outcome(false)
	}
}

var isOne = check.NewTruth("sender.correspondent")

func outcome(is bool) check.Outcome { return check.Outcome{Facts: isOne.Only(is)} }

// ours is a check whether a name is one of our domains.
type ours struct {
	name, fact, text string
	at               policy.Stage
	scope            policy.Scope
	own              *Own
	yes, no          func(context.Context) check.Outcome
}

func newOurs(o ours) check.Check {
	is := check.NewTruth(o.fact)
	o.yes, o.no = check.Always(is.Only(true)), check.Always(is.Only(false))
	return o
}

// NewOwnHelo gives the check "own-helo": the client greets with a name of ours.
func NewOwnHelo(own *Own) check.Check {
	return newOurs(ours{
		name: "own-helo", fact: "helo.ours", text: "the HELO name is one of our domains or below it, as learned from the recipients that the MTA takes",
		at: policy.Helo, scope: policy.OfConnection, own: own,
	})
}

// NewOwnAuthor gives the check "own-author": the author domain is ours.
func NewOwnAuthor(own *Own) check.Check {
	return newOurs(ours{
		name: "own-author", fact: "author.ours", text: "the author domain is one of ours, as learned from the recipients that the MTA takes",
		at: policy.Data, scope: policy.OfMessage, own: own,
	})
}

// Name implements check.Check.
func (o ours) Name() string { return o.name }

// Starts implements check.Check.
func (o ours) Starts() policy.Stage { return o.at }

// Facts implements check.Check.
func (o ours) Facts() []policy.Fact {
	return []policy.Fact{{Name: o.fact, Type: policy.Bool, Stage: o.at, Scope: o.scope, Trouble: policy.BoolOf(false), Text: o.text}}
}

// Start implements check.Check.
func (o ours) Start(in *check.Input) func(context.Context) check.Outcome {
	var is bool
	if o.at == policy.Helo {
		name := strings.ToLower(strings.TrimSuffix(in.Helo, "."))
		is = o.own.Has(name)
		for _, parent, found := strings.Cut(name, "."); found && !is; _, parent, found = strings.Cut(parent, ".") {
			is = o.own.Has(parent)
		}
	} else {
		is = in.Author.Domain != "" && o.own.Has(in.Author.Domain)
	}
	if is {
		return o.yes
	}
	return o.no
}
