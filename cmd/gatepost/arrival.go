package main

import (
	"errors"
	"net/netip"
	"os"
	"slices"
	"strings"

	"gatepost.example/filter/message"
	"gatepost.example/filter/play"
	"gatepost.example/policy/policyfile"
)

// This file finds out from a delivered message how it came: who brought it, and in which words.

// arrival is how a message came, and which of its fields were added here since.
type arrival struct {
	play.Envelope
	added  int  // the fields from the top that our own machines wrote
	gentle bool // no refusal can be spoken to who brought it: it is local, or a relay's
}

// Why it cannot be told how a message came.
var (
	errNoReceived = errors.New("no Received field tells who the client was; give --ip ADDRESS")
	errNoAddress  = errors.New("a Received field of our own machines names no address")
	errNoSender   = errors.New("neither Return-Path nor a Received field tells the sender")
)

// arrivalOf reads the fields that our own machines wrote: from the topmost Received field down, as long as each says that the message came from
// one of trust.networks. The first that names somebody else was written by our own MTA when a stranger, a user who had logged in, or one of
// trust.relays brought the message; all below it is the sender's, or the relay's. A message that came from nobody else is our own.
func arrivalOf(header *message.Header, file *policyfile.File) (arrival, error) {
	var a arrival
	a.Client.DaemonPort, a.Client.MTA = "25", file.Server.Name
	if a.Client.MTA == "" {
		a.Client.MTA, _ = os.Hostname()
	}
	found := false
	for i, f := range header.Fields {
		if !strings.EqualFold(f.Name, "Received") {
			continue
		}
		t := message.ReadTrace(f.Value)
		if handsOver(t.With) {
			a.added = i + 1 // never a stranger's, wherever the mail store stands
			continue
		}
		if t.From && !t.Addr.IsValid() && !t.User {
			return a, errNoAddress
		}
		a.took(t)
		a.added, found = i+1, true
		a.gentle = !t.From || slices.ContainsFunc(file.Trust.Relays, func(n netip.Prefix) bool { return n.Contains(t.Addr) })
		if !t.From || t.User || t.Addr.IsValid() && !handsOn(file, t.Addr) {
			break
		}
	}
	if !found {
		return a, errNoReceived
	}
	a.Recipient = recipientOf(header.Fields[:a.added])
	return a, a.sender(header)
}

// handsOver reports whether a protocol is one by which a machine hands mail to its own mail store (RFC 2033: not for use over wide networks).
func handsOver(with string) bool { return with == "LMTP" || with == "LMTPS" || with == "LOCAL" }

// took makes the client of a Received field that of the message.
func (a *arrival) took(t message.Trace) {
	a.Client.Addr, a.Helo, a.User, a.Client.DaemonPort, a.Client.QueueID = t.Addr, t.Helo, "", "25", ""
	switch {
	case !t.From:
		a.Client.DaemonPort, a.Client.QueueID = "0", "local"
	case t.User:
		a.Client.DaemonPort, a.User = "587", "user"
	}
	if a.Helo == "" && a.Client.Addr.IsValid() {
		a.Helo = "[" + a.Client.Addr.String() + "]"
	}
	a.Sender = t.Mail
	if a.Sender == "" && !t.Mails {
		a.Sender = unsaid
	}
}

// unsaid stands for a sender that a Received field does not say; it is no address.
const unsaid = "?"

// sender reads the sender from Return-Path, else from the Received field. A user's login is taken for his address.
func (a *arrival) sender(header *message.Header) error {
	for _, f := range header.Fields {
		if strings.EqualFold(f.Name, "Return-Path") {
			a.Sender = strings.Trim(strings.TrimSpace(f.Value), "<>")
			break
		}
	}
	if a.Sender == unsaid {
		a.Sender = ""
		return errNoSender
	}
	if a.User != "" && a.Sender != "" {
		a.User = a.Sender
	}
	return nil
}

// recipientOf reads the recipient from the fields that our own machines wrote.
func recipientOf(fields []message.Field) string {
	for _, name := range []string{"X-Original-To", "Envelope-To", "Delivered-To"} {
		for _, f := range fields {
			if address := strings.Trim(strings.TrimSpace(f.Value), "<>"); strings.EqualFold(f.Name, name) && isAddress(address) {
				return address
			}
		}
	}
	for _, f := range fields {
		if strings.EqualFold(f.Name, "Received") {
			if t := message.ReadTrace(f.Value); isAddress(t.For) {
				return t.For
			}
		}
	}
	return noRecipient
}

func isAddress(text string) bool {
	local, domain, ok := strings.Cut(text, "@")
	return ok && local != "" && domain != "" && !strings.ContainsAny(text, " ,<>\t")
}

// asItCame gives the header as it was before our own machines wrote into it.
func (a *arrival) asItCame(header *message.Header) *message.Header {
	bare := message.NewHeader()
	for _, f := range header.Fields[a.added:] {
		bare.Add(f.Name, f.Value)
	}
	return bare
}

// handsOn reports whether a host is one of our own that only hands mail on. A relay is none: its mail is judged by who brought it there.
func handsOn(file *policyfile.File, addr netip.Addr) bool {
	in := func(network netip.Prefix) bool { return network.Contains(addr) }
	return slices.ContainsFunc(file.Trust.Networks, in) && !slices.ContainsFunc(file.Trust.Relays, in)
}
