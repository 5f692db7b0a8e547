package sendmail

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestSetup: the lines that the documentation shows are those that gatepost setup sendmail wrote for the Sendmail of these tests, but for the port.
func TestSetup(t *testing.T) {
	document, err := os.ReadFile(filepath.Join("..", "..", "packaging", "sendmail", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(setupOutput, "dnl Sendmail 8.17.") {
		t.Errorf("which Sendmail it is is not told:\n%s", setupOutput)
	}
	lines := 0
	for line := range strings.Lines(regexp.MustCompile(`inet:\d+@`).ReplaceAllString(setupOutput, "inet:8894@")) {
		if regexp.MustCompile(`^(dnl gatepost|(INPUT_)?MAIL_FILTER\(|DAEMON_OPTIONS)`).MatchString(line) {
			lines++
			if !strings.Contains(string(document), line) {
				t.Errorf("packaging/sendmail/README.md lacks %s", line)
			}
		}
	}
	if lines != 5 {
		t.Errorf("%d lines:\n%s", lines, setupOutput)
	}
}

// TestDebiansConfiguration: Debian's own sendmail.mc takes the lines, and gives them back.
func TestDebiansConfiguration(t *testing.T) {
	// The tree's own is the test's by now, so the package's is asked for anew.
	const make = `mkdir -p /tmp/debian && cp /usr/share/sendmail/cf/debian/sendmail.mc /tmp/debian/sendmail.mc && cp /tmp/debian/sendmail.mc /tmp/before.mc
gatepost setup sendmail --apply --mc /tmp/debian/sendmail.mc >/dev/null && m4 /tmp/debian/sendmail.mc | grep -E 'InputMailFilters|^Xgatepost'
gatepost setup sendmail --undo --mc /tmp/debian/sendmail.mc >/dev/null && cmp /tmp/before.mc /tmp/debian/sendmail.mc`
	out, err := mta.Tree.Run(make)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"O InputMailFilters=gatepost\n", "\nXgatepost, S=inet:", ", F=T, T=C:10s;S:30s;R:30s;E:5m\n", "\nXgatepost-submission, S=inet:"} {
		if !strings.Contains(out, line) {
			t.Errorf("no %q in sendmail.cf:\n%s", line, out)
		}
	}
}
