package policyfile

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/net/idna"

	"gatepost.example/policy"
)

// names reads [list], [pairs], [define], [[dnsbl]], [[limit]] and [[rule]], whose names the admin gives; it reports false for everything else.
func (d *decoder) names(f *File, section string, value any) bool {
	switch section {
	case "list":
		d.lists(&f.source, value)
	case "pairs":
		d.pairs(&f.source, value)
	case "define":
		d.definitions(&f.source, value)
	case "rule":
		d.allRules(&f.source, f.tables(), value)
	case "limit":
		d.allLimits(f, f.tables(), value)
	case "dnsbl":
		d.allLists(f, f.tables(), value)
	default:
		return false
	}
	return true
}

// lists reads [list]. A list with a bad entry keeps its name, so that no rule that uses it is blamed.
func (d *decoder) lists(into *policy.Source, value any) {
	lists, ok := d.tableOf("list", value)
	if !ok {
		return
	}
	for _, name := range d.ordered("list", lists) {
		path := join("list", name)
		into.Lists = append(into.Lists, policy.NamedList{Name: name, Entries: d.entries(path, lists[name])})
	}
}

// pairs reads [pairs]: tables whose files are read later.
func (d *decoder) pairs(into *policy.Source, value any) {
	tables, ok := d.tableOf("pairs", value)
	if !ok {
		return
	}
	for _, name := range d.ordered("pairs", tables) {
		path := join("pairs", name)
		table := policy.NamedPairs{Name: name}
		array(&table.Files, false, func(s string) (string, error) {
			file, isFile := strings.CutPrefix(s, filePrefix)
			if !isFile {
				return "", fmt.Errorf("%q is no file; a table of pairs stands in files of two columns: \"file:/etc/gatepost/%s\"", s, name)
			}
			return file, absolute(file)
		})(d, path, tables[name])
		into.Pairs = append(into.Pairs, table)
	}
}

// entries reads the entries of one list. An entry that is wrong leaves "" at its place, so that the others keep their numbers.
func (d *decoder) entries(path string, value any) []string {
	elements, ok := value.([]any)
	if !ok {
		d.noArray(path, value)
		return nil
	}
	out := make([]string, len(elements))
	for i, element := range elements {
		v, isText := element.(string)
		if !isText {
			d.wrong(item(path, i), "entry %d is %s; write texts in quotes", i+1, describe(element))
			continue
		}
		var err error
		if out[i], err = entry(v); err != nil {
			d.wrong(item(path, i), "%v", err)
		}
	}
	return out
}

// entry gives an entry in the form in which facts are compared with it: domains as A-labels (RFC 5890 2.3.2.1).
func entry(s string) (string, error) {
	if path, isFile := strings.CutPrefix(s, filePrefix); isFile {
		return s, absolute(path)
	}
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return "", fmt.Errorf("%q is empty or has a blank in it; write one network, address, domain or user", s)
	}
	switch policy.KindOf(s) {
	case policy.KindAddress:
		at := strings.LastIndexByte(s, '@')
		domain, err := aLabels(s[at+1:])
		return s[:at+1] + domain, err
	case policy.KindDomain:
		name, below := strings.CutPrefix(s, ".")
		domain, err := aLabels(name)
		if last := domain[strings.LastIndexByte(domain, '.')+1:]; err == nil && last != "" && strings.Trim(last, "0123456789") == "" {
			err = fmt.Errorf("%q is no network and no domain; a network is for example 192.0.2.0/24", s)
		}
		if below {
			domain = "." + domain
		}
		return domain, err
	}
	return s, nil
}

// aLabels gives a domain with its internationalized labels as DNS and SMTP carry them.
func aLabels(domain string) (string, error) {
	if !strings.ContainsFunc(domain, func(r rune) bool { return r > '~' }) {
		return domain, nil
	}
	ascii, err := idna.Lookup.ToASCII(domain)
	if err != nil {
		return "", fmt.Errorf("%q is no domain name: %v", domain, err)
	}
	return ascii, nil
}

// definitions reads [define].
func (d *decoder) definitions(into *policy.Source, value any) {
	definitions, ok := d.tableOf("define", value)
	if !ok {
		return
	}
	for _, name := range d.ordered("define", definitions) {
		path := join("define", name)
		expr, isText := definitions[name].(string)
		if !isText {
			// "true" keeps the name usable: what is wrong with the definition is not wrong with the rules.
			expr = "true"
			d.wrong(path, "it is %s; write an expression in quotes, as in %s = 'message.size > 1000'", describe(definitions[name]), name)
		}
		into.Define = append(into.Define, policy.Definition{Name: name, Expr: expr})
	}
}

