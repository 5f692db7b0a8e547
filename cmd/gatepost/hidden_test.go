package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"gatepost.example/filter/history"
)

// TestHiddenPeople: with addresses = "hashed" no local part and no login stands in a record, people are found by their address all the same, lists of
// people decide as they did, and what compares them with texts is said to be unknown.
func TestHiddenPeople(t *testing.T) {
	key := []byte("0123456789abcdef0123456789abcdef")
	dir := recordUnder(t, key, "spoofed-reject", "users-and-machines", "lists", "null-mx", "postmaster-first", "thirty-mails/14a-cracked-account-one-message")
	r, err := history.OpenReader(filepath.Join(dir, "history.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	n := 0
	if err := r.Rows(context.Background(), history.Filter{}, func(row *history.Row) bool {
		n++
		rec, err := r.Record(context.Background(), row)
		if err != nil {
			t.Fatal(err)
		}
		all := strings.ToLower(fmt.Sprintf("%+v", *row))
		for _, o := range rec.Outcomes {
			for _, f := range o.Findings {
				for _, a := range f.Lookups {
					all += fmt.Sprintf(" %+v", *a)
				}
			}
			all += fmt.Sprintf(" %+v", o)
		}
		all += strings.ToLower(fmt.Sprintf("%+v %+v %+v %+v", rec.Sender, rec.Recipients, rec.Message, rec.Lines))
		for _, who := range []string{"service@", "anna", "<u@", "u@example"} {
			if strings.Contains(all, who) {
				t.Errorf("record %s holds %s: %s", row.ID, who, all)
			}
		}
		return true
	}); err != nil || n == 0 {
		t.Fatalf("%d records, %v", n, err)
	}
	compares := filepath.Join(dir, "compares.toml")
	write(t, compares, "mode = \"enforce\"\n[[rule]]\nname = \"who\"\nwhen = 'sender.local == \"service\"'\nreply = \"550 5.7.1 no\"\n")
	looks := filepath.Join(dir, "looks.toml")
	write(t, looks, "mode = \"enforce\"\n[list]\nwho = [\"service@bank.example\"]\n[[rule]]\nname = \"who\"\nwhen = 'sender.address in list.who && rcpt.local != \"postmaster\"'\nreply = \"554 5.7.1 no\"\n")
	for _, step := range []struct{ args, want string }{
		{"history --since 3650d --sender service@bank.example", "spoofed"},
		{"replay --since 3650d", "0 changed, 0 would go further"},
		{"replay " + compares + " --since 3650d", "-> sender.local"},
		{"replay " + looks + " --since 3650d", "spoofed -> who"},
		{"explain --last", "', with the name itself for ~"},
		{"history --since 3650d --text anna", "our-users"},
		{"history --since 3650d --text ANNA@example.net", "our-users"},
	} {
		if _, out := talk(t, dir, strings.Fields(step.args)...); !strings.Contains(out, step.want) {
			t.Errorf("gatepost %s: no %q in\n%s", step.args, step.want, out)
		}
	}
}
