package setup

import (
	"fmt"
	"os"
	"strings"

	"gatepost.example/cmd/gatepost/mta"
	"gatepost.example/policy"
)

// This file reads the configuration of the programs whose work Gatepost takes over.

// settings reads lines "Name value" or "Name = value", as opendkim.conf(5), opendmarc.conf(5) and policyd-spf.conf(5) write them; names come in
// lower case, the last line of a name counts.
func settings(text string) map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(withoutComments(text)) {
		line = strings.TrimSpace(line)
		end := strings.IndexAny(line, " \t=")
		if end < 0 {
			continue
		}
		value := strings.TrimSpace(line[end:])
		out[strings.ToLower(line[:end])] = strings.TrimSpace(strings.TrimPrefix(value, "="))
	}
	return out
}

func isYes(value string) bool {
	return value != "" && strings.ContainsAny(value[:1], "yYtT1")
}

// dataset gives the entries of a data set of OpenDKIM or OpenDMARC: a list with commas, or a file (opendkim(8), "DATA SETS").
func (im *importer) dataset(where, value string) []string {
	kind, rest, typed := strings.Cut(value, ":")
	switch {
	case value == "":
		return nil
	case typed && (kind == "file" || kind == "refile"), strings.HasPrefix(value, "/"):
		path := value
		if typed && !strings.HasPrefix(value, "/") {
			path = rest
		}
		text := im.config(path)
		if text == "" {
			im.skip("%s: %s cannot be read, or is empty", where, path)
		}
		var out []string
		for line := range strings.Lines(withoutComments(text)) {
			if fields := strings.Fields(line); len(fields) > 0 {
				out = append(out, fields[0])
			}
		}
		return out
	case typed && kind == "csl":
		value = rest
	case typed && strings.Trim(kind, "abcdefghijklmnopqrstuvwxyz") == "" && kind != "":
		im.skip("%s: a data set of type %s is not read; write its entries into policy.toml", where, kind)
		return nil
	}
	return mta.Split(value)
}

// openDKIM reads whose mail OpenDKIM signs (those are own machines) and whose it passes over.
func (im *importer) openDKIM() {
	set := settings(im.config("etc/opendkim.conf"))
	if len(set) == 0 || !im.uses("opendkim") {
		return
	}
	for _, name := range []string{"InternalHosts", "ExternalIgnoreList"} {
		where := "opendkim.conf: " + name
		for _, host := range im.dataset(where, set[strings.ToLower(name)]) {
			if strings.HasPrefix(host, "!") || host == "localhost" {
				continue
			}
			im.trust(host, where)
		}
	}
	im.allowHosts("opendkim.conf: PeerList", set["peerlist"])
	if on := set["on-badsignature"] + set["on-nosignature"]; strings.Contains(on, "reject") || strings.Contains(on, "tempfail") {
		im.skip("opendkim.conf: On-BadSignature and the like refuse for a signature alone, which breaks forwarded mail (RFC 6376 6.3); the rule spoofed asks for DMARC")
	}
}

// allowHosts allows the hosts of a data set.
func (im *importer) allowHosts(where, value string) {
	for _, host := range im.dataset(where, value) {
		p, isNet := network(host)
		switch {
		case strings.HasPrefix(host, "!"):
			im.skip("%s: %s is an exception; write the networks around it", where, host)
		case isNet && p.Addr().IsLoopback() || host == "localhost":
		case isNet:
			im.add("imported_allowed_clients", networkText(p), where, policy.KindIP)
		case !im.add("imported_allowed_clients", host, where, policy.KindDomain):
			im.skip("%s: %s is no network and no full host name", where, host)
		}
	}
}

