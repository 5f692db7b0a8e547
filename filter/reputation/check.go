package reputation

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"gatepost.example/filter/check"
	"gatepost.example/filter/state"
	"gatepost.example/policy"
)

// Memory is what the checks read.
type Memory struct {
	Store  state.Store
	Rules  Rules
	Settle time.Duration // until the memory is settled
}

// The facts that are a band.
var (
	ofClient = check.NewChoice("client.reputation", Words()...)
	ofAuthor = check.NewChoice("author.reputation", Words()...)
	ofSigner = check.NewChoice("signer.reputation", Words()...)
)

// client is the check of the client's address.
type client struct{ m Memory }

// NewClient gives the check "reputation".
func NewClient(m Memory) check.Check { return client{m} }

// Name implements check.Check.
func (client) Name() string { return "reputation" }

// Starts implements check.Check.
func (client) Starts() policy.Stage { return policy.Connect }

// Facts implements check.Check.
func (client) Facts() []policy.Fact {
	return []policy.Fact{
		{Name: "client.reputation", Words: ofClient.Words(), Trouble: policy.StringOf(New), Text: "the record of the client's address here, and of its network: good, neutral, new, poor, bad"},
		{Name: "client.reputation_score", Type: policy.Double, Trouble: policy.DoubleOf(0.5), Text: "the share of wanted mail to expect from the client, 0 to 1"},
		{Name: "client.unknown_share", Type: policy.Double, Trouble: policy.DoubleOf(0), Text: "the share of the client's recipients that do not exist, 0 to 1"},
		{Name: "memory.settled", Type: policy.Bool, Trouble: policy.BoolOf(false), Text: "this memory is older than reputation.settle, so that new means something"},
	}
}

// AppendRecalls implements check.Recaller.
func (client) AppendRecalls(steps []state.Step, in *check.Input) []state.Step {
	if in.ClientIP == "" {
		return steps
	}
	return append(steps, Look(TableIP, in.ClientIP), Look(TableNetwork, in.ClientNetwork), Look(TableAsked, in.ClientIP))
}

// Start implements check.Check.
func (c client) Start(in *check.Input) func(context.Context) check.Outcome {
	ip, now, memory, recalled := in.ClientIP, in.Now, in.Memory, in.Recalled
	var steps []state.Step
	if recalled == nil {
		steps = c.AppendRecalls(nil, in)
	}
	return func(ctx context.Context) check.Outcome {
		o, share := Opinion{Band: New, Score: 0.5}, 0.0
		var findings []check.Finding
		results := recalled
		if len(steps) > 0 {
			results = memory.Do(ctx, now, steps, nil)
		}
		if len(results) > 0 {
			own, wide := c.m.aged(results[0]), c.m.aged(results[1])
			o, share = Judge(own, wide), unknownShare(results[2].Cell)
			findings = []check.Finding{o.finding(ip, own)}
		}
		return check.Outcome{Findings: findings, Facts: []check.Named{
			ofClient.Of(o.Band), {Name: "client.reputation_score", Value: policy.DoubleOf(o.Score)},
			{Name: "client.unknown_share", Value: policy.DoubleOf(share)},
			{Name: "memory.settled", Value: policy.BoolOf(now.Sub(c.m.Store.Born()) >= c.m.Settle)},
		}}
	}
}

// aged gives a cell as it is worth now.
func (m Memory) aged(r state.Result) state.Cell {
	return r.Cell.Decayed(m.Rules.HalfLife, r.At)
}

func unknownShare(c state.Cell) float64 {
	if c.A+c.B == 0 {
		return 0
	}
	return c.B / (c.A + c.B)
}

func (o Opinion) finding(of string, own state.Cell) check.Finding {
	detail := appendFixed(make([]byte, 0, 100), o.Low, 2)
	detail = appendFixed(append(detail, " to "...), o.High, 2)
	detail = appendFixed(append(detail, " of its mail is wanted, by evidence of "...), own.A, 1)
	detail = appendFixed(append(detail, " for and "...), own.B, 1)
	return check.Finding{Result: o.Band, Domain: of, Detail: string(append(detail, " against"...))}
}

// appendFixed writes a number with so many digits behind the point.
func appendFixed(to []byte, f float64, digits int) []byte {
	return strconv.AppendFloat(to, f, 'f', digits, 64)
}

// domains is the check of author and signers.
type domains struct {
	m     Memory
	rooms *sync.Pool // *judging
}

