package main

import (
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// This file writes the manual pages, for packages, from the texts of --help, of gatepost facts and of policy.toml.

func newMan() *cobra.Command {
	policyPath, date := "", ""
	c := &cobra.Command{
		Use:    "man FOLDER",
		Short:  "Write the manual pages into a folder",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			text, err := os.ReadFile(policyPath)
			if err != nil {
				return err
			}
			pages, err := manPages(c.Root(), string(text), date)
			if err != nil {
				return err
			}
			for name, page := range pages {
				if err := os.WriteFile(filepath.Join(args[0], name), []byte(page), 0o644); err != nil {
					return err
				}
			}
			return nil
		},
	}
	c.Flags().StringVar(&date, "date", time.Now().UTC().Format(time.DateOnly), "the `DATE` that the pages bear")
	policyFlag(c, &policyPath)
	return c
}

// manPages gives each page under the name of its file.
func manPages(root *cobra.Command, policyText, date string) (map[string]string, error) {
	facts, err := factRows()
	if err != nil {
		return nil, err
	}
	return map[string]string{
		"gatepost.1":    commandsPage(root, date),
		"gatepost.8":    daemonPage(root, date),
		"policy.toml.5": policyPage(policyText, facts, date),
	}, nil
}

// commandsPage is gatepost(1): every command but serve, with its --help.
func commandsPage(root *cobra.Command, date string) string {
	p := newManPage("GATEPOST", "1", date, "User Commands")
	p.heading("SH", "NAME")
	p.line(`gatepost \- the commands around the mail filter`)
	p.heading("SH", "SYNOPSIS")
	p.line(`.B gatepost`)
	p.line(`\fICOMMAND\fR [\fIARGUMENT\fR ...] [\fIFLAG\fR ...]`)
	p.heading("SH", "DESCRIPTION")
	p.prose(root.Long)
	p.heading("SH", "COMMANDS")
	p.line("Every command says with")
	p.line(`.B \-\-help`)
	p.line("what stands here. The daemon,")
	p.line(".BR gatepost\\ serve ,")
	p.line("has a page of its own:")
	p.line(".BR gatepost (8).")
	for _, c := range root.Commands() {
		if c.Name() != "serve" {
			p.command(c)
		}
	}
	p.heading("SH", "EXIT STATUS")
	p.entry("0", "done")
	p.entry("1", "the answer is no: a test failed, a policy is wrong, something needs a look")
	p.entry("2", "wrong use, or a file or the daemon cannot be reached")
	p.files()
	p.see("gatepost(8)", "policy.toml(5)")
	return p.String()
}

// command describes a command and its subcommands; what people do not see in --help is left out.
func (p *manPage) command(c *cobra.Command) {
	if !c.IsAvailableCommand() {
		return
	}
	if c.Runnable() || c.HasLocalFlags() || c.Long != "" {
		p.heading("SS", strings.TrimSuffix(c.UseLine(), " [flags]"))
		p.help(c)
	}
	for _, sub := range c.Commands() {
		p.command(sub)
	}
}

// help writes what --help says of a command: its text, flags and examples.
func (p *manPage) help(c *cobra.Command) {
	if c.Long != "" {
		p.prose(c.Long)
	} else {
		p.prose(strings.TrimSuffix(c.Short, ".") + ".")
	}
	c.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "[]" {
			usage += " (default " + f.DefValue + ")"
		}
		called := strings.TrimSpace("--" + f.Name + " " + value)
		if f.Shorthand != "" {
			called += strings.TrimSuffix(", -"+f.Shorthand+" "+value, " ")
		}
		p.entry(called, usage)
	})
	if c.HasExample() {
		p.paragraph()
		p.line("For example:")
		p.verbatim(strings.Split(strings.TrimRight(c.Example, "\n"), "\n"))
	}
}

// daemonPage is gatepost(8).
func daemonPage(root *cobra.Command, date string) string {
	serve, _, _ := root.Find([]string{"serve"})
	p := newManPage("GATEPOST", "8", date, "System Manager's Manual")
	p.heading("SH", "NAME")
	p.line(`gatepost \- mail filter (milter) for Postfix and Sendmail`)
	p.heading("SH", "SYNOPSIS")
	p.line(".B gatepost serve")
	p.line(`[\fB\-\-policy\fR \fIFILE\fR]`)
	p.heading("SH", "DESCRIPTION")
	p.help(serve)
	p.heading("SH", "MAIL SERVER")
	p.prose(wiring)
	p.heading("SH", "SYSTEMD")
	p.prose(underSystemd)
	p.files()
	p.see("gatepost(1)", "policy.toml(5)", "postconf(5)", "systemd.socket(5)")
	return p.String()
}

// files lists what the package and the daemon put where.
func (p *manPage) files() {
	p.heading("SH", "FILES")
	for _, f := range []struct{ path, text string }{
		{defaultPolicy, "what the daemon does; see policy.toml(5)"},
		{"/var/lib/gatepost", "what it remembers: limits, reputation, correspondents, lists, the history"},
		{"/run/gatepost/admin.sock", "where commands reach the daemon: root and group gatepost may"},
		{"/var/spool/postfix/gatepost", "the folder for a unix socket that Postfix sees inside its chroot"},
		{"/usr/share/gatepost/freemail", "domains of mail providers, for reputation.freemail"},
		{"/usr/share/doc/gatepost/examples", "lines for the mail server, and policies"},
	} {
		p.entry(f.path, f.text)
	}
}

// wiring says how a mail server reaches the daemon.
const wiring = `Postfix finds the daemon by smtpd_milters in main.cf:

  smtpd_milters = { inet:127.0.0.1:8894, connect_timeout=10s, command_timeout=30s, default_action=tempfail }
  non_smtpd_milters = { inet:127.0.0.1:8894, default_action=accept }
  milter_protocol = 6

A unix socket is better on a machine with other users, since everybody there may connect to a port. The daemon opens one with
milter = ["unix:/var/spool/postfix/gatepost/milter.sock"] in policy.toml. The folder belongs to user gatepost and group postfix with the
set-group-ID bit, so that Postfix and nobody else may use the sockets in it. A service of master.cf that is chrooted, as Debian's are, writes

  smtpd_milters = unix:gatepost/milter.sock

which is relative to the queue directory, so that services that are not chrooted find it as well.`

// underSystemd says what the units do.
const underSystemd = `systemctl reload gatepost runs gatepost reload: a policy with mistakes makes it fail, says them in the journal, and
changes nothing. Where listen.admin is "", systemctl kill -s HUP gatepost does the same without an answer.

gatepost.socket is not in use as it comes. With it systemd holds the daemon's sockets, so that mail waits instead of being put off while the
daemon starts anew. The daemon must not run while systemd opens them:

  systemctl stop gatepost
  systemctl enable --now gatepost.socket
  systemctl start gatepost

They win over listen.milter; systemctl edit gatepost.socket changes them.`
