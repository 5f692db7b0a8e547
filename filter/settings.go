package filter

import (
	"net/netip"
	"strconv"
	"time"

	"gatepost.example/filter/correspondent"
	"gatepost.example/filter/dnsbl"
	"gatepost.example/filter/greylist"
	"gatepost.example/filter/history"
	"gatepost.example/filter/milter"
	"gatepost.example/filter/reputation"
	"gatepost.example/filter/submission"
	"gatepost.example/policy"
	"gatepost.example/policy/policyfile"
)

// Settings is what sessions follow: the policy and what policy.toml says around it. A reload makes a new one; it does not change.
type Settings struct {
	Policy          *policy.Policy
	Vocabulary      *policy.Vocabulary // the facts that the policy can name
	Name            string             // authserv-id; "" for the MTA's own name
	Trusted         []netip.Prefix     // trust.networks
	Relays          []netip.Prefix     // trust.relays
	Sealers         []string           // trust.arc_sealers
	Lists           []dnsbl.List       // [[dnsbl]]
	Hold            bool               // trust.instead_of_refusal: hold instead of tag
	Network4        int                // prefix length of client.network
	Network6        int                // the same for IPv6
	Submission      map[string]bool    // {daemon_port} and {daemon_name} of submission services
	Footer          string             // reply.footer
	ReceivedSPF     bool               // authres.received_spf
	KeepFromTrusted bool               // authres.keep_from_trusted
	Budget          time.Duration      // dns.budget: how long the checks of one stage may take

	Reputation     reputation.Rules
	Signals        Signals
	Settle         time.Duration
	Correspondents correspondent.Rules
	Greylist       greylist.Rules
	Maps           *submission.Maps // submission.login_maps; nil for none

	Kept *history.Policy // as the history knows it

	checks  []entry // the registry for this policy
	wanted  []bool  // for each of them: a rule reads a fact of the check
	counted []bool  // the same: a limit does, or what is learned of a message, whatever the rules decide
	// starting lists the checks that start at each stage.
	starting [policy.Data + 1][]int
	limits   []boundLimit
	// countsNewcomers: some limit counts first-time recipients.
	countsNewcomers bool
	owner           map[string]owner // who establishes a fact
	silent          milter.Stages    // where the policy never speaks
	own             []string         // names of the fields that only we write, whatever a message says
}

// owner is the check that establishes a fact.
type owner struct {
	check int // its index
	fact  policy.FactID
}

// Signals is what counts as evidence for and against a sender, with its weights.
type Signals struct {
	UnknownRecipient, Correspondent float64
	Header, Spam                    string // of a content filter before us; "" for none
	SpamWeight, Ham                 float64
}

// SettingsOf gives what a policy file says to sessions.
func SettingsOf(f *policyfile.File) *Settings {
	submission := map[string]bool{}
	for _, port := range f.Server.Submission.Ports {
		submission[strconv.Itoa(port)] = true
	}
	for _, name := range f.Server.Submission.Names {
		submission[name] = true
	}
	return &Settings{
		Policy: f.Policy, Vocabulary: f.Vocabulary, Lists: listsOf(f.DNSBL), Name: f.Server.Name, Trusted: f.Trust.Networks, Relays: f.Trust.Relays, Sealers: f.Trust.ARCSealers, Hold: f.Trust.InsteadOfRefusal == policyfile.InsteadHold,
		Network4: f.Server.NetworkV4, Network6: f.Server.NetworkV6, Submission: submission, Footer: f.Reply.Footer,
		Reputation: reputation.Rules{HalfLife: f.Reputation.HalfLife}, Settle: f.Reputation.Settle,
		Signals: Signals{
			UnknownRecipient: f.Reputation.UnknownRecipient, Correspondent: f.Reputation.FromCorrespondent,
			Header: f.ContentFilter.Header, Spam: f.ContentFilter.Spam, SpamWeight: f.Reputation.Spam, Ham: f.Reputation.Ham,
		},
		Correspondents: correspondent.Rules{Keep: f.Reputation.Correspondent, Freemail: setOf(f.Reputation.Freemail)},
		Greylist:       greylist.Rules{Delay: f.Greylist.Delay, Window: f.Greylist.RetryWindow, MaxAge: f.Greylist.MaxAge},
		limits:         bindLimits(f.Limits),
		ReceivedSPF:    f.Authres.ReceivedSPF, KeepFromTrusted: f.Authres.KeepFromTrusted, Budget: f.DNS.Budget,
		Kept: keptPolicy(f),
	}
}

func setOf(words []string) map[string]bool {
	out := map[string]bool{}
	for _, w := range words {
		out[w] = true
	}
	return out
}

func listsOf(configured []policyfile.DNSBL) []dnsbl.List {
	var out []dnsbl.List
	for _, l := range configured {
		list := dnsbl.List{Name: l.Name, Zone: l.Zone, Subject: dnsbl.Subject(l.Query), URL: l.URL, Test: l.Test}
		for _, w := range l.Weight {
			list.Weights = append(list.Weights, dnsbl.Weight{Codes: &w.Codes, Points: w.Points})
		}
		out = append(out, list)
	}
	return out
}

// roleOf says what the service is for that a client came to.
func (set *Settings) roleOf(c Client) string {
	switch {
	case c.DaemonPort == "0" || c.DaemonPort == "" && c.QueueID != "": // Sendmail gives an SMTP client a queue id at connect, Postfix does not
		return roleLocal
	case set.Submission[c.DaemonPort] || set.Submission[c.DaemonName]:
		return roleSubmission
	}
	return roleMX
}

func (set *Settings) trusts(addr netip.Addr) bool {
	for _, network := range set.Trusted {
		if network.Contains(addr) {
			return true
		}
	}
	return false
}

// textsOf gives an address and its network as texts; both are empty without an address.
func (set *Settings) textsOf(addr netip.Addr) (ip, network string) {
	if !addr.IsValid() {
		return "", ""
	}
	return addr.String(), set.networkOf(addr)
}

func (set *Settings) networkOf(addr netip.Addr) string {
	bits := set.Network6
	if addr.Is4() {
		bits = set.Network4
	}
	network, err := addr.WithZone("").Prefix(bits)
	if err != nil {
		return addr.String()
	}
	return network.String()
}

// authservID is the name under which we add Authentication-Results (RFC 8601 2.5).
func (set *Settings) authservID(mta string) string {
	switch {
	case set.Name != "":
		return set.Name
	case mta != "":
		return mta
	}
	return "localhost"
}
