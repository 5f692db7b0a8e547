package setup

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gatepost.example/cmd/gatepost/mta"
	"gatepost.example/policy"
	"gatepost.example/policy/policyfile"
)

// Entry is one entry of a list of policy.toml, and where it comes from.
type Entry struct{ Value, Note string }

// Rule is one rule of policy.toml.
type Rule struct {
	Before string // the shipped rule above which it belongs
	Name   string
	When   string
	Do     string // reply = "..." or action = "..."
	Note   string // where it comes from
}

// Import is what is configured today, in the words of policy.toml.
type Import struct {
	Networks []Entry            // [trust] networks
	Lists    map[string][]Entry // [list]
	Zones    []Zone             // [[dnsbl]]
	Rules    []Rule
	Skipped  []string // what was found and not imported, and why
}

// Sources is what is imported from.
type Sources struct {
	Postfix    *mta.Postfix
	Root       string // below it other programs have their configuration; "" for /
	Vocabulary *policy.Vocabulary
}

// importer collects an Import.
type importer struct {
	Sources
	out  Import
	used []string // milters and policy servers that are wired, by name
}

// FromPostfix reads what a site with Postfix has configured today: mynetworks, access maps, blocklists, OpenDKIM, OpenDMARC, policyd-spf and
// postgrey, the latter as far as they are in use.
func FromPostfix(s Sources) *Import {
	im := &importer{Sources: s, out: Import{Lists: map[string][]Entry{}}}
	b := &planner{Postfix: s.Postfix}
	for _, m := range b.Milters(s.Postfix.Value("smtpd_milters")) {
		im.used = append(im.used, mta.Software(m.Endpoint))
	}
	for _, service := range b.policyServices() {
		im.used = append(im.used, mta.Software(service))
	}
	im.networks(s.Postfix.Value("mynetworks"), "mynetworks", 0)
	im.accessMaps(b)
	im.blocklists(b)
	im.openDKIM()
	im.openDMARC()
	im.policydSPF()
	im.postgrey()
	im.others()
	im.listRules()
	order := []string{"blocked", "null-mx", "greylist", "spoofed"} // as policy.toml has them
	slices.SortStableFunc(im.out.Rules, func(a, b Rule) int { return slices.Index(order, a.Before) - slices.Index(order, b.Before) })
	return &im.out
}

// uses reports whether a program is wired into this Postfix.
func (im *importer) uses(name string) bool { return slices.Contains(im.used, name) }

// config gives a configuration file of another program; "" where there is none.
func (im *importer) config(path string) string {
	text, err := os.ReadFile(filepath.Join("/", im.Root, path))
	if err != nil {
		return ""
	}
	return string(text)
}

func (im *importer) skip(format string, args ...any) {
	text := printable(fmt.Sprintf(format, args...), 300)
	if !slices.Contains(im.out.Skipped, text) {
		im.out.Skipped = append(im.out.Skipped, text)
	}
}

// printable makes one line of plain ASCII, so that what stands in somebody's file cannot end a comment.
func printable(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, text)
	if len(text) > most {
		text = text[:most-3] + "..."
	}
	return text
}

// maxEntries bounds an imported list: a policy file has at most 1 MiB.
const maxEntries = 3000

// add puts an entry into a list, if it is of one of the kinds; each once. It reports whether it did.
func (im *importer) add(list, value, note string, kinds ...policy.Kind) bool {
	value = strings.ToLower(value)
	if !slices.Contains(kinds, policy.KindOf(value)) || printable(value, 300) != value {
		return false
	}
	if _, err := policyfile.Entry(value); err != nil {
		return false
	}
	entries := im.out.Lists[list]
	switch {
	case slices.ContainsFunc(entries, func(e Entry) bool { return e.Value == value }):
	case len(entries) == maxEntries:
		im.skip("%s: more than %d entries; write them into a file, one a line, and name it: %s = [\"file:/etc/gatepost/%s\"]", note, maxEntries, list, list)
	default:
		im.out.Lists[list] = append(entries, Entry{value, note})
	}
	return true
}

