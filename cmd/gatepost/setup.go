package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gatepost.example/cmd/gatepost/mta"
	"gatepost.example/cmd/gatepost/setup"
	"gatepost.example/filter"
	"gatepost.example/policy/policyfile"
)

// setupFlags are what setup postfix and setup sendmail take.
type setupFlags struct {
	policy, config, root, mc, ifDown string
	retire                           []string
	apply, undo, reload, importAnew  bool
}

func newSetup() *cobra.Command {
	c := &cobra.Command{
		Use:   "setup",
		Short: "Wire the mail server to Gatepost, and take over what is configured today",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return errors.New("say for which mail server: gatepost setup postfix, or gatepost setup sendmail")
		},
	}
	c.AddCommand(newSetupPostfix(), newSetupSendmail())
	return c
}

func (f *setupFlags) add(c *cobra.Command) {
	policyFlag(c, &f.policy)
	flags := c.Flags()
	flags.StringVar(&f.ifDown, "if-down", "", "`WHAT` becomes of mail while Gatepost is away: tempfail or accept (default: strangers tempfail, your own accept)")
	flags.BoolVar(&f.apply, "apply", false, "write it, and keep a copy of each file")
	flags.BoolVar(&f.undo, "undo", false, "put everything back as it was before --apply")
	c.MarkFlagsMutuallyExclusive("apply", "undo")
	c.PreRunE = func(*cobra.Command, []string) error {
		if f.ifDown != "" && f.ifDown != setup.TempFail && f.ifDown != setup.Accept {
			return fmt.Errorf("--if-down %s: write tempfail (mail is put off) or accept (mail passes unjudged)", f.ifDown)
		}
		return nil
	}
}

func newSetupPostfix() *cobra.Command {
	f := setupFlags{}
	c := &cobra.Command{
		Use:   "postfix",
		Short: "Print or write the lines that wire Postfix to Gatepost",
		Long: `Read how Postfix is configured and print the lines that wire it to Gatepost: for its
version, its chroots, the milters and policy servers that are there, the services of your
users, and the socket that all of them can reach. What is configured today is printed as
lines of policy.toml, each with where it comes from: mynetworks, access maps, blocklists,
OpenDKIM, OpenDMARC, policyd-spf, postgrey. What is not taken over is named, with the reason.

With --apply it is written (by postconf, and into policy.toml), a copy of each file is kept
beside main.cf in gatepost-setup, and a second run changes nothing. Nothing is reloaded
unless you say --reload. --undo puts the files back byte for byte.

Exit status 0: done; 1: it cannot be; 2: something cannot be read or written.`,
		Example: "  gatepost setup postfix\n  gatepost setup postfix --apply --reload\n  gatepost setup postfix --apply --retire postgrey --retire zen.spamhaus.org\n  gatepost setup postfix --undo",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return f.postfix(c.Context(), c.OutOrStdout()) },
	}
	f.add(c)
	c.Flags().StringVarP(&f.config, "config-dir", "c", "", "the configuration `DIR` of the Postfix that is meant (default: the system's)")
	c.Flags().StringArrayVar(&f.retire, "retire", nil, "take an old milter, policy server or blocklist out of the lines, by its `NAME`")
	c.Flags().BoolVar(&f.reload, "reload", false, "with --apply or --undo: reload Postfix, and Gatepost if its policy changed")
	c.Flags().BoolVar(&f.importAnew, "import", false, "take over anew what is configured today, in place of what an earlier run took over")
	c.Flags().StringVar(&f.root, "root", "", "below this `DIR` other programs have their configuration")
	return c
}

// wishOf gives what the wiring has to fit, by the policy file, or by the defaults where there is none yet.
func (f *setupFlags) wishOf() (setup.Wish, *policyfile.File, error) {
	file, err := loadPolicy(f.policy)
	from := file
	if errors.Is(err, fs.ErrNotExist) {
		defaults := policyfile.Default()
		from, file, err = &defaults, nil, nil
	}
	if err != nil {
		return setup.Wish{}, nil, err
	}
	listens := from.Listen.Milter
	var s Status // a daemon that runs knows better: systemd may have given it other sockets
	if err := (&place{policy: f.policy}).ask("GET", "/status", nil, nil, &s); err == nil && len(s.Milter) > 0 {
		listens = endpoints(s.Milter)
	}
	return setup.Wish{
		Endpoints: listens, Submission: from.Server.Submission, Budget: from.DNS.Budget, FilterName: from.ContentFilter.Header,
		IfDown: f.ifDown, Retire: f.retire, Command: f.command(),
	}, file, nil
}

