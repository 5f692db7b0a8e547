package soak

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatepost.example/filter/resolve/resolvetest"
)

// Daemon is a running gatepost with a DNS zone of its own.
type Daemon struct {
	Milter string // host:port of its milter socket
	HTTP   string // host:port of health and metrics
	Dir    string
	DNS    *resolvetest.Server

	t      testing.TB
	binary string
	before []string // what stands before the command: prlimit and its words
	disk   string   // the size of the state's own disk; "" without
	env    []string // beside that of the test
	stderr *os.File // where the log goes; nil for a file
	socket *os.File // of the milter socket, where it is handed over as systemd does
	cmd    *exec.Cmd
	ended  chan error
}

// Options change how a daemon is started.
type Options struct {
	Zone   string
	Policy string   // behind what the daemon itself needs
	Before []string // a program that starts it
	DNS    string   // lines of [dns]; "" for the zone's server with short times
	Listen string   // more lines of [listen]
	Server string   // more lines of [server]
	Log    string   // more lines of [log]

	Clock    *clock   // that of the daemon, which a test steps; nil for the machine's
	Stderr   *os.File // where the log goes; nil for a file in the daemon's folder
	Handover bool     // the milter socket is the test's, which outlives the process
	Disk     string   // the size of a disk of its own for the state; "" for none
}

// program gives the daemon under test: that of GATEPOST_BINARY, or one that is built.
func program(t testing.TB) string {
	t.Helper()
	if b := os.Getenv("GATEPOST_BINARY"); b != "" {
		return b
	}
	b := filepath.Join(t.TempDir(), "gatepost")
	build := exec.Command("go", "build", "-o", b, "./cmd/gatepost")
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return b
}

// Start starts a daemon that ends with the test.
func Start(t testing.TB, o Options) *Daemon {
	t.Helper()
	dir, err := os.MkdirTemp("", "gatepost-soak-")
	if err != nil {
		t.Fatal(err)
	}
	d := &Daemon{t: t, Dir: dir, Milter: freeAddress(t), HTTP: freeAddress(t), binary: program(t), before: o.Before, disk: o.Disk, stderr: o.Stderr}
	if o.Clock != nil {
		d.binary, d.env = clocked(t), o.Clock.env()
	}
	zone, err := resolvetest.Parse(o.Zone)
	if err != nil {
		t.Fatal(err)
	}
	if d.DNS, err = resolvetest.NewServer(zone); err != nil {
		t.Fatal(err)
	}
	if o.Handover {
		d.Milter, d.socket = openSocket(t)
	}
	t.Cleanup(func() {
		d.end(syscall.SIGTERM)
		d.DNS.Close()
		if o.Disk != "" {
			_ = exec.Command("umount", "-l", d.State()).Run()
		}
		if t.Failed() {
			t.Logf("the end of the log:\n%s", tail(d.Log(), 4000))
		}
		os.RemoveAll(dir)
	})
	d.WritePolicy(o)
	if o.Disk != "" {
		mount(t, d.State(), "-t", "tmpfs", "-o", "size="+o.Disk, "tmpfs")
	}
	d.Begin()
	return d
}

// State is the folder of the databases.
func (d *Daemon) State() string { return filepath.Join(d.Dir, "state") }

// mount makes a folder a disk of its own, by the words of mount(8).
func mount(t testing.TB, at string, words ...string) {
	t.Helper()
	if err := os.MkdirAll(at, 0o750); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "mount", append(words, at)...).CombinedOutput(); err != nil {
		t.Fatalf("mount: %v: %s", err, out)
	}
}

// openSocket opens a socket as systemd does, and gives its address and the descriptor to hand over.
func openSocket(t testing.TB) (string, *os.File) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return l.Addr().String(), f
}

// WritePolicy writes the policy file.
func (d *Daemon) WritePolicy(o Options) {
	d.t.Helper()
	if o.DNS == "" {
		o.DNS = fmt.Sprintf("servers = [%q]\ntimeout = \"500ms\"\nbudget = \"2s\"\n", d.DNS.Addr())
	}
	mode, policy := "enforce", o.Policy
	text := fmt.Sprintf("mode = %q\n[listen]\nmilter = [\"inet:%s\"]\nadmin = \"unix:%s/admin.sock\"\nhttp = %q\n%s[server]\nname = \"mx.example.net\"\ndirectory = \"%s/state\"\n%s[dns]\n%s[log]\nformat = \"json\"\n%s%s",
		mode, d.Milter, d.Dir, d.HTTP, o.Listen, d.Dir, o.Server, o.DNS, o.Log, policy)
	if err := os.WriteFile(d.PolicyFile(), []byte(text), 0o644); err != nil {
		d.t.Fatal(err)
	}
}

// PolicyFile is where the policy stands.
func (d *Daemon) PolicyFile() string { return filepath.Join(d.Dir, "policy.toml") }

