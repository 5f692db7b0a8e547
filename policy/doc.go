// Package policy answers "so what?": given the facts of an SMTP session, what do the rules of policy.toml say?
//
// It is pure: no I/O, no clock, no logger, no context. A Vocabulary names the facts, a Policy holds the compiled
// rules, Evidence holds what is known of one session so far, and a Walk goes through the rules from the top as
// facts arrive and ends in a Decision. DESIGN: one ordered list of rules; the first that matches decides; the
// decision is taken at the earliest SMTP step at which nothing that can still happen would change it.
//
// A newcomer reads fact.go, rule.go and decide.go, in that order.
package policy
