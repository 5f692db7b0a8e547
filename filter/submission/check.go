package submission

import (
	"context"
	"strings"

	"gatepost.example/filter/check"
	"gatepost.example/filter/message"
	"gatepost.example/policy"
)

// owned is the check whether the user who is logged in may write as an address.
type owned struct {
	maps   *Maps // nil: not asked, every address is owned
	name   string
	fact   string
	text   string
	starts policy.Stage
	is     check.Truth
	always func(context.Context) check.Outcome // the work where nobody is asked
}

func newOwned(o owned) check.Check {
	o.is = check.NewTruth(o.fact)
	o.always = check.Always(o.is.Only(true))
	return o
}

// NewSender gives the check "owned": of MAIL FROM.
func NewSender(maps *Maps) check.Check {
	return newOwned(owned{
		maps: maps, name: "owned", fact: "sender.owned", starts: policy.Mail,
		text: "the user may send as MAIL FROM, by submission.login_maps; true without maps, without a user and for <>",
	})
}

// NewAuthor gives the check "owned-author": of From, or of Sender or Resent-From in its place.
func NewAuthor(maps *Maps) check.Check {
	return newOwned(owned{
		maps: maps, name: "owned-author", fact: "author.owned", starts: policy.Data,
		text: "the user may write as the address in From, Sender or Resent-From, by submission.login_maps; true without maps and without a user",
	})
}

// Name implements check.Check.
func (o owned) Name() string { return o.name }

// Starts implements check.Check.
func (o owned) Starts() policy.Stage { return o.starts }

// Facts implements check.Check. A table that does not answer leaves the address owned: a user is not locked out for trouble of ours.
func (o owned) Facts() []policy.Fact {
	return []policy.Fact{{Name: o.fact, Type: policy.Bool, Stage: o.starts, Scope: policy.OfMessage, Trouble: policy.BoolOf(true), Text: o.text}}
}

// Start implements check.Check.
func (o owned) Start(in *check.Input) func(context.Context) check.Outcome {
	if o.maps == nil || in.User == "" {
		return o.always
	}
	user, addresses := in.User, []string{in.SenderResolved}
	if o.starts == policy.Data {
		addresses = authors(in.Header, in.Author)
	}
	return func(ctx context.Context) check.Outcome {
		var tried []check.Finding
		if len(addresses) == 0 {
			tried = append(tried, check.Finding{Result: "no", Detail: "From names several, and no Sender field says who of them sends"})
		}
		for _, address := range addresses {
			is, entry, err := o.maps.Owns(ctx, user, address)
			f := check.Finding{Result: "no", Domain: address[strings.LastIndexByte(address, '@')+1:], Detail: entry}
			switch {
			case err != nil:
				f.Result, f.Code, f.Detail = "temperror", "table", err.Error()
				is = true
			case is:
				f.Result = "yes"
			}
			tried = append(tried, f)
			if is {
				return o.outcome(true, tried...)
			}
		}
		return o.outcome(false, tried...)
	}
}

func (o owned) outcome(is bool, findings ...check.Finding) check.Outcome {
	return check.Outcome{Facts: o.is.Only(is), Findings: findings}
}

// authors gives the addresses that speak for the author: one of them has to be the user's. Who resends or sends for somebody else says so
// in a field of their own (RFC 5322 3.6.2, 3.6.6), and where From names several one of them has to. Without any there is nobody to be owned.
func authors(h *message.Header, author message.Author) []string {
	var out []string
	if author.Address != "" || len(author.Domains) == 0 {
		out = append(out, author.Address)
	}
	for _, name := range []string{"Sender", "Resent-From"} {
		if value := h.First(name); value != "" {
			one := message.NewHeader()
			one.Add("From", value)
			if address := message.ExtractAuthor(one).Address; address != "" {
				out = append(out, address)
			}
		}
	}
	return out
}
