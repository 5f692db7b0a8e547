package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"gatepost.example/cmd/gatepost/mta"
	"gatepost.example/cmd/gatepost/setup"
)

func newSetupSendmail() *cobra.Command {
	f := setupFlags{}
	c := &cobra.Command{
		Use:   "sendmail",
		Short: "Print or write the lines of sendmail.mc that wire Sendmail to Gatepost",
		Long: `Print the lines of sendmail.mc that wire Sendmail to Gatepost, for the version that is
installed. With --apply they are written into the file above its first MAILER, and a copy
is kept beside it in gatepost-setup; --undo puts the file back byte for byte. sendmail.cf is
not made and Sendmail is not restarted: the commands for that are printed.

Exit status 0: done; 1: it cannot be; 2: something cannot be read or written.`,
		Example: "  gatepost setup sendmail\n  gatepost setup sendmail --apply && make -C /etc/mail && systemctl restart sendmail\n  gatepost setup sendmail --undo",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return f.sendmail(c.Context(), c.OutOrStdout()) },
	}
	f.add(c)
	c.Flags().StringVar(&f.mc, "mc", "/etc/mail/sendmail.mc", "the `FILE` that sendmail.cf is made of")
	return c
}

func (f *setupFlags) sendmail(ctx context.Context, w io.Writer) error {
	store := setup.StoreOf(filepath.Dir(f.mc))
	if f.undo {
		done, err := store.Undo(ctx, nil, setup.StripMC)
		for _, line := range done {
			fmt.Fprintln(w, line)
		}
		if errors.Is(err, setup.ErrNothing) {
			return answerNo{err}
		}
		if err == nil {
			f.sayMake(w)
		}
		return err
	}
	text, err := os.ReadFile(f.mc)
	if err != nil && (f.apply || !errors.Is(err, fs.ErrNotExist)) {
		return err
	}
	wish, _, err := f.wishOf()
	if err != nil {
		return err
	}
	s := setup.Sendmail{Version: mta.SendmailVersion(ctx), MC: string(text)}
	lines, notes, err := s.Lines(wish)
	if err != nil {
		return answerNo{err}
	}
	fmt.Fprintf(w, "dnl Sendmail %s, %s\n", either(s.Version, "(its program was not found)"), f.mc)
	for _, line := range lines {
		fmt.Fprintln(w, line)
	}
	for _, note := range notes {
		fmt.Fprintf(w, "\nnote: %s\n", note)
	}
	fmt.Fprintf(w, "\nJunk, for Sieve:\n  %s\n", sieveLine)
	merged := setup.MergeMC(string(text), lines)
	switch {
	case !f.apply:
		return nil
	case merged == string(text):
		fmt.Fprintf(w, "\n%s has these lines already\n", f.mc)
		return nil
	}
	if err := store.Edit([]string{f.mc}, nil, func() error { return setup.Replace(f.mc, []byte(merged)) }); err != nil {
		return err
	}
	fmt.Fprintf(w, "\n%s is written\n", f.mc)
	f.sayMake(w)
	return nil
}

// sayMake says what makes a changed sendmail.mc take effect.
func (f *setupFlags) sayMake(w io.Writer) {
	fmt.Fprintf(w, "It takes effect with:\n  make -C %s && systemctl restart sendmail\n", quoteShell(filepath.Dir(f.mc)))
}
