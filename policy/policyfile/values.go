package policyfile

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// endpoint reads "inet:HOST:PORT" or "unix:/PATH".
func endpoint(s string) (Endpoint, error) {
	kind, address, _ := strings.Cut(s, ":")
	switch kind {
	case "unix":
		if err := absolute(address); err != nil {
			return Endpoint{}, err
		}
		// sun_path of unix(7) has 108 bytes with the closing NUL.
		if len(address) > 107 {
			return Endpoint{}, fmt.Errorf("the path of a socket has at most 107 bytes, this one %d; choose a shorter one", len(address))
		}
		return Endpoint{Network: "unix", Address: address}, nil
	case "inet":
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return Endpoint{}, fmt.Errorf("%q is no address and port; write inet:127.0.0.1:8894, or inet:[::1]:8894 for IPv6", s)
		}
		if host == "" {
			return Endpoint{}, fmt.Errorf("%q names no address; write inet:127.0.0.1:%s, or inet:0.0.0.0:%s for every address of this machine", s, port, port)
		}
		if !isHost(host) {
			return Endpoint{}, fmt.Errorf("%q is neither an address nor the name of a host", host)
		}
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return Endpoint{}, fmt.Errorf("%q is no port; write a number up to 65535", port)
		}
		return Endpoint{Network: "tcp", Address: net.JoinHostPort(host, port)}, nil
	}
	return Endpoint{}, fmt.Errorf("%q is no socket; write inet:127.0.0.1:8894 or unix:/path/to/socket", s)
}

// adminSocket reads "unix:/PATH", or "" for none: a socket of the network would need a password, and this one has none.
func adminSocket(into **Endpoint) reader {
	return func(d *decoder, path string, value any) {
		s, ok := value.(string)
		if !ok {
			d.wrong(path, "it is %s; write a text in quotes", describe(value))
			return
		}
		if s == "" {
			*into = nil
			return
		}
		e, err := endpoint(s)
		if err == nil && e.Network != "unix" {
			err = fmt.Errorf("%q is no socket of this machine; write unix:/run/gatepost/admin.sock", s)
		}
		if err != nil {
			d.wrong(path, "%v", err)
			return
		}
		*into = &e
	}
}

// isHost reports whether s is an IP address or has the form of a host name.
func isHost(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	return !strings.Contains(s, ":") && strings.Trim(s, bareKey+".") == "" && strings.Trim(s, ".") != ""
}

// absolute demands an absolute path.
func absolute(s string) error {
	if !filepath.IsAbs(s) || strings.ContainsRune(s, 0) {
		return fmt.Errorf("%q is no absolute path; begin it with /", s)
	}
	return nil
}

// authservID demands what Authentication-Results can carry without quotes and comparisons find again: the name of a host (RFC 8601 2.5).
func authservID(s string) error {
	if len(s) > 253 || strings.Trim(s, bareKey+".") != "" {
		return fmt.Errorf("%q is no name; write the name of this host, such as mx.example.net, or \"\" for the MTA's own", s)
	}
	return nil
}

// maxFooter leaves most of a reply line (510 bytes) to what the rule says.
const maxFooter = 200

// footer demands what a reply line can carry: printable ASCII (RFC 5321 4.2) and no placeholder but {id}.
func footer(s string) error {
	if len(s) > maxFooter {
		return fmt.Errorf("the footer has %d bytes; at most %d leave room for the reply", len(s), maxFooter)
	}
	if i := strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r > '~' }); i >= 0 {
		return fmt.Errorf("the footer has a line break, control or non-ASCII character at byte %d; write one line of plain ASCII", i+1)
	}
	if strings.ContainsAny(strings.ReplaceAll(s, "{id}", ""), "{}") {
		return fmt.Errorf("the only placeholder of the footer is {id}; remove the other braces")
	}
	return nil
}

// trusted reads an address or network whose hosts are believed.
func trusted(s string) (netip.Prefix, error) {
	p, err := network(s)
	if err == nil && p.Bits() == 0 {
		return p, fmt.Errorf("%q trusts the whole Internet; name your own networks", s)
	}
	return p, err
}

