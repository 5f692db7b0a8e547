package arc

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"testing"

	"gatepost.example/filter/check"
	"gatepost.example/filter/check/checktest"
	"gatepost.example/filter/message"
	"gatepost.example/filter/resolve/resolvetest"
)

// key seals; its record stands at s._domainkey.sealer.example.
var key = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))

func zone() string {
	return fmt.Sprintf("s._domainkey.sealer.example TXT \"v=DKIM1; k=ed25519; p=%s\"\n", base64.StdEncoding.EncodeToString(key.Public().(ed25519.PublicKey)))
}

func sign(text string) string {
	hash := sha256.Sum256([]byte(text))
	return base64.StdEncoding.EncodeToString(ed25519.Sign(key, hash[:]))
}

// mail is a message under seal: its fields in one line each with single blanks, so that relaxed form is the name in lower case.
type mail struct {
	sets [][3]string // results, message signature, seal: values
	from string
	body string
}

// seal adds an instance by hand, by the words of RFC 8617 5.1; edit may change a tag before it is signed.
func (m *mail) seal(dmarc string, edit func(string) string) {
	if edit == nil {
		edit = func(s string) string { return s }
	}
	i := len(m.sets) + 1
	results := fmt.Sprintf("i=%d; sealer.example; dmarc=%s header.from=example.org", i, dmarc)
	body := sha256.Sum256([]byte(m.body))
	signed := edit(fmt.Sprintf("i=%d; a=ed25519-sha256; c=relaxed/relaxed; d=sealer.example; s=s; h=from; bh=%s; b=", i, base64.StdEncoding.EncodeToString(body[:])))
	covered := ""
	if strings.Contains(signed, "h=from;") {
		covered = "from:" + m.from + "\r\n"
	}
	signed += sign(covered + "arc-message-signature:" + signed)
	cv := "pass"
	if i == 1 {
		cv = "none"
	}
	seal := edit(fmt.Sprintf("i=%d; a=ed25519-sha256; cv=%s; d=sealer.example; s=s; t=1; b=", i, cv))
	var sets strings.Builder
	for _, s := range append(m.sets, [3]string{results, signed, seal}) {
		fmt.Fprintf(&sets, "arc-authentication-results:%s\r\narc-message-signature:%s\r\narc-seal:%s\r\n", s[0], s[1], s[2])
	}
	seal += sign(strings.TrimSuffix(sets.String(), "\r\n"))
	m.sets = append(m.sets, [3]string{results, signed, seal})
}

func (m *mail) String() string {
	var b strings.Builder
	for i := len(m.sets) - 1; i >= 0; i-- {
		fmt.Fprintf(&b, "ARC-Seal: %s\r\nARC-Message-Signature: %s\r\nARC-Authentication-Results: %s\r\n", m.sets[i][2], m.sets[i][1], m.sets[i][0])
	}
	return b.String() + "From: " + m.from + "\r\n\r\n" + m.body
}

// chained gives a message with n seals.
func chained(n int) *mail {
	m := &mail{from: "a@example.org", body: "hello\r\n"}
	for range n {
		m.seal("pass", nil)
	}
	return m
}

