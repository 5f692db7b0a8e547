package policy

import (
	"errors"
	"fmt"
	"testing"
)

// TestReleased: what a session released shows nothing of it to the next one, whose evidence, walks and recipients use its memory.
func TestReleased(t *testing.T) {
	p := compile(t, source(`t: spf.result == "fail" => tag`, `o: rcpt.local == "b" => 550 5.7.1 no observe`, `r: dmarc.result == "fail" && rcpt.local == "a" => 550 5.7.1 no`, `n: sender.domain == "x.example" => 550 5.7.1 no`))
	fresh := session(p, p.NewEvidence(), facts{}, "c")
	reused := 0
	for range 20 { // a pool may forget
		e := p.NewEvidence()
		e.failed("r", errors.New("x"))
		e.PublishHeader(func(string) []string { return []string{"x"} })
		if got := session(p, e, facts{"spf.result": "fail", "dmarc.result": "fail", "sender.domain": "x.example"}, "a", "b"); got == fresh {
			t.Fatalf("the first session is as the second: %s", got)
		}
		before := e
		e.Release()
		e = p.NewEvidence()
		if e == before {
			reused++
		}
		for _, f := range e.Facts() {
			if f.Known {
				t.Errorf("%s is known: %v", f.Name, f.Value)
			}
		}
		if len(e.Errors()) > 0 || e.Header() != nil || e.fields != nil {
			t.Errorf("errors %v, header %v", e.Errors(), e.Header())
		}
		if got := session(p, e, facts{}, "c"); got != fresh {
			t.Errorf("the next session ends as %s, alone as %s", got, fresh)
		}
		e.Release()
	}
	if reused == 0 {
		t.Error("no memory was used again")
	}
}

// session walks a message with recipients and gives how it ends and what it waited for.
func session(p *Policy, e *Evidence, known facts, locals ...string) string {
	start := p.NewWalk()
	defer start.Release()
	start.Step(e, Connect)
	w := start.Clone()
	r := NewRecipients(w)
	defer r.Release()
	publish(e, Mail, known)
	out := fmt.Sprint(w.Step(e, Mail))
	for i, local := range locals {
		out += fmt.Sprint(recipient(e, r, local, i+1))
	}
	out += fmt.Sprint(r.Step(e, Data), r.Harsher(), r.putOff)
	return out + end(r.Ends(), e)
}
