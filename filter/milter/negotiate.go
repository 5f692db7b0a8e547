package milter

import "encoding/binary"

// What a milter may do to a message (SMFIF_).
const (
	actAddHeader    = 0x001
	actChangeHeader = 0x010
	actQuarantine   = 0x020
	actMacroLists   = 0x100

	wantedActions = actAddHeader | actChangeHeader | actQuarantine | actMacroLists
)

// Parts of the protocol (SMFIP_): what the MTA can go without a reply to, and two that make it say more.
const (
	quietHeader      = 0x00080
	quietConnect     = 0x01000
	quietHelo        = 0x02000
	quietMail        = 0x04000
	quietRcpt        = 0x08000
	quietData        = 0x10000
	quietUnknown     = 0x20000
	quietEndOfHeader = 0x40000
	quietBody        = 0x80000

	rejectedRecipients = 0x000800
	leadingSpace       = 0x100000

	// wantedParts are those that never need an answer of ours: nothing is decided there.
	wantedParts = quietHeader | quietData | quietUnknown | quietEndOfHeader | quietBody | rejectedRecipients | leadingSpace
)

// Versions of the protocol that are spoken. An MTA of a later one speaks 6 too.
const (
	minVersion = 2
	maxVersion = 6
)

// negotiate takes what the MTA offers of what we want; an MTA that offers less is still served. Frames stay at 64 KiB: larger ones are
// not asked for.
func (s *session) negotiate(data []byte) error {
	if len(data) < 12 {
		return errForm
	}
	version := min(binary.BigEndian.Uint32(data), maxVersion)
	actions, parts := binary.BigEndian.Uint32(data[4:]), binary.BigEndian.Uint32(data[8:])
	if version < minVersion {
		return errVersion
	}
	s.handler = s.newHandler()
	offer := Offer{
		Version:    int(version),
		AddHeaders: actions&actAddHeader != 0, ChangeHeaders: actions&actChangeHeader != 0,
		Quarantine: actions&actQuarantine != 0, MacroLists: actions&actMacroLists != 0,
		LeadingSpace: parts&leadingSpace != 0, RejectedRecipients: parts&rejectedRecipients != 0,
		Silence: Stages{parts&quietConnect != 0, parts&quietHelo != 0, parts&quietMail != 0, parts&quietRcpt != 0},
	}
	s.silent = s.handler.Negotiate(offer).Silent
	wanted := uint32(wantedParts)
	for _, quiet := range []struct {
		part uint32
		on   bool
	}{{quietConnect, s.silent.Connect}, {quietHelo, s.silent.Helo}, {quietMail, s.silent.Mail}, {quietRcpt, s.silent.Rcpt}} {
		if quiet.on {
			wanted |= quiet.part
		}
	}
	s.actions, s.parts = actions&wantedActions, parts&wanted
	start := s.conn.begin(codeOffer)
	for _, n := range []uint32{version, s.actions, s.parts} {
		s.conn.out = binary.BigEndian.AppendUint32(s.conn.out, n)
	}
	if offer.MacroLists {
		s.conn.out = appendWantedMacros(s.conn.out)
	}
	s.conn.end(start)
	return nil
}
