package soak

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// bounds are the words in which an explanation names the bound that a hostile mail met; those that are not here meet none.
var bounds = map[string]string{
	"1,000 signatures":  "980 more signatures: only 20 are tried",
	"10,000 recipients": "and 9999 more",
	"a header of 2 MB":  "the header has over 1048576 bytes: what is beyond was not looked at",
}

// TestHostileMail: each gets a decision, its forged results go, and who comes after it is served.
func TestHostileMail(t *testing.T) {
	d := Start(t, Options{Zone: zone, Policy: shippedRules(t)})
	for name, m := range hostile() {
		t.Run(name, func(t *testing.T) {
			a, err := d.Send(m)
			if err != nil {
				t.Fatalf("%v", err)
			}
			if !a.Ended && a.Refusals == 0 {
				t.Errorf("no decision: %+v", a)
			}
			if a.Code >= 500 && name != "nested comments" {
				t.Errorf("refused: %d %s", a.Code, a.Text)
			}
			lines := d.Lines("decision")
			out, _ := d.Command("explain", fmt.Sprint(lines[len(lines)-1]["id"]))
			if bound := bounds[name]; !strings.Contains(out, bound) {
				t.Errorf("the explanation does not name the bound %q:\n%s", bound, tail(out, 3000))
			}
			serves(t, d, "after it")
		})
	}
	if use := d.Use(); use.Resident > 300<<20 {
		t.Errorf("%.0f MiB are resident", use.Resident/(1<<20))
	}
}

// TestHostilePolicies: a policy made to be dear is checked or refused, and a daemon that is given one keeps the old.
func TestHostilePolicies(t *testing.T) {
	d := Start(t, Options{Zone: zone, Policy: shippedRules(t)})
	was, err := os.ReadFile(d.PolicyFile())
	if err != nil {
		t.Fatal(err)
	}
	rule := func(name, when string) string {
		return fmt.Sprintf("[[rule]]\nname = %q\nwhen = '''%s'''\naction = \"accept\"\n", name, when)
	}
	var many strings.Builder
	for i := range 10_000 {
		many.WriteString(rule(fmt.Sprintf("r%d", i), fmt.Sprintf(`sender.domain == "d%d.example" && spf.result == "pass"`, i)))
	}
	for name, text := range map[string]string{
		"10,000 rules":         many.String(),
		"deep nesting":         rule("deep", strings.Repeat("(", 5000)+"client.trusted"+strings.Repeat(")", 5000)),
		"long chain":           rule("long", strings.Repeat("client.trusted || ", 20_000)+"client.trusted"),
		"regular expression":   rule("regular", `sender.domain.matches("`+strings.Repeat("(a{1,100}){1,100}", 20)+`")`),
		"large text":           rule("large", `sender.domain == "`+strings.Repeat("x", 2_000_000)+`"`),
		"definitions in chain": chain(40),
		"no TOML":              strings.Repeat("[[[[", 100_000),
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "policy.toml")
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
			defer cancel()
			check := exec.CommandContext(ctx, d.binary, "check", file)
			out, _ := check.CombinedOutput() // the exit status says it
			checked := check.ProcessState.ExitCode()
			if checked != 0 && checked != 1 || ctx.Err() != nil {
				t.Errorf("gatepost check: exit status %d (%v)\n%s", checked, ctx.Err(), tail(string(out), 2000))
			}
			if err := os.WriteFile(d.PolicyFile(), append(was, text...), 0o644); err != nil {
				t.Fatal(err)
			}
			if out, code := d.Command("reload"); code != checked {
				t.Errorf("gatepost reload: exit status %d, that of gatepost check was %d\n%s", code, checked, tail(out, 2000))
			}
			if checked == 1 {
				says(t, d, "WRONG", "the policy file as it is now was refused, the old one stays")
			} else {
				says(t, d, "all is well")
			}
			serves(t, d, "with it in the policy file")
		})
	}
	if !d.Alive() {
		t.Error("the daemon is dead")
	}
}

// chain gives definitions each of which stands twice in the next: written out, the last would have 2^n terms.
func chain(n int) string {
	var b strings.Builder
	b.WriteString("[define]\nd0 = 'client.trusted'\n")
	for i := 1; i <= n; i++ {
		fmt.Fprintf(&b, "d%d = 'd%d || d%d'\n", i, i-1, i-1)
	}
	fmt.Fprintf(&b, "[[rule]]\nname = \"chain\"\nwhen = 'd%d'\naction = \"accept\"\n", n)
	return b.String()
}
