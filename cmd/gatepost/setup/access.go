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
)

// row is one entry of the text of a table.
type row struct {
	line       int
	key, value string
}

// parseTable reads the text of a lookup table (postmap(1), cidr_table(5)): key and value on a line, lines that begin with a blank go on the one
// before, # begins a comment line.
func parseTable(text string) []row {
	var out []row
	for n, line := range strings.Split(text, "\n") {
		trimmed := strings.TrimSpace(line)
		if trimmed == "" || trimmed[0] == '#' {
			continue
		}
		if strings.ContainsRune(" \t", rune(line[0])) && len(out) > 0 {
			last := &out[len(out)-1]
			last.value = strings.TrimSpace(last.value + " " + trimmed)
			continue
		}
		fields := strings.Fields(trimmed)
		out = append(out, row{n + 1, fields[0], strings.TrimSpace(trimmed[len(fields[0]):])})
	}
	return out
}

// maxTable bounds the text of a table, in bytes.
const maxTable = 16 << 20

// accessMaps reads the access maps of all restrictions, each once.
func (im *importer) accessMaps(b *planner) {
	seen := map[string]bool{}
	b.restrictions(func(_ string, r mta.Restriction) {
		what, isCheck := strings.CutPrefix(r.Name, "check_")
		what, isAccess := strings.CutSuffix(what, "_access")
		if isCheck && isAccess && !seen[r.String()] {
			seen[r.String()] = true
			im.accessMap(r.Name, what, r.Argument)
		}
	})
}

// accessMap reads one map: what says what its keys are, as in check_client_access.
func (im *importer) accessMap(name, what, table string) {
	kind, path, _ := strings.Cut(strings.TrimPrefix(table, "proxy:"), ":")
	if what == "reverse_client_hostname" || what == "sasl" || strings.HasSuffix(what, "_mx") || strings.HasSuffix(what, "_ns") || strings.HasSuffix(what, "_a") || what == "etrn" || what == "ccert" {
		im.skip("%s %s: Gatepost has no fact of that; leave it in Postfix", name, table)
		return
	}
	if !slices.Contains([]string{"hash", "btree", "lmdb", "cdb", "dbm", "texthash", "cidr"}, kind) {
		im.skip("%s %s: a table of type %s is not read; write its entries into a file of a list, or leave it in Postfix", name, table, printable(kind, 30))
		return
	}
	info, err := os.Stat(path)
	if err != nil || info.Size() > maxTable {
		im.skip("%s %s: its text %s cannot be read, or is too large", name, table, path)
		return
	}
	text, err := os.ReadFile(path)
	if err != nil {
		im.skip("%s %s: its text cannot be read", name, table)
		return
	}
	t := &accessTable{im: im, what: what, path: path, parents: strings.Contains(im.Postfix.Value("parent_domain_matches_subdomains"), "smtpd_access_maps")}
	t.read(parseTable(string(text)), kind == "cidr")
}

// accessTable is one access map on its way into lists.
type accessTable struct {
	im      *importer
	what    string // client, sender, helo, recipient
	path    string
	parents bool // a domain stands for its subdomains too (parent_domain_matches_subdomains)
	rows    []accessRow
}

// accessRow is one row that can be said in lists.
type accessRow struct {
	verdict string // allowed, blocked, or neither
	values  []string
	net     netip.Prefix // of a row whose key is a network
	note    string
}

func (t *accessTable) read(rows []row, cidr bool) {
	for _, r := range rows {
		note := fmt.Sprintf("%s:%d: %s %s", filepath.Base(t.path), r.line, r.key, r.value)
		verdict, why := accessVerdict(r.value)
		values, net, whyKey := t.key(r.key)
		switch {
		case why != "":
			t.im.skip("%s: %s", note, why)
		case whyKey != "" || cidr && !net.IsValid():
			t.im.skip("%s: %s", note, either(whyKey, "it is no network"))
		case cidr && slices.ContainsFunc(t.rows, func(a accessRow) bool { return covers(a.net, net) }):
			t.im.skip("%s: never reached, a wider network stands above it", note)
		default:
			t.rows = append(t.rows, accessRow{verdict, values, net, note})
		}
	}
	for _, r := range t.rows {
		t.file(r)
	}
}

// accessVerdict reads the right side of a row (access(5)).
func accessVerdict(value string) (verdict, why string) {
	word, _, _ := strings.Cut(value, " ")
	upper := strings.ToUpper(word)
	switch {
	case upper == "OK" || upper == "PERMIT" || upper == "RELAY" || word != "" && strings.Trim(word, "0123456789") == "" && len(word) != 3:
		return "allowed", ""
	case upper == "REJECT" || len(word) == 3 && word[0] == '5':
		return "blocked", ""
	case upper == "DUNNO":
		return "neither", ""
	case upper == "DEFER" || upper == "DEFER_IF_PERMIT" || upper == "DEFER_IF_REJECT" || len(word) == 3 && word[0] == '4':
		return "", "putting off is for a rule of its own: reply = \"450 4.7.1 ...\""
	case upper == "DISCARD" || upper == "HOLD":
		return "", "for that write a rule: action = \"discard\" or \"quarantine\""
	case upper == "PREPEND" || upper == "WARN" || upper == "INFO":
		return "", "for that write a rule: action = \"tag\", or observe = true"
	}
	return "", "what it does stays with Postfix"
}

