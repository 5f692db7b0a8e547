package main

import "github.com/spf13/cobra"

func newServe() *cobra.Command {
	path := ""
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run the daemon",
		Long: `Run the milter daemon in the foreground; the log goes to standard error, one line a
decision: logfmt on a terminal, JSON otherwise (or as [log] says).

SIGHUP loads the policy anew: a file with mistakes is refused and the old one stays, and
sessions under way finish under the policy they began with. SIGTERM stops listening, lets
sessions finish, and ends within 10 seconds.

Under systemd (Type=notify) the daemon says when it serves, reloads and stops, and proves
to the watchdog that its main loop lives. Sockets that systemd hands over win over
listen.milter; one whose FileDescriptorName= is admin is that for commands, one with
http that for health, metrics and the page.

Exit status 1: the policy is wrong; every mistake is printed. 2: a socket, a folder or a
file cannot be used.`,
		Example: "  gatepost serve\n  gatepost serve --policy ./policy.toml",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return runDaemon(c.Context(), path, c.ErrOrStderr(), newSignals())
		},
	}
	policyFlag(c, &path)
	return c
}
