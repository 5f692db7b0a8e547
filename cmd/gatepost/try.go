package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gatepost.example/filter/dnsbl"
	"gatepost.example/filter/mailbox"
	"gatepost.example/filter/message"
	"gatepost.example/filter/play"
	"gatepost.example/policy/policyfile"
)

// tryOptions are the flags of gatepost try.
type tryOptions struct {
	policy, ip, helo, from, rcpt string
	port                         string
	compare7489                  bool
	since                        string
	store, json                  bool
}

func newTry() *cobra.Command {
	o := tryOptions{}
	c := &cobra.Command{
		Use:   "try [--ip A --helo H --from S --rcpt R] MESSAGE|MAILDIR|MBOX",
		Short: "Evaluate a message, or the mail you already have, with today's DNS",
		Long: `Evaluate a message file (or - for standard input) under a policy with today's DNS, as
if it came in now: what would be decided, by which rule, on which findings and facts, and
the header its recipients would see. Nothing is sent and nothing is remembered.

Of a Maildir with its folders, an mbox file, or a directory with several of either or with
.eml files below it (/var/vmail, /var/mail), every message that was delivered within
--since is evaluated: how many of each folder would be taken, tagged, put off or refused,
and which would end otherwise than where they lie, in groups with examples, and with what
of the memory of then, which no mailbox tells, would have changed that.

How a message came is read from its own Received fields: from the topmost one down, past
the machines in trust.networks; the sender from Return-Path. What was
added here is left out. A mailbox's messages are judged by the clock of their delivery,
each as if nothing were remembered but whom your users write to (Sent folders).

--store keeps every decision with its evidence in the history of the policy's daemon, for
gatepost explain and gatepost replay, and makes whom your users wrote to correspondents
in its memory.`,
		Example: "  gatepost try message.eml\n  gatepost try --ip 192.0.2.1 --helo mail.example.org --from bounces@example.org message.eml\n  gatepost try --since 30d /var/vmail",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if many, err := mailbox.IsMailbox(args[0]); many && err == nil {
				return tryMailbox(c, o, args[0])
			}
			return try(c, o, args[0])
		},
	}
	policyFlag(c, &o.policy)
	c.Flags().StringVar(&o.ip, "ip", "", "the client's `ADDRESS`")
	c.Flags().StringVar(&o.helo, "helo", "", "the `NAME` in HELO")
	c.Flags().StringVar(&o.from, "from", "", "the `ADDRESS` in MAIL FROM; <> for a bounce")
	c.Flags().StringVar(&o.rcpt, "rcpt", "", "the `ADDRESS` in RCPT TO")
	c.Flags().StringVar(&o.port, "port", "", "the `PORT` of the mail server that the client came to")
	c.Flags().BoolVar(&o.compare7489, "compare-7489", false, "show what the obsolete RFC 7489, with its public suffix list, would say of DMARC")
	c.Flags().StringVar(&o.since, "since", "30d", "of a mailbox: what was delivered within this `TIME`")
	c.Flags().BoolVar(&o.store, "store", false, "of a mailbox: keep the decisions in the history")
	c.Flags().BoolVar(&o.json, "json", false, "of a mailbox: print JSON")
	return c
}

func try(c *cobra.Command, o tryOptions, path string) error {
	if o.json || o.store || c.Flags().Changed("since") {
		if _, err := os.Stat(path); err != nil && path != "-" {
			return err
		}
		return fmt.Errorf("%s is one message; --json, --store and --since go with a mailbox", path)
	}
	file, err := loadPolicy(o.policy)
	if err != nil {
		return err
	}
	in := c.InOrStdin()
	if text, one, err := mailbox.Pick(path); err != nil {
		return err
	} else if one {
		in = bytes.NewReader(text)
	} else if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	header, body, err := message.Read(in)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	said, header, err := o.envelope(header, file)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	resolver := newResolver(file, slog.New(slog.DiscardHandler))
	defer resolver.Close()
	said.Client.Name = play.VerifiedName(context.Background(), resolver, said.Client.Addr)
	set, err := settingsOf(file)
	if err != nil {
		return err
	}
	watch := dnsbl.NewWatch(resolver, slog.New(slog.DiscardHandler), time.Now)
	watch.Follow(set.Lists)
	watch.Test(context.Background())
	result, err := play.Message(set, resolver, watch, time.Now(), said, header, body)
	if err != nil {
		return err
	}
	result.Print(c.OutOrStdout())
	if o.compare7489 {
		compare7489(c.OutOrStdout(), resolver, result)
	}
	return nil
}

// envelope gives what the client would have said: as the flags say, else as the message does, and the header as it came.
func (o tryOptions) envelope(header *message.Header, file *policyfile.File) (play.Envelope, *message.Header, error) {
	a, err := arrivalOf(header, file)
	if o.ip != "" {
		addr, wrong := netip.ParseAddr(o.ip)
		if wrong != nil {
			return a.Envelope, nil, fmt.Errorf("--ip: %q is no address", o.ip)
		}
		a.Client.Addr, a.Client.QueueID, a.User, a.added = addr.Unmap(), "", "", 0
		a.Client.DaemonPort = "25"
		if a.Helo = o.helo; a.Helo == "" {
			a.Helo = "[" + a.Client.Addr.String() + "]"
		}
	} else if err != nil && !errors.Is(err, errNoSender) {
		return a.Envelope, nil, err
	}
	if o.helo != "" {
		a.Helo = o.helo
	}
	if o.port != "" {
		a.Client.DaemonPort = o.port
	}
	if a.Sender == unsaid {
		a.Sender = ""
	}
	if o.ip != "" {
		a.Sender = strings.Trim(strings.TrimSpace(header.First("Return-Path")), "<>")
	}
	if o.from != "" {
		a.Sender = strings.Trim(o.from, "<>")
	}
	if o.rcpt != "" || a.Recipient == "" {
		a.Recipient = noRecipient
	}
	if o.rcpt != "" {
		a.Recipient = o.rcpt
	}
	return a.Envelope, a.asItCame(header), nil
}

// noRecipient stands for a recipient that nothing tells.
const noRecipient = "recipient@localhost.invalid"
