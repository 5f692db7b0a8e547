package main

import (
	"fmt"
	"strings"
	"time"

	"gatepost.example/testdata/postfix"
)

// row is the form of the table: number, what was sent, decided at, spoken at, rule.
const row = "%2s  %-66s %-8s %-7s %s\n"

// printDecisions prints what the daemon logged since the last call, one line a decision.
func (d *demo) printDecisions(first, what string) {
	var news []map[string]any
	for range 40 { // what ends without a reply of ours is logged when Postfix gets to say so
		if news = d.site.Decisions()[d.seen:]; len(news) > 0 {
			break
		}
		time.Sleep(25 * time.Millisecond)
	}
	d.seen += len(news)
	for _, line := range news {
		fmt.Printf(row, first, what, word(line, "decided"), word(line, "spoken"), ruleOf(line))
		first, what = "", ""
	}
}

// word gives a value of a log line, "-" for none.
func word(line map[string]any, key string) string {
	if v, ok := line[key].(string); ok && v != "" {
		return v
	}
	return "-"
}

// ruleOf says by what a decision was made.
func ruleOf(line map[string]any) string {
	rule := word(line, "rule")
	switch {
	case word(line, "action") == "452":
		rule = "another class: put off"
	case rule == "-":
		rule = "no rule: taken"
	}
	if tagged := word(line, "tagged"); tagged != "-" {
		rule += ", tagged by " + tagged
	}
	return rule
}

// columns is the width of the terminal that the table is made for.
const columns = 120

// printWrapped prints a line below a row, folded at blanks where it is too long.
func printWrapped(text string) {
	const indent = "    "
	line := indent
	for _, word := range strings.Fields(text) {
		if len(line)+1+len(word) > columns && line != indent {
			fmt.Println(line)
			line = indent + indent
		}
		if strings.TrimSpace(line) != "" {
			line += " "
		}
		line += word
	}
	fmt.Println(line)
}

// printDelivered prints what the recipient sees of Gatepost.
func (d *demo) printDelivered(recipient, subject string) error {
	user, _, _ := strings.Cut(recipient, "@")
	message, err := d.site.Postfix.Delivered(user, "Subject: "+subject+"\n")
	if err != nil {
		return err
	}
	header, _, _ := strings.Cut(message, "\n\n")
	printing := false
	for line := range strings.SplitSeq(header, "\n") {
		if line[0] != ' ' && line[0] != '\t' {
			printing = isOurs(line)
		}
		if printing {
			fmt.Println("    | " + strings.ReplaceAll(line, "\t", "    "))
		}
	}
	return nil
}

func isOurs(field string) bool {
	for _, name := range []string{"Authentication-Results: " + postfix.Hostname, "X-Spam-Flag:", "X-Gatepost-Would:"} {
		if strings.HasPrefix(field, name) {
			return true
		}
	}
	return false
}
