package filter

import "testing"

// TestRoleOf: values as a real Postfix 3.7.11 and a real Sendmail 8.17.1 send them. Sendmail gives every client a queue id at connect.
func TestRoleOf(t *testing.T) {
	set := &Settings{Submission: map[string]bool{"587": true, "MSA": true}}
	for _, c := range []struct {
		name   string
		client Client
		role   string
	}{
		{"Postfix, port 25", Client{DaemonPort: "25", DaemonName: "mx.example.net"}, roleMX},
		{"Postfix, port 587", Client{DaemonPort: "587", DaemonName: "mx.example.net"}, roleSubmission},
		{"Postfix, non_smtpd_milters", Client{DaemonPort: "0", DaemonName: "mx.example.net", QueueID: "4fABCD"}, roleLocal},
		{"Postfix before 3.2, non_smtpd_milters", Client{DaemonName: "mx.example.net", QueueID: "4fABCD"}, roleLocal},
		{"Sendmail, port 25", Client{DaemonPort: "25", DaemonName: "MTA-v4", QueueID: "6APNoLrt029573"}, roleMX},
		{"Sendmail, by the daemon's name", Client{DaemonPort: "2587", DaemonName: "MSA", QueueID: "6APNoLrt029573"}, roleSubmission},
	} {
		if got := set.roleOf(c.client); got != c.role {
			t.Errorf("%s: %s, want %s", c.name, got, c.role)
		}
	}
}

// TestRecipientParts: what Postfix and Sendmail say of recipients, and what rcpt.local and rcpt.domain are of it.
func TestRecipientParts(t *testing.T) {
	for _, c := range []struct {
		name          string
		r             Recipient
		local, domain string
	}{
		{"Postfix", Recipient{"U@Example.NET", "U@example.net", "virtual", "example.net"}, "U", "example.net"},
		{"Postfix, <Postmaster>", Recipient{"Postmaster", "Postmaster@mx.example.net", "local", "mx.example.net"}, "postmaster", "mx.example.net"},
		{"Postfix, an alias domain", Recipient{"list@alias.example.net", "User unknown in virtual alias table", "error", "5.1.1 User unknown"}, "list", "alias.example.net"},
		{"Sendmail, a local user", Recipient{"u@example.net", "u", "local", ""}, "u", "example.net"},
		{"Sendmail, a virtual user", Recipient{"info@alias.example.net", "v", "local", ""}, "info", "alias.example.net"},
		{"Sendmail, <Postmaster>", Recipient{"Postmaster", "postmaster", "local", ""}, "postmaster", "mx.example.net"},
		{"Sendmail, relayed", Recipient{"x@other.example", "x@other.example", "esmtp", "other.example."}, "x", "other.example"},
	} {
		if local, domain := c.r.in("mx.example.net").parts(); local != c.local || domain != c.domain {
			t.Errorf("%s: %q, %q; want %q, %q", c.name, local, domain, c.local, c.domain)
		}
	}
}
