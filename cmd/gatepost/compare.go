package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"gatepost.example/filter/check"
	"gatepost.example/filter/dmarc"
	"gatepost.example/filter/play"
	"gatepost.example/filter/resolve"
)

// compareTime bounds the questions of a comparison.
const compareTime = 10 * time.Second

// compare7489 prints what RFC 7489 would have said of the message that result tells of.
func compare7489(w io.Writer, r resolve.Resolver, result *play.Result) {
	fmt.Fprintln(w, "\nDMARC by the obsolete RFC 7489 and the public suffix list:")
	if len(result.Records) == 0 {
		fmt.Fprintln(w, "  not known: the session ended before the message")
		return
	}
	last := result.Records[len(result.Records)-1]
	author := last.Facts["author.domain"]
	if author == "" {
		fmt.Fprintln(w, "  none: there is not exactly one author domain")
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), compareTime)
	defer cancel()
	old := dmarc.Compare7489(ctx, r, author, found(last.Findings, "spf"), found(last.Findings, "dkim"))
	fmt.Fprintf(w, "  %-10s %-12s %-12s %s\n", "", "result", "policy", "record at")
	fmt.Fprintf(w, "  %-10s %-12s %-12s %s\n", "RFC 7489", old.Result, dash(string(old.Policy)), dash(old.Domain))
	fmt.Fprintf(w, "  %-10s %-12s %-12s %s\n", "RFC 9989", last.Facts["dmarc.result"], dash(last.Facts["dmarc.policy"]), dash(last.Facts["dmarc.domain"]))
	if string(old.Result) == last.Facts["dmarc.result"] && string(old.Policy) == last.Facts["dmarc.policy"] {
		fmt.Fprintln(w, "  no difference")
		return
	}
	fmt.Fprintf(w, "  they differ; the organizational domain by the list is %s\n", old.Organization)
}

// found gives the findings of one check.
func found(all []check.Finding, name string) []check.Finding {
	return slices.DeleteFunc(slices.Clone(all), func(f check.Finding) bool { return f.Check != name })
}

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
