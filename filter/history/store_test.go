package history

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost.example/filter/check"
	"gatepost.example/filter/resolve"
	"gatepost.example/policy"
)

var atStart = time.Date(2026, 5, 5, 10, 30, 0, 123456789, time.UTC)

// fullRecord gives a record with something in every field.
func fullRecord(n int) *Record {
	return &Record{
		ID: fmt.Sprintf("AAAA-%04d", n), Conn: "CONN-0001", Number: 2, Time: atStart.Add(time.Duration(n) * time.Second), Policy: "0011223344556677-89abcdef",
		Client: Client{
			Addr: netip.MustParseAddr("192.0.2.1"), Name: "mail.example.org", PTR: "ptr.example.org", DaemonName: "smtpd", DaemonPort: "25",
			MTA: "mx.example.net", QueueID: "4fCONN",
		},
		ConnTime: atStart, Greeted: true, Helo: "mail.example.org", HeloTLS: TLS{"TLSv1.3", "AES", 256},
		Sender: Sender{"bob@example.org", "bob", "PLAIN", TLS{"TLSv1.2", "AES", 128}},
		Recipients: []Recipient{
			{Address: "a@example.net", Resolved: "a@mx.example.net", Mailer: "smtp", Host: "mx", Relayed: true, Asked: true, Wait: true, Retry: "5m"},
			{Address: "b@example.net", Mailer: "error", Host: "5.1.1", Refused: true},
		},
		Dropped: 3, QueueID: fmt.Sprintf("4fQ%04d", n), Reached: policy.Data, ConnPaused: true, Paused: true, Relay: true,
		Message: &Message{
			Size: 12345, ListID: "list.example", MessageID: fmt.Sprintf("m%d@example.org", n), AuthorAddress: "bob@example.org", AuthorDomain: "news.example.org",
			AuthorFields: 1, AuthorDomains: 1, Header: map[string][]string{"x-a": {"1", "2"}, "x-b": nil},
			HopAddr: netip.MustParseAddr("2001:db8::7"), HopName: "hop.example", HopHelo: "hop",
		},
		Outcomes: []Outcome{{
			Check: "spf", Starts: policy.Mail, Published: AtRcpt, Stage: policy.Rcpt,
			Facts: []check.Named{
				{Name: "spf.result", Value: policy.StringOf("fail")}, {Name: "spf.n", Value: policy.IntOf(-7)}, {Name: "spf.empty", Value: policy.StringOf("")},
				{Name: "spf.score", Value: policy.DoubleOf(0.25)}, {Name: "spf.yes", Value: policy.BoolOf(true)}, {Name: "spf.no", Value: policy.BoolOf(false)},
				{Name: "spf.list", Value: policy.StringsOf([]string{"x", "y"})},
			},
			Findings: []check.Finding{{
				Check: "spf", Method: "spf", Result: "fail", Code: "c", Identity: "mailfrom", Domain: "example.org", KeyFound: true, Detail: "example.org: -all",
				Took: time.Millisecond, Props: []check.Property{{Type: "smtp", Name: "mailfrom", Value: "example.org"}},
				Lookups: []*resolve.Answer{{
					Name: "example.org", Type: resolve.TXT, Status: resolve.Found, Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.7")},
					Texts: []string{"v=spf1 -all"}, MXs: []resolve.Mailserver{{Preference: 10, Host: "mx.example.org"}}, Hosts: []string{"h.example"},
					TTL: time.Hour, Age: time.Minute, Detail: "fine",
				}},
			}},
		}},
		Readings: []Reading{{Limit: "flood", At: policy.Connect, Recipient: -1, Over: true, Retry: "3m"}, {Limit: "rcpts", At: policy.Rcpt, Recipient: 1}},
		Lines: []Line{
			{Recipient: 0, Action: policy.Answer, Rule: "greylist", Code: 451, Enhanced: "4.7.1", Decided: policy.Rcpt, Planned: policy.Rcpt, Spoken: "rcpt",
				What: "451", Text: "Greylisted (id AAAA-0001)", Harsher: []string{"550 by other"}, Share: 1000},
			{Recipient: -1, Action: policy.Accept, Rule: "fine", Decided: policy.Mail, Planned: policy.Data, Spoken: "data", What: "accept", After: "rcpt", Instead: "tag",
				Paused: true, Tags: []string{"junk"}, Woulds: []policy.Would{{Rule: "watch", What: "550", Decided: policy.Helo, Spoken: policy.Rcpt, Share: 500}}},
		},
	}
}

