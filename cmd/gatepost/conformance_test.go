package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var citation = regexp.MustCompile(`^\| (RFC \d+) ([^|]*) \|[^|]*\| ([^|]*) \|$`)

// TestConformancePageIsTrue: each section that the page names is cited in the files that it names.
func TestConformancePageIsTrue(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "testdata", "conformance.md"))
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for line := range strings.SplitSeq(string(page), "\n") {
		row := citation.FindStringSubmatch(line)
		if row == nil {
			continue
		}
		rows++
		text := ""
		for file := range strings.SplitSeq(row[3], ", ") {
			one, err := os.ReadFile(filepath.Join(root, file))
			if err != nil {
				t.Errorf("%s: %v", row[1], err)
			}
			text += string(one)
		}
		for section := range strings.SplitSeq(row[2], ", ") {
			cited := regexp.MustCompile(regexp.QuoteMeta(row[1]) + `[^\n]{0,40}\b` + regexp.QuoteMeta(section) + `\b`)
			if !cited.MatchString(text) {
				t.Errorf("%s %s is not cited in %s", row[1], section, row[3])
			}
		}
	}
	if rows < 40 {
		t.Errorf("only %d rows were found", rows)
	}
}
