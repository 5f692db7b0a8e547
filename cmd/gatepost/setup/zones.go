package setup

import (
	"fmt"
	"slices"
	"strings"

	"gatepost.example/cmd/gatepost/mta"
	"gatepost.example/policy/policyfile"
)

// Zone is one [[dnsbl]].
type Zone struct {
	Name, Zone, Query string
	Weights           []Weight
	Note              string
}

// Weight is what some codes of a zone count.
type Weight struct{ Codes, Points string }

// What imported lists count: the shipped rule blocklisted refuses from 4 on.
const (
	refuses = "4"
	warns   = "1"
	permits = "-100"
)

// anyCode is the set of codes of a restriction without a filter.
const anyCode = "127.[0..255].[0..255].[0..255]"

// zoneQueries are the restrictions that ask a zone, by what they ask it about.
var zoneQueries = map[string]string{
	"reject_rbl_client": "client.ip", "permit_dnswl_client": "client.ip", "reject_rhsbl_sender": "sender.domain", "reject_rhsbl_helo": "helo.name",
}

// blocklists reads the restrictions that ask blocklists and allowlists.
func (im *importer) blocklists(b *planner) {
	b.restrictions(func(where string, r mta.Restriction) {
		if isRBL(r.Name) {
			im.blocklist(where, r)
		}
	})
	if sites := b.Value("postscreen_dnsbl_sites"); sites != "" {
		im.skip("postscreen_dnsbl_sites: postscreen asks before Gatepost meets the client, and goes on doing so")
	}
	if slices.ContainsFunc(im.out.Zones, func(z Zone) bool { return z.Query != "client.ip" }) {
		im.out.Rules = append(im.out.Rules, Rule{"null-mx", "imported-listed-name", "sender.dnsbl_score >= 4 || helo.dnsbl_score >= 4",
			`reply = "554 5.7.1 The domain of the sender or the HELO name is on a blocklist"`, "reject_rhsbl_sender, reject_rhsbl_helo"})
	}
}

func (im *importer) blocklist(where string, r mta.Restriction) {
	zone, filter, filtered := strings.Cut(r.Argument, "=")
	query, known := zoneQueries[r.Name]
	zone = strings.ToLower(strings.TrimSuffix(zone, "."))
	switch {
	case !known:
		im.skip("%s: %s: a list is asked about client.ip, helo.name, sender.domain, author.domain or dkim.domains; leave it in Postfix", where, r)
		return
	case !strings.Contains(zone, ".") || len(zone) > 150 || strings.Trim(zone, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "":
		im.skip("%s: %s: that is no zone", where, r)
		return
	}
	weight := Weight{anyCode, refuses}
	if filtered {
		weight.Codes = filter
	}
	switch {
	case r.Name == "permit_dnswl_client":
		weight.Points = permits
	case r.Warns:
		weight.Points = warns
	}
	one := Zone{im.zoneName(zone), zone, query, []Weight{weight}, where + ": " + r.String()}
	if _, err := policyfile.Parse("", []byte(one.text()), im.Vocabulary); err != nil {
		im.skip("%s: %s: that is no zone, or no set of codes", where, r)
		return
	}
	for i, z := range im.out.Zones {
		if z.Zone == zone && z.Query == query {
			if !slices.ContainsFunc(z.Weights, func(w Weight) bool { return w.Codes == weight.Codes }) {
				im.out.Zones[i].Weights = append(z.Weights, weight)
				im.out.Zones[i].Note += "; " + one.Note
			}
			return
		}
	}
	im.out.Zones = append(im.out.Zones, one)
}

// zoneName gives what people see: never the first labels of a long zone, which may be a secret key.
func (im *importer) zoneName(zone string) string {
	labels := strings.Split(zone, ".")
	base := strings.Join(labels[max(0, len(labels)-3):], ".")
	base = base[max(0, len(base)-30):]
	name := base
	for n := 2; slices.ContainsFunc(im.out.Zones, func(z Zone) bool { return z.Name == name }); n++ {
		name = fmt.Sprintf("%s-%d", base, n)
	}
	return name
}
