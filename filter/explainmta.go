package filter

import (
	"fmt"
	"strings"

	"gatepost.example/filter/history"
)

// tellRefusedByMTA puts what the mail server itself did in the place of the five lines, where it refused the recipient that is asked about, or, with -1,
// every one of a message on which nothing was decided: what the rules would have said is no answer then.
func (x *Explanation) tellRefusedByMTA(recipient int) {
	rec := x.Record
	refused := rec.Recipients
	switch {
	case recipient >= 0:
		refused = refused[recipient : recipient+1]
	case x.Line != nil || rec.Dropped > 0 || len(refused) == 0:
		return
	}
	for _, one := range refused {
		if !one.Refused {
			return
		}
	}
	last := refused[len(refused)-1]
	whom := "<" + last.Address + ">"
	if n := len(refused) - 1; n > 0 {
		whom += fmt.Sprintf(" and %d more", n)
	}
	x.What = Visible(fmt.Sprintf("the mail server itself refused %s with %s, and no rule was asked; mail from <%s>, from %s, %s",
		whom, dashed(last.Host), rec.Sender.Address, clientWords(rec), rec.Time.Format("2006-01-02 15:04:05")))
	x.Because = Visible(whyMTA(last))
	x.Unless = "the mail server had taken the recipient"
	x.Mend = "nothing in Gatepost; the mail server's log has the text of its reply"
}

// whyMTA says what the code means with which the MTA refused a recipient (RFC 3463 3.2): X.1.X is about the address.
func whyMTA(one history.Recipient) string {
	if _, about, _ := strings.Cut(one.Host, "."); strings.HasPrefix(about, "1.") {
		return dashed(one.Host) + ": the mail server does not know this address"
	}
	return dashed(one.Host) + ": restrictions of the mail server's own, or another server that it asks, such as a blocklist or a policy server"
}
