package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// TestMain lets the test program be the command itself, for tests that need a process of its own.
func TestMain(m *testing.M) {
	if os.Getenv("GATEPOST_TEST_COMMAND") != "" {
		os.Exit(execute(os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// managed is a daemon in a process of its own, and the end of systemd that hears it.
type managed struct {
	dir    string
	hears  *net.UnixConn
	daemon *exec.Cmd
}

// manage prepares to start the daemon as systemd does: with a socket to notify, a watchdog, and sockets from descriptor 3 on under names.
func manage(t *testing.T, names string, files ...*os.File) *managed {
	t.Helper()
	dir, err := os.MkdirTemp("", "gp") // short: the path of a socket has at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	write(t, filepath.Join(dir, "allow"), "")
	write(t, filepath.Join(dir, "policy.toml"), fmt.Sprintf(adminPolicy, dir))
	m := &managed{dir: dir}
	if m.hears, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.hears.Close() })
	// The shell's process becomes the daemon's, so that LISTEN_PID is right.
	m.daemon = exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ WATCHDOG_PID=$$ exec "$0" serve --policy "$1"`, executable(t), filepath.Join(dir, "policy.toml"))
	m.daemon.Env = append(os.Environ(), "GATEPOST_TEST_COMMAND=1", "NOTIFY_SOCKET="+filepath.Join(dir, "notify"), "WATCHDOG_USEC=200000",
		fmt.Sprintf("LISTEN_FDS=%d", len(files)), "LISTEN_FDNAMES="+names)
	m.daemon.ExtraFiles = files
	return m
}

// start starts the daemon until the test ends, if nothing ends it before.
func (m *managed) start(t *testing.T) {
	t.Helper()
	m.daemon.Stderr = t.Output()
	if err := m.daemon.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.daemon.Process.Kill() })
}

func executable(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// hear waits for a message that has a text in it, and gives it.
func (m *managed) hear(t *testing.T, text string) string {
	t.Helper()
	m.hears.SetReadDeadline(time.Now().Add(20 * time.Second))
	buffer := make([]byte, 4096)
	for {
		n, err := m.hears.Read(buffer)
		if err != nil {
			t.Fatalf("systemd never heard %q: %v", text, err)
		}
		if message := string(buffer[:n]); strings.Contains(message, text) {
			return message
		}
	}
}

// handOver opens a socket as systemd does and gives the descriptor to hand over.
func handOver(t *testing.T, network, address string) (*os.File, net.Addr) {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	f, err := l.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f, l.Addr()
}

// TestServiceManager: what systemd hears over the life of a daemon, with sockets that it opened itself. The messages are those of
// sd_notify(3).
func TestServiceManager(t *testing.T) {
	mail, milterAddress := handOver(t, "tcp", "127.0.0.1:0")
	admin, adminAddress := handOver(t, "unix", filepath.Join(t.TempDir(), "a"))
	web, webAddress := handOver(t, "tcp", "127.0.0.1:0")
	m := manage(t, "milter:admin:http", mail, admin, web)
	m.start(t)
	if got := m.hear(t, "READY=1"); !strings.Contains(got, "STATUS=mode observe, policy ") {
		t.Errorf("ready with %q", got)
	}
	m.hear(t, "WATCHDOG=1")
	if c, err := net.DialTimeout("tcp", milterAddress.String(), 5*time.Second); err != nil {
		t.Errorf("nobody serves the milter socket of systemd: %v", err)
	} else {
		c.Close()
	}
	if r, err := http.Get("http://" + webAddress.String() + "/healthz"); err != nil || r.Body.Close() != nil || r.StatusCode != http.StatusOK {
		t.Errorf("nobody serves the http socket of systemd: %v, %v", r, err)
	}
	for _, own := range []string{"milter.sock", "admin.sock"} {
		if _, err := os.Lstat(filepath.Join(m.dir, own)); err == nil {
			t.Errorf("%s was opened beside the socket of systemd", own)
		}
	}
	if status, out := talk(t, m.dir, "reload", "--socket", adminAddress.String()); status != exitDone {
		t.Errorf("gatepost reload over the socket of systemd: exit status %d, %s", status, out)
	}
	if got := m.hear(t, "RELOADING=1"); !regexp.MustCompile(`^RELOADING=1\nMONOTONIC_USEC=[0-9]+$`).MatchString(got) {
		t.Errorf("reloading with %q", got)
	}
	m.hear(t, "READY=1")

	write(t, filepath.Join(m.dir, "policy.toml"), "mode = \"sometimes\"")
	m.daemon.Process.Signal(syscall.SIGHUP)
	m.hear(t, "RELOADING=1")
	if got := m.hear(t, "READY=1"); !strings.Contains(got, "was refused") {
		t.Errorf("after a bad policy ready with %q", got)
	}
	m.daemon.Process.Signal(syscall.SIGTERM)
	m.hear(t, "STOPPING=1")
	if err := m.daemon.Wait(); err != nil {
		t.Errorf("the daemon ended with %v", err)
	}
	if _, err := os.Lstat(adminAddress.String()); err != nil {
		t.Errorf("the socket of systemd went with the daemon: %v", err)
	}
}

// TestHandedOverWithoutName: sockets of units without FileDescriptorName= are milter sockets; commands have the policy's own.
func TestHandedOverWithoutName(t *testing.T) {
	mail, address := handOver(t, "unix", filepath.Join(t.TempDir(), "m"))
	m := manage(t, "gatepost.socket", mail)
	m.start(t)
	m.hear(t, "READY=1")
	if c, err := net.DialTimeout("unix", address.String(), 5*time.Second); err != nil {
		t.Errorf("nobody serves the socket of systemd: %v", err)
	} else {
		c.Close()
	}
	if status, out := talk(t, m.dir, "status"); status == exitUse {
		t.Errorf("gatepost status: %s", out)
	}
	m.daemon.Process.Signal(syscall.SIGTERM)
	if err := m.daemon.Wait(); err != nil {
		t.Errorf("the daemon ended with %v", err)
	}
}

// TestHandedOverWrongly: a socket that has no use here ends the start, and the error names the remedy.
func TestHandedOverWrongly(t *testing.T) {
	stream, _ := handOver(t, "tcp", "127.0.0.1:0")
	datagram, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer datagram.Close()
	packets, err := datagram.File()
	if err != nil {
		t.Fatal(err)
	}
	defer packets.Close()
	for _, c := range []struct {
		name string
		file *os.File
		want string
	}{
		{"web", stream, `systemd hands over a socket "web" that has no use here; write FileDescriptorName=milter into its unit, or admin or http for one socket of each`},
		{"milter", packets, `systemd hands over a socket "milter" at which one cannot listen: `},
	} {
		m := manage(t, c.name, c.file)
		out, err := m.daemon.CombinedOutput()
		if m.daemon.ProcessState.ExitCode() != exitUse || !strings.Contains(string(out), c.want) {
			t.Errorf("%s: ended with %v and said %s", c.name, err, out)
		}
	}
}

// TestWatchdogNeedsTheMainLoop: systemd is told that the daemon lives only while the main loop takes its beats.
func TestWatchdogNeedsTheMainLoop(t *testing.T) {
	t.Setenv("WATCHDOG_USEC", fmt.Sprint(time.Minute.Microseconds()))
	t.Setenv("WATCHDOG_PID", fmt.Sprint(os.Getpid()))
	synctest.Test(t, func(t *testing.T) {
		d := &daemon{beats: make(chan struct{})}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var told []string
		go d.watchdog(ctx, func(state string) { told = append(told, state) })
		for range 3 {
			<-d.beats
		}
		time.Sleep(time.Hour) // the main loop hangs
		synctest.Wait()
		if len(told) != 3 || told[0] != "WATCHDOG=1" {
			t.Errorf("told %q after three beats and an hour of silence", told)
		}
	})
}

// TestUnitNeedsNoRoot: the daemon is never root under its unit, from its first instruction on, and can not become it (systemd.exec(5)).
func TestUnitNeedsNoRoot(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "packaging", "systemd", "gatepost.service"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"User=gatepost", "NoNewPrivileges=yes", "CapabilityBoundingSet=", "AmbientCapabilities=", "UMask=0077"} {
		if !strings.Contains(string(text), "\n"+line+"\n") {
			t.Errorf("the unit has no line %q", line)
		}
	}
}
