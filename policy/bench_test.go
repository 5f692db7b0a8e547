package policy

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

// BenchmarkWalk goes through the contract's 22 rules with a good message: all facts known at once, and as a session brings them.
func BenchmarkWalk(b *testing.B) {
	p := compileContract(b)
	session := contractSession()
	session[Connect]["client.ip"] = "192.0.2.7"
	var vals [stages][]func(*Evidence)
	for at, fs := range session {
		for name, v := range fs {
			e := p.NewEvidence()
			publish(e, Stage(at), facts{name: v})
			id := p.vocabulary.byName[name]
			value := e.vals[id]
			vals[at] = append(vals[at], func(e *Evidence) { e.vals[id] = value })
		}
	}
	b.Run("all known", func(b *testing.B) {
		e := p.NewEvidence()
		for _, at := range vals {
			for _, set := range at {
				set(e)
			}
		}
		b.ReportAllocs()
		for b.Loop() {
			w := p.NewWalk().ForRecipient()
			w.Step(e, Data)
			if w.decided {
				b.Fatal(w.decision.Rule)
			}
		}
	})
	b.Run("by stages", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			e, w := p.NewEvidence(), p.NewWalk()
			r := NewRecipients(w)
			for at := Connect; at <= Data; at++ {
				for _, set := range vals[at] {
					set(e)
				}
				switch at {
				case Rcpt:
					own := r.Walk()
					own.Step(e, at)
					r.Take(own, e, true)
				case Data:
					r.Step(e, at)
				default:
					w.Step(e, at)
				}
			}
			if d, decided := r.Ends().Decision(); decided {
				b.Fatal(d.Rule)
			}
		}
	})
}

// BenchmarkListHas: 100,000 networks cost no more than ten; one address that is in none of them, one that is in several.
func BenchmarkListHas(b *testing.B) {
	for _, n := range []int{10, 1000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			entries := make([]string, n)
			for i := range entries {
				bits := 16 + i%17
				p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), bits)
				entries[i] = p.Masked().String()
			}
			entries[n-1] = "198.51.100.0/24"
			l, wrong := NewList(entries, networks())
			if len(wrong) > 0 {
				b.Fatal(wrong)
			}
			b.ReportAllocs()
			for b.Loop() {
				if l.Has(KindIP, "192.0.2.1") || !l.Has(KindIP, "198.51.100.7") {
					b.Fatal("the list is not what it was made of")
				}
			}
		})
	}
}

func BenchmarkFill(b *testing.B) {
	r, err := ParseReply("554 5.7.1 {client.ip} is listed; {sender.address} may write to postmaster")
	if err != nil {
		b.Fatal(err)
	}
	e := compile(b, source()).NewEvidence()
	for name, value := range map[string]string{"ordinary": "alice@example.org", "hostile": strings.Repeat("é\r\n", 5000)} {
		publish(e, Mail, facts{"client.ip": "192.0.2.1", "sender.address": value})
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r.Fill(e, "7K3Q-9MXA", "help: https://example.net/mail/{id}")
			}
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	v, s := contractVocabulary(b), contract()
	b.ReportAllocs()
	for b.Loop() {
		Compile(v, s)
	}
}

// BenchmarkRecipients: what one more recipient of a message costs the rules, where some rule reads a fact of the recipient and where none does:
// then it is a step of the message's own walk and no more, whatever recipients.mixed says.
func BenchmarkRecipients(b *testing.B) {
	plain := Source{DelayReject: true, Rules: []RuleSource{
		{Name: "listed", When: `client.ip == "192.0.2.9"`, Reply: "550 5.7.1 no"},
		{Name: "spoofed", When: `dmarc.result == "fail"`, Reply: "550 5.7.1 no"},
	}}
	split := plain
	split.Rules = append([]RuleSource{{Name: "postmaster", When: `rcpt.local == "postmaster"`, Action: "accept"}}, plain.Rules...)
	mildest := split
	mildest.Mildest = true
	for _, c := range []struct {
		name   string
		source Source
	}{{"no rcpt fact", plain}, {"split", split}, {"mildest", mildest}} {
		b.Run(c.name, func(b *testing.B) {
			p := compile(b, c.source)
			e, w := p.NewEvidence(), p.NewWalk()
			publish(e, Connect, facts{"client.ip": "192.0.2.1"})
			publish(e, Rcpt, facts{"rcpt.local": "u", "rcpt.address": "u@example.net"})
			w.Step(e, Mail)
			r := NewRecipients(w)
			b.ReportAllocs()
			for b.Loop() {
				own := r.Walk()
				own.Step(e, Rcpt)
				if !r.Take(own, e, true) {
					b.Fatal("it is put off")
				}
			}
		})
	}
}
