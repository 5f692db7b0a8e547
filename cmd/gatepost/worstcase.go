package main

import (
	"fmt"
	"strings"
	"time"

	"gatepost.example/filter"
	"gatepost.example/policy"
	"gatepost.example/policy/policyfile"
)

// What Postfix waits for a milter's answer by default (postconf(5)): milter_command_timeout, and milter_content_timeout.
const (
	commandTimeout = 30 * time.Second
	contentTimeout = 300 * time.Second
)

// worstCase says what a message can cost in questions of DNS and in time, against what Postfix waits.
func worstCase(file *policyfile.File) string {
	total := 0
	var parts []string
	for _, q := range filter.MostQuestions(file) {
		total += q.Most
		parts = append(parts, fmt.Sprintf("%s %d", q.Of, q.Most))
	}
	var at []string
	for stage := policy.Connect; stage < policy.Data; stage++ {
		if file.Policy.Delivers(stage) {
			at = append(at, stage.String())
		}
	}
	waits := ""
	if at != nil {
		waits = fmt.Sprintf("%s at %s (of the %.0f s that Postfix waits), ", file.DNS.Budget, strings.Join(at, ", "), commandTimeout.Seconds())
	}
	return fmt.Sprintf("At worst a message asks DNS %d questions (%s); its session waits %s%s at %s (of %.0f s).\n",
		total, strings.Join(parts, ", "), waits, file.DNS.Budget, policy.Data, contentTimeout.Seconds())
}
