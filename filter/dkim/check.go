package dkim

import (
	"context"
	"crypto"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"gatepost.example/filter/check"
	"gatepost.example/filter/message"
	"gatepost.example/filter/resolve"
	"gatepost.example/policy"
)

// New gives the check "dkim": every signature of a message, judged when its body has ended.
func New() check.Check { return dkim{&sync.Pool{New: func() any { return newSigned() }}} }

type dkim struct {
	signed *sync.Pool // of *Signed, for as long as one header is hashed
}

// ranking orders results for dkim.result, the best first: a signature that verifies, then one that may verify later, then those that
// verify but do not count, then broken ones.
var ranking = []Result{Pass, TempError, Policy, Neutral, Fail, PermError, None}

var results = check.NewChoice("dkim.result", "none", "pass", "fail", "policy", "neutral", "temperror", "permerror")

// Name implements check.Check.
func (dkim) Name() string { return "dkim" }

// Starts implements check.Check.
func (dkim) Starts() policy.Stage { return policy.Data }

// Facts implements check.Check.
func (dkim) Facts() []policy.Fact {
	return []policy.Fact{
		{Name: "dkim.result", Stage: policy.Data, Scope: policy.OfMessage, Trouble: policy.StringOf(string(TempError)),
			Words: results.Words(), Text: "the best result among the DKIM signatures"},
		{Name: "dkim.domains", Type: policy.Strings, Stage: policy.Data, Scope: policy.OfMessage, Trouble: policy.StringsOf(nil),
			Text: "domains (d=) whose DKIM signature passes"},
	}
}

// attempt is one signature under way.
type attempt struct {
	Signature
	problem *Problem
	keyName string
	sum     *message.BodySum
	hash    []byte

	key     *Key // what the work of a run found
	wrong   *Problem
	lookups []*resolve.Answer
}

// Start implements check.Check: it asks for the body hashes and hashes the header; keys are fetched and signatures verified later.
func (d dkim) Start(in *check.Input) func(context.Context) check.Outcome {
	attempts := d.begin(in)
	for i := range attempts {
		if a := &attempts[i]; a.problem == nil {
			a.keyName = a.KeyName()
			resolve.Ahead(in.Resolver, a.keyName, resolve.TXT)
		}
	}
	now, resolver, done, cut := in.Now, in.Resolver, in.Body.Done(), in.Header.Truncated()
	return func(ctx context.Context) check.Outcome {
		fetch(ctx, resolver, attempts)
		select {
		case <-done:
		case <-ctx.Done():
		}
		ended := true
		select {
		case <-done:
		default:
			ended = false
		}
		if len(attempts) == 0 {
			return unsigned(cut)
		}
		return conclude(attempts, now, ended)
	}
}

func (d dkim) begin(in *check.Input) []attempt {
	var attempts []attempt
	untried := 0
	var signed *Signed
	for i := range in.Header.Fields {
		f := &in.Header.Fields[i]
		if !strings.EqualFold(f.Bare(), "DKIM-Signature") {
			continue
		}
		if len(attempts) == MaxSignatures {
			untried++
			continue
		}
		attempts = append(attempts, attempt{})
		a := &attempts[len(attempts)-1]
		a.problem = a.parse(f.Value)
		if a.problem == nil && in.Header.Truncated() {
			a.problem = problem(CodeHeaderTooLarge, "the header has over %d bytes", message.MaxHeader)
		}
		if a.problem != nil {
			continue
		}
		if signed == nil {
			signed = d.signed.Get().(*Signed)
			signed.prepare(in.Header)
		}
		var ok bool
		if a.hash, ok = signed.Hash(a.Names, a.HeaderC, i); !ok {
			a.problem = problem(CodeHeaderTooLarge, "the signatures cover over %d bytes of header", MaxSigned)
			continue
		}
		a.sum = in.Body.Need(a.BodyC, crypto.SHA256, a.Length)
	}
	if signed != nil && signed.forget() {
		d.signed.Put(signed)
	}
	if untried > 0 { // one finding for all: a header may hold thousands
		why := problem(CodeTooMany, "%d more signatures: only %d are tried", untried, MaxSignatures)
		attempts = append(attempts, attempt{problem: why})
	}
	return attempts
}

// usualSignatures is as many as most messages have.
const usualSignatures = 4

// fetch asks for all keys at once.
func fetch(ctx context.Context, r resolve.Resolver, attempts []attempt) {
	var room [usualSignatures]string
	names := room[:0]
	for i := range attempts {
		if a := &attempts[i]; a.problem == nil {
			names = append(names, a.keyName)
		}
	}
	answers := resolve.All(ctx, r, names, resolve.TXT)
	for i := range attempts {
		a := &attempts[i]
		if a.problem != nil {
			continue
		}
		a.lookups, answers = answers[:1:1], answers[1:]
		if a.key, a.wrong = a.KeyFrom(a.lookups[0]); a.wrong == nil {
			a.wrong = a.judgeKey(a.key)
		}
	}
}

