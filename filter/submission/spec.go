package submission

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
)

// The types of tables.
const (
	kindFile      = "file"      // the same as texthash
	kindTexthash  = "texthash"  // "key whitespace value" (postmap(1))
	kindRegexp    = "regexp"    // POSIX patterns (regexp_table(5))
	kindPCRE      = "pcre"      // Perl's patterns (pcre_table(5))
	kindSocketmap = "socketmap" // a server (socketmap_table(5))
)

// socketmapForms are the names that a socketmap may have.
const socketmapForms = "socketmap:unix:PATH:NAME or socketmap:inet:HOST:PORT:NAME"

// maxSocketPath is the longest path of a UNIX socket (unix(7)).
const maxSocketPath = 107

// A spec is one table as it was named.
type spec struct {
	text    string // all of it
	kind    string
	path    string // of a file
	network string // of a socketmap: "unix" or "tcp"
	address string // where a socketmap listens
	name    string // the map that is asked for there

	given map[string][]byte // files in the place of those on disk, by path
}

// parse reads the names of tables.
func parse(text string) ([]spec, error) {
	if strings.ContainsAny(text, "{}") {
		return nil, errors.New("login_maps: { and } do not belong here; write the entries into a file, and name it as texthash:PATH")
	}
	words := strings.FieldsFunc(text, separates)
	if len(words) == 0 {
		return nil, errors.New("login_maps names no table; write one, as texthash:/etc/postfix/sender_logins")
	}
	specs := make([]spec, 0, len(words))
	for _, word := range words {
		s, err := parseOne(word)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", word, err)
		}
		specs = append(specs, s)
	}
	return specs, nil
}

// parseOne reads the name of one table, "type:name".
func parseOne(word string) (spec, error) {
	kind, rest, _ := strings.Cut(word, ":")
	s := spec{text: word, kind: kind}
	switch kind {
	case kindFile, kindTexthash, kindRegexp, kindPCRE:
		s.path = rest
		return s, wholePath(rest)
	case kindSocketmap:
		return s, s.endpoint(rest)
	case "hash", "btree", "lmdb", "cdb", "dbm", "sdbm":
		return s, errors.New("a compiled table is not read; name the text file it is made from, as texthash:PATH")
	case "mysql", "pgsql", "ldap", "sqlite", "memcache", "proxy", "tcp", "nis", "mongodb":
		return s, errors.New("this type is not known here; ask it through a socketmap server, as socketmap:unix:PATH:NAME")
	}
	return s, errors.New("no known type of table; write texthash:PATH, regexp:PATH, pcre:PATH or " + socketmapForms)
}

// wholePath wants a path from the root: the folder that a daemon runs in is not the one its settings are written in.
func wholePath(path string) error {
	if !filepath.IsAbs(path) {
		return fmt.Errorf("the path %q does not start with /; write all of it", path)
	}
	return nil
}

// endpoint reads "unix:PATH:NAME" or "inet:HOST:PORT:NAME" (socketmap_table(5)).
func (s *spec) endpoint(text string) error {
	network, rest, _ := strings.Cut(text, ":")
	last := strings.LastIndex(rest, ":")
	if last < 0 || last == len(rest)-1 {
		return errors.New("the name of the map is missing; write " + socketmapForms)
	}
	s.address, s.name = rest[:last], rest[last+1:]
	switch network {
	case "unix":
		s.network = "unix"
		if len(s.address) > maxSocketPath {
			return fmt.Errorf("the path of the socket is longer than %d bytes; use a shorter one", maxSocketPath)
		}
		return wholePath(s.address)
	case "inet":
		s.network = "tcp"
		host, port, err := net.SplitHostPort(s.address)
		if n, numErr := strconv.ParseUint(port, 10, 16); err != nil || numErr != nil || n == 0 || host == "" {
			return errors.New("no host and port; write socketmap:inet:HOST:PORT:NAME, an IPv6 address in [], the port as a number")
		}
		return nil
	}
	return fmt.Errorf("socketmap:%s is not known; write %s", network, socketmapForms)
}
