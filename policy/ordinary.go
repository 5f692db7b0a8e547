package policy

import (
	"slices"

	"cel.dev/cel-go/common/types/ref"
)

// ordinary is one good message of a stranger, as facts tell it. Witnesses are told by how they differ from it, so that they are short.
var ordinary = map[string]Value{
	"client.ip": StringOf("192.0.2.1"), "client.name": StringOf("mail.example.org"), "client.ptr": StringOf("mail.example.org"),
	"client.network": StringOf("192.0.2.0/24"), "server.role": StringOf("mx"), "time.hour": IntOf(12), "time.weekday": StringOf("monday"),
	"memory.settled": BoolOf(true), "client.reputation": StringOf("neutral"), "author.reputation": StringOf("neutral"),
	"signer.reputation": StringOf("neutral"), "client.reputation_score": DoubleOf(0.5),
	"helo.name": StringOf("mail.example.org"), "helo.fqdn": BoolOf(true), "helo.resolves": StringOf("yes"),
	"tls.version": StringOf("TLSv1.3"), "tls.cipher": StringOf("TLS_AES_256_GCM_SHA384"), "tls.bits": IntOf(256),
	"sender.address": StringOf("alice@example.org"), "sender.local": StringOf("alice"), "sender.domain": StringOf("example.org"),
	"sender.owned": BoolOf(true), "author.owned": BoolOf(true), "spf.domain": StringOf("example.org"),
	"message.size": IntOf(10_000), "message.id": StringOf("1@example.org"), "author.address": StringOf("alice@example.org"),
	"author.domain": StringOf("example.org"), "author.fields": IntOf(1), "author.domains": IntOf(1),
	"rcpt.address": StringOf("bob@example.net"), "rcpt.local": StringOf("bob"), "rcpt.domain": StringOf("example.net"), "rcpt.count": IntOf(1),
	"dkim.domains": StringsOf([]string{"example.org"}), "arc.result": StringOf("none"), "arc.dmarc": StringOf(""),
	"dmarc.policy": StringOf("none"), "dmarc.domain": StringOf("example.org"), "dmarc.aligned_by": StringOf("both"),
}

// usualValue gives the value of a fact in the ordinary message.
func usualValue(f Fact) ref.Val {
	if v, ok := ordinary[f.Name]; ok {
		return v.val
	}
	for _, word := range []string{"pass", "ok", "none"} {
		if slices.Contains(f.Words, word) {
			return StringOf(word).val
		}
	}
	return f.Trouble.val
}

// listMail is what a mailing list makes of a good message of an author domain with p=reject: the signature no longer fits, and DMARC
// fails (RFC 9989 7.4). Whatever else it asks, a rule that refuses this one refuses mailing lists.
var listMail = map[string]string{
	"dmarc.result": "fail", "dmarc.policy": "reject", "dkim.author": "fail", "dmarc.aligned_by": "", "spf.result": "pass", "dkim.result": "pass",
	"client.iprev": "pass", "client.reputation": "good", "signer.reputation": "good", "sender.mx": "ok", "auth.user": "", "server.role": "mx",
}

// claims are the facts that a sender alone writes, by the group that is claimed together; identity is what such a claim would give: the
// field that a message is taken for its sake.
var claims = map[string]string{
	"sender.address": "sender", "sender.local": "sender", "sender.domain": "sender", "sender.empty": "sender", "sender.correspondent": "sender",
	"spf.domain": "sender", "author.address": "author", "author.domain": "author", "author.ours": "author", "author.known": "author",
	"dmarc.domain": "author", "helo.name": "helo", "helo.ours": "helo", "message.list_id": "list_id", "message.id": "id", "arc.dmarc": "arc", "client.ptr": "ptr",
}

// headerClaim is the group of what header("...") reads.
const headerClaim = "header"

