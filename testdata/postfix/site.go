package postfix

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"gatepost.example/filter/resolve/resolvetest"
)

// Site is a Postfix with Gatepost behind it and a DNS zone of its own.
type Site struct {
	Postfix *Instance // nil after StartGatepost
	DNS     *resolvetest.Server
	folder  *Folder
	dir     string
	dnsAt   string // where DNS is to answer; "" at a free port
	milter  string // address of the milter socket
	HTTP    string // address of health and metrics
	daemon  *exec.Cmd
	ended   chan error
}

// Build builds the daemon from the project's folder.
func Build(ctx context.Context, project, into string) (string, error) {
	binary := filepath.Join(into, "gatepost")
	c := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/gatepost")
	c.Dir = project
	if out, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w: %s", err, out)
	}
	return binary, nil
}

// StartSite starts DNS with a zone, the daemon with a policy, and Postfix. The policy lacks what the site itself knows: [listen],
// [dns] and [server] with directory and name are added to it.
func StartSite(ctx context.Context, binary, zone, policy string, more map[string]string) (*Site, error) {
	s, err := StartGatepost(binary, "", zone, policy)
	if err != nil {
		return nil, err
	}
	if s.Postfix, err = Start(ctx, "inet:"+s.milter, more); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// StartGatepost starts DNS and the daemon, as StartSite does, without a mail server. DNS answers at an address of this machine
// ("127.0.0.1:53"), or at a free port of loopback when it is "".
func StartGatepost(binary, dns, zone, policy string) (*Site, error) {
	folder, err := NewFolder("gatepost-site-", endDaemon)
	if err != nil {
		return nil, err
	}
	s := &Site{folder: folder, dir: folder.Path, dnsAt: dns}
	if err := s.start(binary, zone, policy); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// endDaemon ends a daemon that this process did not live to end: while one runs, its number stands in the file pid.
const endDaemon = `if [ -s "$1/pid" ]; then kill "$(cat "$1/pid")" 2>/dev/null; fi`

func (s *Site) pidFile() string { return filepath.Join(s.dir, "pid") }

func (s *Site) start(binary, zone, policy string) error {
	parsed, err := resolvetest.Parse(zone)
	if err != nil {
		return err
	}
	if s.dnsAt == "" {
		s.DNS, err = resolvetest.NewServer(parsed)
	} else {
		s.DNS, err = resolvetest.NewServerAt(parsed, s.dnsAt)
	}
	if err != nil {
		return err
	}
	ports, err := FreePorts(2)
	if err != nil {
		return err
	}
	s.milter, s.HTTP = fmt.Sprintf("127.0.0.1:%d", ports[0]), fmt.Sprintf("127.0.0.1:%d", ports[1])
	if err := s.writePolicy(policy); err != nil {
		return err
	}
	return s.StartDaemon(binary)
}

// PolicyFile is where the daemon reads its policy.
func (s *Site) PolicyFile() string { return filepath.Join(s.dir, "policy.toml") }

// UnixSocket is the second endpoint at which the daemon listens.
func (s *Site) UnixSocket() string { return "unix:" + filepath.Join(s.dir, "gatepost.sock") }

// writePolicy puts the site's own settings into a policy: into its sections where it has them.
func (s *Site) writePolicy(policy string) error {
	for _, section := range []struct{ name, lines string }{
		{"[listen]", fmt.Sprintf("milter = [\"inet:%s\", %q]\nadmin = %q\nhttp = %q\n", s.milter, s.UnixSocket(), "unix:"+filepath.Join(s.dir, "admin.sock"), s.HTTP)},
		{"[server]", fmt.Sprintf("name = %q\ndirectory = %q\n", Hostname, filepath.Join(s.dir, "state"))},
		{"[dns]", fmt.Sprintf("servers = [%q]\ntimeout = \"1s\"\nbudget = \"3s\"\n", s.DNS.Addr())},
		{"[log]", "format = \"json\"\n"},
	} {
		if before, after, found := strings.Cut(policy, section.name+"\n"); found {
			policy = before + section.name + "\n" + section.lines + after
			continue
		}
		head, rules := policy, ""
		if i := strings.Index(policy, "["); i >= 0 {
			head, rules = policy[:i], policy[i:]
		}
		policy = head + section.name + "\n" + section.lines + rules
	}
	return os.WriteFile(s.PolicyFile(), []byte(policy), 0o644)
}

// StartDaemon starts the daemon and waits until it serves.
func (s *Site) StartDaemon(binary string) error {
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	s.daemon = exec.Command(binary, "serve", "--policy", s.PolicyFile())
	s.daemon.Stderr = log
	if err := s.daemon.Start(); err != nil {
		s.daemon = nil
		return err
	}
	if err := os.WriteFile(s.pidFile(), []byte(strconv.Itoa(s.daemon.Process.Pid)), 0o644); err != nil {
		return err
	}
	s.ended = make(chan error, 1)
	go func(c *exec.Cmd, ended chan error) { ended <- c.Wait() }(s.daemon, s.ended)
	for range 200 {
		if c, err := net.DialTimeout("tcp", s.milter, time.Second); err == nil {
			c.Close()
			return nil
		}
		select {
		case err := <-s.ended:
			s.daemon = nil
			os.Remove(s.pidFile()) // the number may soon be another's
			return fmt.Errorf("gatepost serve ended: %v\n%s", err, s.Log())
		case <-time.After(25 * time.Millisecond):
		}
	}
	return errors.New("gatepost serve does not listen")
}

// StopDaemon ends the daemon as systemd does, by SIGTERM, and gives how it ended.
func (s *Site) StopDaemon() error { return s.endDaemon(syscall.SIGTERM) }

// KillDaemon ends the daemon as the kernel does that has no memory left.
func (s *Site) KillDaemon() { s.endDaemon(syscall.SIGKILL) }

func (s *Site) endDaemon(by os.Signal) error {
	if s.daemon == nil {
		return nil
	}
	defer func() {
		s.daemon = nil
		os.Remove(s.pidFile())
	}()
	s.daemon.Process.Signal(by)
	select {
	case err := <-s.ended:
		return err
	case <-time.After(20 * time.Second):
		s.daemon.Process.Kill()
		<-s.ended
		return errors.New("gatepost serve did not end within 20 s of SIGTERM")
	}
}

// SetPolicy writes another policy, sends SIGHUP, and waits until the daemon says that it follows it, or that it does not.
func (s *Site) SetPolicy(policy string) error {
	if err := s.writePolicy(policy); err != nil {
		return err
	}
	before := len(s.Log())
	s.daemon.Process.Signal(syscall.SIGHUP)
	for range 400 {
		news := s.Log()[before:]
		if strings.Contains(news, "policy reloaded") {
			return nil
		}
		if strings.Contains(news, "policy not reloaded") {
			return fmt.Errorf("not reloaded: %s", news)
		}
		time.Sleep(10 * time.Millisecond)
	}
	return errors.New("SIGHUP was not heard")
}

// Log gives all that the daemon logged.
func (s *Site) Log() string {
	text, _ := os.ReadFile(filepath.Join(s.dir, "log"))
	return string(text)
}

// Decisions gives the decisions that the daemon logged, in their order.
func (s *Site) Decisions() []map[string]any {
	var out []map[string]any
	lines := bufio.NewScanner(bytes.NewReader([]byte(s.Log())))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var line map[string]any
		if json.Unmarshal(lines.Bytes(), &line) == nil && line["msg"] == "decision" {
			out = append(out, line)
		}
	}
	return out
}

// Close ends everything and removes every trace.
func (s *Site) Close() error {
	var errs []error
	if s.Postfix != nil {
		errs = append(errs, s.Postfix.Stop())
	}
	errs = append(errs, s.StopDaemon())
	if s.DNS != nil {
		s.DNS.Close()
	}
	return errors.Join(append(errs, s.folder.Remove())...)
}
