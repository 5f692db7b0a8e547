package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"gatepost.example/cmd/gatepost/logging"
	"gatepost.example/policy/policyfile"
)

// logs is the daemon's log and what stands before it: alerts by mail, and a brake on faults that repeat.
type logs struct {
	level   slog.LevelVar
	outlet  *logging.Outlet
	log     *slog.Logger
	alerts  *logging.Alerts
	repeats *logging.Repeats
}

// openLog gives the log as [log] and [alert] say.
func openLog(w io.Writer, file *policyfile.File) (*logs, *slog.Logger, error) {
	l := &logs{outlet: logging.NewOutlet()}
	l.level.Set(file.Log.Level)
	out, err := logging.New(w, l.outlet, file.Log.Format, &l.level)
	if err != nil {
		return nil, nil, err
	}
	l.repeats = logging.NewRepeats(out, time.Now)
	l.alerts = logging.NewAlerts(l.repeats, time.Now)
	l.follow(file)
	l.log = slog.New(l.alerts)
	return l, l.log, nil
}

// follow takes what a policy says about level and alerts.
func (l *logs) follow(file *policyfile.File) {
	l.level.Set(file.Log.Level)
	l.alerts.Follow(logging.Mail{To: file.Alert.To, Server: file.Alert.Server})
}

// flushEach is how often the last of repeated faults, and lines that were lost, are looked for; closeTime is how long the last lines may take to go out.
const (
	flushEach = 10 * time.Second
	closeTime = time.Second
)

// run mails alerts and says what was held back, until ctx ends.
func (l *logs) run(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.alerts.Run(ctx)
	}()
	ticker := time.NewTicker(flushEach)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			<-done
			l.repeats.Flush(context.Background(), true)
			return
		case <-ticker.C:
			l.repeats.Flush(ctx, false)
			if lost := l.outlet.Untold(); lost > 0 {
				l.log.Warn("lines of the log were lost: it could not be written, or nobody read it", "lines", lost)
			}
		}
	}
}

// close waits for the last lines.
func (l *logs) close() { l.outlet.Close(closeTime) }

// wrong says what an admin should mend, or nothing.
func (l *logs) wrong() string {
	t := l.outlet.Trouble()
	if t.Why == "" {
		return ""
	}
	return fmt.Sprintf("the log cannot be written since %s: %s; mail goes on, %d lines are lost", clockText(t.Since), t.Why, t.Lost)
}
