package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"gatepost.example/cmd/gatepost/doctor"
	"gatepost.example/cmd/gatepost/mta"
	"gatepost.example/filter/history"
	"gatepost.example/policy/policyfile"
)

// doctorTime bounds a whole run, so that monitoring never waits for long.
const doctorTime = 3 * time.Minute

// doctorFlags are what doctor takes.
type doctorFlags struct {
	place
	config, cf, root string
	passwordFile     string
	asJSON           bool
	without          []string
	mail             doctor.Mail
}

func newDoctor() *cobra.Command {
	f := doctorFlags{}
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Walk the whole way of a mail and say what is wrong on it, and what mends it",
		Long: `Ask everything that a mail needs on its way: is the policy good, loaded and enforced; does
each service of Postfix or Sendmail see Gatepost's socket and may it use it; does a real test
session at each come here with the right role and all macros; may strangers relay; does DNS
answer, and do the blocklists answer this resolver; is the clock right, is there space, does
Redis answer, do the filters behind believe our name. Each line is ok, or says what is wrong
and the command that mends it. Nothing is changed, and the test sessions end before any mail.

--send sends one real mail through the mail server and says what became of it: good (from
this machine), spoof (a stranger who claims to be --from) or user (with a login: --login
and --password-file).

Exit status 0: all is well; 1: something is wrong, as printed; 2: usage, or nothing can be asked.`,
		Example: "  gatepost doctor\n  gatepost doctor --json --without clock\n  gatepost doctor --send spoof\n  gatepost doctor --send user --login alice --password-file /root/alice",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(c.Context(), doctorTime)
			defer cancel()
			if c.Flags().Changed("send") {
				return f.send(ctx, c.OutOrStdout())
			}
			return f.examine(ctx, c)
		},
	}
	f.flags(c)
	flags := c.Flags()
	flags.StringVarP(&f.config, "config-dir", "c", "", "the configuration `DIR` of the Postfix that is meant (default: the system's)")
	flags.StringVar(&f.cf, "cf", "", "look at the Sendmail of this sendmail.cf `FILE` (where there is no Postfix: /etc/mail/sendmail.cf)")
	flags.StringVar(&f.root, "root", "", "below this `DIR` other programs have their configuration")
	flags.BoolVar(&f.asJSON, "json", false, "print JSON")
	flags.StringSliceVar(&f.without, "without", nil, "leave out the checks of these `NAMES`: the first word of a line")
	flags.StringVar(&f.mail.Kind, "send", "", "send a test mail of this `KIND`: good, spoof or user")
	flags.StringVar(&f.mail.To, "to", "", "to this `ADDRESS` (default: root of this machine)")
	flags.StringVar(&f.mail.From, "from", "security@example.com", "with spoof: the `ADDRESS` that it claims to be from")
	flags.StringVar(&f.mail.Sender, "sender", "", "with spoof: the `ADDRESS` in MAIL FROM (default: one in the recipient's domain)")
	flags.StringVar(&f.mail.User, "login", "", "with user: the login `NAME`")
	flags.StringVar(&f.passwordFile, "password-file", "", "with user: a `FILE` that holds the password")
	return c
}

// doctor gathers what the checks rest on. The caller closes the resolver.
func (f *doctorFlags) doctor(ctx context.Context) (d *doctor.Doctor, done func(), err error) {
	d = &doctor.Doctor{Config: f.config, Path: f.policy, Root: f.root, Now: time.Now()}
	d.Ask = func(path string, values url.Values, out any) error { return f.ask("GET", path, values, nil, out) }
	done = func() {}
	if d.File, d.FileErr = loadPolicy(f.policy); d.FileErr == nil {
		resolver := newResolver(d.File, slog.New(slog.DiscardHandler))
		d.Resolver, done = resolver, resolver.Close
	}
	var s Status
	if d.RunErr = d.Ask("/status", nil, &s); d.RunErr == nil {
		d.Running = &doctor.Daemon{Version: s.Version, Hash: s.Hash, Mode: s.Mode, Refused: s.Refused, Memory: s.Memory, History: s.History, Milter: endpoints(s.Milter)}
		if s.Paused != nil {
			d.Running.Paused = *s.Paused
		}
	}
	if d.File != nil && d.Running != nil && d.File.Mode == policyfile.Observe {
		d.Would = wouldHave(ctx, d.File, d.Now)
	}
	return d, done, f.findMTA(ctx, d)
}

// defaultCF is where Sendmail has its configuration.
const defaultCF = "/etc/mail/sendmail.cf"

