package policyfile

import (
	"strings"
	"testing"

	"gatepost.example/policy"
)

// vocabulary is the facts that the tests' policies use, written down here a second time on purpose: the real list lives with the
// checks, and this package must not depend on it.
func vocabulary(t testing.TB) *policy.Vocabulary {
	t.Helper()
	v, err := policy.NewVocabulary(
		facts(policy.Connect, policy.OfConnection, "client.ip:ip client.name:domain client.ptr:domain client.network client.iprev client.reputation client.dnsbl_url server.role time.weekday"),
		kind(policy.Bool, policy.Connect, policy.OfConnection, "client.trusted"),
		kind(policy.Int, policy.Connect, policy.OfConnection, "time.hour client.dnsbl_score"),
		kind(policy.Bool, policy.Connect, policy.OfConnection, "memory.settled"),
		kind(policy.Strings, policy.Connect, policy.OfConnection, "client.dnsbls"),
		facts(policy.Helo, policy.OfConnection, "helo.name:domain helo.spf"),
		kind(policy.Bool, policy.Helo, policy.OfConnection, "helo.fqdn"),
		facts(policy.Mail, policy.OfMessage, "tls.version tls.cipher auth.user:user auth.method"),
		kind(policy.Int, policy.Mail, policy.OfMessage, "tls.bits"),
		facts(policy.Mail, policy.OfMessage, "sender.address:address sender.local:user sender.domain:domain sender.mx"),
		kind(policy.Bool, policy.Mail, policy.OfMessage, "sender.empty sender.owned sender.correspondent"),
		facts(policy.Mail, policy.OfMessage, "spf.result spf.domain:domain spf.term"),
		facts(policy.Rcpt, policy.OfRecipient, "rcpt.address:address rcpt.local:user rcpt.domain:domain"),
		kind(policy.Int, policy.Rcpt, policy.OfRecipient, "rcpt.count"),
		kind(policy.Int, policy.Data, policy.OfMessage, "message.size author.fields author.domains"),
		facts(policy.Data, policy.OfMessage, "message.list_id message.id author.address:address author.domain:domain"),
		facts(policy.Data, policy.OfMessage, "dkim.result dkim.author dmarc.result dmarc.policy dmarc.domain:domain dmarc.aligned_by"),
		kind(policy.Strings, policy.Data, policy.OfMessage, "dkim.domains"),
		kind(policy.Bool, policy.Data, policy.OfMessage, "author.owned author.ours arc.trusted"),
		facts(policy.Data, policy.OfMessage, "arc.dmarc signer.reputation author.reputation"),
		kind(policy.Bool, policy.Rcpt, policy.OfRecipient, "greylist.wait"),
		facts(policy.Rcpt, policy.OfRecipient, "greylist.retry"),
	)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// facts declares text facts of "name" or "name:kind".
func facts(at policy.Stage, of policy.Scope, names string) []policy.Fact {
	kinds := map[string]policy.Kind{"ip": policy.KindIP, "address": policy.KindAddress, "domain": policy.KindDomain, "user": policy.KindUser}
	var out []policy.Fact
	for name := range strings.FieldsSeq(names) {
		name, k, _ := strings.Cut(name, ":")
		out = append(out, policy.Fact{
			Name: name, Type: policy.String, Stage: at, Scope: of, Kind: kinds[k], Words: words(name), Trouble: policy.StringOf("temperror"),
		})
	}
	return out
}

// words gives the values of the facts that have few.
func words(fact string) []string {
	switch fact {
	case "spf.result", "helo.spf":
		return []string{"none", "neutral", "pass", "fail", "softfail", "temperror", "permerror"}
	case "dmarc.result":
		return []string{"none", "pass", "fail", "temperror", "permerror"}
	case "dmarc.policy":
		return []string{"", "none", "quarantine", "reject"}
	case "dkim.author":
		return []string{"none", "pass", "fail", "temperror"}
	case "sender.mx":
		return []string{"found", "null", "none", "temperror"}
	}
	return nil
}

// kind declares facts of another type.
func kind(t policy.Type, at policy.Stage, of policy.Scope, names string) []policy.Fact {
	trouble := map[policy.Type]policy.Value{policy.Bool: policy.BoolOf(false), policy.Int: policy.IntOf(0), policy.Strings: policy.StringsOf(nil)}
	var out []policy.Fact
	for name := range strings.FieldsSeq(names) {
		out = append(out, policy.Fact{Name: name, Type: t, Stage: at, Scope: of, Trouble: trouble[t]})
	}
	return out
}