// unsigned is the outcome where no signature was seen. Of a header that was cut nobody knows what else it has.
func unsigned(cut bool) check.Outcome {
	f := check.Finding{Method: "dkim", Result: string(None)}
	if cut {
		f.Code, f.Detail = CodeHeaderTooLarge, fmt.Sprintf("the header has over %d bytes: what is beyond was not looked at", message.MaxHeader)
	}
	return outcome(None, nil, []check.Finding{f})
}

// conclude judges every signature; there is one at least.
func conclude(attempts []attempt, now time.Time, ended bool) check.Outcome {
	best, domains := None, []string(nil)
	findings := make([]check.Finding, len(attempts))
	for i := range attempts {
		a := &attempts[i]
		result, why := a.judge(now, ended)
		findings[i] = a.finding(result, why, headerB(attempts, i))
		if result == Pass && !slices.Contains(domains, a.Domain) {
			domains = append(domains, a.Domain)
		}
		if slices.Index(ranking, result) < slices.Index(ranking, best) {
			best = result
		}
	}
	return outcome(best, domains, findings)
}

func outcome(best Result, domains []string, findings []check.Finding) check.Outcome {
	return check.Outcome{Findings: findings, Facts: []check.Named{
		results.Of(string(best)),
		{Name: "dkim.domains", Value: domainsOf(domains)},
	}}
}

func domainsOf(domains []string) policy.Value {
	if len(domains) == 0 {
		return noDomains
	}
	return policy.StringsOf(domains)
}

var noDomains = policy.StringsOf(nil)

func (a *attempt) judge(now time.Time, ended bool) (Result, *Problem) {
	switch {
	case a.problem != nil:
		return resultOf(a.problem), a.problem
	case a.wrong != nil:
		return resultOf(a.wrong), a.wrong
	case !ended:
		return TempError, problem(CodeTimeout, "the body did not end in time")
	}
	if why := a.timely(now); why != nil {
		return resultOf(why), why
	}
	if result, why := a.judgeBody(a.sum); result != Pass {
		return a.broken(result, why)
	}
	if !a.key.Verify(a.hash, a.Signature.Signature) {
		return a.broken(Fail, problem(CodeHeaderChanged, "the header was changed behind the signature, or another key signed"))
	}
	if a.sum.Beyond() { // RFC 6376 8.2: anybody may have added the rest
		return Policy, problem(CodeBeyondLength, "the body goes on behind l=%d", a.Length)
	}
	return Pass, nil
}

// broken gives the result of a signature that does not verify; of a domain that is only trying DKIM it is as if it were not there
// (RFC 6376 3.6.1).
func (a *attempt) broken(result Result, why *Problem) (Result, *Problem) {
	if a.key.Testing {
		return Neutral, problem(CodeTesting, "%s", why.Text)
	}
	return result, why
}

func (a *attempt) finding(result Result, why *Problem, b string) check.Finding {
	f := check.Finding{Method: "dkim", Result: string(result), Domain: a.Domain, KeyFound: a.key != nil, Lookups: a.lookups, Props: []check.Property{
		{Type: "header", Name: "d", Value: a.Domain}, {Type: "header", Name: "s", Value: a.Selector},
		{Type: "header", Name: "a", Value: a.Algorithm}, {Type: "header", Name: "b", Value: b},
	}}
	switch named := a.Selector != "" || a.Algorithm != ""; {
	case named && a.key != nil:
		f.Detail = "selector " + a.Selector + ", " + a.Algorithm + ", " + strconv.Itoa(a.key.Bits()) + " bits"
	case named:
		f.Detail = "selector " + a.Selector + ", " + a.Algorithm
	}
	if why != nil {
		f.Code = why.Code
		f.Detail = strings.TrimPrefix(f.Detail+": "+why.Text, ": ")
	}
	return f
}

// headerB gives the beginning of b=: 8 characters, more where two signatures share them (RFC 6008 4).
func headerB(attempts []attempt, i int) string {
	b := attempts[i].Base64
	n := 8
	for j := range attempts {
		other := &attempts[j]
		if j == i || other.Base64 == b {
			continue
		}
		shared := 0
		for shared < len(b) && shared < len(other.Base64) && b[shared] == other.Base64[shared] {
			shared++
		}
		n = max(n, shared+1)
	}
	return b[:min(n, len(b), 64)]
}