// network reads a network as Postfix and its companions write it: "192.0.2.0/24", "[2001:db8::]/32", "::ffff:192.0.2.1", "192.0.2".
func network(text string) (netip.Prefix, bool) {
	text = strings.NewReplacer("[", "", "]", "").Replace(text)
	bare, length, cut := strings.Cut(text, "/")
	if parts := strings.Split(strings.TrimSuffix(bare, "."), "."); !cut && len(parts) < 4 && bare != "" && strings.Trim(bare, "0123456789.") == "" {
		bare = strings.Join(append(parts, "0", "0", "0")[:4], ".")
		length, cut = fmt.Sprint(8*len(parts)), true
	}
	addr, err := netip.ParseAddr(bare)
	if err != nil || addr.Zone() != "" {
		return netip.Prefix{}, false
	}
	bits := addr.BitLen()
	if cut {
		p, err := netip.ParsePrefix(bare + "/" + length)
		if err != nil {
			return netip.Prefix{}, false
		}
		bits = p.Bits()
	}
	if addr.Is4In6() {
		if bits < 96 {
			return netip.Prefix{}, false
		}
		addr, bits = addr.Unmap(), bits-96
	}
	return netip.PrefixFrom(addr, bits).Masked(), true
}

// networkText gives a network as policy.toml writes it.
func networkText(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// covers reports whether one network holds all of another.
func covers(wide, narrow netip.Prefix) bool {
	return wide.IsValid() && narrow.IsValid() && wide.Bits() <= narrow.Bits() && wide.Contains(narrow.Addr())
}

// Networks wider than these are nobody's own.
const (
	widest4 = 8
	widest6 = 16
)

// trust adds an own network.
func (im *importer) trust(text, note string) {
	p, ok := network(text)
	switch {
	case !ok:
		im.skip("%s: %s is no network; [trust] networks takes networks only, names are anybody's to claim", note, text)
	case p.Addr().Is4() && p.Bits() < widest4 || p.Addr().Is6() && p.Bits() < widest6:
		im.skip("%s: %s is half the Internet; whoever is in it may relay through this server: mend that first", note, text)
	case slices.ContainsFunc(im.out.Networks, func(e Entry) bool { wide, _ := network(e.Value); return covers(wide, p) }):
	default:
		im.out.Networks = append(im.out.Networks, Entry{networkText(p), note})
	}
}

// maxDepth bounds files that name files.
const maxDepth = 3

// networks reads mynetworks: networks, files with more, and tables (postconf(5)).
func (im *importer) networks(list, note string, depth int) {
	for _, item := range mta.Split(list) {
		switch kind, path, isTable := strings.Cut(item, ":"); {
		case strings.HasPrefix(item, "!"):
			im.skip("%s: %s is an exception; [trust] networks knows none: write the networks around it", note, item)
		case strings.HasPrefix(item, "/"):
			if text, err := os.ReadFile(item); err == nil && depth < maxDepth {
				im.networks(withoutComments(string(text)), note+" in "+item, depth+1)
			} else {
				im.skip("%s: the file %s cannot be read", note, item)
			}
		case isTable && slices.Contains([]string{"hash", "btree", "lmdb", "cdb", "dbm", "texthash", "cidr"}, kind):
			text, err := os.ReadFile(path)
			if err != nil {
				im.skip("%s: the text of %s cannot be read", note, item)
				continue
			}
			for _, row := range parseTable(string(text)) {
				im.trust(row.key, note+" in "+path)
			}
		default:
			im.trust(item, note)
		}
	}
}

func withoutComments(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		out.WriteString(line + "\n")
	}
	return out.String()
}

// others names programs that are in use and whose settings nobody can turn into rules.
func (im *importer) others() {
	for _, name := range im.used {
		switch name {
		case "rspamd":
			im.skip("rspamd: its scores and maps stay with it; [content_filter] header = \"X-Spam-Flag\" lets its verdict count for reputation")
		case "milter-greylist", "sqlgrey":
			im.skip("%s: its access lists are not read; the rule greylist of policy.toml greylists who is new and suspicious", name)
		case "postfwd", "cluebringer", "policyd-rate-limit", "mtpolicyd", "postlicyd":
			im.skip("%s: its rules are not read; [[limit]] and [[rule]] say the same: see policy.toml", name)
		}
	}
}
