// Command bench prints how the cost of a message grows with what a sender or an admin can choose: the table of packaging/bench.md.
// Everything is in one process: whole sessions from connect to the end under the shipped rules, DNS in memory. The times are of the
// processor (user and system, all threads), not of the clock, so that other work on the machine disturbs them least.
package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"log"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"gatepost.example/filter"
	"gatepost.example/filter/history"
	"gatepost.example/filter/message"
	"gatepost.example/filter/resolve/resolvetest"
	"gatepost.example/filter/state"
	"gatepost.example/policy/policyfile"
)

func main() {
	log.SetFlags(0)
	text, err := os.ReadFile("policy.toml")
	if err != nil {
		log.Fatal("run it in the project's folder: ", err)
	}
	b := &bench{shipped: string(text), key: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))}
	fmt.Println("| what grows | to | time of the processor | of each one more |")
	fmt.Println("|---|--:|--:|--:|")
	b.bodies()
	b.headers()
	b.signatures()
	b.rules()
	b.lists()
	b.keys()
	b.records()
}

// bench makes servers and messages.
type bench struct {
	shipped string
	key     ed25519.PrivateKey
}

// budget is how long one point of the table is measured.
const budget = 300 * time.Millisecond

// series prints rows about one thing that grows.
type series struct {
	what, unit string
	n          int // of the row before; 0 for none
	one        time.Duration
}

// row prints the time of one run of work with n of them, and what each one more than in the row before costs: where that stays the same,
// growth is straight.
func (s *series) row(n int, work func()) {
	work() // once for what is made once
	runs, before := 0, cpu()
	for cpu()-before < budget && runs < 100_000 {
		work()
		runs++
	}
	s.print(n, (cpu()-before)/time.Duration(runs))
}

func (s *series) print(n int, one time.Duration) {
	more := ""
	if s.n > 0 {
		more = fmt.Sprintf("%.3g ns a %s", float64(one-s.one)/float64(n-s.n), s.unit)
	}
	fmt.Printf("| %s | %s | %v | %s |\n", s.what, number(n), one.Round(100*time.Nanosecond), more)
	s.n, s.one = n, one
}

// number writes a number with commas.
func number(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return number(n/1000) + fmt.Sprintf(",%03d", n%1000)
}

func cpu() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		log.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// server gives a server under the shipped policy, changed by edit, with example.org in its zone.
func (b *bench) server(edit func(string) string, deps filter.Deps) *filter.Server {
	vocabulary, err := filter.Vocabulary()
	if err != nil {
		log.Fatal(err)
	}
	file, err := policyfile.Parse("policy.toml", []byte(edit(b.shipped)), vocabulary)
	if err != nil {
		log.Fatal(err)
	}
	deps.Resolver = resolvetest.Must(fmt.Sprintf(`
192.0.2.1 PTR mail.example.org
mail.example.org A 192.0.2.1
example.org MX 10 mail.example.org
example.org TXT "v=spf1 ip4:192.0.2.1 -all"
_dmarc.example.org TXT "v=DMARC1; p=reject"
s._domainkey.example.org TXT "v=DKIM1; k=ed25519; p=%s"
`, base64.StdEncoding.EncodeToString(b.key.Public().(ed25519.PublicKey))))
	deps.Log = slog.New(slog.DiscardHandler)
	return filter.NewServer(filter.SettingsOf(file), deps)
}

func same(text string) string { return text }

// text is a body of about n bytes, in lines that relaxed form leaves alone.
func text(n int) []byte {
	line := "The quick brown fox jumps over the lazy dog, and then it does it again.\r\n"
	return []byte(strings.Repeat(line, max(1, n/len(line))))
}

// sign gives signature fields over From (RFC 6376 3.7), each of its own.
func (b *bench) sign(hash []byte, count int) []message.Field {
	var out []message.Field
	for i := range count {
		field := fmt.Sprintf("v=1; a=ed25519-sha256; c=relaxed/relaxed; d=example.org; s=s; t=%d; h=From; bh=%s; b=",
			time.Now().Unix()-int64(i), base64.StdEncoding.EncodeToString(hash))
		signed := sha256.Sum256([]byte("from:a@example.org\r\ndkim-signature:" + field))
		out = append(out, message.Field{Name: "DKIM-Signature", Value: " " + field + base64.StdEncoding.EncodeToString(ed25519.Sign(b.key, signed[:]))})
	}
	return out
}

// mail gives a message with fields beside From, a body of times the same chunk, and signatures.
func (b *bench) mail(fields, signatures int, chunk []byte, times int) func(*filter.Server) {
	whole := sha256.New()
	for range times {
		whole.Write(chunk)
	}
	header := append(b.sign(whole.Sum(nil), signatures), message.Field{Name: "From", Value: " a@example.org"})
	for i := len(header); i < fields; i++ {
		header = append(header, message.Field{Name: fmt.Sprintf("X-Field-%d", i%100), Value: " a value of usual length"})
	}
	return func(server *filter.Server) {
		s := server.NewSession()
		s.Connect(filter.Client{Addr: netip.MustParseAddr("192.0.2.1"), Name: "mail.example.org", DaemonPort: "25", MTA: "mx.example.net"})
		s.Helo("mail.example.org", filter.TLS{})
		s.Mail(filter.Sender{Address: "a@example.org"})
		s.Rcpt(filter.Recipient{Address: "u@example.net", Resolved: "u@example.net", Mailer: "local"})
		for _, f := range header {
			s.HeaderField(f.Name, f.Value)
		}
		s.EndOfHeader()
		for range times {
			s.Body(chunk)
		}
		if _, edits := s.EndOfMessage("4fBENCH001"); signatures > 0 && !strings.Contains(edits.Insert[0].Value, "dkim=pass") {
			log.Fatal("the message does not verify: ", edits.Insert[0].Value)
		}
		s.Close()
	}
}