// allRules reads [[rule]].
func (d *decoder) allRules(into *policy.Source, tables []table, value any) {
	for i, r := range d.group("rule", value) {
		var source policy.RuleSource
		share := unset
		t := table{"rule", []key{
			{"name", text(&source.Name, anyText)},
			{"when", text(&source.When, anyText)},
			{"reply", text(&source.Reply, anyText)},
			{"action", text(&source.Action, anyText)},
			{"header", headers(&source.Header)},
			{"at_once", flag(&source.AtOnce)},
			{"observe", flag(&source.Observe)},
			{"enforce", shareOf(&share)},
		}}
		d.keys(tables, t, item("rule", i), r)
		d.enforceFor(&source, share, item("rule", i))
		d.enforced = append(d.enforced, share > 0)
		into.Rules = append(into.Rules, source)
	}
}

// unset is the share of a rule that names none.
const unset policy.Share = -1

// shareOf reads a share of senders.
func shareOf(into *policy.Share) reader {
	return func(d *decoder, path string, value any) {
		v, ok := value.(string)
		if !ok {
			d.wrong(path, "it is %s; write a share of senders in quotes, such as \"10%%\"", describe(value))
			return
		}
		share, err := policy.ParseShare(v)
		if err != nil {
			d.wrong(path, "%v", err)
			return
		}
		*into = share
	}
}

// enforceFor makes a rule one for a share of senders. For all and for none of them it is what every rule is.
func (d *decoder) enforceFor(r *policy.RuleSource, share policy.Share, path string) {
	switch {
	case share == unset:
	case r.Observe:
		d.wrong(join(path, "enforce"), "the rule has observe = true too; remove one of the two")
	case share == 0:
		r.Observe = true
	case share < policy.WholeShare:
		r.Share = share
	}
}

// observeOthers makes the mode a matter of each rule where some say enforce in mode = "observe": those refuse, all others are observed. What
// accepts or tags acts in every mode.
func (d *decoder) observeOthers(f *File) {
	for _, r := range f.source.Rules {
		if r.Share > 0 {
			f.HeldBack = append(f.HeldBack, r.Name)
		}
	}
	if f.Mode != Observe || !slices.Contains(d.enforced, true) {
		return
	}
	f.source.Observe = false
	for i := range f.source.Rules {
		switch r := &f.source.Rules[i]; {
		case d.enforced[i]:
			f.Enforced = append(f.Enforced, r.Name)
		case r.Action != "accept" && r.Action != "tag" && !r.Observe:
			r.Observe = true
			f.HeldBack = append(f.HeldBack, r.Name)
		}
	}
}

// group gives the tables of an array of tables, such as [[rule]], and keeps their names to speak of them.
func (d *decoder) group(name string, value any) []map[string]any {
	tables, ok := tablesOf(value)
	switch {
	case ok:
	case describe(value) == "a table":
		d.wrong(name, "write %s with double brackets, one for each %s", titleOf(name), name)
	default:
		d.wrong(name, "it is %s; write %s, one for each %s", describe(value), titleOf(name), name)
	}
	if !ok {
		return nil
	}
	for _, t := range tables {
		called, _ := t["name"].(string)
		d.named[name] = append(d.named[name], called)
	}
	return tables
}

// tablesOf gives the tables of [[rule]], or of rule = [{...}].
func tablesOf(value any) ([]map[string]any, bool) {
	if tables, ok := value.([]map[string]any); ok {
		return tables, true
	}
	elements, ok := value.([]any)
	tables := make([]map[string]any, len(elements))
	for i, element := range elements {
		t, isTable := element.(map[string]any)
		if !isTable {
			return nil, false
		}
		tables[i] = t
	}
	return tables, ok
}

// headers reads header = { "Name" = "value" }, in the order of the file.
func headers(into *[]policy.HeaderText) reader {
	return func(d *decoder, path string, value any) {
		fields, ok := value.(map[string]any)
		if !ok {
			d.wrong(path, "it is %s; write { \"X-Spam-Flag\" = \"YES\" }", describe(value))
			return
		}
		for _, name := range d.ordered(path, fields) {
			v, isText := fields[name].(string)
			if !isText {
				d.wrong(join(path, name), "it is %s; write a text in quotes", describe(fields[name]))
			}
			*into = append(*into, policy.HeaderText{Name: name, Value: v})
		}
	}
}