// domain reads a domain name: lower case, A-labels, with a dot in it.
func domain(s string) (string, error) {
	name, err := aLabels(strings.ToLower(s))
	if err != nil {
		return "", err
	}
	if !strings.Contains(name, ".") || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "" || strings.Contains("."+name+".", "..") {
		return "", fmt.Errorf("%q is no domain name; write for example forwarder.example", s)
	}
	return name, nil
}

// network reads an address or a network in CIDR form.
func network(s string) (netip.Prefix, error) {
	addr, err := netip.ParseAddr(s)
	if err == nil && addr.Zone() != "" {
		return netip.Prefix{}, fmt.Errorf("%q has a zone; write the address without %%%s", s, addr.Zone())
	}
	if err == nil {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil:
		return p, fmt.Errorf("%q is no network; write for example 192.0.2.0/24, 2001:db8::/32 or one address", s)
	case p.Addr().Is4In6():
		return p, fmt.Errorf("%q is an IPv4 network in IPv6 form; write it as IPv4", s)
	case p != p.Masked():
		return p, fmt.Errorf("%q has bits beyond its length; write %s", s, p.Masked())
	}
	return p, nil
}

// nameServer reads the address of a DNS server, with or without port.
func nameServer(s string) (netip.AddrPort, error) {
	if addr, err := netip.ParseAddr(s); err == nil {
		return netip.AddrPortFrom(addr, 53), nil
	}
	ap, err := netip.ParseAddrPort(s)
	if err != nil || ap.Port() == 0 {
		return ap, fmt.Errorf("%q is no address of a DNS server; write 192.0.2.53:53 or [2001:db8::53]:53", s)
	}
	return ap, nil
}

// prefixLengths reads ["/24", "/56"].
func prefixLengths(v4, v6 *int) reader {
	return func(d *decoder, path string, value any) {
		elements, ok := value.([]any)
		if !ok || len(elements) != 2 {
			d.wrong(path, "write two prefix lengths, for IPv4 and IPv6: [\"/24\", \"/56\"]")
			return
		}
		for i, one := range []struct {
			into        *int
			least, most int
			family      string
		}{{v4, 8, 32, "IPv4"}, {v6, 16, 128, "IPv6"}} {
			length, err := prefixLength(elements[i])
			if err != nil || length < one.least || length > one.most {
				d.wrong(item(path, i), "the prefix length for %s is a text from \"/%d\" to \"/%d\"", one.family, one.least, one.most)
				continue
			}
			*one.into = length
		}
	}
}

func prefixLength(value any) (int, error) {
	v, _ := value.(string)
	digits, found := strings.CutPrefix(v, "/")
	n, err := strconv.ParseUint(digits, 10, 8)
	if !found || err != nil {
		return 0, fmt.Errorf("%v is no prefix length", value)
	}
	return int(n), nil
}

// services reads the ports (numbers) and daemon names (texts) of submission.
func services(into *Submission) reader {
	return func(d *decoder, path string, value any) {
		elements, ok := value.([]any)
		if !ok {
			d.wrong(path, "it is %s; write an array of ports and names: [587, \"submission\"]", describe(value))
			return
		}
		out := Submission{}
		for i, element := range elements {
			if err := out.add(element); err != nil {
				d.wrong(item(path, i), "%v", err)
			}
		}
		*into = out
	}
}

// add takes one port or name.
func (s *Submission) add(element any) error {
	switch v := element.(type) {
	case int64:
		if v < 1 || v > 65535 {
			return fmt.Errorf("%d is no port; write a number from 1 to 65535", v)
		}
		if slices.Contains(s.Ports, int(v)) {
			return fmt.Errorf("%d is there twice; remove one of the two", v)
		}
		s.Ports = append(s.Ports, int(v))
	case string:
		if v != "" && strings.Trim(v, "0123456789") == "" {
			return fmt.Errorf("%q is a name in quotes; write the port as a number, %s", v, v)
		}
		if v == "" || strings.ContainsFunc(v, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return fmt.Errorf("%q is no name of a service; write what {daemon_name} says", v)
		}
		if slices.Contains(s.Names, v) {
			return fmt.Errorf("%q is there twice; remove one of the two", v)
		}
		s.Names = append(s.Names, v)
	default:
		return fmt.Errorf("%s is neither a port nor a name; write 587 or \"submission\"", describe(element))
	}
	return nil
}