func (f *setupFlags) postfix(ctx context.Context, w io.Writer) error {
	p, err := mta.ReadPostfix(ctx, f.config)
	if err != nil {
		return err
	}
	if f.undo {
		return f.undoPostfix(ctx, w, p)
	}
	for _, name := range f.retire {
		if strings.EqualFold(name, "opendkim") && setup.Signs(f.root) {
			return answerNo{errors.New("OpenDKIM signs your mail here, and Gatepost does not: without it your mail goes out unsigned. Write Mode s into opendkim.conf instead, then it only signs")}
		}
	}
	wish, file, err := f.wishOf()
	if err != nil {
		return err
	}
	wish.Usable = func(path string) bool {
		_, err := os.Stat(path)
		_, barred := p.Barred(path)
		return err == nil && barred == ""
	}
	plan, err := setup.ForPostfix(p, wish)
	if err != nil {
		return answerNo{err}
	}
	take, merged, err := f.takeOver(p, file)
	if err != nil {
		return err
	}
	if !f.apply {
		f.printPlan(w, p, plan, take, file != nil)
		return nil
	}
	return f.applyPostfix(ctx, w, p, plan, take, file, merged)
}

// takeOver gives what is configured today, and the policy with it; nil where it was taken over already.
func (f *setupFlags) takeOver(p *mta.Postfix, file *policyfile.File) (*setup.Import, string, error) {
	if file != nil && setup.Imported(file.Text) && !f.importAnew {
		return nil, file.Text, nil
	}
	vocabulary, err := filter.Vocabulary()
	if err != nil {
		return nil, "", err
	}
	take := setup.FromPostfix(setup.Sources{Postfix: p, Root: f.root, Vocabulary: vocabulary})
	if file == nil {
		return take, "", nil
	}
	merged := take.Merge(file.Text, file.Trust.Networks)
	if _, err := policyfile.Parse(f.policy, []byte(merged), vocabulary); err != nil {
		return nil, "", answerNo{fmt.Errorf("what is configured today does not fit into %s; write by hand what you want of it:\n\n%s\n%w", f.policy, take.Text(), err)}
	}
	return take, merged, nil
}

func (f *setupFlags) printPlan(w io.Writer, p *mta.Postfix, plan *setup.Plan, take *setup.Import, hasPolicy bool) {
	fmt.Fprintf(w, "# Postfix %s in %s; Gatepost is reached at %s\n\n", p.Version, p.Dir, plan.Endpoint)
	if len(plan.Changes) == 0 {
		fmt.Fprint(w, "# main.cf and master.cf: nothing to change, Postfix is wired\n\n")
	}
	for i, c := range plan.Changes {
		fmt.Fprintf(w, "# %s\n%s\n", c.Why, f.shell(plan.Commands()[i]))
	}
	f.printNotes(w, plan)
	switch {
	case take == nil:
		fmt.Fprintf(w, "\n# %s: what was configured before has been taken over; --import does it anew\n", f.policy)
	case len(take.Text()) == 0:
		fmt.Fprint(w, "\n# nothing is configured today that belongs into policy.toml\n")
	default:
		fmt.Fprintf(w, "\n# For %s:\n\n%s", f.policy, take.Text())
	}
	printSkipped(w, take)
	fmt.Fprintf(w, "\n# Junk, for Sieve: what fails DMARC is marked, and sorted by\n#   %s\n", sieveLine)
	if len(plan.Changes) > 0 || take != nil && hasPolicy {
		fmt.Fprintf(w, "\n# Nothing was written. `%s --apply` does all of it.\n", f.command())
	}
}

// sieveLine sorts what policy.toml marks.
const sieveLine = `require ["fileinto"]; if header :is "X-Spam-Flag" "YES" { fileinto "Junk"; }`

func (f *setupFlags) printNotes(w io.Writer, plan *setup.Plan) {
	for _, note := range plan.Notes {
		fmt.Fprintf(w, "# note: %s\n", note)
	}
}