// Begin starts the process and waits until it is healthy.
func (d *Daemon) Begin() {
	d.t.Helper()
	log, err := os.OpenFile(filepath.Join(d.Dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		d.t.Fatal(err)
	}
	defer log.Close()
	words := append([]string(nil), d.before...)
	if d.socket != nil { // the shell's process becomes the daemon's, so that LISTEN_PID is right
		words = append(words, "/bin/sh", "-c", `LISTEN_PID=$$ exec "$@"`, "sh")
	}
	words = append(words, d.binary, "serve", "--policy", d.PolicyFile())
	d.cmd = exec.Command(words[0], words[1:]...)
	d.cmd.Env = append(os.Environ(), d.env...)
	if d.socket != nil {
		d.cmd.Env = append(d.cmd.Env, "LISTEN_FDS=1", "LISTEN_FDNAMES=milter")
		d.cmd.ExtraFiles = []*os.File{d.socket}
	}
	d.cmd.Stderr = log
	if d.stderr != nil {
		d.cmd.Stderr = d.stderr
	}
	if err := d.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	d.ended = make(chan error, 1)
	go func(c *exec.Cmd, ended chan error) { ended <- c.Wait() }(d.cmd, d.ended)
	for range 2400 {
		if d.fetch("/healthz") == "ok\n" {
			return
		}
		select {
		case err := <-d.ended:
			d.cmd = nil
			d.t.Fatalf("gatepost serve ended: %v\n%s", err, d.Log())
		case <-time.After(25 * time.Millisecond):
		}
	}
	d.t.Fatalf("gatepost serve is not healthy\n%s", d.Log())
}

// Kill ends the process as the kernel does that has no memory left.
func (d *Daemon) Kill() { _ = d.end(syscall.SIGKILL) }

// Stop ends the process as systemd does, and gives how it ended.
func (d *Daemon) Stop() error { return d.end(syscall.SIGTERM) }

func (d *Daemon) end(by os.Signal) error {
	if d.cmd == nil {
		return nil
	}
	defer func() { d.cmd = nil }()
	_ = d.cmd.Process.Signal(by)
	select {
	case err := <-d.ended:
		return err
	case <-time.After(30 * time.Second):
		_ = d.cmd.Process.Kill()
		<-d.ended
		return fmt.Errorf("gatepost serve did not end within 30 s")
	}
}

// Alive reports whether the process still runs.
func (d *Daemon) Alive() bool {
	if d.cmd == nil {
		return false
	}
	select {
	case err := <-d.ended:
		d.ended <- err
		return false
	default:
		return true
	}
}

// Signal sends a signal to the process.
func (d *Daemon) Signal(s os.Signal) { _ = d.cmd.Process.Signal(s) }

// Command runs gatepost with some words against this daemon, and gives what it printed and its exit status.
func (d *Daemon) Command(args ...string) (string, int) {
	c := exec.Command(d.binary, append(args, "--policy", d.PolicyFile())...)
	c.Env = append(os.Environ(), d.env...)
	out, _ := c.CombinedOutput() // the exit status says it
	return string(out), c.ProcessState.ExitCode()
}

// Log gives all that the daemon logged.
func (d *Daemon) Log() string {
	text, _ := os.ReadFile(filepath.Join(d.Dir, "log"))
	return string(text)
}

// Lines gives the log lines with a message.
func (d *Daemon) Lines(message string) []map[string]any {
	var out []map[string]any
	d.EachLine(message, func(line map[string]any) { out = append(out, line) })
	return out
}

// EachLine hands over the log lines with a message, all for "", one after the other: the log of an hour is long.
func (d *Daemon) EachLine(message string, do func(map[string]any)) {
	file, err := os.Open(filepath.Join(d.Dir, "log"))
	if err != nil {
		return
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		var line map[string]any
		if !bytes.Contains(lines.Bytes(), []byte(message)) || json.Unmarshal(lines.Bytes(), &line) != nil || line["msg"] != message && message != "" {
			continue
		}
		do(line)
	}
}

func (d *Daemon) fetch(path string) string {
	client := http.Client{Timeout: 10 * time.Second}
	r, err := client.Get("http://" + d.HTTP + path)
	if err != nil {
		return ""
	}
	defer r.Body.Close()
	body, _ := io.ReadAll(r.Body) // what is missing is seen
	return string(body)
}

// Flush has the history write what it was given, as commands that read it do; on a busy disk that may take longer than they wait.
func (d *Daemon) Flush() error {
	admin := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(d.Dir, "admin.sock"))
	}
	client := http.Client{Timeout: time.Minute, Transport: &http.Transport{DialContext: admin, DisableKeepAlives: true}}
	r, err := client.Post("http://gatepost/history/flush", "", nil)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		return errors.New(r.Status)
	}
	return nil
}

// Metric sums the samples of a metric whose labels hold a text, and says whether there was one.
func (d *Daemon) Metric(name, labels string) (float64, bool) {
	sum, found := 0.0, false
	sample := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + `(?:\{([^}]*)\})? ([0-9.e+-]+)$`)
	for _, m := range sample.FindAllStringSubmatch(d.fetch("/metrics"), -1) {
		if !strings.Contains(m[1], labels) {
			continue
		}
		n, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			continue
		}
		sum, found = sum+n, true
	}
	return sum, found
}

// Use is what the process holds.
type Use struct {
	Goroutines, Descriptors, Sessions, Resident float64
}

// Use gives what the process holds now.
func (d *Daemon) Use() Use {
	get := func(name string) float64 { n, _ := d.Metric(name, ""); return n }
	return Use{get("go_goroutines"), get("process_open_fds"), get("gatepost_sessions"), get("process_resident_memory_bytes")}
}

// Settles waits until the process holds no more sessions, and about as many goroutines and descriptors as before.
func (d *Daemon) Settles(before Use) {
	d.t.Helper()
	var now Use
	for range 150 {
		now = d.Use()
		if now.Sessions == 0 && now.Goroutines <= before.Goroutines+5 && now.Descriptors <= before.Descriptors+5 {
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
	d.t.Errorf("something stays: before %+v, after %+v", before, now)
}

// freeAddress gives an address of this machine at which nobody listens.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func tail(text string, n int) string { return text[max(0, len(text)-n):] }
