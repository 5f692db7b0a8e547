package sendmail

import (
	"regexp"
	"testing"

	"gatepost.example/testdata/postfix"
)

// TestEnvelopeAsSendmailReadsIt: Sendmail takes more than RFC 5321 allows as an address, tells the milter what the client wrote, and of a local
// recipient the user's name alone.
func TestEnvelopeAsSendmailReadsIt(t *testing.T) {
	setPolicy(t, postfix.Rule("true", "550 5.7.1 [{sender.address}] [{sender.domain}] {spf.result} to [{rcpt.address}] [{rcpt.domain}]", ""))
	const usual = "[a@example.org] [example.org] fail to [u@example.net] [example.net]"
	for _, c := range []struct{ from, to, reply string }{
		{"<a@example.org>", "<u@example.net>", usual},
		{"a@example.org SIZE=100", "u@example.net", usual},
		{"<<a@example.org>>", "<<u@example.net>>", usual},
		{"<a@example.org(x)> BODY=8BITMIME", "<u@example.net(x)>", usual},
		{"<@none.example:a@example.org>", "<@example.net:u@example.net>", usual},
		{`<"a"@example.org>`, `<"u"@example.net>`, usual},
		{"< a @ example.org >", "< u @ example.net >", usual},
		{"<(x)>", "<u@example.net>", "[-] [-] none to [u@example.net] [example.net]"},
	} {
		client := dial(t, Bad)
		want(t, client, "MAIL FROM:"+c.from, "250")
		got, err := client.Do("%s", "RCPT TO:"+c.to)
		if err != nil || !regexp.MustCompile(`^550 5\.7\.1 (.*\.\.\. )?`+regexp.QuoteMeta(c.reply)+` \(id `).MatchString(got) {
			t.Errorf("%s, %s: %q, %v; want %q", c.from, c.to, got, err, c.reply)
		}
	}
}
