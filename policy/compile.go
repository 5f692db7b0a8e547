package policy

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// Policy is a compiled policy: what Walk goes through. It does not change, and any number of sessions use it at once.
type Policy struct {
	vocabulary  *Vocabulary
	rules       []*rule
	views       map[string]ref.Val // "list.block#ip": the list as facts of one kind see it
	headerNames []string           // lower-case names of the fields that conditions read
	adds        []string           // names of the fields that rules may add
	conditions  []*Condition       // of the source, in its order
	lookups     []Lookup           // what conditions look up in lists and tables
	tables      map[string]pairTable
	env         *cel.Env

	observe     bool
	delayReject bool
	mildest     bool
	classes     bool // some final rule depends on the recipient
	classUpTo   int  // behind the last rule whose terms make recipients differ
	perRcpt     bool // some rule depends on the recipient
	tagsRcpt    bool // some tag or observed rule depends on the recipient
	shares      bool // some rule is enforced for a share of senders

	released *released
}

// released is what sessions have released that were decided by a policy's rules: its memory is for those to come.
type released struct{ evidences, walks, recipients sync.Pool }

// rule is one compiled rule.
type rule struct {
	name    string
	action  Action
	reply   Reply
	header  []headerTemplate
	atOnce  bool
	observe bool
	share   Share
	key     []FactID // with a share: the facts that say who the sender is

	greylist bool // action = "greylist": its condition is "when && greylist.wait"

	prepared
	whole   *ast.AST
	tree    *node
	atoms   []atom
	facts   []FactID
	scope   Scope
	anew    bool        // it reads a fact that every message has anew, and that is there before MAIL
	classBy []classTerm // for a final rule of recipient scope: what makes recipients differ
	risks   []string    // operators that can fail

	span span // from when it can decide and by when it is settled, by itself
}

type headerTemplate struct {
	name  string
	value template
}

// final reports whether a walk can end where the rule is true.
func (r *rule) final() bool { return r.action != Tag && !r.observe }

var (
	simpleName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	ruleName   = regexp.MustCompile(`^[a-z][a-z0-9_-]*$`)
	fieldName  = regexp.MustCompile(`^[!-9;-~]+$`) // RFC 5322 2.2
)

// compiler collects the problems of one source while it makes a policy of it.
type compiler struct {
	source   Source
	language *language
	policy   *Policy
	problems []Problem
	checked  map[string]*ast.AST // the conditions of rules by their path, definitions inlined
}

// Compile makes a policy of what policy.toml states. With any problem there is no policy; all problems are given, in no order.
func Compile(v *Vocabulary, source Source) (*Policy, []Problem) {
	c := compilerOf(v, source)
	return c.compiled(), c.problems
}

func compilerOf(v *Vocabulary, source Source) *compiler {
	return &compiler{source: source, checked: map[string]*ast.AST{}, policy: &Policy{
		released:   new(released),
		vocabulary: v, observe: source.Observe, delayReject: source.DelayReject, mildest: source.Mildest, views: map[string]ref.Val{},
	}}
}

// compiled gives the policy, or nil where there are problems.
func (c *compiler) compiled() *Policy {
	language, err := newLanguage(c.policy.vocabulary, c.lists(), c.pairsOf())
	if err != nil {
		c.problems = append(c.problems, Problem{Text: err.Error()})
		return nil
	}
	c.language = language
	c.policy.tables = language.pairs
	c.definitions()
	c.conditions()
	for i, r := range c.source.Rules {
		c.rule(i, r)
	}
	if len(c.problems) > 0 {
		return nil
	}
	c.policy.headerNames, c.policy.adds = language.headers, c.policy.headersOf()
	c.policy.env = language.env
	c.lateness()
	if len(c.problems) > 0 {
		return nil
	}
	return c.policy
}

func (c *compiler) report(path, format string, args ...any) {
	c.problems = append(c.problems, Problem{Path: path, Text: fmt.Sprintf(format, args...)})
}

func (c *compiler) reportAll(path, prefix string, wrong []mistake) {
	for _, m := range wrong {
		c.problems = append(c.problems, Problem{Path: path, Line: m.line, Col: m.col, Text: prefix + m.text})
	}
}

func (c *compiler) rule(i int, source RuleSource) {
	path := fmt.Sprintf("rule[%d]", i)
	r := &rule{name: source.Name, atOnce: source.AtOnce, observe: source.Observe, share: source.Share}
	before := len(c.problems)
	c.ruleName(path, i, source)
	c.ruleAction(path, r, source)
	c.condition(path+".when", r, source.When)
	if len(c.problems) == before && r.program != nil {
		r.span = c.policy.spanOf(r)
		if r.share > 0 {
			c.shared(path, r)
		}
		if r.greylist && r.span.settled > Rcpt {
			c.report(path+".when", "rule %q: a sender is greylisted at RCPT, and the condition needs facts of %s; leave those out", r.name, r.span.settled)
			return
		}
		c.policy.rules = append(c.policy.rules, r)
		if r.classBy != nil {
			c.policy.classUpTo = len(c.policy.rules)
		}
	}
}

