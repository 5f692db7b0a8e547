package policyfile

import (
	"log/slog"
	"time"
)

// table is a section of the file with the keys that it may have.
type table struct {
	name string // "" for what stands above the first section
	keys []key
}

// key is one key and what reads its value.
type key struct {
	name string
	read reader
}

// reader takes the value of a key into its setting, or reports what is wrong with it.
type reader func(d *decoder, path string, value any)

const day = 24 * time.Hour

// tables is every section with every key of this version, but for [list], [define] and [[rule]]. What is not here is refused, so
// that no key is taken and then has no effect.
func (f *File) tables() []table {
	return []table{
		{"", []key{
			{"mode", word(&f.Mode, Observe, Enforce)},
		}},
		{"listen", []key{
			{"milter", array(&f.Listen.Milter, false, endpoint)},
			{"admin", adminSocket(&f.Listen.Admin)},
			{"http", text(&f.Listen.HTTP, optional(hostPort))},
			{"sessions", number(&f.Listen.Sessions, 1, 100_000)},
		}},
		{"server", []key{
			{"name", text(&f.Server.Name, authservID)},
			{"directory", text(&f.Server.Directory, absolute)},
			{"delay_reject", flag(&f.Server.DelayReject)},
			{"network", prefixLengths(&f.Server.NetworkV4, &f.Server.NetworkV6)},
			{"submission", services(&f.Server.Submission)},
		}},
		{"trust", []key{
			{"networks", array(&f.Trust.Networks, true, trusted)},
			{"relays", array(&f.Trust.Relays, true, trusted)},
			{"arc_sealers", array(&f.Trust.ARCSealers, true, domain)},
			{"instead_of_refusal", word(&f.Trust.InsteadOfRefusal, InsteadTag, InsteadHold)},
		}},
		{"dns", []key{
			{"servers", array(&f.DNS.Servers, true, nameServer)},
			{"timeout", duration(&f.DNS.Timeout, 100*time.Millisecond, 10*time.Second)},
			// Postfix waits 30 s for the answer to one command; what takes longer is no answer.
			{"budget", duration(&f.DNS.Budget, 500*time.Millisecond, 25*time.Second)},
			{"cache", number(&f.DNS.Cache, 100, 10_000_000)},
		}},
		{"store", []key{
			{"kind", word(&f.Store.Kind, StoreEmbedded, StoreRedis)},
			{"url", text(&f.Store.URL, redisURL)},
		}},
		{"history", []key{
			{"keep", long(&f.History.Keep, 0, 3650*day)},
			{"size", bytes(&f.History.Size, 1_000_000, 1_000_000_000_000)},
			{"addresses", word(&f.History.Addresses, AddressesPlain, AddressesHashed)},
		}},
		{"reputation", []key{
			{"half_life", long(&f.Reputation.HalfLife, time.Hour, 365*day)},
			{"settle", long(&f.Reputation.Settle, 0, 365*day)},
			{"correspondent", long(&f.Reputation.Correspondent, day, 400*day)},
			{"freemail", array(&f.Reputation.Freemail, true, domainOrFile)},
			{"unwanted", weightsOf(map[string]*float64{"unknown_recipient": &f.Reputation.UnknownRecipient, "content": &f.Reputation.Spam})},
			{"wanted", weightsOf(map[string]*float64{"correspondent": &f.Reputation.FromCorrespondent, "content": &f.Reputation.Ham})},
		}},
		{"content_filter", []key{
			{"header", text(&f.ContentFilter.Header, fieldName)},
			{"spam", text(&f.ContentFilter.Spam, plainText)},
		}},
		{"greylist", []key{
			{"delay", long(&f.Greylist.Delay, time.Second, day)},
			{"retry_window", long(&f.Greylist.RetryWindow, time.Hour, 30*day)},
			{"max_age", long(&f.Greylist.MaxAge, day, 400*day)},
		}},
		{"submission", []key{
			{"login_maps", text(&f.Submission.LoginMaps, anyText)},
		}},
		{"reply", []key{
			{"footer", text(&f.Reply.Footer, footer)},
		}},
		{"authres", []key{
			{"received_spf", flag(&f.Authres.ReceivedSPF)},
			{"keep_from_trusted", flag(&f.Authres.KeepFromTrusted)},
		}},
		{"log", []key{
			{"format", word(&f.Log.Format, LogAuto, LogJournald, LogLogfmt, LogJSON, LogSyslog)},
			{"level", level(&f.Log.Level)},
		}},
		{"admin", []key{
			{"token", text(&f.Admin.Token, optional(tokenFile))},
		}},
		{"alert", []key{
			{"to", text(&f.Alert.To, optional(mailbox))},
			{"server", text(&f.Alert.Server, hostPort)},
		}},
		{"recipients", []key{
			{"mixed", word(&f.Recipients.Mixed, MixedSplit, MixedMildest)},
		}},
	}
}

// find gives the key of a name, nil for none.
func (t table) find(name string) *key {
	for i := range t.keys {
		if t.keys[i].name == name {
			return &t.keys[i]
		}
	}
	return nil
}

// title gives the section as the file writes it.
func (t table) title() string { return titleOf(t.name) }

func titleOf(section string) string {
	if section == "rule" || section == "dnsbl" || section == "limit" {
		return "[[" + section + "]]"
	}
	return "[" + section + "]"
}

// relations looks at settings that must fit each other.
func (d *decoder) relations(f *File) {
	if f.DNS.Budget < f.DNS.Timeout && !d.bad["dns.budget"] && !d.bad["dns.timeout"] {
		d.wrong("dns.budget", "%s for a whole stage is less than the timeout of %s for one question; make it longer", f.DNS.Budget, f.DNS.Timeout)
	}
}

// levels are the log levels by their words.
func levels() map[string]slog.Level {
	return map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
}
