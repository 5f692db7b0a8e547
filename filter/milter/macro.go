package milter

import (
	"bytes"
	"encoding/binary"
	"strings"
)

// The stages of macros in the order of a session. Macros of a stage hold until an earlier stage begins anew.
const (
	macrosConnect = iota
	macrosHelo
	macrosMail
	macrosRcpt
	macrosData
	macrosEndOfHeader
	macrosEnd
	macrosOther // of one frame only
)

// stageOf gives the stage of the macros that come before a frame, and whether there are any of it.
func stageOf(code byte) (stage int, known bool) {
	switch code {
	case codeConnect:
		return macrosConnect, true
	case codeHelo:
		return macrosHelo, true
	case codeMail:
		return macrosMail, true
	case codeRcpt:
		return macrosRcpt, true
	case codeData:
		return macrosData, true
	case codeEndOfHeader:
		return macrosEndOfHeader, true
	case codeEnd:
		return macrosEnd, true
	case codeHeader, codeBody, codeUnknown, codeAbort:
		return macrosOther, true
	}
	return 0, false
}

// macros is what the MTA said beside its events, the earliest stage first.
type macros struct {
	list []macro
}

// usualMacros is as many as Postfix sends for a message.
const usualMacros = 24

type macro struct {
	stage       int
	name, value string
}

// Get implements Macros. Of a name that stands more than once the last counts.
func (m *macros) Get(name string) string {
	for i := len(m.list) - 1; i >= 0; i-- {
		if m.list[i].name == name {
			return m.list[i].value
		}
	}
	return ""
}

// from forgets the macros of a stage and of all behind it.
func (m *macros) from(stage int) {
	for i := range m.list {
		if m.list[i].stage >= stage {
			clear(m.list[i:])
			m.list = m.list[:i]
			return
		}
	}
}

// take reads a frame of macros: the code of the frame that they belong to, then names and values, each with a NUL behind it.
func (m *macros) take(data []byte) error {
	if len(data) == 0 || len(data) > 1 && (data[len(data)-1] != 0 || bytes.Count(data[1:], []byte{0})%2 != 0) {
		return errForm
	}
	stage, known := stageOf(data[0])
	if !known {
		return nil
	}
	m.from(stage)
	for rest := string(data[1:]); rest != ""; {
		var one macro
		one.stage = stage
		one.name, rest, _ = strings.Cut(rest, "\x00")
		one.value, rest, _ = strings.Cut(rest, "\x00")
		m.list = append(m.list, one)
	}
	return nil
}

// wantedMacros are all that we read, at every stage by its number on the wire: a request replaces the MTA's own lists, and those of a
// stage left out become empty.
var wantedMacros = []struct {
	stage uint32
	names string
}{
	{0, "j i {daemon_name} {daemon_port} {client_addr} {client_ptr} {client_port}"},     // connect
	{1, "{tls_version} {cipher} {cipher_bits}"},                                         // HELO
	{2, "i {auth_type} {auth_authen} {mail_addr} {tls_version} {cipher} {cipher_bits}"}, // MAIL
	{3, "i {rcpt_addr} {rcpt_host} {rcpt_mailer}"},                                      // RCPT
	{4, "i"}, // DATA
	{5, "i"}, // end of message
	{6, "i"}, // end of header
}

// appendWantedMacros writes them as a negotiation has them.
func appendWantedMacros(out []byte) []byte {
	for _, w := range wantedMacros {
		out = binary.BigEndian.AppendUint32(out, w.stage)
		out = append(append(out, w.names...), 0)
	}
	return out
}
