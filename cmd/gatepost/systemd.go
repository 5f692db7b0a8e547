package main

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	sdnotify "github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"
)

// This file is the daemon's side of systemd: the sockets that it hands over, and what it is told.

// sockets are those that systemd opened for the daemon, by what they are for.
type sockets struct {
	milter []net.Listener
	admin  net.Listener
	http   net.Listener
}

// handedOver takes the sockets of the socket units that start this process (sd_listen_fds(3)); there are none without such units.
// FileDescriptorName= of the unit says what its sockets are for: milter, which is also meant where it says nothing, admin or http.
func handedOver() (sockets, error) {
	var out sockets
	var wrong error
	for _, f := range activation.Files(true) {
		l, err := net.FileListener(f)
		f.Close() // the listener has a copy
		switch name := f.Name(); {
		case err != nil:
			wrong = fmt.Errorf("systemd hands over a socket %q at which one cannot listen: %w; write ListenStream= into its socket unit", name, err)
			continue
		case name == "admin" && out.admin == nil:
			out.admin = l
			continue
		case name == "http" && out.http == nil:
			out.http = l
			continue
		case name == "milter" || strings.HasSuffix(name, ".socket") || strings.HasPrefix(name, "LISTEN_FD_"):
			out.milter = append(out.milter, l)
			continue
		default:
			wrong = fmt.Errorf("systemd hands over a socket %q that has no use here; write FileDescriptorName=milter into its unit, or admin or http for one socket of each", name)
		}
		l.Close()
	}
	if wrong != nil {
		out.close()
	}
	return out, wrong
}

func (s sockets) close() {
	for _, l := range s.milter {
		l.Close()
	}
	for _, l := range []net.Listener{s.admin, s.http} {
		if l != nil {
			l.Close()
		}
	}
}

// open gives the daemon's sockets: those of systemd where it hands some over, else those that the policy names.
func (d *daemon) open() (sockets, error) {
	open, err := handedOver()
	if err != nil {
		return open, err
	}
	if len(open.milter) == 0 {
		if open.milter, err = listen(d.file.Listen.Milter); err != nil {
			open.close()
			return open, err
		}
	} else {
		d.log.Info("the sockets of systemd are used, those of listen.milter are not")
	}
	if open.admin == nil && d.file.Listen.Admin != nil {
		open.admin = d.openAdmin(*d.file.Listen.Admin)
	}
	if open.http == nil {
		open.http = d.openHTTP()
	}
	return open, nil
}

// addressesOf names sockets as listen.milter does.
func addressesOf(listeners []net.Listener) []string {
	kinds := map[string]string{"tcp": "inet:", "unix": "unix:"}
	var out []string
	for _, l := range listeners {
		out = append(out, kinds[l.Addr().Network()]+l.Addr().String())
	}
	return out
}

// tell says to the service manager how the daemon is (sd_notify(3)); without one it says nothing.
func (d *daemon) tell(state string) {
	if _, err := sdnotify.SdNotify(false, state); err != nil {
		d.log.Warn("systemd could not be told how the daemon is", "error", err.Error())
	}
}

// ready is what systemctl status shows while the daemon serves.
func (d *daemon) ready() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	status := fmt.Sprintf("mode %s, policy %s", d.file.Mode, d.file.Hash)
	if d.refused != "" {
		status += "; the policy file as it is now was refused, gatepost status says why"
	}
	return sdnotify.SdNotifyReady + "\nSTATUS=" + status
}

// reloading says that a reload begins, and when: units with Type=notify-reload want to know.
func reloading() string {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return sdnotify.SdNotifyReloading
	}
	return fmt.Sprintf("%s\nMONOTONIC_USEC=%d", sdnotify.SdNotifyReloading, now.Nano()/1000)
}

// watchdog tells every half of WatchdogSec= that the daemon lives, as long as its main loop answers: systemd starts a daemon anew that
// does not say so in time. It returns at once where no watchdog is asked for.
func (d *daemon) watchdog(ctx context.Context, tell func(string)) {
	limit, err := sdnotify.SdWatchdogEnabled(false)
	if err != nil {
		d.log.Warn("the watchdog is not served", "error", err.Error())
	}
	if limit <= 0 {
		return
	}
	each := time.NewTicker(limit / 2)
	defer each.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-each.C:
		}
		select {
		case <-ctx.Done():
			return
		case d.beats <- struct{}{}:
			tell(sdnotify.SdNotifyWatchdog)
		}
	}
}
