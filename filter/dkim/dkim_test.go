package dkim

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	msgauth "github.com/emersion/go-msgauth/dkim"

	"gatepost.example/filter/check"
	"gatepost.example/filter/message"
	"gatepost.example/filter/resolve/resolvetest"
)

// keys are made once: RSA takes its time.
var keys = sync.OnceValue(func() (k struct {
	rsa     *rsa.PrivateKey
	ed25519 ed25519.PrivateKey
}) {
	var err error
	if k.rsa, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		panic(err)
	}
	if _, k.ed25519, err = ed25519.GenerateKey(rand.Reader); err != nil {
		panic(err)
	}
	return k
})

func rsaRecord(k *rsa.PrivateKey) string {
	der, err := x509.MarshalPKIXPublicKey(&k.PublicKey)
	if err != nil {
		panic(err)
	}
	return base64.StdEncoding.EncodeToString(der)
}

// zone has the keys at r._domainkey.example.org and e._domainkey.example.org.
func zone() string {
	k := keys()
	long := "v=DKIM1; p=" + rsaRecord(k.rsa)
	return fmt.Sprintf("r._domainkey.example.org TXT %q %q\ne._domainkey.example.org TXT \"v=DKIM1; k=ed25519; p=%s\"\n",
		long[:200], long[200:], base64.StdEncoding.EncodeToString(k.ed25519.Public().(ed25519.PublicKey)))
}

