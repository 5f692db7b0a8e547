package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"gatepost.example/filter"
	"gatepost.example/filter/authres"
	"gatepost.example/filter/message"
)

func newReputation() *cobra.Command {
	where := place{}
	c := &cobra.Command{
		Use:   "reputation",
		Short: "Show what is remembered of senders, and teach it",
		Long: `Show the record of addresses, networks and authenticated domains: between which bounds
the share of their mail lies that is wanted, and on what evidence. Teach it which mail
was wanted, or drop what is known.`,
	}
	where.flags(c)
	c.AddCommand(newReputationList(&where), newReputationShow(&where), newReputationLearn(&where), newReputationForget(&where))
	return c
}

func newReputationList(where *place) *cobra.Command {
	kind, asJSON := "", false
	c := &cobra.Command{
		Use:   "list",
		Short: "Show those with the most evidence",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return showReputes(c, where, kind, "", asJSON)
		},
	}
	c.Flags().StringVar(&kind, "kind", "", "only `KIND`: ip, network or domain")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func newReputationShow(where *place) *cobra.Command {
	asJSON := false
	c := &cobra.Command{
		Use:     "show NAME",
		Short:   "Show the record of those whose names begin so",
		Example: "  gatepost reputation show 192.0.2.\n  gatepost reputation show example.org",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return showReputes(c, where, "", args[0], asJSON)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func showReputes(c *cobra.Command, where *place, kind, name string, asJSON bool) error {
	if !slices.Contains([]string{"", "ip", "network", "domain"}, kind) {
		return fmt.Errorf("--kind: %q is none; write ip, network or domain", kind)
	}
	var found []filter.Repute
	if err := where.ask("GET", "/reputation", url.Values{"kind": {kind}, "name": {name}}, nil, &found); err != nil {
		return err
	}
	if len(found) == 0 && name != "" {
		fmt.Fprintf(c.OutOrStdout(), "nothing is known of %s\n", name)
		return errNo
	}
	var rows []string
	for _, r := range found {
		rows = append(rows, fmt.Sprintf("%s\t%s\t%s\t%.2f to %.2f\t%.1f\t%.1f\t%s", r.Kind, r.Name, r.Band, r.Low, r.High, r.Wanted, r.Unwanted, ago(r.Since)))
	}
	return printTable(c, asJSON, found, "KIND\tNAME\tBAND\tWANTED SHARE\tFOR\tAGAINST\tKNOWN FOR", rows)
}

func newReputationForget(where *place) *cobra.Command {
	return &cobra.Command{
		Use:   "forget NAME",
		Short: "Drop what is known of an address, a network or a domain",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			found := false
			if err := where.ask("POST", "/reputation/forget", url.Values{"name": {args[0]}}, nil, &found); err != nil {
				return err
			}
			if !found {
				fmt.Fprintf(c.OutOrStdout(), "nothing was known of %s\n", args[0])
				return errNo
			}
			fmt.Fprintf(c.OutOrStdout(), "what was known of %s is forgotten\n", args[0])
			return nil
		},
	}
}

func newReputationLearn(where *place) *cobra.Command {
	undo := false
	c := &cobra.Command{
		Use:   "learn spam|ham",
		Short: "Teach which mail was wanted: messages or ids from standard input",
		Long: `Teach the memory that a message was unwanted (spam) or wanted (ham), for or against the
client that brought it and the domains as which it was authenticated. Standard input is
one message with our Gatepost-Id, as a Sieve or IMAP hook gives it, or one id a line.
An id without its message can be learned for as long as the daemon remembers it.`,
		Example:   "  gatepost reputation learn spam < message.eml\n  echo 7K3Q-9MXA | gatepost reputation learn --undo spam",
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs: []string{"spam", "ham"},
		RunE: func(c *cobra.Command, args []string) error {
			found, err := readLessons(c.InOrStdin())
			if err != nil {
				return err
			}
			learned := 0
			if err := where.ask("POST", "/reputation/learn", nil, lessons{Spam: args[0] == "spam", Undo: undo, Lessons: found}, &learned); err != nil {
				return err
			}
			verb := "learned"
			if undo {
				verb = "no longer learned"
			}
			fmt.Fprintf(c.OutOrStdout(), "%d of %d %s as %s\n", learned, len(found), verb, args[0])
			if learned < len(found) {
				fmt.Fprintln(c.OutOrStdout(), "the daemon does not remember the others: give it the messages themselves")
				return errNo
			}
			return nil
		},
	}
	c.Flags().BoolVar(&undo, "undo", false, "take back what was learned")
	return c
}

// idForm is what an id of ours looks like.
var idForm = regexp.MustCompile(`^[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}$`)

// readLessons reads ids, one a line, or a message.
func readLessons(in io.Reader) ([]filter.Lesson, error) {
	text, err := io.ReadAll(io.LimitReader(in, maxBody))
	if err != nil {
		return nil, err
	}
	first, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	if idForm.MatchString(strings.ToUpper(strings.TrimSpace(first))) {
		var out []filter.Lesson
		for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
			if id := strings.ToUpper(strings.TrimSpace(lines.Text())); id != "" {
				out = append(out, filter.Lesson{ID: id})
			}
		}
		return out, nil
	}
	header, _, err := message.Read(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("standard input is neither ids nor a message: %w", err)
	}
	lesson, err := lessonOf(header)
	return []filter.Lesson{lesson}, err
}

// lessonOf reads who sent a message out of the fields that we added: Gatepost-Id, of which we let none pass but our own, and
// Authentication-Results right above it.
func lessonOf(header *message.Header) (filter.Lesson, error) {
	for i, f := range header.Fields {
		if !strings.EqualFold(f.Name, "Gatepost-Id") {
			continue
		}
		lesson := filter.Lesson{ID: strings.TrimSpace(f.Value)}
		if i == 0 || !authres.IsName(header.Fields[i-1].Name) {
			return lesson, nil
		}
		results, err := authres.Parse(header.Fields[i-1].Value)
		if err != nil {
			return lesson, nil // the id may still be known
		}
		for _, r := range results.Results {
			for _, p := range r.Props {
				switch name := r.Method + " " + p.Type + "." + p.Name; {
				case name == "iprev policy.iprev":
					lesson.IP = p.Value
				case r.Value == "pass" && (name == "dkim header.d" || name == "spf smtp.mailfrom"):
					lesson.Domains = append(lesson.Domains, p.Value)
				}
			}
		}
		return lesson, nil
	}
	return filter.Lesson{}, errors.New("the message has no Gatepost-Id; it did not come through here, or the field was removed")
}