// findMTA reads how the mail server is configured: the one that was asked for, else Postfix, else Sendmail. One that was asked for has to be there.
func (f *doctorFlags) findMTA(ctx context.Context, d *doctor.Doctor) (err error) {
	if f.cf == "" {
		if d.Postfix, err = mta.ReadPostfix(ctx, f.config); err == nil || f.config != "" {
			return err
		}
		d.Postfix, d.NoMTA = nil, err
	}
	if d.Sendmail, err = mta.ReadSendmail(ctx, either(f.cf, defaultCF)); err == nil || f.cf != "" {
		return err
	}
	d.Sendmail = nil
	if !errors.Is(err, fs.ErrNotExist) {
		d.NoMTA = errors.Join(d.NoMTA, err)
	}
	return nil
}

// endpoints reads the places at which a daemon says that it listens.
func endpoints(places []string) []policyfile.Endpoint {
	var out []policyfile.Endpoint
	for _, place := range places {
		if address, isTCP := strings.CutPrefix(place, "inet:"); isTCP {
			out = append(out, policyfile.Endpoint{Network: "tcp", Address: address})
		} else if address, isUnix := strings.CutPrefix(place, "unix:"); isUnix {
			out = append(out, policyfile.Endpoint{Network: "unix", Address: address})
		}
	}
	return out
}

// wouldPeriod is over how long doctor counts.
const wouldPeriod = 30 * 24 * time.Hour

// wouldHave counts in the history what a policy in observe mode would have refused or put off; nil where there is no history.
func wouldHave(ctx context.Context, file *policyfile.File, now time.Time) *doctor.Would {
	r, err := history.OpenReader(historyPath(file))
	if err != nil {
		return nil
	}
	defer r.Close()
	w := &doctor.Would{Since: now}
	err = r.Rows(ctx, history.Filter{Since: now.Add(-wouldPeriod)}, func(row *history.Row) bool {
		if row.Time.Before(w.Since) {
			w.Since = row.Time
		}
		w.Whole++
		if slices.ContainsFunc(strings.Split(row.Would, "; "), func(would string) bool { return would != "" && strings.Contains("45", would[:1]) }) {
			w.Refused++
		}
		return true
	})
	if err != nil {
		return nil
	}
	return w
}

func (f *doctorFlags) examine(ctx context.Context, c *cobra.Command) error {
	d, done, err := f.doctor(ctx)
	defer done()
	if err != nil {
		return err
	}
	lines := d.Examine(ctx, f.without)
	if f.asJSON {
		err = printJSON(c, lines)
	} else {
		err = printLines(c.OutOrStdout(), lines)
	}
	if err == nil && slices.ContainsFunc(lines, func(l doctor.Line) bool { return l.State == doctor.Wrong }) {
		return errNo
	}
	return err
}

// printLines writes one line a check, and below what is wrong what mends it.
func printLines(w io.Writer, lines []doctor.Line) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	wrong := 0
	for _, l := range lines {
		state := string(l.State)
		if l.State == doctor.Wrong {
			state = "WRONG"
			wrong++
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", state, l.Check, l.Text)
		if l.Fix != "" {
			fmt.Fprintf(t, "\t\t-> %s\n", l.Fix)
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "%d checks, %d wrong\n", len(lines), wrong)
	return err
}

func (f *doctorFlags) send(ctx context.Context, w io.Writer) error {
	if !slices.Contains(doctor.Kinds, f.mail.Kind) {
		return fmt.Errorf("--send %s: there are %s", f.mail.Kind, strings.Join(doctor.Kinds, ", "))
	}
	for flag, address := range map[string]string{"--to": f.mail.To, "--from": f.mail.From, "--sender": f.mail.Sender, "--login": f.mail.User} {
		if strings.ContainsAny(address, " <>\r\n\t\x00") {
			return fmt.Errorf("%s %q: write an address without blanks and brackets", flag, address)
		}
	}
	if f.mail.Kind == "user" {
		if f.mail.User == "" || f.passwordFile == "" {
			return fmt.Errorf("--send user needs a login: --login NAME --password-file FILE")
		}
		text, err := os.ReadFile(f.passwordFile)
		if err != nil {
			return err
		}
		f.mail.Password = strings.TrimRight(string(text), "\r\n")
	}
	d, done, err := f.doctor(ctx)
	defer done()
	if err != nil {
		return err
	}
	good, err := d.Send(ctx, f.mail, w)
	if err == nil && !good {
		return errNo
	}
	return err
}