func (b *bench) bodies() {
	rows := series{what: "message, bytes of the body", unit: "byte"}
	server := b.server(same, filter.Deps{})
	for _, size := range []int{2 << 10, 20 << 10, 200 << 10, 2 << 20, 20 << 20, 100 << 20} {
		chunk := text(min(size, 65_000))
		play := b.mail(20, 1, chunk, max(1, size/len(chunk)))
		rows.row(size, func() { play(server) })
	}
}

func (b *bench) headers() {
	rows := series{what: "message, header fields", unit: "field"}
	server := b.server(same, filter.Deps{})
	for _, n := range []int{10, 100, 1000, 10_000} {
		play := b.mail(n, 1, text(2<<10), 1)
		rows.row(n, func() { play(server) })
	}
}

func (b *bench) signatures() {
	rows := series{what: "message of 20 KB, signatures", unit: "signature"}
	server := b.server(same, filter.Deps{})
	for _, n := range []int{1, 2, 5, 10, 20} {
		play := b.mail(30, n, text(20<<10), 1)
		rows.row(n, func() { play(server) })
	}
}

func (b *bench) rules() {
	rows := series{what: "message, rules beside the shipped ones", unit: "rule"}
	for _, n := range []int{10, 100, 1000} {
		server := b.server(func(shipped string) string {
			var rules strings.Builder
			for i := range n {
				fmt.Fprintf(&rules, "[[rule]]\nname = \"more-%d\"\nwhen = 'sender.domain == \"d%d.example\" && spf.result != \"pass\"'\nreply = \"550 5.7.1 No\"\n", i, i)
			}
			return shipped + rules.String()
		}, filter.Deps{})
		play := b.mail(20, 1, text(2<<10), 1)
		rows.row(n, func() { play(server) })
	}
}

func (b *bench) lists() {
	rows := series{what: "message, entries of a list", unit: "entry"}
	for _, n := range []int{10, 1000, 100_000, 1_000_000} {
		dir, err := os.MkdirTemp("", "gatepost-bench-")
		if err != nil {
			log.Fatal(err)
		}
		path := filepath.Join(dir, "block")
		var entries bytes.Buffer
		for i := range n {
			fmt.Fprintf(&entries, "d%d.example\n", i)
		}
		if err := os.WriteFile(path, entries.Bytes(), 0o600); err != nil {
			log.Fatal(err)
		}
		server := b.server(func(shipped string) string {
			return strings.Replace(shipped, "block = []", fmt.Sprintf("block = [%q]", "file:"+path), 1)
		}, filter.Deps{})
		os.RemoveAll(dir)
		play := b.mail(20, 1, text(2<<10), 1)
		rows.row(n, func() { play(server) })
	}
}

func (b *bench) keys() {
	rows := series{what: "one step of a limit, keys", unit: "key"}
	now := time.Now()
	for _, n := range []int{1, 1000, 100_000, 1_000_000} {
		store := state.NewEmbedded(2*n+1000, now)
		key := func(i int) string { return fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255) }
		for i := range n {
			store.Do(context.Background(), now, []state.Step{{Op: state.Leak, Table: "limit", Key: key(i), N: 1, Rate: 1e-6, Burst: 1e9}}, nil)
		}
		i := 0
		rows.row(n, func() {
			i = (i + 7919) % n
			store.Do(context.Background(), now, []state.Step{{Op: state.Leak, Table: "limit", Key: key(i), N: 1, Rate: 1e-6, Burst: 1e9}}, nil)
		})
	}
}

// records measures messages of which each is kept, in a history that has so many already.
func (b *bench) records() {
	dir, err := os.MkdirTemp("", "gatepost-bench-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	store, err := history.Open(history.Config{
		Path: filepath.Join(dir, "history.db"), Keep: 24 * time.Hour, Size: 1 << 30, Now: time.Now, Log: slog.New(slog.DiscardHandler), Queued: 1 << 16,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	server := b.server(same, filter.Deps{History: store})
	play := b.mail(20, 1, text(2<<10), 1)
	kept, rows := 0, series{what: "message that is kept, records in the history", unit: "record"}
	for _, n := range []int{100, 1000, 10_000} {
		for ; kept < n; kept++ {
			play(server)
		}
		time.Sleep(2 * time.Second) // until the writer has committed those before
		before := cpu()
		const runs = 1000
		for range runs {
			play(server)
		}
		kept += runs
		time.Sleep(2 * time.Second) // and these
		rows.print(n, (cpu()-before)/runs)
	}
}
