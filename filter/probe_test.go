package filter

import (
	"fmt"
	"testing"
)

// TestProbesAreBounded: who greets as a test session pushes older ones out, and what was handed out does not change any more.
func TestProbesAreBounded(t *testing.T) {
	s := &Server{}
	for i := range 3 * maxProbes {
		s.probes.note(fmt.Sprint("name-", i), func(p *Probe) { p.Macros["j"] = fmt.Sprint(i) })
	}
	if len(s.probes.by) != maxProbes || len(s.probes.names) != maxProbes {
		t.Errorf("%d sessions are kept", len(s.probes.by))
	}
	if _, came := s.ProbeOf("name-0"); came {
		t.Error("the oldest is there")
	}
	last := fmt.Sprint("name-", 3*maxProbes-1)
	p, came := s.ProbeOf(last)
	s.probes.note(last, func(p *Probe) { p.Macros["j"] = "changed" })
	if !came || p.Macros["j"] != fmt.Sprint(3*maxProbes-1) {
		t.Errorf("%v %v", came, p.Macros)
	}
}