func (c *compiler) ruleName(path string, i int, source RuleSource) {
	if source.Name == "" {
		c.report(path, "the rule has no name; logs and decisions need one: name = \"...\"")
		return
	}
	if !ruleName.MatchString(source.Name) {
		c.report(path+".name", "%q is no name for a rule; use lower-case letters, digits, _ and -", source.Name)
	}
	for _, other := range c.source.Rules[:i] {
		if other.Name == source.Name {
			c.report(path+".name", "rule %q stands twice; give each rule a name of its own", source.Name)
			return
		}
	}
}

func (c *compiler) ruleAction(path string, r *rule, source RuleSource) {
	say := func(key, format string, args ...any) {
		c.report(path+key, fmt.Sprintf("rule %q: ", source.Name)+format, args...)
	}
	words := map[string]Action{"reply": Answer, "accept": Accept, "discard": Discard, "quarantine": Quarantine, "tag": Tag, "greylist": Answer}
	action, known := words[source.Action]
	switch {
	case source.Action == "" && source.Reply != "":
		action = Answer
	case source.Action == "":
		say("", "it does nothing; give it a reply = \"550 5.7.1 ...\" or an action (accept, tag, greylist, discard, quarantine)")
		return
	case !known:
		hint := ""
		if near := nearest(source.Action, slices.Collect(maps.Keys(words))); near != "" {
			hint = fmt.Sprintf(" (did you mean %q?)", near)
		}
		say(".action", "unknown action %q%s; there are reply, accept, tag, greylist, discard and quarantine", source.Action, hint)
		return
	}
	r.action = action
	if source.Action == greylistWord {
		source.Reply = c.greylist(r, source, say)
	}
	switch {
	case action == Answer && source.Reply == "":
		say(".action", "action \"reply\" needs a reply = \"550 5.7.1 ...\"")
	case action != Answer && source.Reply != "":
		say(".reply", "a reply goes with no action but \"reply\"; remove one of the two")
	case action == Tag && len(source.Header) == 0:
		say(".action", "action \"tag\" needs the header to add: header = { \"X-Spam-Flag\" = \"YES\" }")
	case action != Tag && len(source.Header) > 0:
		say(".header", "header goes with action \"tag\" only")
	case (action != Answer || r.greylist) && source.AtOnce:
		say(".at_once", "at_once goes with a reply only; %s takes effect at the end of the message", action)
	}
	if source.Reply != "" {
		reply, err := ParseReply(source.Reply)
		if err != nil {
			say(".reply", "%v", err)
		}
		c.placeholders(".reply", reply.text, say)
		r.reply = reply
	}
	for _, h := range source.Header {
		c.header(r, h, say)
	}
}

// reserved are the fields that only Gatepost itself, the MTA or the author writes: incoming copies of what a rule adds are removed.
var reserved = []string{"authentication-results", "gatepost-id", "x-gatepost-would", "received", "received-spf", "from", "sender", "to", "cc", "bcc",
	"date", "message-id", "return-path", "dkim-signature", "content-type", "content-transfer-encoding", "mime-version", "subject",
	"reply-to", "in-reply-to", "references", "delivered-to", "arc-seal", "arc-message-signature", "arc-authentication-results"}

func (c *compiler) header(r *rule, h HeaderText, say func(key, format string, args ...any)) {
	key := ".header." + h.Name
	lower := strings.ToLower(h.Name)
	switch {
	case !fieldName.MatchString(h.Name) || len(h.Name) > 76:
		say(key, "%q is no name for a header field; use letters, digits and -", h.Name)
	case slices.Contains(reserved, lower) || strings.HasPrefix(lower, "resent-") || strings.HasPrefix(lower, "list-"):
		say(key, "the field %s is not a rule's to write; choose one such as X-Spam-Flag", h.Name)
	case strings.ContainsFunc(h.Value, func(r rune) bool { return r < ' ' || r > '~' }) || len(h.Value) > 500:
		say(key, "the value of %s must be one line of plain ASCII of at most 500 bytes", h.Name)
	}
	value, err := parseTemplate(h.Value)
	if err != nil {
		say(key, "%v", err)
	}
	c.placeholders(key, value, say)
	r.header = append(r.header, headerTemplate{h.Name, value})
}

