// Package policy answers "so what?": given the facts of an SMTP session, what do the rules of policy.toml say?
//
// It is pure: no I/O, no clock, no logger, no context. A Vocabulary names the facts, a Policy holds the compiled
// rules, Evidence holds what is known of one session so far, and a Walk goes through the rules from the top as
// facts arrive and ends in a Decision. DESIGN: one ordered list of rules; the first that matches decides; the
// decision is taken at the earliest SMTP step at which nothing that can still happen would change it.
//
// A newcomer reads fact.go, rule.go and decide.go, in that order. Conditions are CEL: language.go makes them ready, misuse.go refuses
// what can mean nothing good, mistake.go says so in an admin's words, tree.go and stages.go find out from when a rule can decide, quick.go asks
// plain conditions without CEL's interpreter.
//
// RFCs cited here: RFC 1035 (length of domains), RFC 3207 (HELO after STARTTLS), RFC 3463 and RFC 4954 and RFC 7504 (codes of replies),
// RFC 5321 (replies, length of their lines), RFC 5322 (names of header fields).
package policy
