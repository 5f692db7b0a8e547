// Package postfix runs a private Postfix for tests and the demo: its own configuration, queue and ports on loopback. Nothing of the
// system's Postfix is touched, and everything is gone when it is stopped.
package postfix

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"
)

// Instance is a running Postfix.
type Instance struct {
	Dir        string // its folder, removed by Stop
	SMTP       string // host:port of the service for strangers
	SMTP6      string // the same on ::1, "" on a machine that has no IPv6
	Submission string // host:port of a service whose {daemon_name} is ORIGINATING, as in the submission service that Postfix ships
	folder     *Folder
	nobody     int
}

// Mail domains of an instance. Users of Domain are u, u1 to u9999, v, list, postmaster and abuse; list@AliasDomain is u@Domain.
const (
	Hostname    = "mx.example.net"
	Domain      = "example.net"
	AliasDomain = "alias.example.net"
)

// Missing names the packages without which nothing works here; "" when all is there.
func Missing() string {
	if _, err := exec.LookPath("postfix"); err != nil {
		if _, err := os.Stat("/usr/sbin/postfix"); err != nil {
			return "postfix"
		}
	}
	if os.Getuid() != 0 {
		return "root (Postfix drops its privileges itself)"
	}
	return ""
}

// endPostfix ends an instance by its own master process; what does not obey within five seconds is killed by Postfix itself.
const endPostfix = `/usr/sbin/postfix -c "$1/etc" stop >/dev/null 2>&1`

// Start starts an instance whose smtpd asks the milter ("inet:127.0.0.1:8894", "unix:/path"); more adds to main.cf or replaces parts of it.
func Start(ctx context.Context, milter string, more map[string]string) (*Instance, error) {
	folder, err := NewFolder("gatepost-postfix-", endPostfix)
	if err != nil {
		return nil, err
	}
	i := &Instance{Dir: folder.Path, folder: folder}
	if err := i.start(ctx, milter, more); err != nil {
		return nil, errors.Join(err, i.Stop())
	}
	return i, nil
}

func (i *Instance) start(ctx context.Context, milter string, more map[string]string) error {
	if err := i.prepare(milter, more); err != nil {
		return err
	}
	if out, err := i.command(ctx, "start"); err != nil {
		return fmt.Errorf("postfix start: %w: %s", err, out)
	}
	for range 100 {
		if c, err := net.DialTimeout("tcp", i.SMTP, time.Second); err == nil {
			return c.Close()
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("postfix does not answer on %s; its log ends with:\n%s", i.SMTP, i.Log())
}

// command runs postfix(1) on the instance.
func (i *Instance) command(ctx context.Context, verb string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "/usr/sbin/postfix", "-c", filepath.Join(i.Dir, "etc"), verb).CombinedOutput()
	return string(out), err
}

// Stop ends the instance and removes its folder. The system's Postfix is another instance and never meant.
func (i *Instance) Stop() error { return i.folder.Remove() }

func (i *Instance) prepare(milter string, more map[string]string) error {
	nobody, err := user.Lookup("nobody")
	if err != nil {
		return err
	}
	if i.nobody, err = strconv.Atoi(nobody.Uid); err != nil {
		return err
	}
	owner, err := user.Lookup("postfix")
	if err != nil {
		return err
	}
	uid, err := strconv.Atoi(owner.Uid)
	if err != nil {
		return err
	}
	for _, d := range []struct {
		name string
		uid  int
	}{{"etc", 0}, {"queue", 0}, {"data", uid}, {"mail", i.nobody}, {"log", 0}} {
		path := filepath.Join(i.Dir, d.name)
		if err := os.Mkdir(path, 0o755); err != nil {
			return err
		}
		if err := os.Chown(path, d.uid, -1); err != nil {
			return err
		}
	}
	ports, err := FreePorts(2)
	if err != nil {
		return err
	}
	i.SMTP = fmt.Sprintf("127.0.0.1:%d", ports[0])
	if l, err := net.Listen("tcp", "[::1]:0"); err == nil {
		l.Close()
		i.SMTP6 = fmt.Sprintf("[::1]:%d", ports[0])
	}
	i.Submission = fmt.Sprintf("127.0.0.1:%d", ports[1])
	if err := WriteCertificate(filepath.Join(i.Dir, "etc")); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(i.Dir, "etc", "main.cf"), []byte(i.mainCF(milter, more)), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(i.Dir, "etc", "master.cf"), []byte(i.masterCF()), 0o644)
}