// sign signs by another implementation.
func sign(t testing.TB, text, selector string, header, body msgauth.Canonicalization) string {
	t.Helper()
	var signer crypto.Signer = keys().rsa
	if selector == "e" {
		signer = keys().ed25519
	}
	var out bytes.Buffer
	err := msgauth.Sign(&out, strings.NewReader(text), &msgauth.SignOptions{
		Domain: "example.org", Selector: selector, Signer: signer, HeaderCanonicalization: header, BodyCanonicalization: body})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// verify runs the check on a message as a session does, with the body in chunks.
func verify(t testing.TB, zoneText, text string, chunk int, now time.Time) check.Outcome {
	t.Helper()
	whole, body, err := message.Read(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	header := message.NewHeader() // bounded, as a session's is
	for _, f := range whole.Fields {
		header.Add(f.Name, f.Value)
	}
	in := &check.Input{Now: now, Resolver: resolvetest.Must(zoneText), Header: header, Body: message.NewBodyHasher()}
	work := New().Start(in)
	rest, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	for len(rest) > 0 {
		n := min(chunk, len(rest))
		in.Body.Write(rest[:n])
		rest = rest[n:]
	}
	in.Body.Close()
	return work(context.Background())
}

// words gives "result code" of each finding.
func words(out check.Outcome) string {
	var all []string
	for _, f := range out.Findings {
		all = append(all, strings.TrimSpace(f.Result+" "+f.Code))
	}
	return strings.Join(all, ", ")
}

const mail = "From: a@example.org\r\nTo: b@example.net\r\nSubject:  a  subject\r\n\tfolded\r\nDate: Tue, 24 Nov 2026 12:00:00 +0000\r\n\r\nhello  \r\n\r\nworld\r\n\r\n\r\n"

// TestVerifiesOthersSignatures: every canonicalization and both algorithms, signed by another implementation, whatever the chunks.
func TestVerifiesOthersSignatures(t *testing.T) {
	for _, selector := range []string{"r", "e"} {
		for _, header := range []msgauth.Canonicalization{msgauth.CanonicalizationSimple, msgauth.CanonicalizationRelaxed} {
			for _, body := range []msgauth.Canonicalization{msgauth.CanonicalizationSimple, msgauth.CanonicalizationRelaxed} {
				signed := sign(t, mail, selector, header, body)
				for _, chunk := range []int{1, 2, 7, 1 << 20} {
					out := verify(t, zone(), signed, chunk, time.Now())
					if got := words(out); got != "pass" {
						t.Errorf("%s %s/%s in chunks of %d: %s %s", selector, header, body, chunk, got, out.Findings[0].Detail)
					}
				}
			}
		}
	}
}

// TestRFC8463: the message of RFC 8463 A.3 with the key of A.2; its RSA key is that of RFC 6376.
func TestRFC8463(t *testing.T) {
	text := "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\n d=football.example.com; i=@football.example.com;\n q=dns/txt; s=brisbane; t=1528637909; h=from : to :\n subject : date : message-id : from : subject : date;\n bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\n b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus\n Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==\nFrom: Joe SixPack <joe@football.example.com>\nTo: Suzie Q <suzie@shopping.example.net>\nSubject: Is dinner ready?\nDate: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\nMessage-ID: <20030712040037.46341.5F8J@football.example.com>\n\nHi.\n\nWe lost the game.  Are you hungry yet?\n\nJoe.\n"
	dns := "brisbane._domainkey.football.example.com TXT \"v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\"\n"
	out := verify(t, dns, text, 100, time.Now())
	if got := words(out); got != "pass" || out.Findings[0].Domain != "football.example.com" {
		t.Errorf("%s: %+v", got, out.Findings)
	}
}

// raw makes a signature by hand, so that every tag can be anything. tags stand before bh= and b=; the signed header is From only.
func raw(tags string, edit func(string) string) string {
	body := sha256.Sum256([]byte("hello\r\n"))
	field := " v=1; a=ed25519-sha256; c=relaxed/relaxed; d=example.org; s=e; h=From; " + tags + "bh=" + base64.StdEncoding.EncodeToString(body[:]) + "; b="
	if edit != nil {
		field = edit(field)
	}
	hash := sha256.Sum256([]byte("from:a@example.org\r\ndkim-signature:" + strings.Join(strings.Fields(field), " ")))
	return "DKIM-Signature:" + field + base64.StdEncoding.EncodeToString(ed25519.Sign(keys().ed25519, hash[:])) + "\r\nFrom: a@example.org\r\n\r\nhello\r\n"
}

// TestSignatureTags: each tag and what is wrong with it (RFC 6376 3.5, 3.7, 6.1.1).
func TestSignatureTags(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	change := func(from, to string) func(string) string {
		return func(s string) string { return strings.Replace(s, from, to, 1) }
	}
	for _, c := range []struct {
		name, tags string
		edit       func(string) string
		want       string
	}{
		{"plain", "", nil, "pass"},
		{"i= in d=, another case", "i=x@Example.ORG; ", nil, "pass"},
		{"i= in a subdomain", "i=x@sub.example.org; ", nil, "pass"},
		{"i= elsewhere", "i=x@example.net; ", nil, "permerror identity"},
		{"i= in a name that only ends alike", "i=x@notexample.org; ", nil, "permerror identity"},
		{"i= without @", "i=example.org; ", nil, "permerror identity"},
		{"i= that contains b=", "i=b=x@example.org; ", nil, "pass"},
		{"z= that contains b=", "z=Subject:b=abc; ", nil, "pass"},
		{"unknown tags", "foo=bar; ", nil, "pass"},
		{"d= in capitals", "", change("d=example.org", "d=Example.Org"), "pass"},
		{"expired", "x=1799990000; ", nil, "policy expired"},
		{"expired within the allowance of clocks", "x=1799999900; ", nil, "pass"},
		{"t= in the future", "t=1800010000; ", nil, "policy from-the-future"},
		{"x= before t=", "t=1799999000; x=1799998000; ", nil, "permerror syntax"},
		{"x=0 is long past", "x=0; ", nil, "policy expired"},
		{"x= and t= are 0", "t=0; x=0; ", nil, "permerror syntax"},
		{"t=0", "t=0; ", nil, "pass"},
		{"x= with 76 digits", "x=" + strings.Repeat("9", 76) + "; ", nil, "pass"},
		{"l= of the whole body", "l=7; ", nil, "pass"},
		{"l= larger than the body", "l=8; ", nil, "permerror length-too-long"},
		{"twice the same tag", "d=example.org; ", nil, "permerror syntax"},
		{"no v=", "", change(" v=1;", ""), "permerror syntax"},
		{"v=2", "", change("v=1", "v=2"), "permerror syntax"},
		{"no h=", "", change("h=From; ", ""), "permerror syntax"},
		{"From not signed", "", change("h=From", "h=To"), "permerror from-not-signed"},
		{"rsa-sha1", "", change("ed25519-sha256", "rsa-sha1"), "permerror algorithm"},
		{"unknown algorithm", "", change("ed25519-sha256", "rot13"), "permerror algorithm"},
		{"q= of others only", "q=dns/http; ", nil, "permerror syntax"},
		{"q= of others too", "q=dns/http:dns/txt; ", nil, "pass"},
		{"c= unknown", "", change("relaxed/relaxed", "loose"), "permerror syntax"},
		{"s= is no name", "", change("s=e", "s=e..x"), "permerror syntax"},
		{"no key", "", change("s=e", "s=none"), "permerror no-key"},
		{"oversigned DKIM-Signature: the signature's own field was not there yet", "", change("h=From", "h=From:DKIM-Signature"), "pass"},
		{"white space in d=", "", change("d=example.org", "d=example .org"), "permerror syntax"},
		{"a colon too many in h=", "", change("h=From", "h=:From: :"), "pass"},
		{"nothing in h=", "", change("h=From", "h=:"), "permerror from-not-signed"},
		{"a tag of somebody's own with a hyphen", "x-note=hello; ", nil, "pass"},
		{"a tag that begins with a hyphen", "-x=hello; ", nil, "permerror syntax"},
		{"oversigned From", "", change("h=From", "h=From:From"), "pass"},
	} {
		if got := words(verify(t, zone(), raw(c.tags, c.edit), 100, now)); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// TestInternationalNames: d=, s= and i= may be written in U-labels; the key stands at their A-labels, and those are compared (RFC 8616 4).
func TestInternationalNames(t *testing.T) {
	record := `"v=DKIM1; k=ed25519; FLAGp=` + base64.StdEncoding.EncodeToString(keys().ed25519.Public().(ed25519.PublicKey)) + `"`
	for _, c := range []struct{ tags, flag, want string }{
		{"", "", "pass"},
		{"i=x@b\u00fccher.test; ", "", "pass"},
		{"i=x@B\u00dcCHER.test; ", "t=s; ", "pass"},
		{"i=x@xn--bcher-kva.test; ", "t=s; ", "pass"},
		{"i=x@sub.b\u00fccher.test; ", "", "pass"},
		{"i=x@sub.b\u00fccher.test; ", "t=s; ", "permerror key-mismatch"},
		{"i=x@bucher.test; ", "", "permerror identity"},
	} {
		text := raw(c.tags, func(field string) string {
			return strings.NewReplacer("d=example.org", "d=b\u00fccher.test", "s=e;", "s=caf\u00e9;").Replace(field)
		})
		dns := "xn--caf-dma._domainkey.xn--bcher-kva.test TXT " + strings.Replace(record, "FLAG", c.flag, 1) + "\n"
		out := verify(t, dns, text, 100, time.Now())
		if got := words(out); got != c.want || out.Findings[0].Domain != "xn--bcher-kva.test" {
			t.Errorf("%q %q: %s for %s, want %s", c.tags, c.flag, got, out.Findings[0].Domain, c.want)
		}
	}
}

// TestOversigning: a From added above one that was signed twice breaks the signature (RFC 6376 5.4.2).
func TestOversigning(t *testing.T) {
	signed := raw("", func(s string) string { return strings.Replace(s, "h=From", "h=From:From", 1) })
	if got := words(verify(t, zone(), "From: x@evil.example\r\n"+signed, 100, time.Now())); got != "fail header-changed" {
		t.Errorf("%s", got)
	}
}

// TestLengthBeyond: bytes behind l= are anybody's; the signature verifies and does not count (RFC 6376 8.2).
func TestLengthBeyond(t *testing.T) {
	text := raw("l=7; ", nil) + "added by somebody\r\n"
	if got := words(verify(t, zone(), text, 100, time.Now())); got != "policy beyond-length" {
		t.Errorf("%s", got)
	}
}

// TestKeyRecords: each kind of record (RFC 6376 3.6.1, RFC 8301).
func TestKeyRecords(t *testing.T) {
	p := base64.StdEncoding.EncodeToString(keys().ed25519.Public().(ed25519.PublicKey))
	for _, c := range []struct{ name, records, want string }{
		{"plain", `"v=DKIM1; k=ed25519; p=P"`, "pass"},
		{"without v=", `"k=ed25519; p=P"`, "pass"},
		{"v= not first", `"k=ed25519; v=DKIM1; p=P"`, "permerror key-syntax"},
		{"another version", `"v=DKIM2; k=ed25519; p=P"`, "permerror key-syntax"},
		{"white space in p=", `"v=DKIM1; k=ed25519; p= \009P "`, "pass"},
		{"pasted quotes in p=", `"v=DKIM1; k=ed25519; p=\"\" \"P"`, "pass"},
		{"nothing but quotes in p=", `"v=DKIM1; k=ed25519; p=\"\""`, "permerror key-revoked"},
		{"a tag of somebody's own with a hyphen", `"v=DKIM1; x-note=hello; k=ed25519; p=P"`, "pass"},
		{"revoked", `"v=DKIM1; k=ed25519; p="`, "permerror key-revoked"},
		{"no p=", `"v=DKIM1; k=ed25519"`, "permerror key-syntax"},
		{"no base64", `"v=DKIM1; k=ed25519; p=!"`, "permerror key-syntax"},
		{"another type of key", `"v=DKIM1; k=rsa; p=P"`, "permerror key-mismatch"},
		{"h=sha1", `"v=DKIM1; k=ed25519; h=sha1; p=P"`, "permerror key-mismatch"},
		{"h=sha1:sha256", `"v=DKIM1; k=ed25519; h=sha1:sha256; p=P"`, "pass"},
		{"s=email", `"v=DKIM1; k=ed25519; s=email; p=P"`, "pass"},
		{"s=other", `"v=DKIM1; k=ed25519; s=other; p=P"`, "permerror key-mismatch"},
		{"t=s and i= in a subdomain", `"v=DKIM1; k=ed25519; t=s; p=P"`, "permerror key-mismatch"},
		{"t=y", `"v=DKIM1; k=ed25519; t=y; p=P"`, "pass"},
		{"several records, one of them a key", "\"some text\"\ne._domainkey.example.org TXT \"v=DKIM1; k=ed25519; p=P\"", "pass"},
		{"DNS silent", "TIMEOUT", "temperror dns"},
		{"SERVFAIL", "SERVFAIL", "temperror dns"},
	} {
		dns := "e._domainkey.example.org TXT " + strings.ReplaceAll(c.records, "P\"", p+"\"")
		dns = strings.ReplaceAll(dns, "P \"", p+" \"")
		tags := "i=x@sub.example.org; "
		if got := words(verify(t, dns, raw(tags, nil), 100, time.Now())); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	testing := "e._domainkey.example.org TXT \"v=DKIM1; k=ed25519; t=y; p=" + p + "\""
	if got := words(verify(t, testing, raw("", nil)+"changed\r\n", 100, time.Now())); got != "neutral testing" {
		t.Errorf("a broken signature of a domain that is testing: %s", got)
	}
}

// TestKeySizes: RSA under 1,024 bits and over 8,192 never counts (RFC 8301 3.2).
func TestKeySizes(t *testing.T) {
	t.Setenv("GODEBUG", "rsa1024min=0")
	small, err := rsa.GenerateKey(rand.Reader, 768)
	if err != nil {
		t.Skip("this Go makes no small keys: ", err)
	}
	if _, wrong := ParseKey("v=DKIM1; p="+rsaRecord(small), "rsa-sha256"); wrong == nil || wrong.Code != CodeKeyShort {
		t.Errorf("768 bits: %v", wrong)
	}
}

// TestBoundsAreSaid: what was not tried says which bound it met.
func TestBoundsAreSaid(t *testing.T) {
	one := raw("", nil)
	field := one[:strings.Index(one, "\r\n")+2]
	out := verify(t, zone(), strings.Repeat(field, MaxSignatures+2)+one[len(field):], 1000, time.Now())
	if n := len(out.Findings); n != MaxSignatures+1 || out.Findings[0].Result != "pass" || out.Findings[n-1].Code != CodeTooMany {
		t.Errorf("%s", words(out))
	}
	many := strings.Replace(one, "h=From", "h=From"+strings.Repeat(":x", MaxNames), 1)
	if got := words(verify(t, zone(), many, 1000, time.Now())); got != "permerror too-many-names" {
		t.Errorf("%s", got)
	}
	huge := one[:len(field)] + strings.Repeat("X: "+strings.Repeat("y", 50_000)+"\r\n", 30) + one[len(field):]
	if got := words(verify(t, zone(), huge, 1000, time.Now())); got != "permerror header-too-large" {
		t.Errorf("%s", got)
	}
}

// TestUnsigned: none, and it is said.
func TestUnsigned(t *testing.T) {
	if got := words(verify(t, "", mail, 100, time.Now())); got != "none" {
		t.Errorf("%s", got)
	}
}

// TestBeginningOfB: eight characters, more where two signatures share them (RFC 6008 4).
func TestBeginningOfB(t *testing.T) {
	a := []attempt{
		{Signature: Signature{Base64: "abcdefghijXXX"}}, {Signature: Signature{Base64: "abcdefghijYYY"}}, {Signature: Signature{Base64: "zzz"}},
	}
	for i, want := range []string{"abcdefghijX", "abcdefghijY", "zzz"} {
		if got := headerB(a, i); got != want {
			t.Errorf("%d: %s, want %s", i, got, want)
		}
	}
}
