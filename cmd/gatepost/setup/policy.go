package setup

import (
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// This file writes an Import into the text of policy.toml: between marks, so that it can be found and taken out again, and without touching a
// byte of what stands there.

const (
	markBegin = "# >>> imported by gatepost setup"
	markEnd   = "# <<< imported by gatepost setup"
	markLine  = "  # imported: "
)

// Imported reports whether a policy holds an import already.
func Imported(policy string) bool {
	return strings.Contains(policy, markBegin) || strings.Contains(policy, markLine)
}

// quote writes a text as TOML does; what comes here is printable ASCII.
func quote(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}

// Text gives the import as a policy of its own.
func (im *Import) Text() string {
	var out strings.Builder
	if len(im.Networks) > 0 {
		out.WriteString("[trust]\nnetworks = [\n" + networkLines(im.Networks) + "]\n\n")
	}
	if len(im.Lists) > 0 {
		out.WriteString("[list]\n" + im.listText() + "\n")
	}
	for _, z := range im.Zones {
		out.WriteString(z.text() + "\n")
	}
	before := ""
	for _, r := range im.Rules {
		if r.Before != before {
			before = r.Before
			fmt.Fprintf(&out, "# Above the rule %q of policy.toml:\n\n", before)
		}
		out.WriteString(r.text() + "\n")
	}
	return out.String()
}

func networkLines(entries []Entry) string {
	var out strings.Builder
	for _, e := range entries {
		fmt.Fprintf(&out, "  %s,%s%s\n", quote(e.Value), markLine, printable(e.Note, 100))
	}
	return out.String()
}

func (im *Import) listText() string {
	var out strings.Builder
	for _, name := range slices.Sorted(maps.Keys(im.Lists)) {
		fmt.Fprintf(&out, "%s = [\n", name)
		for _, e := range im.Lists[name] {
			fmt.Fprintf(&out, "  %s,  # %s\n", quote(e.Value), printable(e.Note, 100))
		}
		out.WriteString("]\n")
	}
	return out.String()
}

func (z Zone) text() string {
	weights := make([]string, len(z.Weights))
	for i, w := range z.Weights {
		weights[i] = quote(w.Codes) + " = " + w.Points
	}
	return fmt.Sprintf("# %s\n[[dnsbl]]\nname   = %s\nzone   = %s\nquery  = %s\nweight = { %s }\n",
		printable(z.Note, 200), quote(z.Name), quote(z.Zone), quote(z.Query), strings.Join(weights, ", "))
}

func (r Rule) text() string {
	return fmt.Sprintf("# %s\n[[rule]]\nname = %s\nwhen = '%s'\n%s\n", printable(r.Note, 250), quote(r.Name), r.When, r.Do)
}

// Merge gives a policy with the import in it: lists in [list], blocklists and rules above the rules that they belong to, or at the end where
// there are none of these names. Networks that trusted has already are left out. An import that was there is replaced.
func (im *Import) Merge(policy string, trusted []netip.Prefix) string {
	policy = Strip(policy)
	if !strings.HasSuffix(policy, "\n") && policy != "" {
		policy += "\n"
	}
	policy = insertNetworks(policy, newNetworks(im.Networks, trusted))
	if len(im.Lists) > 0 {
		policy = insertList(policy, marked(im.listText()))
	}
	blocks := map[string]string{}
	var order []string
	add := func(before, text string) {
		if blocks[before] == "" {
			order = append(order, before)
		}
		blocks[before] += text
	}
	for _, z := range im.Zones {
		add("blocked", z.text()+"\n")
	}
	for _, r := range im.Rules {
		add(r.Before, r.text()+"\n")
	}
	for _, before := range order {
		policy = insertAbove(policy, before, marked(strings.TrimSuffix(blocks[before], "\n")))
	}
	return policy
}

func marked(text string) string { return markBegin + "\n" + text + markEnd + "\n" }

// newNetworks leaves out what is trusted already, as a whole.
func newNetworks(entries []Entry, trusted []netip.Prefix) []Entry {
	return slices.DeleteFunc(slices.Clone(entries), func(e Entry) bool {
		p, ok := network(e.Value)
		return !ok || slices.ContainsFunc(trusted, func(t netip.Prefix) bool { return covers(t, p) })
	})
}

var (
	activeNetworks  = regexp.MustCompile(`(?m)^[ \t]*networks[ \t]*=[ \t]*\[`)
	defaultNetworks = regexp.MustCompile(`(?m)^#[ \t]*networks[ \t]*=[ \t]*\[.*\]$`)
	listHeader      = regexp.MustCompile(`(?m)^\[list\][ \t]*(#.*)?\n`)
	trustHeader     = regexp.MustCompile(`(?m)^\[trust\][ \t]*(#.*)?\n`)
	anyHeader       = regexp.MustCompile(`(?m)^\[`)
)

// insertNetworks adds networks at the head of trust.networks.
func insertNetworks(policy string, entries []Entry) string {
	if len(entries) == 0 {
		return policy
	}
	lines := "\n" + networkLines(entries)
	defaults := "networks = [" + lines + "  \"127.0.0.0/8\", \"::1\",\n]"
	head := trustHeader.FindStringIndex(policy)
	if head == nil {
		return insertSection(policy, "[trust]\n"+defaults+"\n\n")
	}
	end := len(policy)
	if next := anyHeader.FindStringIndex(policy[head[1]:]); next != nil {
		end = head[1] + next[0]
	}
	section := policy[head[1]:end]
	if at := activeNetworks.FindStringIndex(section); at != nil {
		section = section[:at[1]] + strings.TrimSuffix(lines, "\n") + "\n" + strings.TrimPrefix(section[at[1]:], "\n")
	} else if at := defaultNetworks.FindStringIndex(section); at != nil {
		section = section[:at[0]] + defaults + section[at[1]:]
	} else {
		section = defaults + "\n" + section
	}
	return policy[:head[1]] + section + policy[end:]
}

func insertList(policy, block string) string {
	if head := listHeader.FindStringIndex(policy); head != nil {
		return policy[:head[1]] + block + policy[head[1]:]
	}
	return insertSection(policy, "[list]\n"+block+"\n")
}

// insertSection puts a section above the first one: a table that stands below rules would be read as well, but not by people.
func insertSection(policy, section string) string {
	if first := anyHeader.FindStringIndex(policy); first != nil {
		return policy[:first[0]] + section + policy[first[0]:]
	}
	return policy + "\n" + section
}

// insertAbove puts a block above the rule of a name, and the comment that belongs to it.
func insertAbove(policy, rule, block string) string {
	lines := strings.SplitAfter(policy, "\n")
	name := regexp.MustCompile(`^[ \t]*name[ \t]*=[ \t]*["']` + regexp.QuoteMeta(rule) + `["']`)
	header := -1
	for i, line := range lines {
		switch {
		case strings.HasPrefix(line, "[[rule]]"):
			header = i
		case strings.HasPrefix(line, "["):
			header = -1
		case header >= 0 && name.MatchString(line):
			for header > 0 && strings.HasPrefix(lines[header-1], "#") && !strings.HasPrefix(lines[header-1], markEnd) {
				header--
			}
			return strings.Join(lines[:header], "") + block + "\n" + strings.Join(lines[header:], "")
		}
	}
	return strings.TrimSuffix(policy, "\n") + "\n\n" + block
}

// Strip takes an import out of a policy: what stands between the marks, and marked lines.
func Strip(policy string) string {
	var out strings.Builder
	inside, gap := false, false
	for line := range strings.Lines(policy) {
		switch {
		case strings.HasPrefix(line, markBegin):
			inside = true
		case strings.HasPrefix(line, markEnd):
			inside, gap = false, true
			continue
		case inside || strings.HasPrefix(line, `  "`) && strings.Contains(line, markLine):
		case gap && line == "\n": // the line that insertAbove put below the block
		default:
			out.WriteString(line)
		}
		gap = false
	}
	return out.String()
}
