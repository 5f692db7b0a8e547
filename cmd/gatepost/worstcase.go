package main

import (
	"fmt"
	"strings"

	"gatepost.example/policy"
	"gatepost.example/policy/policyfile"
)

// worstCase says how long the MTA waits at most.
func worstCase(file *policyfile.File) string {
	var at []string
	for stage := policy.Connect; stage <= policy.Data; stage++ {
		if file.Policy.Delivers(stage) {
			at = append(at, stage.String())
		}
	}
	return fmt.Sprintf("While DNS does not answer, a session waits at most %s at each of: %s.\n", file.DNS.Budget, strings.Join(at, ", "))
}
