package milter

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"
)

// Listen opens a socket: "inet:127.0.0.1:8894", "inet:[::1]:8894" or "unix:/path". A unix socket that nobody answers on any more is
// removed first; the new one may be used by its owner and group. Errors name the socket and what to do.
func Listen(spec string) (net.Listener, error) {
	kind, address, _ := strings.Cut(spec, ":")
	network := map[string]string{"inet": "tcp", "inet6": "tcp", "unix": "unix"}[kind]
	if network == "" {
		return nil, fmt.Errorf("%q is no socket; write inet:127.0.0.1:8894 or unix:/path", spec)
	}
	if network == "unix" {
		if err := removeStale(address); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen(network, address)
	if err != nil {
		return nil, explain(network, address, err)
	}
	if network == "unix" {
		if err := os.Chmod(address, 0o660); err != nil {
			l.Close()
			return nil, fmt.Errorf("unix:%s: %w", address, err)
		}
	}
	return l, nil
}

func removeStale(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return nil // not there, or net.Listen says better what is wrong
	}
	if info.Mode()&os.ModeSocket == 0 {
		return fmt.Errorf("unix:%s is there and no socket; move it away or listen elsewhere", path)
	}
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		c.Close()
		return fmt.Errorf("unix:%s is in use by another process; stop it or listen elsewhere", path)
	}
	return os.Remove(path)
}

func explain(network, address string, err error) error {
	name := map[string]string{"tcp": "inet:", "unix": "unix:"}[network] + address
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s is in use by another process; stop it or listen elsewhere", name)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%s: permission denied; give the folder or the port to the user that runs gatepost", name)
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%s: its folder does not exist; make it", name)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%s: this machine has no such address; listen on one that it has", name)
	}
	return fmt.Errorf("%s: %w", name, err)
}

// ParseClient gives the address of a client as the MTA writes it: with or without "IPv6:" and brackets, a mapped IPv4 address as IPv4.
// It is the zero Addr for a client without one.
func ParseClient(family, address string) netip.Addr {
	if family != "tcp4" && family != "tcp6" {
		return netip.Addr{}
	}
	address = strings.TrimPrefix(strings.Trim(address, "[]"), "IPv6:")
	addr, err := netip.ParseAddr(address)
	if err != nil {
		return netip.Addr{}
	}
	return addr.Unmap().WithZone("")
}