func (i *Instance) mainCF(milter string, more map[string]string) string {
	path := func(name string) string { return filepath.Join(i.Dir, name) }
	users := "inline:{ {u@" + Domain + " = u/} {v@" + Domain + " = v/} {list@" + Domain + " = list/} {postmaster@" + Domain +
		" = postmaster/} {abuse@" + Domain + " = abuse/} {root@" + Domain + " = root/} }, regexp:{ {/^u[0-9]+@example\\.net$$/ bulk/} }"
	parameters := map[string]string{
		"compatibility_level": "3.6", "local_header_rewrite_clients": "", // XCLIENT does not make a client on loopback remote in this respect
		"myhostname": Hostname, "mydomain": Domain, "myorigin": Domain, "mydestination": Hostname,
		"queue_directory": path("queue"), "data_directory": path("data"), "maillog_file": path("log/maillog"), "maillog_file_prefixes": i.Dir,
		"inet_interfaces": "loopback-only", "inet_protocols": "all", "mynetworks": "127.0.0.2/32", "local_recipient_maps": "",
		"virtual_mailbox_domains": Domain, "virtual_mailbox_base": path("mail"), "virtual_mailbox_maps": users,
		"virtual_uid_maps": "static:" + strconv.Itoa(i.nobody), "virtual_gid_maps": "static:" + strconv.Itoa(i.nobody),
		"virtual_alias_domains": AliasDomain,
		"virtual_alias_maps":    "inline:{ {list@" + AliasDomain + " = u@" + Domain + "} {postmaster@" + AliasDomain + " = postmaster@" + Domain + "} {postmaster@" + Hostname + " = postmaster@" + Domain + "} }",
		"alias_maps":            "", "smtpd_milters": milter, "milter_default_action": "tempfail", "milter_protocol": "6",
		"milter_connect_timeout": "10s", "milter_command_timeout": "30s",
		"smtpd_authorized_xclient_hosts": "127.0.0.0/8, [::1]", "smtpd_recipient_restrictions": "reject_unauth_destination",
		"smtpd_relay_restrictions": "reject_unauth_destination", "smtpd_recipient_limit": "3000", "smtputf8_enable": "yes",
		"message_size_limit": "60000000", "virtual_mailbox_limit": "0", "mailbox_size_limit": "0",
		"smtpd_tls_security_level": "may", "smtpd_tls_cert_file": path("etc/cert.pem"), "smtpd_tls_key_file": path("etc/key.pem"),
		"smtp_host_lookup": "native", "default_transport": "error:no mail leaves this machine", "relay_transport": "error:no mail leaves this machine",
		"smtpd_peername_lookup": "no", "disable_dns_lookups": "yes", "smtpd_client_connection_count_limit": "0", "smtpd_error_sleep_time": "0",
		"smtpd_soft_error_limit": "1000", "smtpd_hard_error_limit": "2000", "anvil_rate_time_unit": "60s",
	}
	for key, value := range more {
		parameters[key] = value
	}
	keys := make([]string, 0, len(parameters))
	for key := range parameters {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	var b strings.Builder
	for _, key := range keys {
		fmt.Fprintf(&b, "%s = %s\n", key, parameters[key])
	}
	return b.String()
}

func (i *Instance) masterCF() string {
	services := fmt.Sprintf("%s inet n - n - - smtpd\n", i.SMTP)
	if i.SMTP6 != "" {
		services += fmt.Sprintf("%s inet n - n - - smtpd\n", i.SMTP6)
	}
	return services + fmt.Sprintf("%s inet n - n - - smtpd\n  -o milter_macro_daemon_name=ORIGINATING\n", i.Submission) + `pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
`
}

// FreePorts gives ports of loopback on which nobody listens.
func FreePorts(n int) ([]int, error) {
	var out []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // all at the end, so that no port comes twice
		out = append(out, l.Addr().(*net.TCPAddr).Port)
	}
	return out, nil
}

// Mailbox gives the messages that a user of Domain got, each as Postfix stored it.
func (i *Instance) Mailbox(name string) ([]string, error) {
	return Mailboxes(filepath.Join(i.Dir, "mail")).Of(name)
}

// Delivered waits until some message of a user contains a text, and gives it.
func (i *Instance) Delivered(name, text string) (string, error) {
	message, err := Mailboxes(filepath.Join(i.Dir, "mail")).Delivered(name, text)
	if err != nil {
		err = fmt.Errorf("%w; the log says:\n%s", err, i.Log())
	}
	return message, err
}

// Copies waits until a user has n messages that contain a text.
func (i *Instance) Copies(name, text string, n int) error {
	found := 0
	for range 120 {
		messages, err := i.Mailbox(name)
		if err != nil {
			return err
		}
		found = 0
		for _, m := range messages {
			if strings.Contains(m, text) {
				found++
			}
		}
		if found == n {
			return nil
		}
		time.Sleep(500 * time.Millisecond)
	}
	return fmt.Errorf("%s got %d messages with %q, not %d", name, found, text, n)
}

// Log gives the end of what Postfix logged.
func (i *Instance) Log() string {
	text, _ := os.ReadFile(filepath.Join(i.Dir, "log", "maillog"))
	return string(text[max(0, len(text)-4000):])
}

// Queue gives what postqueue(1) prints of the instance: an id with ! behind it is on hold.
func (i *Instance) Queue(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "/usr/sbin/postqueue", "-c", filepath.Join(i.Dir, "etc"), "-p").CombinedOutput()
	return string(out), err
}

// Sendmail hands a message to the instance without SMTP, as local programs do.
func (i *Instance) Sendmail(ctx context.Context, from, to, message string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, "/usr/sbin/sendmail", "-C", filepath.Join(i.Dir, "etc"), "-f", from, to)
	c.Stdin = strings.NewReader(message)
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("sendmail: %w: %s", err, out)
	}
	return nil
}