func printSkipped(w io.Writer, take *setup.Import) {
	if take == nil || len(take.Skipped) == 0 {
		return
	}
	fmt.Fprintln(w, "\n# Found and not taken over:")
	for _, s := range take.Skipped {
		fmt.Fprintf(w, "#   %s\n", s)
	}
}

// command gives the command line of this run without what writes.
func (f *setupFlags) command() string {
	out := "gatepost setup postfix"
	if f.config != "" {
		out += " -c " + quoteShell(f.config)
	}
	if f.policy != defaultPolicy {
		out += " --policy " + quoteShell(f.policy)
	}
	if f.ifDown != "" {
		out += " --if-down " + f.ifDown
	}
	for _, name := range f.retire {
		out += " --retire " + quoteShell(name)
	}
	return out
}

// shell writes a command of postconf as one types it.
func (f *setupFlags) shell(args []string) string {
	out := "postconf"
	if f.config != "" {
		out += " -c " + quoteShell(f.config)
	}
	return out + " " + args[0] + " " + quoteShell(args[1])
}

func quoteShell(text string) string {
	if text != "" && strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-:") == "" {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

func (f *setupFlags) applyPostfix(ctx context.Context, w io.Writer, p *mta.Postfix, plan *setup.Plan, take *setup.Import, file *policyfile.File, merged string) error {
	files := plan.ConfigFiles(p.Dir)
	writesPolicy := file != nil && merged != file.Text
	path, err := filepath.Abs(f.policy)
	if err != nil {
		return err
	}
	if writesPolicy {
		files = append(files, path)
	}
	if len(files) == 0 {
		fmt.Fprintln(w, "nothing to change: Postfix is wired, and what was configured before has been taken over")
		f.printNotes(w, plan)
		return nil
	}
	err = setup.StoreOf(p.Dir).Edit(files, plan.Changes, func() error {
		if err := plan.Write(ctx, p.Dir); err != nil || !writesPolicy {
			return err
		}
		return setup.Replace(path, []byte(merged))
	})
	if err != nil {
		return err
	}
	for _, c := range plan.Changes {
		fmt.Fprintf(w, "%s: %s = %s\n", either(c.Service, "main.cf"), c.Name, c.After)
	}
	if writesPolicy {
		fmt.Fprintf(w, "%s: %d networks, %d lists, %d blocklists and %d rules taken over from what is configured today\n",
			path, len(take.Networks), len(take.Lists), len(take.Zones), len(take.Rules))
	}
	f.printNotes(w, plan)
	printSkipped(w, take)
	if file == nil && take != nil {
		fmt.Fprintf(w, "\n# %s is not there; for it:\n\n%s", f.policy, take.Text())
	}
	return f.finish(ctx, w, writesPolicy)
}

// finish reloads what was changed, or says how.
func (f *setupFlags) finish(ctx context.Context, w io.Writer, policyChanged bool) error {
	args := []string{"reload"}
	if f.config != "" {
		args = []string{"-c", f.config, "reload"}
	}
	if !f.reload {
		fmt.Fprintf(w, "\nIt takes effect with:\n  postfix %s\n", strings.Join(args, " "))
		if policyChanged {
			fmt.Fprintln(w, "  gatepost reload")
		}
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, mta.Program("postfix"), args...).CombinedOutput(); err != nil {
		return fmt.Errorf("everything is written; postfix %s: %w: %s", strings.Join(args, " "), err, out)
	}
	fmt.Fprintln(w, "Postfix is reloaded")
	if policyChanged {
		if err := (&place{policy: f.policy}).ask("POST", "/reload", nil, nil, nil); err != nil {
			return fmt.Errorf("everything is written, and Postfix reloaded; gatepost reload: %w", err)
		}
		fmt.Fprintln(w, "the policy is in force")
	}
	return nil
}

func (f *setupFlags) undoPostfix(ctx context.Context, w io.Writer, p *mta.Postfix) error {
	done, err := setup.StoreOf(p.Dir).Undo(ctx, p, setup.Strip)
	policyChanged := false
	for _, line := range done {
		fmt.Fprintln(w, line)
		policyChanged = policyChanged || !strings.HasPrefix(line, p.Dir)
	}
	if errors.Is(err, setup.ErrNothing) {
		return answerNo{err}
	}
	if err != nil {
		return err
	}
	return f.finish(ctx, w, policyChanged)
}

func either(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
