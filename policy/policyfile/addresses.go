package policyfile

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// optional lets an empty text pass a check.
func optional(check func(string) error) func(string) error {
	return func(s string) error {
		if s == "" {
			return nil
		}
		return check(s)
	}
}

// hostPort demands "127.0.0.1:8895": where to listen, or whom to call.
func hostPort(s string) error {
	host, port, err := net.SplitHostPort(s)
	if err != nil || !isHost(host) {
		return fmt.Errorf("%q is no address and port; write 127.0.0.1:8895, or [::1]:8895 for IPv6", s)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("%q is no port; there are 1 to 65535", port)
	}
	return nil
}

// mailbox demands the address of one mailbox, plain ASCII.
func mailbox(s string) error {
	local, domain, ok := strings.Cut(s, "@")
	if !ok || local == "" || len(s) > 254 || !isHost(domain) || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("<>,;:\"()[]\\", r) }) {
		return fmt.Errorf("%q is no mail address; write postmaster@example.net", s)
	}
	return nil
}

// tokenFile demands the name of a file: a policy is read by more people than may know a token.
func tokenFile(s string) error {
	path, ok := strings.CutPrefix(s, filePrefix)
	if !ok {
		return errors.New("a token does not stand in the policy; write \"file:/etc/gatepost/token\" and put it there")
	}
	return absolute(path)
}