// openDMARC reads whom OpenDMARC passes over and whether it refuses.
func (im *importer) openDMARC() {
	set := settings(im.config("etc/opendmarc.conf"))
	if len(set) == 0 || !im.uses("opendmarc") {
		return
	}
	im.allowHosts("opendmarc.conf: IgnoreHosts", set["ignorehosts"])
	for _, domain := range im.dataset("opendmarc.conf: IgnoreMailFrom", set["ignoremailfrom"]) {
		if !im.add("imported_dmarc_exempt", domain, "opendmarc.conf: IgnoreMailFrom", policy.KindDomain) {
			im.skip("opendmarc.conf: IgnoreMailFrom: %s is no domain", domain)
		}
	}
	if isYes(set["rejectfailures"]) {
		when := `dmarc.result == "fail" && dmarc.policy == "reject"`
		if len(im.out.Lists["imported_dmarc_exempt"]) > 0 {
			when += " && !(author.domain in list.imported_dmarc_exempt)"
		}
		im.out.Rules = append(im.out.Rules, Rule{"spoofed", "imported-dmarc", when, `reply = "550 5.7.1 Email rejected per DMARC policy for {author.domain}"`,
			"opendmarc.conf: RejectFailures true. It refuses mailing lists and forwarders too; without this rule the one below asks for a second reason (RFC 9989 7.4)"})
	} else if len(im.out.Lists["imported_dmarc_exempt"]) > 0 {
		delete(im.out.Lists, "imported_dmarc_exempt")
		im.skip("opendmarc.conf: IgnoreMailFrom: OpenDMARC refuses nothing here; write author.domain into the rules spoofed and junk if you want the same")
	}
	if ids := set["trustedauthservids"]; ids != "" {
		im.skip("opendmarc.conf: TrustedAuthservIDs %s: Gatepost believes no field of others, it checks by itself; for the filters behind it see gatepost doctor", ids)
	}
	if isYes(set["spfselfvalidate"]) || isYes(set["failurereports"]) {
		im.skip("opendmarc.conf: SPF is always checked here, and failure reports are not sent")
	}
}

// spfVerdicts are the results that policyd-spf refuses by each word of Mail_From_reject and HELO_reject (policyd-spf.conf(5)).
var spfVerdicts = map[string]string{
	"fail": `["fail"]`, "softfail": `["fail", "softfail"]`, "spf_not_pass": `["fail", "softfail", "neutral", "permerror"]`,
}

// policydSPF reads which SPF results the policy server refuses, and for whom not.
func (im *importer) policydSPF() {
	if !im.uses("policyd-spf") {
		return
	}
	set := settings(im.config("etc/postfix-policyd-spf-python/policyd-spf.conf"))
	const where = "policyd-spf.conf: "
	for _, name := range []string{"Whitelist", "skip_addresses"} {
		for _, host := range mta.Split(set[strings.ToLower(name)]) {
			switch p, isNet := network(host); {
			case !isNet:
				im.skip("%s%s: %s is no network", where, name, host)
			case !p.Addr().IsLoopback():
				im.add("imported_spf_exempt", networkText(p), where+name, policy.KindIP)
			}
		}
	}
	exempt := ""
	if len(im.out.Lists["imported_spf_exempt"]) > 0 {
		exempt = " && !(client.ip in list.imported_spf_exempt)"
	}
	refused := 0
	for _, one := range []struct{ key, fact, rule, reply string }{
		{"HELO_reject", "helo.spf", "imported-spf-helo", "550 5.7.23 SPF of the HELO name says that this host may not send for it"},
		{"Mail_From_reject", "spf.result", "imported-spf", "550 5.7.23 SPF of {sender.domain} says that {client.ip} may not send for it"},
	} {
		word := strings.ToLower(either(set[strings.ToLower(one.key)], "Fail")) // its default
		verdicts, known := spfVerdicts[word]
		if !known {
			im.skip("%s%s = %s refuses nothing here, or only for null senders", where, one.key, word)
			continue
		}
		refused++
		im.out.Rules = append(im.out.Rules, Rule{"null-mx", one.rule, one.fact + " in " + verdicts + exempt, fmt.Sprintf("reply = %q", one.reply),
			where + one.key + " = " + word + ". It refuses forwarded mail too, and hides it from DMARC (RFC 9989 7.1); without it the rule junk sorts"})
	}
	if refused == 0 {
		delete(im.out.Lists, "imported_spf_exempt")
	}
	for _, name := range []string{"Domain_Whitelist", "Domain_Whitelist_PTR", "HELO_Whitelist"} {
		if set[strings.ToLower(name)] != "" {
			im.skip("%s%s: a name that SPF or the reverse name has to confirm; write client.name or sender.domain into the rule", where, name)
		}
	}
	if set["testonly"] == "0" || set["defaultseedonly"] == "0" {
		im.skip("%sTestOnly = 0: it refuses nothing today; set observe = true on the rules imported-spf", where)
	}
}

