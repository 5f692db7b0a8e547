package main

import (
	"context"
	"io"
	"log/slog"
	"time"

	"gatepost.example/cmd/gatepost/logging"
	"gatepost.example/policy/policyfile"
)

// logs is the daemon's log and what stands before it: alerts by mail, and a brake on faults that repeat.
type logs struct {
	level   slog.LevelVar
	alerts  *logging.Alerts
	repeats *logging.Repeats
}

// openLog gives the log as [log] and [alert] say.
func openLog(w io.Writer, file *policyfile.File) (*logs, *slog.Logger, error) {
	l := &logs{}
	l.level.Set(file.Log.Level)
	out, err := logging.New(w, file.Log.Format, &l.level)
	if err != nil {
		return nil, nil, err
	}
	l.repeats = logging.NewRepeats(out, time.Now)
	l.alerts = logging.NewAlerts(l.repeats, time.Now)
	l.follow(file)
	return l, slog.New(l.alerts), nil
}

// follow takes what a policy says about level and alerts.
func (l *logs) follow(file *policyfile.File) {
	l.level.Set(file.Log.Level)
	l.alerts.Follow(logging.Mail{To: file.Alert.To, Server: file.Alert.Server})
}

// flushEach is how often the last of repeated faults are looked for.
const flushEach = 10 * time.Second

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
		}
	}
}