// claimed says in words what a group is, and what would back it.
var claimed = map[string][2]string{
	"sender":    {"the address in MAIL FROM", `ask for spf.result == "pass" too`},
	"author":    {"the address in From", `ask for dmarc.result == "pass" too`},
	"helo":      {"the name in HELO", `ask for helo.spf == "pass" too, or for client.name, which is verified`},
	"list_id":   {"the List-Id field", `ask for the list's own signature too, as in "list.example" in dkim.domains`},
	"id":        {"the Message-ID field", "ask for client.ip or an authenticated domain instead"},
	"arc":       {"a sealer's word", "ask for arc.trusted too"},
	"ptr":       {"the name that the client's address points to", "ask for client.name, which is verified"},
	headerClaim: {"a header field", "ask for client.ip or an authenticated domain too"},
}

// backing gives for a group the facts and words that prove the claim.
var backing = map[string]map[string]string{
	"sender": {"spf.result": "pass"},
	"author": {"dmarc.result": "pass", "dkim.author": "pass"},
	"helo":   {"helo.spf": "pass"},
	"arc":    {"arc.result": "pass"},
	"ptr":    {"client.iprev": "pass"},
}

// unbacked is how a message looks whose claim is false: witnesses of forged claims are told so.
var unbacked = map[string]map[string]Value{
	"sender": {"spf.result": StringOf("fail")},
	"author": {"dmarc.result": StringOf("fail"), "dkim.author": StringOf("none")},
	"helo":   {"helo.spf": StringOf("fail")},
	"ptr":    {"client.iprev": StringOf("fail")},
}

// stranger is what is known of somebody who is nobody to us, whatever is claimed. For texts nil: no value or list that a rule names.
var stranger = map[string]*Value{
	"client.ip": nil, "client.name": nil, "client.network": nil, "arc.sealer": nil, "dkim.domains": nil,
	"auth.user": valueOf(StringOf("")), "auth.method": valueOf(StringOf("")), "client.dnsbl_score": valueOf(IntOf(0)), "client.reputation_score": valueOf(DoubleOf(0.5)),
	"client.trusted": valueOf(BoolOf(false)), "arc.trusted": valueOf(BoolOf(false)), "server.role": valueOf(StringOf("mx")),
	"client.reputation": valueOf(StringOf("new")), "author.reputation": valueOf(StringOf("new")), "signer.reputation": valueOf(StringOf("new")),
}

func valueOf(v Value) *Value { return &v }

// lasting are the facts that a retry of the same message finds as they were, trouble apart.
var lasting = []string{
	"spf.result", "spf.domain", "spf.term", "helo.spf", "dmarc.result", "dmarc.policy", "dmarc.domain", "dmarc.aligned_by", "dkim.result", "dkim.author",
	"dkim.domains", "sender.address", "sender.local", "sender.domain", "sender.empty", "sender.mx", "sender.owned", "author.address", "author.domain",
	"author.fields", "author.domains", "author.owned", "message.size", "message.id", "message.list_id", "auth.user", "server.role", "client.trusted",
}

// passing gives the words of a fact that another try may change.
func passing(f Fact) []string {
	switch {
	case f.Name == "sender.mx":
		return []string{temporary, "none"} // a new domain is not everywhere yet
	case f.Name == "arc.dmarc" || !slices.Contains(f.Words, temporary):
		return nil // what a sealer once wrote stays
	}
	return []string{temporary}
}

// temporary is the word for trouble that another try may not meet.
const temporary = "temperror"

// UnknownToAnalysis gives what the analysis says of facts that v does not have, or of words that they do not have: "spf.result=passed". It
// is for tests: the tables of the analysis stand apart from the checks that declare the facts.
func UnknownToAnalysis(v *Vocabulary) []string {
	var out []string
	ask := func(name, word string) {
		f, known := v.Fact(name)
		if !known || word != "" && f.Words != nil && !slices.Contains(f.Words, word) {
			out = append(out, name+"="+word)
		}
	}
	for name, value := range ordinary {
		ask(name, textOf(value.val))
	}
	for name, word := range listMail {
		ask(name, word)
	}
	for name := range claims {
		ask(name, "")
	}
	for _, facts := range backing {
		for name, word := range facts {
			ask(name, word)
		}
	}
	for _, facts := range unbacked {
		for name, value := range facts {
			ask(name, textOf(value.val))
		}
	}
	for name := range stranger {
		ask(name, "")
	}
	for _, name := range lasting {
		ask(name, "")
	}
	slices.Sort(out)
	return out
}
