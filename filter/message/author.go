package message

// Author is what the From fields of a message say, for DMARC and for rules.
type Author struct {
	Fields  int      // From fields in the header
	Domains []string // distinct author domains in lower case A-labels, in order of appearance; something unreadable counts as a domain of its own ("")
	Address string   // the address when there is exactly one field with exactly one; else ""
	Domain  string   // the author domain when there is exactly one field and one domain; else ""
}