// TestRecordsComeBackAsTheyWere: every field of a record survives the way into a block and out of it.
func TestRecordsComeBackAsTheyWere(t *testing.T) {
	core, detail := newEncoder(), newEncoder()
	var want []*Record
	for i := range 5 {
		r := fullRecord(i)
		if i%2 == 1 {
			r.Message, r.Outcomes, r.Client.Addr = nil, []Outcome{}, netip.Addr{}
		}
		want = append(want, r)
		core.core(r)
		detail.detail(r)
	}
	zero := reflect.ValueOf(*want[0])
	for i := range zero.NumField() {
		if zero.Type().Field(i).IsExported() && zero.Field(i).IsZero() {
			t.Errorf("the test sets no %s", zero.Type().Field(i).Name)
		}
	}
	d, more := newDecoder(core.out), newDecoder(detail.out)
	for i := range want {
		var got Record
		d.core(&got)
		more.detail(&got)
		if d.wrong || more.wrong || !got.Time.Equal(want[i].Time) || got.Time.Hour() != want[i].Time.Hour() {
			t.Fatalf("record %d: %v", i, got)
		}
		got.Time, got.ConnTime = want[i].Time, want[i].ConnTime
		if !reflect.DeepEqual(&got, want[i]) {
			t.Errorf("record %d\ngot  %+v\nwant %+v", i, &got, want[i])
		}
	}
	if d.more() || more.more() {
		t.Error("something is left")
	}
}

// testLog is a log that tests can read.
type testLog struct {
	mu sync.Mutex
	bytes.Buffer
}

func (l *testLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.Write(p)
}

func (l *testLog) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.String()
}

func openTest(t *testing.T, change func(*Config)) (*Store, string, *testLog) {
	t.Helper()
	log := &testLog{}
	c := Config{
		Path: filepath.Join(t.TempDir(), "history.db"), Keep: 30 * 24 * time.Hour, Size: 1 << 30,
		Now: func() time.Time { return atStart.Add(time.Hour) }, Log: slog.New(slog.NewTextHandler(log, nil)),
	}
	if change != nil {
		change(&c)
	}
	s, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, c.Path, log
}

