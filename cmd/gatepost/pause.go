package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gatepost.example/policy/policyfile"
)

func newPause() *cobra.Command {
	where := place{}
	c := &cobra.Command{
		Use:   "pause TIME",
		Short: "Accept everything for a while",
		Long: `Have the running daemon accept everything for a while: what the rules decide is recorded
as ever, with what would have been done, and nothing is refused, discarded or held. The
pause ends by itself; a reload or a restart does not end it; a message that begins in it
ends in it. 0 ends it at once.

The log, gatepost status and each decision's record say that there is a pause.

Exit status 0: done; 1: the daemon refuses; 2: no daemon answers.`,
		Example: "  gatepost pause 1h\n  gatepost pause 0",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			length, err := pauseLength(args[0])
			if err != nil {
				return err
			}
			var until time.Time
			if err := where.ask("POST", "/pause", url.Values{"for": {length.String()}}, nil, &until); err != nil {
				return err
			}
			if length == 0 {
				fmt.Fprintln(c.OutOrStdout(), "there is no pause; the rules are spoken again")
				return nil
			}
			fmt.Fprintf(c.OutOrStdout(), "everything is accepted until %s; gatepost pause 0 ends it\n", clockText(until))
			return nil
		},
	}
	where.flags(c)
	return c
}

// maxPause bounds a pause: what is to last is mode = "observe".
const maxPause = 7 * 24 * time.Hour

func pauseLength(text string) (time.Duration, error) {
	if text == "0" {
		return 0, nil
	}
	length, err := policyfile.ParseLong(text)
	switch {
	case err != nil || length < time.Second:
		return 0, fmt.Errorf("%q is no time; write for example 30m, 1h or 1d, and 0 to end a pause", text)
	case length > maxPause:
		return 0, fmt.Errorf("%s is longer than 7d; gatepost mode observe lasts", text)
	}
	return length, nil
}

// clockText gives a moment as people read it, with its time zone.
func clockText(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05 MST") }

// pauseFile keeps a pause over a restart of the daemon.
func pauseFile(directory string) string { return filepath.Join(directory, "pause") }

// pause begins or ends a pause, as a command asks.
func (d *daemon) pause(r *http.Request) (any, error) {
	length, err := time.ParseDuration(r.FormValue("for"))
	if err != nil || length < 0 || length > maxPause {
		return nil, fmt.Errorf("%q is no length of a pause", r.FormValue("for"))
	}
	defer d.sayPauseEnd()
	d.pauseMu.Lock()
	defer d.pauseMu.Unlock()
	if length == 0 {
		d.filter.Pause(time.Time{})
		return time.Time{}, d.dropPause()
	}
	until := time.Now().Add(length).Truncate(time.Second)
	if err := os.WriteFile(pauseFile(d.directory), []byte(until.Format(time.RFC3339)+"\n"), 0o640); err != nil {
		d.log.Warn("a restart will end the pause", "error", err.Error())
	}
	d.filter.Pause(until)
	d.sayPause()
	return until, nil
}

// dropPause keeps a restart from taking up a pause that somebody has ended.
func (d *daemon) dropPause() error {
	if err := os.Remove(pauseFile(d.directory)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the rules are spoken again, but a restart before the pause was to end takes it up: %w", err)
	}
	return nil
}

// resumePause takes up a pause that a daemon before this one began.
func (d *daemon) resumePause() {
	text, err := os.ReadFile(pauseFile(d.directory))
	if err != nil {
		return
	}
	until, err := time.Parse(time.RFC3339, strings.TrimSpace(string(text)))
	if err != nil {
		d.log.Error("the pause before the restart cannot be read; there is none", "error", err.Error())
		return
	}
	d.pauseMu.Lock()
	defer d.pauseMu.Unlock()
	d.filter.Pause(until)
	d.sayPause()
}

// sayPause logs that a pause begins. The caller holds pauseMu.
func (d *daemon) sayPause() {
	if until, paused := d.filter.Paused(); paused {
		d.paused = true
		d.log.Warn("paused: everything is accepted", "until", until.Format(time.RFC3339))
	}
}

// sayPauseEnd logs once that a pause is over.
func (d *daemon) sayPauseEnd() {
	d.pauseMu.Lock()
	defer d.pauseMu.Unlock()
	if _, paused := d.filter.Paused(); paused || !d.paused {
		return
	}
	d.paused = false
	_ = os.Remove(pauseFile(d.directory)) // what is past counts no more
	d.log.Warn("the pause is over: the rules are spoken again")
}
