package doctor

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gatepost.example/cmd/gatepost/mta"
)

// believer is a filter behind us that believes Authentication-Results of some names.
type believer struct {
	name  string   // of the program
	file  string   // its configuration
	names []string // whom it believes
	add   string   // the line that makes it believe us, without the name
}

// later says whether the filters behind us believe the name under which we write Authentication-Results (RFC 8601 2.5).
func (d *Doctor) later(context.Context) {
	own := d.authservID()
	if own == "" {
		return
	}
	all := d.believers()
	for _, b := range all {
		if !slices.ContainsFunc(b.names, func(n string) bool { return strings.EqualFold(n, own) }) {
			d.say("authserv-id", Wrong, "write into "+b.file+": "+b.add+" "+own, "%s believes %s and not %s, our name in Authentication-Results",
				b.name, either(strings.Join(b.names, ", "), "nobody"), own)
			continue
		}
		d.say("authserv-id", OK, "", "%s believes %s", b.name, own)
	}
	if len(all) == 0 {
		d.say("authserv-id", OK, "", "we write Authentication-Results as %s; no filter behind us says whom it believes", own)
	}
}

// authservID gives our name: the policy's, or the mail server's own.
func (d *Doctor) authservID() string {
	if d.File != nil && d.File.Server.Name != "" {
		return d.File.Server.Name
	}
	host, _ := d.server()
	return host
}

// maxConfig bounds a configuration file that is read.
const maxConfig = 1 << 20

func (d *Doctor) read(path string) string {
	full := filepath.Join("/", d.Root, path)
	if info, err := os.Stat(full); err != nil || info.Size() > maxConfig {
		return ""
	}
	text, err := os.ReadFile(full)
	if err != nil {
		return ""
	}
	return string(text)
}

// believers finds the filters of this machine that say whom they believe.
func (d *Doctor) believers() []believer {
	var out []believer
	if text := d.read("/etc/opendmarc.conf"); text != "" && d.wiredTo("opendmarc") {
		b := openDMARC(text)
		b.file = "/etc/opendmarc.conf"
		out = append(out, b)
	}
	for _, pattern := range []string{"/etc/spamassassin/*.cf", "/etc/mail/spamassassin/*.cf"} {
		files, err := filepath.Glob(filepath.Join("/", d.Root, pattern))
		if err != nil {
			continue
		}
		for _, file := range files {
			path, err := filepath.Rel(filepath.Join("/", d.Root), file)
			if err != nil {
				continue
			}
			if names := spamAssassin(d.read(path)); len(names) > 0 {
				out = append(out, believer{"SpamAssassin", "/" + path, names, "authres_trusted_authserv"})
			}
		}
	}
	return out
}

// wiredTo reports whether a milter is among those of the mail server.
func (d *Doctor) wiredTo(name string) bool {
	if d.Sendmail != nil {
		return slices.ContainsFunc(d.Sendmail.Filters, func(f mta.Filter) bool { return f.Name == name || mta.Software(f.Place()) == name })
	}
	if d.Postfix == nil {
		return false
	}
	return slices.ContainsFunc(d.Postfix.Milters(d.Postfix.Value("smtpd_milters")), func(m mta.Milter) bool { return mta.Software(m.Endpoint) == name })
}

// openDMARC reads whom OpenDMARC believes: TrustedAuthservIDs, else its own AuthservID (opendmarc.conf(5)).
func openDMARC(text string) believer {
	b := believer{name: "OpenDMARC", add: "TrustedAuthservIDs"}
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(strings.ReplaceAll(line, ",", " "))
		if len(fields) > 1 && (strings.EqualFold(fields[0], "TrustedAuthservIDs") || strings.EqualFold(fields[0], "AuthservID")) {
			b.names = append(b.names, fields[1:]...)
		}
	}
	return b
}

// spamAssassin reads whom Mail::SpamAssassin::Plugin::AuthRes believes.
func spamAssassin(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "authres_trusted_authserv" {
			out = append(out, fields[1:]...)
		}
	}
	return out
}
