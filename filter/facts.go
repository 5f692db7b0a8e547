package filter

import "gatepost.example/policy"

// Roles of a session: the words of server.role.
const (
	roleMX         = "mx"         // a stranger's mail for us
	roleSubmission = "submission" // one of our users sends
	roleLocal      = "local"      // mail that no SMTP client brought: the pseudo session of non_smtpd_milters
)

var weekdays = []string{"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"}

// sessionFacts declares the facts that the MTA itself states or that follow from it without asking anybody.
func sessionFacts() []policy.Fact {
	text, flag, number, counted := policy.StringOf(""), policy.BoolOf(false), policy.IntOf(0), policy.FromZero()
	connection := []policy.Fact{
		{Name: "client.ip", Kind: policy.KindIP, Trouble: text, Text: "address of the client, such as 192.0.2.1; empty for a client without one"},
		{Name: "client.name", Kind: policy.KindDomain, Trouble: text, Text: "name of the client as the MTA verified it; empty when it could not"},
		{Name: "client.ptr", Kind: policy.KindDomain, Trouble: text, Text: "name that the client's address points to, verified or not"},
		{Name: "client.network", Trouble: text, Text: "the client's network by server.network, such as 192.0.2.0/24"},
		{Name: "client.trusted", Type: policy.Bool, Trouble: flag, Text: "the client is in trust.networks"},
		{Name: "server.role", Words: []string{roleMX, roleSubmission, roleLocal}, Trouble: policy.StringOf(roleMX), Text: "what the MTA's service is for: mx, submission or local"},
		{Name: "time.hour", Type: policy.Int, Range: policy.Range{Least: 0, Most: 23}, Trouble: number, Text: "hour of the day at connect, 0 to 23, in the machine's time zone"},
		{Name: "time.weekday", Words: weekdays, Trouble: text, Text: "day of the week at connect: monday to sunday"},
		{Name: "helo.name", Stage: policy.Helo, Kind: policy.KindDomain, Trouble: text, Text: "name that the client greets with"},
		{Name: "helo.fqdn", Stage: policy.Helo, Type: policy.Bool, Trouble: flag, Text: "that name is a full host name or an address literal (RFC 5321 4.1.1.1)"},
	}
	message := []policy.Fact{
		{Name: "tls.version", Stage: policy.Mail, Trouble: text, Text: "TLS version, such as TLSv1.3; empty without TLS"},
		{Name: "tls.cipher", Stage: policy.Mail, Trouble: text, Text: "TLS cipher; empty without TLS"},
		{Name: "tls.bits", Stage: policy.Mail, Type: policy.Int, Range: counted, Trouble: number, Text: "strength of that cipher in bits; 0 without TLS"},
		{Name: "auth.user", Stage: policy.Mail, Kind: policy.KindUser, Trouble: text, Text: "login of the user who sends; empty without one"},
		{Name: "auth.method", Stage: policy.Mail, Trouble: text, Text: "how the user logged in, such as PLAIN"},
		{Name: "sender.address", Stage: policy.Mail, Kind: policy.KindAddress, Trouble: text, Text: "MAIL FROM; empty for a bounce"},
		{Name: "sender.local", Stage: policy.Mail, Kind: policy.KindUser, Trouble: text, Text: "local part of MAIL FROM"},
		{Name: "sender.domain", Stage: policy.Mail, Kind: policy.KindDomain, Trouble: text, Text: "domain of MAIL FROM, in lower case and A-labels"},
		{Name: "sender.empty", Stage: policy.Mail, Type: policy.Bool, Trouble: flag, Text: "MAIL FROM is <>, as of bounces"},
		{Name: "message.size", Stage: policy.Data, Type: policy.Int, Range: counted, Trouble: number, Text: "bytes of the message, header and body"},
		{Name: "message.list_id", Stage: policy.Data, Kind: policy.KindDomain, Trouble: text, Text: "the name in the List-Id field; the sender writes it"},
		{Name: "message.id", Stage: policy.Data, Trouble: text, Text: "the Message-ID field without brackets"},
		{Name: "author.address", Stage: policy.Data, Kind: policy.KindAddress, Trouble: text, Text: "the address in From, where there is exactly one"},
		{Name: "author.domain", Stage: policy.Data, Kind: policy.KindDomain, Trouble: text, Text: "the author domain, where there is exactly one (RFC 9989)"},
		{Name: "author.fields", Stage: policy.Data, Type: policy.Int, Range: counted, Trouble: number, Text: "number of From fields; a good message has one"},
		{Name: "author.domains", Stage: policy.Data, Type: policy.Int, Range: counted, Trouble: number, Text: "number of different author domains; what cannot be read counts as one more"},
	}
	for i := range message {
		message[i].Scope = policy.OfMessage
	}
	recipient := []policy.Fact{
		{Name: "rcpt.address", Kind: policy.KindAddress, Trouble: text, Text: "RCPT TO as the MTA understood it, however the client wrote it"},
		{Name: "rcpt.local", Kind: policy.KindUser, Trouble: text, Text: "local part of the recipient as the MTA resolved it, in lower case for postmaster and abuse"},
		{Name: "rcpt.domain", Kind: policy.KindDomain, Trouble: text, Text: "domain of the recipient as the MTA resolved it"},
		{Name: "rcpt.count", Type: policy.Int, Range: counted, Trouble: number, Text: "number of this recipient in its message, from 1"},
	}
	for i := range recipient {
		recipient[i].Scope, recipient[i].Stage = policy.OfRecipient, policy.Rcpt
	}
	return append(append(connection, message...), recipient...)
}
