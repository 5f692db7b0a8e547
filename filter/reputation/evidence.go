package reputation

import (
	"strings"
	"time"

	"gatepost.example/filter/state"
)

// Tables of the memory.
const (
	TableIP      = "reputation:ip"
	TableNetwork = "reputation:network"
	TableDomain  = "reputation:domain"
	TableKnown   = "known"      // domains that sent authenticated mail
	TableAsked   = "recipients" // of an address: A recipients that exist, B that do not
)

// Rules is how evidence is weighed and kept.
type Rules struct {
	HalfLife time.Duration
}

// Evidence is what one message or session says for (wanted) and against (unwanted) who sent it.
type Evidence struct {
	IP, Network string   // of the client; "" for none
	Domains     []string // as which the message is authenticated
	Wanted      float64
	Unwanted    float64
	Recipients  int // that exist
	Unknown     int // that do not
}

// Steps gives the steps that learn evidence; none where there is none.
func (r Rules) Steps(e Evidence) []state.Step { return r.AppendSteps(nil, e) }

// AppendSteps adds the steps that learn evidence.
func (r Rules) AppendSteps(out []state.Step, e Evidence) []state.Step {
	weigh := func(table, key string, a, b float64) {
		if key != "" && (a != 0 || b != 0) {
			out = append(out, state.Step{Op: state.Weigh, Table: table, Key: key, A: a, B: b, HalfLife: r.HalfLife})
		}
	}
	weigh(TableIP, e.IP, e.Wanted, e.Unwanted)
	weigh(TableNetwork, e.Network, e.Wanted, e.Unwanted)
	if e.Wanted != 0 || e.Unwanted != 0 {
		for _, domain := range widen(e.Domains) {
			weigh(TableDomain, domain, e.Wanted, e.Unwanted)
		}
	}
	weigh(TableAsked, e.IP, float64(e.Recipients), float64(e.Unknown))
	return out
}

// Look gives the step that reads a cell of one of the tables.
func Look(table, key string) state.Step { return state.Step{Op: state.Read, Table: table, Key: key} }

// knownFor is how long a domain is known after its last authenticated mail.
const knownFor = 180 * 24 * time.Hour

// AppendKnows adds the steps that note domains as known to send authenticated mail.
func AppendKnows(out []state.Step, domains []string) []state.Step {
	for _, d := range domains {
		out = append(out, state.Step{Op: state.Touch, Table: TableKnown, Key: d, Keep: knownFor})
	}
	return out
}

// widen gives domains and, of each, the wider one, each once.
func widen(domains []string) []string {
	var out []string
	seen := map[string]bool{}
	for _, d := range domains {
		for _, name := range []string{d, wider(d)} {
			if name != "" && !seen[name] {
				seen[name] = true
				out = append(out, name)
			}
		}
	}
	return out
}

// wider gives the domain that may lend its reputation to one below it: its last two labels; "" for a domain that is its own. Where many share
// a suffix (co.uk, the names of a hosting company) nobody may spoil or borrow the others' name by it: so it lends only where it
// is known to send authenticated mail itself, as an organization does and a registry does not.
func wider(domain string) string {
	last := strings.LastIndexByte(domain, '.')
	if last < 0 {
		return ""
	}
	before := strings.LastIndexByte(domain[:last], '.')
	if before < 0 {
		return ""
	}
	return domain[before+1:]
}
