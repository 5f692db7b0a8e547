package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gatepost.example/filter"
	"gatepost.example/filter/dnsbl"
	"gatepost.example/filter/message"
	"gatepost.example/filter/play"
	"gatepost.example/policy/policyfile"
)

// tryOptions are the flags of gatepost try.
type tryOptions struct {
	policy, ip, helo, from, rcpt string
	port                         string
	compare7489                  bool
}

func newTry() *cobra.Command {
	o := tryOptions{}
	c := &cobra.Command{
		Use:   "try [--ip A --helo H --from S --rcpt R] MESSAGE",
		Short: "Evaluate one message with today's DNS: what would become of it, and why",
		Long: `Evaluate a message file (or - for standard input) under a policy with today's DNS, as
if it came in now: what would be decided, by which rule, on which findings and facts, and
the header its recipients would see. Nothing is sent and nothing is remembered.

What the message itself tells is taken from it where no flag says otherwise: client and
HELO from the newest Received field with an address outside of trust.networks, the sender
from Return-Path. Signatures that have expired since are judged by today's clock.`,
		Example: "  gatepost try message.eml\n  gatepost try --ip 192.0.2.1 --helo mail.example.org --from bounces@example.org message.eml",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return try(c, o, args[0])
		},
	}
	policyFlag(c, &o.policy)
	c.Flags().StringVar(&o.ip, "ip", "", "the client's `ADDRESS`")
	c.Flags().StringVar(&o.helo, "helo", "", "the `NAME` in HELO")
	c.Flags().StringVar(&o.from, "from", "", "MAIL FROM; <> for a bounce")
	c.Flags().StringVar(&o.rcpt, "rcpt", "recipient@localhost.invalid", "RCPT TO")
	c.Flags().StringVar(&o.port, "port", "25", "the `PORT` of the mail server that the client came to")
	c.Flags().BoolVar(&o.compare7489, "compare-7489", false, "show what the obsolete RFC 7489, with its public suffix list, would say of DMARC")
	return c
}

func try(c *cobra.Command, o tryOptions, path string) error {
	file, err := loadPolicy(o.policy)
	if err != nil {
		return err
	}
	in := c.InOrStdin()
	if path != "-" {
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
	said, err := o.envelope(header, file)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	resolver := newResolver(file, slog.New(slog.DiscardHandler))
	defer resolver.Close()
	said.Client.Name = play.VerifiedName(context.Background(), resolver, said.Client.Addr)
	set, watch := filter.SettingsOf(file), dnsbl.NewWatch(resolver, slog.New(slog.DiscardHandler), time.Now)
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

// envelope gives what the client would have said.
func (o tryOptions) envelope(header *message.Header, file *policyfile.File) (play.Envelope, error) {
	e := play.Envelope{Helo: o.helo, Recipient: o.rcpt}
	e.Client.DaemonPort, e.Client.MTA = o.port, file.Server.Name
	if e.Client.MTA == "" {
		e.Client.MTA, _ = os.Hostname()
	}
	for _, value := range header.Values("Received") {
		hop, ok := message.ReadReceived(value)
		if !ok || o.ip != "" || trusted(file, hop.Addr) {
			continue
		}
		o.ip = hop.Addr.String()
		if e.Helo == "" {
			e.Helo = hop.Helo
		}
	}
	addr, err := netip.ParseAddr(o.ip)
	switch {
	case o.ip == "":
		return e, errors.New("no Received field tells who the client was; give --ip ADDRESS")
	case err != nil:
		return e, fmt.Errorf("--ip: %q is no address", o.ip)
	}
	e.Client.Addr = addr.Unmap()
	if e.Helo == "" {
		e.Helo = "[" + e.Client.Addr.String() + "]"
	}
	e.Sender = strings.Trim(strings.TrimSpace(header.First("Return-Path")), "<>")
	if o.from != "" {
		e.Sender = strings.Trim(o.from, "<>")
	}
	return e, nil
}

func trusted(file *policyfile.File, addr netip.Addr) bool {
	for _, network := range file.Trust.Networks {
		if network.Contains(addr) {
			return true
		}
	}
	return false
}
