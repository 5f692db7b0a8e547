// Package policyfile reads policy.toml: it gives the typed settings of the daemon and the compiled policy, or all mistakes of the
// file at once, each with its line and column. TOML is known here and nowhere else.
//
// The way through it: the TOML library parses the text into a tree of plain values (file.go); a strict decoder walks that tree
// against one table of all keys (keys.go, decode.go), so that a key that would have no effect is refused; the names and rules go to
// policy.Compile (rules.go). None of them knows where in the file a value stands: places.go scans the text once more and remembers
// where each key and value begins, also inside strings, so that a mistake in a condition points at its character.
//
// A newcomer reads settings.go first: it has every setting with its default and the reason for it.
//
// RFCs cited: 5321 (replies), 5890 (A-labels), 8601 (authserv-id).
package policyfile
