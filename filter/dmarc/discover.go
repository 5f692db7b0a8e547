package dmarc

import (
	"context"
	"strings"

	"gatepost.example/filter/resolve"
)

// label stands before a name at which a record is.
const label = "_dmarc."

// maxQueries bounds one tree walk (RFC 9989 4.10).
const maxQueries = 8

// MaxQuestions bounds the questions of a message with some signatures: a walk for each author, for SPF's domain and for that of
// each signature.
func MaxQuestions(signatures int) int { return maxQueries * (maxAuthors + 1 + signatures) }

// step is one name of a tree walk and the valid record there; nil where there is none.
type step struct {
	name   string
	record *Record
	bad    bool // there is a record, and it is no valid one
}

// walk is the outcome of one tree walk, the longest name first.
type walk struct {
	start   string
	steps   []step
	trouble *resolve.Answer // the question that got no answer: the walk ended there
	ended   string          // the name that it was about
}

// usualSteps is as many as most walks have.
const usualSteps = 3

// walker asks DNS, each name once.
type walker struct {
	ctx      context.Context
	resolver resolve.Resolver
	records  []asked // at most MaxQuestions
	walks    []*walk // at most one for each author, for SPF's domain and for each signature
}

// asked is a name that was asked about.
type asked struct {
	step
	trouble *resolve.Answer
}

func newWalker(ctx context.Context, r resolve.Resolver) *walker {
	return &walker{ctx: ctx, resolver: r, records: make([]asked, 0, usualSteps)}
}

// recordAt asks for the record of one name. Several records are none (RFC 9989 4.7).
func (w *walker) recordAt(name string) (step, *resolve.Answer) {
	for i := range w.records {
		if w.records[i].name == name {
			return w.records[i].step, w.records[i].trouble
		}
	}
	var trouble *resolve.Answer
	a := w.resolver.Lookup(w.ctx, label+name, resolve.TXT)
	if a.Trouble() {
		trouble = a
	}
	s := a.Note("dmarc", func() any { return readRecords(a.Texts) }).(step)
	s.name = name
	w.records = append(w.records, asked{s, trouble})
	return s, trouble
}

// readRecords gives the step's record out of the TXT records of its name.
func readRecords(texts []string) (s step) {
	var found []string
	for _, text := range texts {
		if isRecord(text) {
			found = append(found, text)
		}
	}
	if len(found) != 1 {
		return s
	}
	record, ok := ParseRecord(found[0])
	if s.bad = !ok; ok {
		s.record = record
	}
	return s
}

// walk goes from a name towards the root (RFC 9989 4.10).
func (w *walker) walk(name string) *walk {
	for _, known := range w.walks {
		if known.start == name {
			return known
		}
	}
	out := &walk{start: name, steps: make([]step, 0, usualSteps)}
	w.walks = append(w.walks, out)
	at := name
	for range maxQueries {
		s, trouble := w.recordAt(at)
		if trouble != nil {
			out.trouble, out.ended = trouble, at
			return out
		}
		out.steps = append(out.steps, s)
		if s.record != nil && s.record.PSD != 'u' {
			return out
		}
		var more bool
		if at, more = parent(at); !more {
			return out
		}
	}
	return out
}

// parent gives the next name of a walk: one label less; a name of 8 or more labels goes straight to its last 7.
func parent(name string) (string, bool) {
	more := false
	for range max(1, strings.Count(name, ".")-6) {
		_, name, more = strings.Cut(name, ".")
	}
	return name, more
}

// organizational gives the organizational domain of the name that the walk began at (RFC 9989 4.10.2).
func (w *walk) organizational(start string) string {
	org := start
	for i, s := range w.steps {
		if s.record == nil {
			continue
		}
		switch {
		case s.record.PSD == 'n':
			return s.name
		case s.record.PSD == 'y' && i > 0:
			return below(start, s.name)
		}
		org = s.name // the fewest labels so far
	}
	return org
}

// below gives the name one label under parent on the way to name.
func below(name, parent string) string {
	rest := strings.TrimSuffix(name, "."+parent)
	return rest[strings.LastIndexByte(rest, '.')+1:] + "." + parent
}

// discovery is the policy that applies to an author domain.
type discovery struct {
	record  *Record
	domain  string // where the record stands
	policy  Policy // after sp, np and t; where a question failed, what a domain above asks of all below it, "" without one
	family  string // where a question failed: the domain above whose subdomains are its own, so that they authenticate one another
	code    string // CodeNoRecord, CodeBadRecord or CodeDNS, "" when there is a policy
	trouble *resolve.Answer
}

// discover finds the policy for an author domain (RFC 9989 4.10.1).
func (w *walker) discover(author string) discovery {
	own, trouble := w.recordAt(author)
	switch {
	case trouble != nil:
		return w.above(author, author, trouble)
	case own.record != nil:
		return discovery{record: own.record, domain: author, policy: own.record.of(true, true)}
	case own.bad:
		return discovery{code: CodeBadRecord, domain: author}
	}
	path := w.walk(author)
	if path.trouble != nil {
		return w.above(author, path.ended, path.trouble)
	}
	org := path.organizational(author)
	var found *step
	for i := range path.steps {
		s := &path.steps[i]
		if s.record != nil && (s.name == org || found == nil && s.record.PSD == 'y') {
			found = s
		}
		if s.record != nil && s.name == org {
			break
		}
	}
	if found == nil {
		return discovery{code: CodeNoRecord}
	}
	return w.inherit(author, found)
}

// above is for a question without an answer: the domains above the name that was asked for may have a policy all the same, which is what a
// refusal would hang on. Who picks a subdomain that DNS has trouble with is not free of it. It ends at the next trouble, as in an outage.
func (w *walker) above(author, asked string, trouble *resolve.Answer) discovery {
	d := discovery{code: CodeDNS, trouble: trouble}
	at, more := parent(asked)
	for range maxQueries {
		if !more {
			break
		}
		s, again := w.recordAt(at)
		if again != nil {
			break
		}
		if s.record != nil && (d.policy == "" || s.record.PSD != 'y') {
			d.domain, d.policy, d.family = at, s.record.of(false, true), s.family()
		}
		if s.record != nil && s.record.PSD != 'u' {
			break
		}
		at, more = parent(at)
	}
	return d
}

// family gives the name of a record unless it is that of a public suffix, below which everybody is somebody else.
func (s *step) family() string {
	if s.record.PSD == 'y' {
		return ""
	}
	return s.name
}

// inherit applies the record of a higher domain.
func (w *walker) inherit(author string, s *step) discovery {
	d := discovery{record: s.record, domain: s.name}
	exists := true
	if s.record.of(false, false) != s.record.of(false, true) {
		a := w.resolver.Lookup(w.ctx, author, resolve.A) // NODATA exists, NXDOMAIN does not
		if a.Trouble() {
			d.code, d.trouble, d.policy, d.family = CodeDNS, a, s.record.of(false, true), s.family()
			return d
		}
		exists = a.Status != resolve.NXDomain
	}
	d.policy = s.record.of(false, exists)
	return d
}
