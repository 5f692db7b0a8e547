package postfix

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// fetch gets a page of this machine.
func fetch(t *testing.T, address string) string {
	t.Helper()
	client := http.Client{Timeout: 10 * time.Second}
	r, err := client.Get(address)
	if err != nil {
		return ""
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return ""
	}
	return string(body)
}

// TestMetrics: promtool finds nothing to say about the metrics of a daemon that judged mail, and a real Prometheus that scrapes it can
// evaluate every expression of the rules and of the dashboard.
func TestMetrics(t *testing.T) {
	for _, tool := range []string{"promtool", "prometheus"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("GATEPOST_CI") != "" {
				t.Fatalf("%s is missing: install the package prometheus", tool)
			}
			t.Skipf("%s is missing: install the package prometheus", tool)
		}
	}
	setPolicy(t, acceptAll+`[[limit]]
name = "user_few"
count = "messages"
per = ["client.ip"]
rate = "2/1h"
[[rule]]
name = "watched"
when = 'over.user_few && client.reputation == "new"'
reply = "450 4.7.1 Later"
observe = true
[[rule]]
name = "unwanted"
when = 'sender.domain == "nospf.example"'
reply = "550 5.7.1 No"
`)
	talk := func() {
		for _, sender := range []string{"a@nospf.example", "b@example.org", "c@example.org", "d@example.org"} {
			c := dial(t, site.Postfix.SMTP, "ADDR=203.0.113.77 NAME=mail.example.org")
			if _, err := c.Mail(sender, "u@example.net", "From: "+sender+"\nSubject: x\n\nhello\n"); err != nil {
				t.Fatal(err)
			}
			c.Close()
		}
	}
	talk()
	metrics := fetch(t, "http://"+site.HTTP+"/metrics")
	check := exec.Command("promtool", "check", "metrics")
	check.Stdin = strings.NewReader(metrics)
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
	if strings.Contains(metrics, "example.org") || strings.Contains(metrics, "203.0.113") {
		t.Error("the metrics name a sender")
	}
	prometheus := startPrometheus(t)
	expressions := dashboardExpressions(t)
	for _, m := range regexp.MustCompile(`(?m)^\s+(?:- record|expr): ([^|\n][^\n]*)$`).FindAllStringSubmatch(rulesText(t), -1) {
		expressions = append(expressions, m[1])
	}
	if len(expressions) < 25 {
		t.Errorf("only %d expressions were found", len(expressions))
	}
	for _, e := range expressions {
		evaluates(t, prometheus, e, talk)
	}
}

// rulesFile has the rules for Prometheus.
var rulesFile = filepath.Join("..", "..", "packaging", "grafana", "rules.yml")

func rulesText(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(rulesFile)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// dashboardExpressions gives those of the dashboard, with its variables filled in.
func dashboardExpressions(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(filepath.Dir(rulesFile), "dashboard.json"))
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct{ Targets []struct{ Expr string } }
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, p := range board.Panels {
		for _, target := range p.Targets {
			out = append(out, strings.NewReplacer("$instance", ".*", "$__rate_interval", "1m").Replace(target.Expr))
		}
	}
	return out
}

// startPrometheus runs a Prometheus that scrapes the site's daemon twice a second, under the shipped rules. It gives its address.
func startPrometheus(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	rules, err := filepath.Abs(rulesFile)
	if err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf(`global: { scrape_interval: 500ms, evaluation_interval: 500ms }
rule_files: [%q]
scrape_configs:
  - job_name: gatepost
    static_configs: [{ targets: [%q] }]
`, rules, site.HTTP)
	if err := os.WriteFile(filepath.Join(dir, "prometheus.yml"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	ports, err := FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", ports[0])
	ctx, cancel := context.WithCancel(context.Background())
	c := exec.CommandContext(ctx, "prometheus", "--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address)
	var log bytes.Buffer
	c.Stderr = &log
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = c.Wait() // killed
		if t.Failed() {
			t.Logf("prometheus:\n%s", log.String())
		}
	})
	for range 300 {
		if strings.Contains(fetch(t, "http://"+address+"/-/ready"), "Ready") {
			return address
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatal("prometheus does not get ready")
	return ""
}

// quietWhenWell are what alerts ask for: their answer is empty while all is well.
var quietWhenWell = regexp.MustCompile(`(== 0|== 1|> [0-9.]+)$`)

// mayBeEmpty are shares of what does not happen in this test: neither DNS nor whole messages fail.
var mayBeEmpty = regexp.MustCompile(`dns_failed_share|refused_share`)

// evaluates asks for an expression until it has an answer, with mail under way; an alert's need only be one that Prometheus understands.
func evaluates(t *testing.T, prometheus, expression string, talk func()) {
	t.Helper()
	answer := ""
	for range 40 {
		answer = fetch(t, "http://"+prometheus+"/api/v1/query?query="+url.QueryEscape(expression))
		if !strings.Contains(answer, `"status":"success"`) {
			t.Errorf("%s: %s", expression, answer)
			return
		}
		if !strings.Contains(answer, `"result":[]`) || quietWhenWell.MatchString(expression) || mayBeEmpty.MatchString(expression) {
			return
		}
		talk()
		time.Sleep(500 * time.Millisecond)
	}
	t.Errorf("%s: %s", expression, answer)
}
