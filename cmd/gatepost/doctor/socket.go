package doctor

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"gatepost.example/cmd/gatepost/mta"
	"gatepost.example/policy/policyfile"
)

// wire is how one service of Postfix is wired to Gatepost.
type wire struct {
	service mta.Service
	milter  mta.Milter
	place   string // where the service finds the socket: "inet:127.0.0.1:8894", "unix:" and the whole path
}

// wireOf finds Gatepost among the milters of a service, as a list of its configuration says.
func (d *Doctor) wireOf(s mta.Service, list string) (w wire, wired bool) {
	for _, m := range d.Postfix.Milters(list) {
		if m.Endpoint == "" {
			continue
		}
		if mta.Software(m.Endpoint) == "gatepost" || d.listens(d.Postfix.Place(m.Endpoint, true)) || d.listens(d.Postfix.Place(m.Endpoint, false)) {
			return wire{s, m, d.Postfix.Place(m.Endpoint, s.Chroot)}, true
		}
	}
	return wire{}, false
}

// listens reports whether Gatepost listens at a place: as the daemon says, or as the policy does where none runs.
func (d *Doctor) listens(place string) bool {
	var all []policyfile.Endpoint
	switch {
	case d.Running != nil && len(d.Running.Milter) > 0:
		all = d.Running.Milter
	case d.File != nil:
		all = d.File.Listen.Milter
	default:
		return true
	}
	for _, e := range all {
		address := e.String()
		if host, port, err := net.SplitHostPort(e.Address); err == nil && e.Network == "tcp" {
			if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
				address = "inet:127.0.0.1:" + port
			}
		}
		if address == place {
			return true
		}
	}
	return false
}

// wires gives how every smtpd service and the local mail are wired.
func (d *Doctor) wires() []wire {
	var out []wire
	for _, s := range d.Postfix.Servers() {
		if w, wired := d.wireOf(s, d.Postfix.Of(s, "smtpd_milters")); wired {
			out = append(out, w)
		}
	}
	for _, s := range d.Postfix.Services {
		if s.Command == "cleanup" {
			if w, wired := d.wireOf(s, d.Postfix.Of(s, "non_smtpd_milters")); wired {
				out = append(out, w)
			}
		}
	}
	return out
}

// sockets says whether each service sees a socket where it looks for it and may use it, and whether somebody answers there.
func (d *Doctor) sockets(ctx context.Context) {
	if d.Sendmail != nil {
		d.sendmailSockets(ctx)
		return
	}
	if d.Postfix == nil {
		return
	}
	seen := map[string]bool{}
	for _, w := range d.wires() {
		key := fmt.Sprint(w.place, w.service.Chroot)
		if seen[key] {
			continue
		}
		seen[key] = true
		if fix, trouble := d.trouble(ctx, w); trouble != "" {
			d.say("socket", Wrong, fix, "%s", trouble)
			continue
		}
		d.say("socket", OK, "", "%s answers, and Postfix may use it", w.place)
	}
}

// trouble says what keeps a service from Gatepost's socket, "" for nothing.
func (d *Doctor) trouble(ctx context.Context, w wire) (fix, what string) {
	path, isUnix := strings.CutPrefix(w.place, "unix:")
	switch {
	case isUnix && !exists(path):
		if w.service.Chroot && !d.listens(w.place) {
			return d.setup(), fmt.Sprintf("%s runs in the chroot %s and looks for %s at %s, which is not there", w.service.Key(), d.Postfix.Value("queue_directory"), w.milter.Endpoint, path)
		}
		if !d.listens(w.place) {
			return d.setup(), fmt.Sprintf("%s looks for %s, where Gatepost does not listen", w.service.Key(), path)
		}
		return "systemctl restart gatepost", fmt.Sprintf("%s is not there: Gatepost makes it when it starts", path)
	case isUnix:
		if fix, what := d.Postfix.Barred(path); what != "" {
			return fix, what
		}
	case !d.listens(w.place):
		return d.setup(), fmt.Sprintf("%s looks for Gatepost at %s, where it does not listen", w.service.Key(), w.place)
	}
	return unanswered(ctx, w.place)
}

// unanswered says that nobody answers at a place; "" where somebody does.
func unanswered(ctx context.Context, place string) (fix, what string) {
	network, address := "tcp", strings.TrimPrefix(place, "inet:")
	if path, isUnix := strings.CutPrefix(place, "unix:"); isUnix {
		network, address = "unix", path
	}
	c, err := (&net.Dialer{Timeout: 3 * time.Second}).DialContext(ctx, network, address)
	if err != nil {
		return "systemctl start gatepost", fmt.Sprintf("nobody answers at %s: %v", place, err)
	}
	c.Close()
	return "", ""
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func either(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