// postgrey reads its whitelists, and makes the rule that greylists all others.
func (im *importer) postgrey() {
	if !im.uses("postgrey") {
		return
	}
	for _, name := range []string{"whitelist_clients", "whitelist_clients.local"} {
		im.postgreyClients(name)
	}
	for _, name := range []string{"whitelist_recipients", "whitelist_recipients.local"} {
		for _, r := range parseTable(im.config("etc/postgrey/" + name)) {
			note := fmt.Sprintf("%s:%d", name, r.line)
			switch local, isLocal := strings.CutSuffix(r.key, "@"); {
			case isLocal && (local == "postmaster" || local == "abuse"): // the shipped rule postmaster takes their mail
			case !strings.Contains(r.key, "/") && im.add("imported_greylist_recipients", r.key, note, policy.KindAddress, policy.KindDomain):
				if !strings.Contains(r.key, "@") {
					im.add("imported_greylist_recipients", "."+r.key, note, policy.KindDomain)
				}
			default:
				im.skip("%s: %s is no address and no domain", note, r.key)
			}
		}
	}
	when := `client.reputation != "good" && !sender.correspondent`
	if asked := im.asked("imported_greylist_clients", "clients"); asked != "" {
		when += " && !(" + asked + ")"
	}
	if asked := im.asked("imported_greylist_recipients", "recipients"); asked != "" {
		when += " && !(" + asked + ")"
	}
	im.out.Rules = append(im.out.Rules, Rule{"greylist", "imported-greylist", when, `action = "greylist"`,
		"postgrey, which greylists everybody once; the rule below asks for reasons first"})
	for _, option := range strings.Fields(im.config("etc/default/postgrey")) {
		option = strings.Trim(option, `"'`)
		if delay, isDelay := strings.CutPrefix(option, "--delay="); isDelay && delay != "300" {
			im.skip("postgrey --delay=%s: write delay = \"%ss\" into [greylist]", delay, delay)
		}
	}
}

func (im *importer) postgreyClients(name string) {
	for _, r := range parseTable(im.config("etc/postgrey/" + name)) {
		note := fmt.Sprintf("%s:%d", name, r.line)
		p, isNet := network(r.key)
		switch {
		case strings.HasPrefix(r.key, "/"):
			im.skip("%s: %s is a regular expression; write client.name.matches(...) into the rule imported-greylist", note, r.key)
		case isNet:
			im.add("imported_greylist_clients", networkText(p), note, policy.KindIP)
		case !strings.Contains(r.key, "/") && im.add("imported_greylist_clients", r.key, note, policy.KindDomain):
			im.add("imported_greylist_clients", "."+r.key, note, policy.KindDomain)
		default:
			im.skip("%s: %s is no network and no domain", note, r.key)
		}
	}
}

// Signs reports whether the OpenDKIM of this machine signs mail: then its mail would go out unsigned without it.
func Signs(root string) bool {
	text, err := os.ReadFile(root + "/etc/opendkim.conf")
	if err != nil {
		return false
	}
	mode, set := settings(string(text))["mode"]
	return !set || strings.ContainsAny(mode, "sS") // Mode sv is its default
}