// placeholders refuses those that are no facts. Those that come too late are found when all rules are there.
func (c *compiler) placeholders(key string, t template, say func(key, format string, args ...any)) {
	for _, part := range t.parts {
		_, known := c.policy.vocabulary.Fact(part.fact)
		switch {
		case part.fact == "" || part.fact == "id" || known:
		case c.language.defined(part.fact) || strings.HasPrefix(part.fact, "list."):
			say(key, "placeholder {%s}: only facts and {id} can be filled in", part.fact)
		default:
			say(key, "placeholder {%s}: %s", part.fact, c.language.notAName(part.fact))
		}
	}
}

// condition compiles the when of a rule.
func (c *compiler) condition(path string, r *rule, text string) {
	if strings.TrimSpace(text) == "" {
		c.report(strings.TrimSuffix(path, ".when"), "rule %q has no condition; write when = '...', or when = 'true' for always", r.name)
		return
	}
	prefix := fmt.Sprintf("rule %q: ", r.name)
	whole, typ, wrong := c.language.compile(text)
	if r.greylist && whole != nil && typ.IsExactType(cel.BoolType) {
		whole, typ, wrong = c.language.compile("(" + text + "\n) && " + greylistFact)
	}
	if whole != nil && !typ.IsExactType(cel.BoolType) {
		whole, wrong = nil, []mistake{{1, 1, fmt.Sprintf("the condition is no condition but %s; compare it with something", article(typ.String()))}}
	}
	if whole == nil {
		c.reportAll(path, prefix, wrong)
		return
	}
	c.checked[path], r.whole = whole, whole
	r.tree, r.atoms = c.policy.vocabulary.booleanTree(whole)
	r.facts = c.policy.vocabulary.factsIn(whole.Expr())
	r.risks = fallible(whole)
	for _, id := range r.facts {
		r.scope = max(r.scope, c.policy.scopeOf(id))
		r.anew = r.anew || c.policy.scopeOf(id) >= OfMessage && c.policy.stageOf(id) < Mail
	}
	c.policy.perRcpt = c.policy.perRcpt || r.scope == OfRecipient
	c.policy.tagsRcpt = c.policy.tagsRcpt || r.scope == OfRecipient && (!r.final() || r.share > 0)
	ready, err := c.plan(whole)
	if err != nil {
		c.report(path, "%s%v", prefix, err)
		return
	}
	r.prepared = ready
	if r.scope == OfRecipient && r.final() {
		c.policy.classes = true
		c.classTerms(path, r, whole)
	}
}

// plan makes a checked condition ready to be asked.
func (c *compiler) plan(whole *ast.AST) (prepared, error) {
	program, err := c.program(whole)
	if err != nil {
		return prepared{}, err
	}
	return prepared{program, c.quick(whole.Expr())}, nil
}

// program makes a checked expression ready to run. Each list behind "in" becomes the view that the fact before it needs. No limit of cost
// is set, for it would make a condition three times as dear: the functions are such that the work of a condition grows with the square
// of its lists at most (maxNesting).
func (c *compiler) program(whole *ast.AST) (cel.Program, error) {
	walkExpr(whole.Expr(), nil, func(e ast.Expr, _ []string) bool {
		if e.Kind() == ast.CallKind && e.AsCall().FunctionName() == pairName {
			c.pairLookup(e.AsCall())
		}
		if e.Kind() != ast.CallKind || e.AsCall().FunctionName() != operators.In {
			return true
		}
		name, isList := c.language.listNamed(e.AsCall().Args()[1])
		fact, isFact := c.language.factOf(e.AsCall().Args()[0])
		if !isList || !isFact {
			return true
		}
		view := viewOf(name, fact.Kind)
		c.policy.views[view] = listView{c.language.lists[name], fact.Kind}
		c.policy.looksUp(Lookup{List: name, Kind: fact.Kind, Fact: fact.Name})
		whole.SetReference(e.AsCall().Args()[1].ID(), ast.NewIdentReference(view, nil))
		return true
	})
	program, err := c.language.env.PlanProgram(whole, cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		return nil, fmt.Errorf("the condition cannot be run: %w", err)
	}
	return program, nil
}

// scopeOf gives the scope of a fact, also of header("...").
func (p *Policy) scopeOf(id FactID) Scope {
	if id == headerFact {
		return OfMessage
	}
	return p.vocabulary.facts[id].Scope
}

// stageOf gives the first stage of a fact, also of header("...").
func (p *Policy) stageOf(id FactID) Stage {
	if id == headerFact {
		return Data
	}
	return p.vocabulary.facts[id].Stage
}

// toTruth is what a program's value means for the walk.
func toTruth(value any) (truth, *types.Unknown) {
	switch v := value.(type) {
	case types.Bool:
		if v {
			return yes, nil
		}
		return no, nil
	case *types.Unknown:
		return unknown, v
	}
	return no, nil
}