func reader(t *testing.T, path string) *Reader {
	t.Helper()
	r, err := OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// TestWriterOutlivesAPanic: a record that the writer cannot take is lost, and the daemon writes the next.
func TestWriterOutlivesAPanic(t *testing.T) {
	s, _, log := openTest(t, nil)
	s.Add(fullRecord(1), &Policy{Identity: "0011223344556677-89abcdef", Matches: func(*Record) []Match { panic("matches") }})
	for range 1000 {
		if _, lost := s.Counts(); lost > 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	for range 2 { // the writing is done, and what it wrote is nothing
		if err := s.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if !strings.Contains(s.Status(), "1 records are lost") || strings.Contains(log.text(), "written again") {
		t.Errorf("with nothing to write since: status %q, log %q", s.Status(), log.text())
	}
	s.Add(fullRecord(2), &Policy{Identity: "0011223344556677-89abcdef"})
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.text(), "written again") {
		t.Errorf("log %q", log.text())
	}
	if kept, lost := s.Counts(); kept != 1 || lost != 1 || !strings.Contains(log.text(), "the history's writer panicked") {
		t.Errorf("%d kept, %d lost, log %q", kept, lost, log.text())
	}
}

// TestStoreFindsWhatWasAdded: by each of its ids, with everything that it held, over several blocks and restarts.
func TestStoreFindsWhatWasAdded(t *testing.T) {
	s, path, _ := openTest(t, nil)
	p := &Policy{Identity: "0011223344556677-89abcdef", Text: "mode = \"observe\"", Matches: func(r *Record) []Match {
		return []Match{{List: "block", Kind: policy.KindUser, Text: "bob"}, {Table: "tenants", Text: "a\tb"}}
	}}
	for i := range 600 {
		s.Add(fullRecord(i), p)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if kept, lost := s.Counts(); kept != 600 || lost != 0 || s.Status() != "" {
		t.Errorf("%d kept, %d lost, %q", kept, lost, s.Status())
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("the file: %v, %v", info, err)
	}
	r, ctx := reader(t, path), context.Background()
	for _, id := range []string{"aaaa-0300", "4fQ0300", "4fQ0300:", "<m300@example.org>", " m300@example.org ", "aaaa0300", "aaaa o3oo", "(id AAAA-0300)"} {
		row, err := r.Find(ctx, id)
		if err != nil {
			t.Fatalf("%s: %v", id, err)
		}
		got, err := r.Record(ctx, row)
		if err != nil {
			t.Fatalf("%s: %v", id, err)
		}
		want := fullRecord(300)
		got.Time, got.ConnTime = want.Time, want.ConnTime
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s\ngot  %+v\nwant %+v", id, got, want)
		}
	}
	for _, id := range []string{"ZZZZ-0000", "ZZZZ0000", "AAAA-03000", "id", "()", ":"} {
		if _, err := r.Find(ctx, id); err != ErrNone {
			t.Errorf("%q is no id: %v", id, err)
		}
	}
	text, matched, err := r.PolicyText(ctx, p.Identity)
	if err != nil || text != p.Text || len(matched) != 2 || matched[1].Text != "user:bob" {
		t.Errorf("the policy: %q, %v, %v", text, matched, err)
	}
	n := 0
	u, err := NewUnpacker()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Blocks(ctx, time.Time{}, func(b Block) error { return u.Records(b, func(*Record) { n++ }) }); err != nil || n != 600 {
		t.Errorf("%d records in blocks, %v", n, err)
	}
}

// TestSpareRecords: a record whose memory was used before comes as empty as a new one, keeps nothing long, and one of the caller's own is left as it was.
func TestSpareRecords(t *testing.T) {
	s, path, _ := openTest(t, nil)
	want := fullRecord(1)
	own := fullRecord(2)
	s.Add(own, nil)
	for range 200 {
		r := s.Spare()
		if r.ID != "" || r.Client != (Client{}) || r.Message != nil || len(r.Recipients)+len(r.Outcomes)+len(r.Readings)+len(r.Lines) > 0 {
			t.Fatalf("a spare record holds %+v", r)
		}
		for _, l := range r.Lines[:cap(r.Lines)] {
			if !reflect.DeepEqual(l, Line{}) {
				t.Fatalf("behind its lines %+v", l)
			}
		}
		for _, o := range r.Outcomes[:cap(r.Outcomes)] {
			if !reflect.DeepEqual(o, Outcome{}) {
				t.Fatalf("behind its outcomes %+v", o)
			}
		}
		if room := r.Room(); !reflect.DeepEqual(*room, Message{}) {
			t.Fatalf("in its room %+v", room)
		}
		if cap(r.Recipients) > maxSpare {
			t.Fatalf("it has room for %d recipients", cap(r.Recipients))
		}
		f := fullRecord(1)
		r.ID, r.Conn, r.Number, r.Time, r.Policy, r.Client, r.ConnTime, r.Greeted, r.Helo, r.HeloTLS = f.ID, f.Conn, f.Number, f.Time, f.Policy, f.Client, f.ConnTime, f.Greeted, f.Helo, f.HeloTLS
		r.Sender, r.Dropped, r.QueueID, r.Reached, r.ConnPaused, r.Paused, r.Relay = f.Sender, f.Dropped, f.QueueID, f.Reached, f.ConnPaused, f.Paused, f.Relay
		r.Recipients, r.Outcomes = append(r.Recipients, f.Recipients...), append(r.Outcomes, f.Outcomes...)
		r.Readings, r.Lines = append(r.Readings, f.Readings...), append(r.Lines, f.Lines...)
		r.Message = r.Room()
		*r.Message = *f.Message
		s.Add(r, nil)
		long := s.Spare()
		long.Recipients = append(long.Recipients, make([]Recipient, 2*maxSpare)...)
		s.Add(long, nil)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(own, fullRecord(2)) {
		t.Errorf("a record of the caller's own is %+v now", own)
	}
	r, ctx := reader(t, path), context.Background()
	row, err := r.Find(ctx, want.ID)
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.Record(ctx, row)
	if err != nil {
		t.Fatal(err)
	}
	got.Time, got.ConnTime = want.Time, want.ConnTime
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// TestFilters: each column by itself.
func TestFilters(t *testing.T) {
	s, path, _ := openTest(t, nil)
	for i := range 20 {
		r := fullRecord(i)
		if i%2 == 0 {
			r.Message.HopAddr, r.Client.Addr = netip.Addr{}, netip.MustParseAddr("198.51.100.9")
			r.Sender.Address, r.Message.AuthorDomain = "eve@spam.example", "spam.example"
			r.Lines = []Line{{Recipient: -1, Action: policy.Answer, Rule: "blocked", Code: 554, Spoken: "rcpt", What: "554"}}
		}
		s.Add(r, nil)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	r := reader(t, path)
	for want, filters := range map[int][]Filter{
		20: {{}, {Recipient: "A@EXAMPLE.NET"}, {Text: "conn-"[:0]}, {Since: atStart}, {After: 0}},
		10: {
			{Action: "554"}, {Rule: "blocked"}, {Rule: "junk"}, {Rule: "watch"}, {Action: "would-550"}, {Action: "451"}, {Sender: "@spam.example"}, {Author: "example.org"},
			{Author: "SPAM.example"}, {Client: netip.MustParsePrefix("198.51.100.0/24")}, {Client: netip.MustParsePrefix("2001:db8::/32")}, {Text: "eve@"},
			{Since: atStart.Add(10 * time.Second)}, {Until: atStart.Add(10 * time.Second)}, {Most: 10}, {After: 10},
		},
		0: {{Action: "55"}, {Rule: "block"}, {Text: "%"}, {Author: "ample.org"}, {Until: atStart}},
	} {
		for _, f := range filters {
			n := 0
			if err := r.Rows(context.Background(), f, func(*Row) bool { n++; return true }); err != nil || n != want {
				t.Errorf("%+v: %d rows, want %d, %v", f, n, want, err)
			}
		}
	}
	row, err := r.LastRefused(context.Background(), nil)
	if err != nil || row.ID != "AAAA-0019" {
		t.Errorf("the last that was refused: %+v, %v", row, err)
	}
}

// TestTrouble: a full queue and a file that is gone lose records, which is counted and said; nobody waits.
func TestTrouble(t *testing.T) {
	s, path, log := openTest(t, func(c *Config) { c.Queued = 1 })
	for _, tail := range []string{"", "-wal", "-shm"} {
		os.Remove(path + tail)
	}
	for i := range 100 {
		s.Add(fullRecord(i), nil)
	}
	s.Close()
	if kept, lost := s.Counts(); kept != 0 || lost != 100 {
		t.Errorf("%d kept, %d lost", kept, lost)
	}
	if !strings.Contains(s.Status(), "100 records are lost") || !strings.Contains(log.text(), "the history cannot be written; mail goes on") {
		t.Errorf("status %q, log %s", s.Status(), log.text())
	}
}

// TestFlushedIsThere: whoever has the store flushed reads what was added before, each time, though a commit comes only once a second.
func TestFlushedIsThere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	store, err := Open(Config{Path: path, Keep: time.Hour, Size: 1 << 30, Now: func() time.Time { return atStart }, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	r, err := OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for n := range 20 {
		store.Add(fullRecord(n), &Policy{Identity: "0011223344556677-89abcdef"})
		if err := store.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Find(t.Context(), fullRecord(n).ID); err != nil {
			t.Fatalf("record %d: %v", n, err)
		}
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	if err := store.Flush(t.Context()); err == nil {
		t.Error("a closed store was flushed")
	}
}
