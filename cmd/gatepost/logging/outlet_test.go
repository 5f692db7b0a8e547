package logging

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pipe gives an outlet into a pipe whose queue is small, and the end that somebody reads.
func pipe(t *testing.T, size int) (*Outlet, io.Writer, *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	out := NewOutlet()
	out.size, out.patience = size, 50*time.Millisecond
	return out, out.Stream(w), r
}

// lines sends what is read to a channel, line by line.
func lines(r io.Reader) <-chan string {
	out := make(chan string, 1_000_000)
	go func() {
		defer close(out)
		for s := bufio.NewScanner(r); s.Scan(); {
			out <- s.Text()
		}
	}()
	return out
}

// TestNobodyReads: whoever logs goes on while the reader does not read; what came then is there when it reads again, whole and in its order, up to
// what is counted as lost; and afterwards nothing is wrong.
func TestNobodyReads(t *testing.T) {
	out, w, r := pipe(t, 20_000)
	const all = 20_000
	text := strings.Repeat("x", 90)
	for i := range all {
		fmt.Fprintf(w, "%05d %s\n", i, text)
	}
	now := out.Trouble()
	if now.Why != "nobody reads it" || now.Lost == 0 || out.Untold() != 0 {
		t.Fatalf("%+v, of which %d are to be told", now, out.Untold())
	}
	read := lines(r)
	last := -1
	for range all - int(now.Lost) {
		line, n := <-read, 0
		if _, err := fmt.Sscanf(line, "%05d "+text, &n); err != nil || n <= last || len(line) != 96 {
			t.Fatalf("%q follows line %d: %v", line, last, err)
		}
		last = n
	}
	out.Close(time.Minute)
	if then := out.Trouble(); then.Why != "" || then.Lost != now.Lost {
		t.Errorf("when all is read: %+v, before %+v", then, now)
	}
	if n, again := out.Untold(), out.Untold(); n != now.Lost || again != 0 {
		t.Errorf("%d are to be told, and then %d, of %d", n, again, now.Lost)
	}
	fmt.Fprintln(w, "at last")
	if line := <-read; line != "at last" {
		t.Errorf("a line afterwards: %q", line)
	}
}

// TestSlowReader: a burst that is larger than the queue waits for a reader that reads, and nothing is lost; lines of one writer keep their order.
func TestSlowReader(t *testing.T) {
	out, w, r := pipe(t, 20_000)
	out.patience = time.Minute
	read := lines(r)
	var writers sync.WaitGroup
	const each = 2000
	for by := range 4 {
		writers.Go(func() {
			for i := range each {
				fmt.Fprintf(w, "%d %05d %s\n", by, i, strings.Repeat("y", i))
			}
		})
	}
	next := map[int]int{}
	for range 4 * each {
		var by, n int
		line := <-read
		if _, err := fmt.Sscanf(line, "%d %d ", &by, &n); err != nil || n != next[by] || len(line) != len("0 00000 ")+n {
			t.Fatalf("writer %d: line %d of %d bytes, want line %d: %v", by, n, len(line), next[by], err)
		}
		next[by]++
	}
	writers.Wait()
	if now := out.Trouble(); now != (Trouble{}) {
		t.Errorf("%+v", now)
	}
}

// TestALineIsOutAtOnce: where nobody has to wait, a line is out when Write ends, so that a process that is killed has said it.
func TestALineIsOutAtOnce(t *testing.T) {
	file, err := os.Create(t.TempDir() + "/log")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	w := NewOutlet().Stream(file)
	want := ""
	for _, n := range []int{10, pieceSize, 3*pieceSize + 1} {
		line := strings.Repeat("z", n) + "\n"
		if wrote, err := io.WriteString(w, line); wrote != len(line) || err != nil {
			t.Errorf("%d of %d bytes, %v", wrote, len(line), err)
		}
		want += line
		if got, err := os.ReadFile(file.Name()); err != nil || string(got) != want {
			t.Errorf("the file has %d bytes, want %d: %v", len(got), len(want), err)
		}
	}
}

// terminal gives a terminal that nobody reads.
func terminal(t *testing.T) *os.File {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return slave
}

