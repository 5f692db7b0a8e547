package filter

import (
	"gatepost.example/filter/arc"
	"gatepost.example/filter/dkim"
	"gatepost.example/filter/dmarc"
	"gatepost.example/filter/iprev"
	"gatepost.example/filter/spf"
	"gatepost.example/policy"
	"gatepost.example/policy/policyfile"
)

// Questions is how many questions of DNS something asks for one message at most.
type Questions struct {
	Of   string // "SPF"
	Most int
}

// fewQuestions is what looking for one name costs: MX, A and AAAA.
const fewQuestions = 3

// MostQuestions gives what one message of a stranger can cost at most under a policy, whatever its sender wrote into message and DNS. What
// Authentication-Results reads is asked for every message, the rest where a rule reads it.
func MostQuestions(f *policyfile.File) []Questions {
	out := []Questions{
		{"SPF", 2 * spf.MaxQuestions}, // of MAIL FROM and of HELO
		{"DMARC", dmarc.MaxQuestions(dkim.MaxSignatures)},
		{"ARC", arc.MaxInstance + 1}, // each seal, and the newest signature
		{"DKIM", dkim.MaxSignatures},
		{"iprev", iprev.MaxQuestions},
	}
	names := 0
	for _, fact := range []string{"helo.resolves", "sender.mx"} {
		if f.Policy.Wants([]policy.Fact{{Name: fact}}) {
			names += fewQuestions
		}
	}
	if names > 0 {
		out = append(out, Questions{"names", names})
	}
	lists := 0
	for _, l := range f.DNSBL {
		each := 1
		if l.Query == policyfile.QueryDKIMDomains {
			each = dkim.MaxSignatures
		}
		lists += each
	}
	if lists > 0 {
		out = append(out, Questions{"dnsbl", lists})
	}
	return out
}
