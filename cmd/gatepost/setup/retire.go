package setup

import (
	"slices"
	"strings"

	"gatepost.example/cmd/gatepost/mta"
)

// retires reports whether a milter or policy server, by its address, is to be taken out, and notes it.
func (b *planner) retires(endpoint string) bool {
	for _, name := range b.Retire {
		if endpoint != "" && (strings.EqualFold(mta.Software(endpoint), name) || endpoint == name || b.Place(endpoint, false) == b.Place(name, false)) {
			if !slices.Contains(b.plan.Retired, name) {
				b.plan.Retired = append(b.plan.Retired, name)
			}
			return true
		}
	}
	return false
}

// retiresRestriction reports whether a restriction asks a retired policy server or blocklist.
func (b *planner) retiresRestriction(r mta.Restriction) bool {
	argument := b.Expand(r.Argument)
	if r.Name == "check_policy_service" {
		return b.retires(mta.Endpoint(argument))
	}
	zone, _, _ := strings.Cut(argument, "=")
	return isRBL(r.Name) && b.retires(zone)
}

func isRBL(name string) bool {
	return strings.Contains(name, "_rbl_") || strings.Contains(name, "_rhsbl_") || strings.Contains(name, "_dnswl_") || strings.Contains(name, "_rhswl_")
}

// restrictionNames are the parameters whose restrictions we read: those of smtpd, and an admin's own ones that their lists are made of.
func (b *planner) restrictionNames() []string {
	names := slices.Clone(mta.RestrictionLists)
	for _, own := range b.WrittenNames() {
		if strings.HasSuffix(own, "_restrictions") && !slices.Contains(names, own) {
			names = append(names, own)
		}
	}
	return names
}

// retireRestrictions plans the lists of restrictions without what is retired.
func (b *planner) retireRestrictions() {
	if len(b.Retire) == 0 {
		return
	}
	for _, name := range b.restrictionNames() {
		if value, had := b.Written(name); had {
			if kept, removed := b.without(value); removed {
				b.main(name, join(kept, mta.Restriction.String, ", "), "without what is retired")
			}
		}
	}
	tight := func(r mta.Restriction) string { return strings.ReplaceAll(r.String(), " ", ",") }
	for _, s := range b.Servers() {
		for name, value := range s.Written {
			if strings.HasSuffix(name, "_restrictions") {
				if kept, removed := b.without(value); removed {
					b.option(s, name, join(kept, tight, ","), "without what is retired")
				}
			}
		}
	}
	for _, name := range b.Retire {
		if !slices.Contains(b.plan.Retired, name) {
			b.note("there is no %s among the milters, policy servers and blocklists of this Postfix (any more)", name)
		}
	}
}

func (b *planner) without(list string) (kept []mta.Restriction, removed bool) {
	for _, r := range mta.Restrictions(list) {
		if b.retiresRestriction(r) {
			removed = true
			continue
		}
		kept = append(kept, r)
	}
	return kept, removed
}

func join[T any](items []T, text func(T) string, sep string) string {
	out := make([]string, len(items))
	for i, item := range items {
		out[i] = text(item)
	}
	return strings.Join(out, sep)
}

// restrictions gives all restrictions, expanded, of main.cf and of the services, each with where it stands.
func (b *planner) restrictions(each func(where string, r mta.Restriction)) {
	for _, name := range b.restrictionNames() {
		for _, r := range mta.Restrictions(b.Value(name)) {
			each(name, r)
		}
		for _, s := range b.Servers() {
			for _, r := range mta.Restrictions(s.Options[name]) {
				each(s.Key()+" "+name, r)
			}
		}
	}
}

// policyServices gives the addresses of the policy servers that restrictions ask, each once.
func (b *planner) policyServices() []string {
	var out []string
	b.restrictions(func(_ string, r mta.Restriction) {
		if endpoint := mta.Endpoint(r.Argument); r.Name == "check_policy_service" && !slices.Contains(out, endpoint) {
			out = append(out, endpoint)
		}
	})
	return out
}

// zones gives the zones that restrictions refuse by and that stay, each once.
func (b *planner) zones() []string {
	var out []string
	b.restrictions(func(_ string, r mta.Restriction) {
		zone, _, _ := strings.Cut(r.Argument, "=")
		if strings.HasPrefix(r.Name, "reject_") && isRBL(r.Name) && !b.retires(zone) && !slices.Contains(out, zone) {
			out = append(out, zone)
		}
	})
	return out
}
