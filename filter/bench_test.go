package filter

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatepost.example/filter/message"
	"gatepost.example/filter/resolve/resolvetest"
	"gatepost.example/policy"
	"gatepost.example/policy/policyfile"
)

// shippedServer gives a server under the policy that a new installation gets, with a zone for signed mail of example.org.
func shippedServer(t testing.TB, private ed25519.PrivateKey) *Server {
	t.Helper()
	vocabulary, err := Vocabulary()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../policy.toml")
	if err != nil {
		t.Fatal(err)
	}
	file, err := policyfile.Parse("policy.toml", bytes.Replace(text, []byte(`mode = "observe"`), []byte(`mode = "enforce"`), 1), vocabulary)
	if err != nil {
		t.Fatal(err)
	}
	zone := resolvetest.Must(fmt.Sprintf(`
192.0.2.1 PTR mail.example.org
mail.example.org A 192.0.2.1
example.org MX 10 mail.example.org
example.org TXT "v=spf1 ip4:192.0.2.1 -all"
_dmarc.example.org TXT "v=DMARC1; p=reject"
s._domainkey.example.org TXT "v=DKIM1; k=ed25519; p=%s"
`, base64.StdEncoding.EncodeToString(private.Public().(ed25519.PublicKey))))
	return NewServer(SettingsOf(file), Deps{Resolver: zone, Log: slog.New(slog.DiscardHandler)})
}

// signedHeader gives the header of a message from example.org whose relaxed body has a hash, signed relaxed/relaxed over From
// (RFC 6376 3.7).
func signedHeader(private ed25519.PrivateKey, hash []byte) []message.Field {
	field := fmt.Sprintf("v=1; a=ed25519-sha256; c=relaxed/relaxed; d=example.org; s=s; t=%d; h=From; bh=%s; b=", time.Now().Unix(), base64.StdEncoding.EncodeToString(hash))
	signed := sha256.Sum256([]byte("from:a@example.org\r\ndkim-signature:" + field))
	fields := []message.Field{
		{Name: "DKIM-Signature", Value: " " + field + base64.StdEncoding.EncodeToString(ed25519.Sign(private, signed[:]))},
		{Name: "From", Value: " a@example.org"},
	}
	for i := range 23 {
		fields = append(fields, message.Field{Name: fmt.Sprintf("X-Field-%d", i), Value: " some value of a usual length, folded\n\tonce"})
	}
	return fields
}

// play is one whole session of one message, in chunks as Postfix sends them.
func play(t testing.TB, server *Server, fields []message.Field, chunk []byte, chunks int) {
	s := server.NewSession()
	s.Connect(Client{Addr: netip.MustParseAddr("192.0.2.1"), Name: "mail.example.org", DaemonPort: "25", MTA: "mx.example.net"})
	s.Helo("mail.example.org", TLS{})
	s.Mail(Sender{Address: "a@example.org"})
	s.Rcpt(Recipient{Address: "u@example.net", Resolved: "u@example.net", Mailer: "local"})
	for _, f := range fields {
		s.HeaderField(f.Name, f.Value)
	}
	s.EndOfHeader()
	for range chunks {
		s.Body(chunk)
	}
	response, edits := s.EndOfMessage("4fTEST0001")
	s.Close()
	if response.Verb != GoOn || len(edits.Insert) < 2 || !strings.Contains(edits.Insert[0].Value, "dkim=pass") || !strings.Contains(edits.Insert[0].Value, "dmarc=pass") {
		t.Fatalf("%v %v", response, edits)
	}
}

func newKey(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return private
}

var line = "The quick brown fox jumps over the lazy dog, and then it does it again.\r\n"

// BenchmarkSession: a message of 20 KB with one signature from connect to its end, under the shipped rules, all checks, DNS in memory.
func BenchmarkSession(b *testing.B) {
	private := newKey(b)
	server := shippedServer(b, private)
	body := []byte(strings.Repeat(line, 20<<10/len(line)))
	hash := sha256.Sum256(body)
	fields := signedHeader(private, hash[:])
	b.ReportAllocs()
	before := cpuTime()
	for b.Loop() {
		play(b, server, fields, body, 1)
	}
	b.ReportMetric(float64(cpuTime()-before)/float64(b.N), "cpu-ns/op") // of all threads, and steadier than ns/op on a busy machine
}

// cpuTime is what this process has used of the processors.
func cpuTime() time.Duration {
	var r syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// TestMemoryOfASession: 100 MB through a session add less than 2 MB to the heap at any time, for nothing is kept of a body.
func TestMemoryOfASession(t *testing.T) {
	private := newKey(t)
	server := shippedServer(t, private)
	chunk := []byte(strings.Repeat(line, 65535/len(line)))
	chunks := 100 << 20 / len(chunk)
	whole := sha256.New()
	for range chunks {
		whole.Write(chunk)
	}
	fields := signedHeader(private, whole.Sum(nil))
	play(t, server, fields, chunk, chunks) // once for what is made once
	var before, during runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	s := server.NewSession()
	s.Connect(Client{Addr: netip.MustParseAddr("192.0.2.1"), DaemonPort: "25"})
	s.Helo("mail.example.org", TLS{})
	s.Mail(Sender{Address: "a@example.org"})
	s.Rcpt(Recipient{Address: "u@example.net", Resolved: "u@example.net"})
	for _, f := range fields {
		s.HeaderField(f.Name, f.Value)
	}
	s.EndOfHeader()
	most := uint64(0)
	for i := range chunks {
		s.Body(chunk)
		if i%200 == 0 {
			runtime.GC()
			runtime.ReadMemStats(&during)
			most = max(most, during.HeapAlloc)
		}
	}
	if response, _ := s.EndOfMessage(""); response.Verb != GoOn {
		t.Errorf("%v", response)
	}
	s.Close()
	if grown := int64(most) - int64(before.HeapAlloc); grown > 2<<20 {
		t.Errorf("100 MB took %d bytes of memory", grown)
	}
}

// BenchmarkWalk: one walk over the shipped rules with all facts known, to the end of the message.
func BenchmarkWalk(b *testing.B) {
	server := shippedServer(b, newKey(b))
	p := server.settings.Load().Policy
	e := p.NewEvidence()
	for _, f := range server.settings.Load().Vocabulary.Facts() {
		e.Publish(f.Name, f.Trouble, policy.Connect)
	}
	e.Publish("client.ip", policy.StringOf("192.0.2.1"), policy.Connect)
	e.Publish("rcpt.local", policy.StringOf("u"), policy.Connect)
	e.PublishHeader(func(string) []string { return nil })
	b.ReportAllocs()
	for b.Loop() {
		w := p.NewWalk().ForRecipient()
		if waits := w.Step(e, policy.Data); waits != nil {
			b.Fatal(waits)
		}
	}
}
