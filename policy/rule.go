package policy

// Action is what a rule does when its condition is true.
type Action uint8

// The actions. Tag is the only one that is not final: the walk goes on behind it.
const (
	None       Action = iota // no rule matched; the message is taken
	Accept                   // end the rules; the message goes on to its end and is taken
	Answer                   // speak a 4xx or 5xx reply
	Discard                  // take the message and drop it
	Quarantine               // take the message into the MTA's hold queue
	Tag                      // add header fields and go on
)

var actionNames = [...]string{"none", "accept", "reply", "discard", "quarantine", "tag"}

// String gives the action's word as policy.toml writes it.
func (a Action) String() string { return actionNames[a] }

// Source is a policy as policy.toml states it, read but not compiled: names, texts and switches.
type Source struct {
	Observe     bool         // mode = "observe": decide and record, refuse nothing
	DelayReject bool         // server.delay_reject: refusals are spoken at RCPT at the earliest
	Mildest     bool         // recipients.mixed = "mildest": never put off a recipient of another class
	Define      []Definition // [define], in the file's order
	Lists       []NamedList  // [list]
	Pairs       []NamedPairs // [pairs]
	Rules       []RuleSource // [[rule]], in the file's order

	Networks   func() Networks   // makes an empty table for the networks of a list; needed where there is a list
	Conditions []ConditionSource // those that are no rule's, such as limits have
}

// Definition is a named condition or number that rules and later definitions can use.
type Definition struct {
	Name string
	Expr string
}

// NamedList is a list that conditions name as list.NAME.
type NamedList struct {
	Name    string
	Entries []string // those with "file:" are left to whom More comes from
	More    []string // of files
}

// RuleSource is one [[rule]] as written.
type RuleSource struct {
	Name    string
	When    string       // the condition; "" is a mistake
	Action  string       // the word, "" where a reply says it
	Reply   string       // "554 5.7.1 text with {placeholders}"
	Header  []HeaderText // for tag; the values may have placeholders
	AtOnce  bool
	Observe bool
	Share   Share // the rule is enforced for this share of senders and observed for the rest; 0 for all
}

// HeaderText is a header field that a rule adds.
type HeaderText struct {
	Name, Value string
}

// Problem is one mistake in a Source. Where the mistake is inside a condition, Line and Col (both from 1, Col in characters)
// say at which place of its text; else they are 0.
type Problem struct {
	Path string // the key: "rule[2].when", "define.suspicion", "list.block[0]", "rule[2].header.X-Spam-Flag"
	Line int
	Col  int
	Text string // what is wrong and what to do, without the place
}