// validate runs the check; it gives "result code", and the facts.
func validate(t testing.TB, dns, text string) (string, map[string]string) {
	t.Helper()
	header, body, err := message.Read(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	in := &check.Input{Resolver: resolvetest.Must(dns), Header: header, Body: message.NewBodyHasher()}
	work := New([]string{"sealer.example"}).Start(in)
	if _, err := io.Copy(in.Body, body); err != nil {
		t.Fatal(err)
	}
	in.Body.Close()
	out := work(context.Background())
	facts := map[string]string{}
	for _, f := range out.Facts {
		facts[f.Name] = strings.Trim(fmt.Sprint(f.Value), "{}")
	}
	return strings.TrimSpace(out.Findings[0].Result + " " + out.Findings[0].Code), facts
}

// TestFromNotSealed: a chain whose newest message signature leaves From out passes, and is not trusted: anybody can write another author over it.
func TestFromNotSealed(t *testing.T) {
	m := &mail{from: "a@example.org", body: "hello\r\n"}
	m.seal("pass", func(s string) string { return strings.Replace(s, "h=from", "h=to", 1) })
	m.from = "ceo@bank.example"
	if got, facts := validate(t, zone(), m.String()); got != "pass" || facts["arc.trusted"] != "false" {
		t.Errorf("%s %v", got, facts)
	}
}

// TestResultsOfSealers: what the results of a sealer say of DMARC, in the words of large ones, which do not all keep to the grammar.
func TestResultsOfSealers(t *testing.T) {
	for more, want := range map[string]string{
		"pass (p=NONE sp=NONE dis=NONE)":      "pass",
		"fail (p=REJECT) action=oreject":      "fail",
		"PASS action=none":                    "pass",
		"bestguesspass action=none":           "",
		"pass; dmarc=fail":                    "fail",
		"none; x (dmarc=fail; dmarc=pass)":    "none",
		"none; x=\"; dmarc=fail\" dmarc=fail": "none",
	} {
		m := &mail{from: "a@example.org", body: "hello\r\n"}
		m.seal(more, nil)
		if got, facts := validate(t, zone(), m.String()); got != "pass" || facts["arc.dmarc"] != want {
			t.Errorf("%s: %s %v, want %s", more, got, facts, want)
		}
	}
	m := &mail{from: "a@example.org", body: "hello\r\n"}
	m.seal("x; spf=pass smtp.mailfrom=a b; arc=none; dmarc /1 = fail action=none", nil)
	if _, facts := validate(t, zone(), m.String()); facts["arc.dmarc"] != "fail" {
		t.Errorf("behind a part that is broken: %v", facts)
	}
}

// TestChains: chains that were sealed by hand pass, up to the largest instance; any change breaks them.
func TestChains(t *testing.T) {
	for _, n := range []int{1, 2, 3, MaxInstance} {
		got, facts := validate(t, zone(), chained(n).String())
		if got != "pass" || facts["arc.trusted"] != "true" || facts["arc.sealer"] != "sealer.example" || facts["arc.dmarc"] != "pass" {
			t.Errorf("%d seals: %s %v", n, got, facts)
		}
	}
	text := chained(3).String()
	replace := func(old, new string) string {
		if !strings.Contains(text, old) {
			t.Fatalf("there is no %q", old)
		}
		return strings.Replace(text, old, new, 1)
	}
	for _, c := range []struct{ name, text, want string }{
		{"no ARC at all", "From: a@example.org\r\n\r\nhello\r\n", "none"},
		{"body changed", text + "more\r\n", "fail body-changed"},
		{"signed field changed", replace("From: a@", "From: b@"), "fail header-changed"},
		{"results changed", replace("i=1; sealer.example; dmarc=pass", "i=1; sealer.example; dmarc=fail"), "fail seal-broken"},
		{"an instance missing", replace("ARC-Seal: i=2", "X-Seal: i=2"), "fail structure"},
		{"an instance twice", "ARC-Seal: " + chained(3).sets[2][2] + "\r\n" + text, "fail structure"},
		{"instance 0", replace("i=3; a=", "i=0; a="), "fail structure"},
		{"instance 51", replace("i=3; a=", "i=51; a="), "fail structure"},
		{"results without a semicolon", replace("i=3; sealer", "i=3 sealer"), "fail structure"},
		{"cv=fail", replace("i=3; a=ed25519-sha256; cv=pass", "i=3; a=ed25519-sha256; cv=fail"), "fail said-fail"},
		{"the first says cv=pass", replace("cv=none", "cv=pass"), "fail structure"},
		{"rsa-sha1", replace("i=3; a=ed25519-sha256; cv", "i=3; a=rsa-sha1; cv"), "fail syntax"},
		{"a seal with h=", replace("cv=pass; d=", "cv=pass; h=from; d="), "fail syntax"},
	} {
		if got, facts := validate(t, zone(), c.text); got != c.want || facts["arc.trusted"] == "true" || facts["arc.dmarc"] != "" {
			t.Errorf("%s: %s, want %s (%v)", c.name, got, c.want, facts)
		}
	}
	if got, _ := validate(t, "", text); got != "fail key" {
		t.Errorf("no key: %s", got)
	}
	if got, _ := validate(t, "s._domainkey.sealer.example TXT TIMEOUT\n", text); got != "fail dns" {
		t.Errorf("DNS silent: %s", got)
	}
}

// TestCoversSeal: a message signature over a seal is none (RFC 8617 4.1.2).
func TestCoversSeal(t *testing.T) {
	m := &mail{from: "a@example.org", body: "hello\r\n"}
	m.seal("pass", func(s string) string { return strings.Replace(s, "h=from", "h=from:arc-seal", 1) })
	if got, _ := validate(t, zone(), m.String()); got != "fail syntax" {
		t.Errorf("%s", got)
	}
}

// TestStrangerBeforeATrustedSealer: who sends a spoof to a trusted list puts a seal of his own under it that says pass; the list's word counts, and
// that of the first of several trusted ones.
func TestStrangerBeforeATrustedSealer(t *testing.T) {
	evil := func(s string) string { return strings.Replace(s, "d=sealer.example", "d=evil.example", 1) }
	dns := zone() + strings.Replace(zone(), "sealer.example", "evil.example", 1)
	for name, c := range map[string]struct {
		says []string
		want string
	}{
		"the list alone":              {[]string{"fail"}, "fail"},
		"a stranger before it":        {[]string{"evil pass", "fail"}, "fail"},
		"two strangers before it":     {[]string{"evil pass", "evil pass", "fail"}, "fail"},
		"two lists, the first's word": {[]string{"pass", "fail"}, "pass"},
		"a stranger between them":     {[]string{"pass", "evil pass", "fail"}, "fail"},
	} {
		m := &mail{from: "service@bank.example", body: "hello\r\n"}
		for _, says := range c.says {
			if dmarc, stranger := strings.CutPrefix(says, "evil "); stranger {
				m.seal(dmarc, evil)
			} else {
				m.seal(says, nil)
			}
		}
		got, facts := validate(t, dns, m.String())
		if got != "pass" || facts["arc.trusted"] != "true" || facts["arc.dmarc"] != c.want {
			t.Errorf("%s: %s %v, want arc.dmarc %s", name, got, facts, c.want)
		}
	}
}

// TestStranger: a chain of somebody whom the admin does not know passes and is not trusted.
func TestStranger(t *testing.T) {
	header, _, err := message.Read(strings.NewReader(chained(1).String()))
	if err != nil {
		t.Fatal(err)
	}
	in := &check.Input{Resolver: resolvetest.Must(zone()), Header: header, Body: message.NewBodyHasher()}
	work := New([]string{"another.example"}).Start(in)
	in.Body.Write([]byte("hello\r\n"))
	in.Body.Close()
	if out := work(context.Background()); out.Findings[0].Result != "pass" || fmt.Sprint(out.Facts[1].Value) != "{false}" {
		t.Errorf("%+v", out)
	}
}

// FuzzChain: a chain with a changed byte in its fields, From or body never passes.
func FuzzChain(f *testing.F) {
	text := chained(2).String()
	dns := zone()
	f.Add(10, byte('x'))
	f.Add(len(text)-3, byte('y'))
	f.Fuzz(func(t *testing.T, at int, to byte) {
		at = (at%len(text) + len(text)) % len(text)
		if text[at] == to || text[at] >= 'A' && text[at] <= 'Z' && text[at]|0x20 == to|0x20 || to <= ' ' || text[at] <= ' ' {
			return // case of names and white space are no signed bytes in relaxed form
		}
		if strings.HasPrefix(text[at+1:], "=") {
			return // the last character of base64 has bits that mean nothing (RFC 4648 3.5)
		}
		changed := text[:at] + string([]byte{to}) + text[at+1:]
		if strings.EqualFold(changed, text) {
			return
		}
		if got, _ := validate(t, dns, changed); got == "pass" {
			t.Errorf("byte %d changed from %q to %q, and it passes", at, text[at], to)
		}
	})
}

// FuzzSet: whatever stands in the three fields of a set, the result is one of three; without a seal of ours it is never pass; and instances
// beyond the largest, or gaps, are never taken.
func FuzzSet(f *testing.F) {
	f.Add(" i=1; x.test; none", " i=1; a=ed25519-sha256; d=sealer.example; s=s; h=from; bh=; b=", " i=1; a=ed25519-sha256; cv=none; d=sealer.example; s=s; b=")
	f.Add("i=51;", "i=51", "i=51")
	f.Add(" i = 1 ; a", "i=1;i=1", "i=2;h=from")
	dns := zone()
	f.Fuzz(func(t *testing.T, results, signed, seal string) {
		h := message.NewHeader()
		h.Add("ARC-Seal", seal)
		h.Add("ARC-Message-Signature", signed)
		h.Add("ARC-Authentication-Results", results)
		h.Add("From", "a@example.org")
		in := &check.Input{Resolver: resolvetest.Must(dns), Header: h, Body: message.NewBodyHasher()}
		work := New([]string{"sealer.example"}).Start(in)
		in.Body.Close()
		out := work(context.Background())
		if r := out.Findings[0].Result; r != "fail" || fmt.Sprint(out.Facts[1].Value) != "{false}" {
			t.Errorf("%q %q %q: %s, %v", results, signed, seal, r, out.Facts)
		}
		if sets, failed := collect(h); failed == nil && len(sets) != 1 {
			t.Errorf("%q %q %q: %d whole sets", results, signed, seal, len(sets))
		}
	})
}

// FuzzLinear: no chain takes longer than its length.
func FuzzLinear(f *testing.F) {
	for _, piece := range []string{"from:", ";a=b", "\r\n ", "\r\nARC-Seal: i=1", " ", "\r\nX: y"} {
		f.Add(piece)
	}
	one := chained(1).String()
	rest := one[strings.Index(one, "\r\nARC-Message"):]
	field := one[:len(one)-len(rest)]
	longer := strings.Index(rest, "h=from") + len("h=from")
	dns := zone()
	f.Fuzz(func(t *testing.T, piece string) {
		checktest.Linear(t, field+rest[:longer]+":", piece, func(text string) { validate(t, dns, text+rest[longer:]) })
		checktest.Linear(t, field, piece, func(text string) { validate(t, dns, text+rest) })
	})
}