// key gives the entries of lists that a key stands for.
func (t *accessTable) key(key string) (values []string, net netip.Prefix, why string) {
	p, isNet := network(key)
	domain := strings.TrimPrefix(key, ".")
	switch {
	case t.what == "client" && isNet:
		return []string{networkText(p)}, p, ""
	case isNet:
		return nil, p, "an address is no key here"
	case strings.HasSuffix(key, "@"):
		return nil, p, "a local part at every domain; write a rule with sender.local or rcpt.local"
	case key == "<>":
		return nil, p, "the null sender; write a rule with sender.empty"
	case strings.Contains(key, "@") && (t.what == "sender" || t.what == "recipient"):
		return []string{key}, p, ""
	case !strings.Contains(domain, ".") || strings.ContainsAny(key, "@/*"):
		return nil, p, "it is no domain, no address and no network"
	case key[0] == '.' && t.parents:
		return nil, p, "it matches nothing while parent_domain_matches_subdomains has smtpd_access_maps"
	case key[0] != '.' && t.parents:
		return []string{key, "." + key}, p, ""
	}
	return []string{key}, p, ""
}

// wider reports whether some other row with a verdict stands for all that this one stands for: the narrower one wins (access(5)).
func (t *accessTable) wider(than accessRow, verdict string) bool {
	return slices.ContainsFunc(t.rows, func(a accessRow) bool {
		if a.verdict != verdict || a.note == than.note {
			return false
		}
		below := len(than.values) > 0 && len(a.values) > 1 && strings.HasSuffix(than.values[0], a.values[1])
		return covers(a.net, than.net) || below
	})
}

// file puts a row into the list where its rule finds it.
func (t *accessTable) file(r accessRow) {
	list := map[string]string{"client": "clients", "sender": "senders", "helo": "helo", "recipient": "recipients"}[t.what]
	switch {
	case list == "":
		t.im.skip("%s: check_%s_access has no counterpart here", r.note, t.what)
		return
	case r.verdict == "neither":
		if !t.wider(r, "blocked") {
			return // it ends the search in a table that would find nothing more
		}
		list = "imported_unblocked_" + list
	case r.verdict == "allowed" && t.what == "helo":
		t.im.skip("%s: a HELO name is anybody's to write: it allows nothing here", r.note)
		return
	case r.verdict == "blocked" && t.wider(r, "allowed"):
		list = "imported_first_" + list
	default:
		list = "imported_" + r.verdict + "_" + list
	}
	for _, value := range r.values {
		if !t.im.add(list, value, r.note, policy.KindIP, policy.KindDomain, policy.KindAddress) {
			t.im.skip("%s: %s is no entry of a list", r.note, value)
		}
	}
}

// subjects say how a list of each kind is asked.
var subjects = map[string][]string{
	"clients": {"client.ip", "client.name"}, "senders": {"sender.address", "sender.domain"}, "helo": {"helo.name"}, "recipients": {"rcpt.address", "rcpt.domain"},
}

// asked gives the condition that asks a list, "" where it has no entry.
func (im *importer) asked(list, subject string) string {
	if len(im.out.Lists[list]) == 0 {
		return ""
	}
	var terms []string
	for _, fact := range subjects[subject] {
		terms = append(terms, fact+" in list."+list)
	}
	return strings.Join(terms, " || ")
}

// listRules makes the rules that ask the imported lists: what is blocked within something allowed, what is allowed, what is blocked.
func (im *importer) listRules() {
	const refusal = `reply = "554 5.7.1 Refused by local policy"`
	for _, step := range []struct{ list, do string }{{"first", refusal}, {"allowed", `action = "accept"`}, {"blocked", refusal}} {
		for _, subject := range []string{"clients", "helo", "senders", "recipients"} {
			when := im.asked("imported_"+step.list+"_"+subject, subject)
			if when == "" {
				continue
			}
			note := "access maps and lists as they were; see [list]"
			if step.list == "blocked" {
				if not := im.asked("imported_unblocked_"+subject, subject); not != "" {
					when = "(" + when + ") && !(" + not + ")"
				}
			}
			if step.list == "allowed" && subject == "senders" {
				when, note = `spf.result == "pass" && (`+when+")", "a sender is anybody's to write: allowed with an SPF pass only"
			}
			im.out.Rules = append(im.out.Rules, Rule{"blocked", "imported-" + step.list + "-" + subject, when, step.do, note})
		}
	}
}
