package policy

import (
	"fmt"
	"hash/fnv"
	"regexp"
	"strconv"
	"strings"
)

// A rule with enforce = "10%" is enforced for this share of senders and observed for the rest, so that a refusal can be tried on a few first.
// Which side a sender is on says a hash of the rule's name, the client's network and the author domain: always the same one, on every
// machine, and a larger share keeps those that a smaller one had. A rule that can be true before DATA, where no author is known yet, goes
// by the client's network alone: a share never makes a rule decide later.

// Share is how much of all senders a rule is enforced for, in hundredths of a percent. 0 stands for a rule without a share.
type Share int

// WholeShare is everybody.
const WholeShare Share = 100 * 100

var shareText = regexp.MustCompile(`^(\d{1,3})(?:\.(\d{1,2}))?%$`)

// ParseShare reads "10%" or "0.5%", from 0% to 100%.
func ParseShare(text string) (Share, error) {
	m := shareText.FindStringSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf("%q is no share of senders; write \"10%%\", or \"0.5%%\"", text)
	}
	whole, _ := strconv.Atoi(m[1])
	fraction, _ := strconv.Atoi((m[2] + "00")[:2])
	s := Share(whole*100 + fraction)
	if s > WholeShare {
		return 0, fmt.Errorf("%s is more than there is; write a share from 0%% to 100%%", text)
	}
	return s, nil
}

// String gives the share as policy.toml writes it.
func (s Share) String() string {
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%d.%02d", s/100, s%100), "0"), ".") + "%"
}

// Facts that say who a sender is to a share.
const (
	shareNetwork = "client.network"
	shareAuthor  = "author.domain"
)

// side says whether a rule is enforced for the sender of a session.
type side uint8

const (
	sideUnknown side = iota // who the sender is is not known yet
	enforced
	observed
)

// shared makes r a rule with a share: it goes on from where its key is known at the latest.
func (c *compiler) shared(path string, r *rule) {
	network, known := c.policy.vocabulary.byName[shareNetwork]
	author, also := c.policy.vocabulary.byName[shareAuthor]
	if !known || !also {
		c.report(path+".enforce", "rule %q: nothing here says who a sender is", r.name)
		return
	}
	r.key = []FactID{network}
	if r.span.trueFrom == Data {
		r.key = append(r.key, author)
	}
	at := Connect
	for _, id := range r.key {
		at = max(at, c.policy.firstStage(id))
	}
	r.span.falseFrom = min(r.span.falseFrom, at)
	c.policy.shares = true
}

// takeSides finds for each rule with a share on which side the sender is, as soon as that is known.
func (w *Walk) takeSides(e *Evidence) {
	for len(w.sides) < len(w.policy.rules) {
		w.sides = append(w.sides, sideUnknown)
	}
	for i, r := range w.policy.rules {
		if r.share == 0 || w.sides[i] != sideUnknown || len(e.missing(r.key)) > 0 {
			continue
		}
		w.sides[i] = observed
		if r.enforcedFor(e) {
			w.sides[i] = enforced
		}
	}
}

// missing gives those facts that are not known yet.
func (e *Evidence) missing(ids []FactID) []FactID {
	var out []FactID
	for _, id := range ids {
		if !e.has(id) {
			out = append(out, id)
		}
	}
	return out
}

// enforcedFor reports whether the sender is among the rule's share.
func (r *rule) enforcedFor(e *Evidence) bool {
	h := fnv.New64a()
	h.Write([]byte(r.name))
	for _, id := range r.key {
		h.Write([]byte{0})
		h.Write([]byte(textOf(e.vals[id])))
	}
	return Share(mixed(h.Sum64())%uint64(WholeShare)) < r.share
}

// mixed spreads the bits of a hash, so that near names fall far apart (the finalizer of MurmurHash3).
func mixed(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// observes reports whether rule i only records what it would do in this session.
func (w *Walk) observes(i int) bool {
	r := w.policy.rules[i]
	return r.observe || r.share > 0 && w.sides[i] == observed
}

// final reports whether the walk ends at rule i where it is true; also while it is not known on which side of the rule's share the sender is.
func (w *Walk) final(i int) bool { return w.policy.rules[i].action != Tag && !w.observes(i) }

// awaitsSide gives the facts that rule i, whose condition is true, waits for to know on which side of its share the sender is.
func (w *Walk) awaitsSide(i int, e *Evidence) []FactID {
	if r := w.policy.rules[i]; r.share > 0 && w.sides[i] == sideUnknown {
		return e.missing(r.key)
	}
	return nil
}