// TestTerminalHangs: a terminal that takes a few bytes and then none, as one behind a broken connection, stops nobody.
func TestTerminalHangs(t *testing.T) {
	out := NewOutlet()
	out.size, out.patience = 20_000, 50*time.Millisecond
	w := out.Stream(terminal(t))
	done := make(chan Trouble)
	go func() {
		for range 1000 {
			fmt.Fprintln(w, strings.Repeat("x", 300))
		}
		done <- out.Trouble()
	}()
	select {
	case now := <-done:
		if now.Lost == 0 || now.Why != "nobody reads it" {
			t.Errorf("%+v", now)
		}
	case <-time.After(time.Minute):
		t.Fatal("whoever logs waits for the terminal")
	}
}

// TestReaderGone: a log that cannot be written is said and counted, and stops nobody.
func TestReaderGone(t *testing.T) {
	out, w, r := pipe(t, 20_000)
	fmt.Fprintln(w, "while it reads")
	r.Close()
	for range 3 {
		if _, err := fmt.Fprintln(w, "behind it"); err != nil {
			t.Error(err)
		}
	}
	out.Close(time.Minute)
	if now := out.Trouble(); now.Lost != 3 || !strings.Contains(now.Why, "broken pipe") {
		t.Errorf("%+v", now)
	}
}

// TestLastLines: what waits at the end is waited for, for a while.
func TestLastLines(t *testing.T) {
	out, w, r := pipe(t, 1<<20)
	for range 3000 {
		fmt.Fprintln(w, strings.Repeat("x", 90))
	}
	out.Close(time.Millisecond) // nobody reads
	n := 0
	read := lines(r)
	out.Close(time.Minute)
	for range 3000 {
		if len(<-read) == 90 {
			n++
		}
	}
	if n != 3000 {
		t.Errorf("%d of 3000 lines", n)
	}
}

// TestJournalHangs: a journal or a syslog daemon that takes nothing holds nobody up either; what it did not take is counted, the rest comes in order.
func TestJournalHangs(t *testing.T) {
	out := NewOutlet()
	out.size, out.patience = 20_000, 50*time.Millisecond
	hangs := make(chan struct{})
	var took []string
	journal := &sink{level: slog.LevelInfo, out: out, send: func(_ slog.Level, line string, _ []slog.Attr) error {
		<-hangs
		took = append(took, line)
		return nil
	}}
	log := slog.New(journal)
	for i := range 1000 {
		log.Info("decision", "n", i)
	}
	lost := out.Trouble().Lost
	close(hangs)
	out.Close(time.Minute)
	if len(took) == 0 || lost == 0 || len(took)+int(lost) != 1000 || out.Trouble().Why != "" {
		t.Fatalf("%d lines came, %d were lost, %+v", len(took), lost, out.Trouble())
	}
	for i, line := range took {
		if want := fmt.Sprintf("decision n=%d", i); line != want {
			t.Fatalf("line %d is %q, want %q", i, line, want)
		}
	}
}

// TestWaitingLinesHoldNoMessage: what a line says is often a part of a header field. One that waits for the journal or for syslog holds no more of it
// than it says.
func TestWaitingLinesHoldNoMessage(t *testing.T) {
	held := func() int {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	stuck, said := make(chan struct{}), make(chan []slog.Attr, 100)
	out := NewOutlet()
	log := slog.New(&sink{level: slog.LevelInfo, out: out, send: func(_ slog.Level, _ string, attrs []slog.Attr) error {
		<-stuck
		said <- attrs
		return nil
	}})
	const many, field = 30, 1 << 20
	before := held()
	for i := range many {
		header := strings.Repeat("x", field) + fmt.Sprintf("m%d@example.org", i)
		log.LogAttrs(context.Background(), slog.LevelInfo, "decision", slog.String("action", "accept"), slog.Int("n", i), slog.String("message_id", header[field:]))
	}
	if more := held() - before; more > many*field/4 {
		t.Errorf("%d lines hold %d bytes", many, more)
	}
	close(stuck)
	for i := range many {
		want := []slog.Attr{slog.String("action", "accept"), slog.Int("n", i), slog.String("message_id", fmt.Sprintf("m%d@example.org", i))}
		if got := <-said; !slices.EqualFunc(got, want, slog.Attr.Equal) {
			t.Errorf("line %d: %v", i, got)
		}
	}
}
