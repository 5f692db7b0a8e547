// Package check is the contract between the filter and a check: what a check may read of a session, and what it gives back.
// It holds no logic but what makes outcomes cheap. A check (SPF, DKIM, a reverse name) establishes facts for rules and findings for people; it never decides.
//
// A new check is one folder that implements Check and one line in the registry of package filter.
package check

import (
	"context"
	"net/netip"
	"time"

	"gatepost.example/filter/message"
	"gatepost.example/filter/resolve"
	"gatepost.example/filter/state"
	"gatepost.example/policy"
)

// Check establishes facts. One value serves all sessions at once, so it keeps no state of a session.
type Check interface {
	// Name is the check's word in the registry, in findings, metrics and logs: "spf".
	Name() string
	// Facts declares what the check establishes. Every fact of a check is published from its Outcome.
	Facts() []policy.Fact
	// Starts is the stage at which Start has all it needs. For policy.Data that is the end of the header:
	// Header, Author and Body are there, the body is still to come.
	Starts() policy.Stage
	// Start runs on the session's goroutine, does no I/O, copies what it needs out of in, and gives the work to do.
	// The filter tries that work at once, where all that it asks for may be at hand, and drops its outcome when something is not; it then
	// runs it on a goroutine of its own, with a deadline. So work may run twice, and keeps nothing from one run to the next. A panic
	// becomes a finding. Work must return soon after ctx ends; what it then returns may be partial. Where Starts is policy.Data it runs
	// when the body has ended: what it is going to ask of DNS, Start announces by resolve.Ahead.
	Start(in *Input) func(ctx context.Context) Outcome
}

// Recaller is a check that begins with the memory: the filter then reads for all checks of a stage in one go.
type Recaller interface {
	// AppendRecalls adds the steps of that reading: steps that change nothing.
	AppendRecalls(steps []state.Step, in *Input) []state.Step
}

// Memory carries out steps on what is remembered, as state.Store does.
type Memory interface {
	Do(ctx context.Context, now time.Time, steps []state.Step, out []state.Result) []state.Result
}

// Input is what the MTA has said so far. What a stage has not said yet is zero. Texts are the sender's own: hostile, not cleaned.
type Input struct {
	Now      time.Time        // taken once a message; signature expiry and replay use it
	Receiver string           // our authserv-id, also SPF's %{r}
	Resolver resolve.Resolver // asks DNS
	Memory   Memory           // what is remembered
	Recalled []state.Result   // of the steps that AppendRecalls of the check added; nil where they are still to be done

	Client         netip.Addr // never a v4-mapped address; zero for a client without one
	ClientIP       string     // that address as text, "" without one
	ClientNetwork  string     // the network around it, as client.network
	ClientName     string     // the name the MTA verified, "" when it could not
	Helo           string     // the argument of HELO or EHLO
	Sender         string     // MAIL FROM without brackets; "" for the null sender
	SenderResolved string     // MAIL FROM as the MTA understood it: the address that the message will bear
	User           string     // the login of the user who sends, "" without one
	SenderDomain   string     // its domain in lower case A-labels, "" for the null sender or no domain

	Header *message.Header     // the header's fields, byte-exact
	Author message.Author      // what the From field says
	Body   *message.BodyHasher // hashes of the body to come

	// Findings waits until the named check, which stands earlier in the registry, has ended for this message, and gives what it
	// found; nil when ctx ends first or the check does not run. Only the work that Start returns may call it.
	Findings func(ctx context.Context, name string) []Finding
}

// Outcome is what one run of a check gives back.
type Outcome struct {
	Facts    []Named   // a value for each fact the check declares; one left out gets its Trouble value
	Findings []Finding // one for each thing judged: an identity, a signature
}

// Named is a fact's name and value.
type Named struct {
	Name  string
	Value policy.Value
}

// Finding is what one check saw: the evidence behind its facts, and one line of Authentication-Results where Method is set.
type Finding struct {
	Check    string            // the check's name; the filter fills it in
	Method   string            // RFC 8601 method ("spf", "dkim", "dmarc", "iprev"), "" when it is no part of Authentication-Results
	Result   string            // the result word, one of the method's registered ones: "pass", "temperror"
	Code     string            // why, as a short word from a closed list of the check: "body-changed", "no-key", "timeout"; "" when there is nothing to add
	Identity string            // SPF: "mailfrom" or "helo"; else ""
	Domain   string            // the domain judged, in lower case A-labels: SPF's domain, DKIM's d=, the author domain
	KeyFound bool              // DKIM: a key record for the signature exists, so that its domain did publish one
	Props    []Property        // of Authentication-Results, in the order to print; values raw, the writer quotes and cleans them
	Detail   string            // for log and explain; may quote the sender, never goes into a reply or header
	Lookups  []*resolve.Answer // the questions it cost, in the order asked
	Took     time.Duration     // from start to end; the filter fills it in
}

// Property is one ptype.property=value of an Authentication-Results field (RFC 8601 2.2): {"smtp", "mailfrom", "example.org"}.
type Property struct {
	Type, Name, Value string
}

// Codes that the filter itself gives a finding whose check was cut off or panicked; the result is then "temperror".
const (
	CodeTimeout = "timeout"
	CodePanic   = "panic"
)
