package filter

import (
	"strings"
	"sync"

	"gatepost.example/filter/milter"
)

// This file lets `gatepost doctor` see its own test sessions as they looked from here.

// ProbePrefix begins the HELO name of a test session. Anybody may greet so: it changes no decision, and only this machine's admins see what is noted.
const ProbePrefix = "gatepost-doctor-"

// Probe is how a test session looked from here.
type Probe struct {
	Role    string            `json:"role"`    // server.role
	Client  string            `json:"client"`  // its address, "local" for none
	Trusted bool              `json:"trusted"` // client.trusted
	Macros  map[string]string `json:"macros"`  // those that the MTA sent, of all that are read here
	Records []ProbeRecord     `json:"records"` // what was decided, in order
	Fields  []string          `json:"fields"`  // header fields that the last message got
}

// ProbeRecord is one decision in a test session.
type ProbeRecord struct {
	ID     string   `json:"id"`
	Action string   `json:"action"` // what was done, in one word: a reply code or an action
	Rule   string   `json:"rule,omitempty"`
	Spoken string   `json:"spoken"`
	Woulds []string `json:"woulds,omitempty"` // what observed rules, or a policy in observe mode, would have done
}

// Bounds: a stranger who greets so may push a test out, no more.
const (
	maxProbes       = 50
	maxProbeRecords = 20
	maxProbeName    = 100
)

// probedMacros are the macros that the filter reads.
var probedMacros = []string{
	"j", "i", "{daemon_name}", "{daemon_port}", "{client_addr}", "{client_port}", "{client_ptr}", "{tls_version}", "{cipher}", "{cipher_bits}",
	"{auth_authen}", "{auth_type}", "{mail_addr}", "{rcpt_addr}", "{rcpt_host}", "{rcpt_mailer}",
}

// probes are the last test sessions by HELO name.
type probes struct {
	mu    sync.Mutex
	by    map[string]*Probe
	names []string
}

// note changes what is known of a test session; a new one pushes the oldest out.
func (p *probes) note(name string, change func(*Probe)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.by == nil {
		p.by = map[string]*Probe{}
	}
	if p.by[name] == nil {
		if len(p.names) == maxProbes {
			delete(p.by, p.names[0])
			p.names = p.names[1:]
		}
		p.by[name] = &Probe{Macros: map[string]string{}}
		p.names = append(p.names, name)
	}
	change(p.by[name])
}

// ProbeOf gives a test session by its HELO name, and whether it came here.
func (s *Server) ProbeOf(name string) (Probe, bool) {
	s.probes.mu.Lock()
	defer s.probes.mu.Unlock()
	p := s.probes.by[name]
	if p == nil {
		return Probe{}, false
	}
	out := *p
	out.Macros = map[string]string{}
	for macro, value := range p.Macros {
		out.Macros[macro] = value
	}
	return out, true
}

// probe notes something of the session, if it is a test.
func (s *Session) probe(change func(*Probe)) {
	if name := s.conn.helo; strings.HasPrefix(name, ProbePrefix) && len(name) <= maxProbeName {
		s.server.probes.note(name, change)
	}
}

func (s *Session) probeMacros(m milter.Macros) {
	s.probe(func(p *Probe) {
		p.Role, p.Client, p.Trusted = s.conn.role, s.clientText(), s.conn.trusted
		for _, name := range probedMacros {
			if value := m.Get(name); value != "" {
				p.Macros[name] = printable(value)
			}
		}
	})
}

func (s *Session) probeRecord(r Record) {
	s.probe(func(p *Probe) {
		one := ProbeRecord{ID: r.ID, Action: r.What(), Rule: r.Decision.Rule, Spoken: r.Spoken}
		for _, w := range r.Woulds {
			one.Woulds = append(one.Woulds, w.String())
		}
		if len(p.Records) < maxProbeRecords {
			p.Records = append(p.Records, one)
		}
	})
}

func (s *Session) probeEdits(e Edits) {
	s.probe(func(p *Probe) {
		p.Fields = nil
		for _, f := range e.Insert {
			p.Fields = append(p.Fields, f.Name+": "+f.Value)
		}
	})
}