// judging is memory for one reading.
type judging struct {
	steps   []state.Step
	results []state.Result
}

// NewDomains gives the check "reputation-domains". It reads what the checks "spf", "dkim" and "dmarc" found.
func NewDomains(m Memory) check.Check {
	return domains{m, &sync.Pool{New: func() any { return new(judging) }}}
}

// Name implements check.Check.
func (domains) Name() string { return "reputation-domains" }

// Starts implements check.Check.
func (domains) Starts() policy.Stage { return policy.Data }

// Facts implements check.Check.
func (domains) Facts() []policy.Fact {
	facts := []policy.Fact{
		{Name: "author.reputation", Words: ofAuthor.Words(), Trouble: policy.StringOf(New), Text: "the record of the author domain here; new unless this message is authenticated as it"},
		{Name: "author.known", Type: policy.Bool, Trouble: policy.BoolOf(false), Text: "the author domain has sent authenticated mail here before"},
		{Name: "signer.reputation", Words: ofSigner.Words(), Trouble: policy.StringOf(New), Text: "the best record among the domains as which this message is authenticated"},
	}
	for i := range facts {
		facts[i].Stage, facts[i].Scope = policy.Data, policy.OfMessage
	}
	return facts
}

// Start implements check.Check.
func (d domains) Start(in *check.Input) func(context.Context) check.Outcome {
	author, now, findings := in.Author.Domain, in.Now, in.Findings
	return func(ctx context.Context) check.Outcome {
		names := Authenticated(findings(ctx, "spf"), findings(ctx, "dkim"))
		isAuthor := author != "" && anyPasses(findings(ctx, "dmarc")) || slices.Contains(names, author)
		if isAuthor && !slices.Contains(names, author) {
			names = append([]string{author}, names...)
		}
		return d.judge(ctx, now, author, isAuthor, names)
	}
}

func anyPasses(findings []check.Finding) bool {
	for i := range findings {
		if findings[i].Result == "pass" {
			return true
		}
	}
	return false
}

// maxDomains bounds the domains of one message that are judged.
const maxDomains = 6

// usualDomains is as many as most messages are authenticated as, and the author's.
const usualDomains = 3

// Authenticated gives the domains as which a message is authenticated, each once: of MAIL FROM where SPF passes, of signatures that pass.
func Authenticated(spf, dkim []check.Finding) []string {
	var out []string
	for _, findings := range [2][]check.Finding{spf, dkim} {
		for i := range findings {
			f := &findings[i]
			if f.Result == "pass" && f.Domain != "" && !slices.Contains(out, f.Domain) && len(out) < maxDomains {
				if out == nil {
					out = make([]string, 0, usualDomains)
				}
				out = append(out, f.Domain)
			}
		}
	}
	return out
}

func (d domains) judge(ctx context.Context, now time.Time, author string, isAuthor bool, names []string) check.Outcome {
	room := d.rooms.Get().(*judging)
	defer d.rooms.Put(room)
	steps := append(room.steps[:0], Look(TableKnown, author))
	for _, name := range names {
		steps = append(steps, Look(TableDomain, name))
		if wide := wider(name); wide != "" {
			steps = append(steps, Look(TableDomain, wide), Look(TableKnown, wide))
		}
	}
	results := d.m.Store.Do(ctx, now, steps, room.results[:0])
	clear(steps) // they name domains
	room.steps, room.results = steps, results
	band, best := New, New
	findings := make([]check.Finding, 0, len(names))
	isKnown, rest := results[0].Found, results[1:]
	for i, name := range names {
		own, wide := d.m.aged(rest[0]), state.Cell{}
		if rest = rest[1:]; wider(name) != "" {
			if rest[1].Found {
				wide = d.m.aged(rest[0])
			}
			rest = rest[2:]
		}
		o := Judge(own, wide)
		findings = append(findings, o.finding(name, own))
		if name == author && isAuthor {
			band = o.Band
		}
		if i == 0 || rank(o.Band) < rank(best) {
			best = o.Band
		}
	}
	return check.Outcome{Findings: findings, Facts: []check.Named{
		ofAuthor.Of(band), ofSigner.Of(best),
		{Name: "author.known", Value: policy.BoolOf(author != "" && isKnown)},
	}}
}

// rank orders bands, best first.
func rank(band string) int { return slices.Index(bands, band) }
