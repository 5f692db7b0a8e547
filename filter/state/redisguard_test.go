package state

import (
	"context"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestAnswerForm(t *testing.T) {
	for text, want := range map[string]bool{
		"+OK\r\n$5\r\n1 0 2\r\n-ERR no\r\n:12345678901234567890\r\n$-1\r\n$0\r\n\r\n+OK\r\n": true,
		"*2\r\n$6\r\nserver\r\n*0\r\n$3\r\n$9\n\r\n+OK\r\n":                                  true, // what a text holds is no line
		"$65537\r\n":                       false,
		"$999999999999999999999999999\r\n": false,
		"$5x\r\n":                          false,
		"*2\r\n$1\r\n7\r\n*1010\r\n" + strings.Repeat("$1\r\nk\r\n", 1010) + "+OK\r\n": true, // a scan, which gives somewhat more than it was asked for
		strings.Repeat("*2\r\n$1\r\n0\r\n*0\r\n", 2_000):                               true, // as many scans as a connection lives
		"*20001\r\n":                  false,
		"*9999\r\n*9999\r\n*9999\r\n": false,
		"*1000\r\n" + strings.Repeat("$60000\r\n"+strings.Repeat("x", 60_000)+"\r\n", 100): false,
		"%1\r\n":                          false,
		">1\r\n":                          false,
		"HTTP/1.1 400 Bad Request\r\n":    false,
		"-" + strings.Repeat("x", 70_000): false,
		strings.Repeat("*1\r\n", 2_000):   false,
	} {
		var f answerForm
		if got := f.takes([]byte(text)); got != want {
			t.Errorf("%.40q: %v", text, got)
		}
	}
}

// What comes in pieces is judged as what comes at once, and what is taken says of no text that it is longer than may be.
func FuzzAnswerForm(f *testing.F) {
	f.Add([]byte("+OK\r\n$5\r\n1 0 2\r\n*2\r\n:1\r\n-ERR no\r\n"), 7)
	f.Add([]byte("$65537\r\n"), 3)
	f.Fuzz(func(t *testing.T, text []byte, at int) {
		var whole, parts answerForm
		takes := whole.takes(text)
		at = max(0, min(at, len(text)))
		if got := parts.takes(text[:at]) && parts.takes(text[at:]); got != takes || takes && whole != parts {
			t.Errorf("%q: %v, cut at %d %v", text, takes, at, got)
		}
		if takes && (whole.text > maxAnswer+2 || whole.arrays > maxArrays || whole.more > maxElements) {
			t.Errorf("%q: %+v", text, whole)
		}
	})
}

// Whoever stands in the place of Redis ends no daemon: neither by the length of a text nor by arrays within arrays.
func TestHostileServer(t *testing.T) {
	for name, answer := range map[string]string{"a long text": "$4000000000000\r\nx", "arrays without end": strings.Repeat("*1\r\n", 1<<20)} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			for conn, err := l.Accept(); err == nil; conn, err = l.Accept() {
				go func() {
					defer conn.Close()
					for _, say := range []string{"-ERR unknown command 'HELLO'\r\n", answer} { // as an old server, and then to the script
						if _, err := conn.Read(make([]byte, 4096)); err != nil {
							return
						}
						_, _ = io.WriteString(conn, say) // who hangs up has seen enough
					}
				}()
			}
		}()
		r, err := OpenRedis(RedisConfig{URL: "redis://" + l.Addr().String() + "/0", Local: NewEmbedded(10, time.Now()), Now: time.Now, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		waitFor(t, name+" is refused", func() bool { return strings.Contains(r.Status(), "no answer of a Redis to this program") })
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestRedisFull asks for the cells of a table that has thousands, again and again: an answer of a real server names somewhat more keys than it is
// asked for, and a connection brings thousands of arrays.
func TestRedisFull(t *testing.T) {
	server := startRedis(t)
	r := openTest(t, RedisConfig{URL: server.url()}, calm)
	const cells = 5000
	for i := range 10 { // in parts, as a slow machine would take the server for away
		var calls []call
		for j := range cells / 10 {
			step := Step{Op: Touch, Table: "t", Key: strconv.Itoa(i*cells/10 + j), Keep: time.Hour}
			calls = append(calls, step.call())
		}
		run(context.Background(), r.client.WithTimeout(time.Minute), calls)
	}
	prefix, want := "", cells
	for n := range 150 {
		entries, err := r.Entries(context.Background(), time.Now(), "t", prefix, cells)
		if err != nil || len(entries) != want || r.Status() != "" {
			t.Fatalf("time %d: %d of %d entries, %v, %q", n, len(entries), want, err, r.Status())
		}
		prefix, want = "4999", 1
	}
}
