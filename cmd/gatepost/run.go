package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/term"

	"gatepost.example/filter"
	"gatepost.example/filter/dnsbl"
	"gatepost.example/filter/milter"
	"gatepost.example/filter/resolve"
	"gatepost.example/policy/policyfile"
)

// stopTime is how long sessions under way may take to end after SIGTERM.
const stopTime = 10 * time.Second

// daemon is the running process: what was wired together, and what a reload exchanges.
type daemon struct {
	path     string
	file     *policyfile.File
	log      *slog.Logger
	level    *slog.LevelVar
	resolver *resolve.Client
	watch    *dnsbl.Watch
	filter   *filter.Server
	milter   *milter.Server
}

// runDaemon serves until ctx ends or SIGTERM comes. SIGHUP loads the policy anew.
func runDaemon(ctx context.Context, path string, logs io.Writer) error {
	file, err := loadPolicy(path)
	if err != nil {
		return err
	}
	if err := ensureDirectory(file.Server.Directory); err != nil {
		return err
	}
	d := &daemon{path: path, file: file, level: &slog.LevelVar{}}
	d.level.Set(file.Log.Level)
	d.log = newLog(logs, file.Log.Format, d.level)
	listeners, err := listen(file.Listen.Milter)
	if err != nil {
		return err
	}
	if err := d.wire(); err != nil {
		return err
	}
	defer d.resolver.Close()
	ctx, cancel := context.WithCancel(ctx)
	var background sync.WaitGroup
	defer background.Wait()
	defer cancel()
	background.Go(func() { d.watch.Run(ctx) })

	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGTERM, os.Interrupt)
	defer signal.Stop(signals)
	served := make(chan error, 1)
	go func() { served <- d.milter.Serve(ctx, listeners...) }()
	d.log.Info("serving", "version", version, "policy", path, "hash", file.Hash, "mode", string(file.Mode), "listen", fmt.Sprint(file.Listen.Milter))
	for {
		select {
		case err := <-served:
			return err
		case <-ctx.Done():
			return d.stop(served, "the caller ended")
		case s := <-signals:
			if s == syscall.SIGHUP {
				d.reload()
				continue
			}
			return d.stop(served, s.String())
		}
	}
}

func (d *daemon) wire() error {
	d.resolver = newResolver(d.file, d.log)
	d.watch = dnsbl.NewWatch(d.resolver, d.log, time.Now)
	d.filter = filter.NewServer(filter.SettingsOf(d.file), filter.Deps{Resolver: d.resolver, Watch: d.watch, Log: d.log})
	d.milter = milter.NewServer(milter.Config{
		MaxSessions: d.file.Listen.Sessions, Logger: d.log,
		NewSession: func(net.Addr) milter.Handler { return d.filter.NewHandler() },
	})
	return nil
}

// newResolver gives a resolver as [dns] says.
func newResolver(file *policyfile.File, log *slog.Logger) *resolve.Client {
	servers := make([]string, len(file.DNS.Servers))
	for i, s := range file.DNS.Servers {
		servers[i] = s.String()
	}
	return resolve.New(resolve.Config{Servers: servers, Timeout: file.DNS.Timeout, Entries: file.DNS.Cache, Log: log})
}

// reload makes new sessions follow the policy file as it is now. A file with mistakes changes nothing.
func (d *daemon) reload() {
	file, err := loadPolicy(d.path)
	if err != nil {
		var wrong policyfile.Errors
		if !errors.As(err, &wrong) {
			d.log.Error("policy not reloaded; the old one stays", "error", err.Error())
			return
		}
		for _, one := range wrong {
			d.log.Error("policy not reloaded; the old one stays", "error", one.Error())
		}
		return
	}
	if fmt.Sprint(file.Listen, file.DNS, file.Server.Directory) != fmt.Sprint(d.file.Listen, d.file.DNS, d.file.Server.Directory) {
		d.log.Warn("changes of [listen], [dns] and server.directory take effect when the daemon starts anew")
	}
	d.file = file
	d.level.Set(file.Log.Level)
	d.filter.Reload(filter.SettingsOf(file))
	d.log.Info("policy reloaded", "hash", file.Hash, "mode", string(file.Mode))
}

// stop lets sessions under way end, for a while.
func (d *daemon) stop(served chan error, why string) error {
	d.log.Info("stopping", "why", why)
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	if err := d.milter.Shutdown(ctx); err != nil {
		d.log.Warn("sessions were cut off", "error", err.Error())
	}
	if err := <-served; err != nil {
		return err
	}
	d.log.Info("stopped")
	return nil
}

// listen opens all sockets or none.
func listen(endpoints []policyfile.Endpoint) ([]net.Listener, error) {
	var out []net.Listener
	for _, e := range endpoints {
		l, err := milter.Listen(e.String())
		if err != nil {
			for _, open := range out {
				open.Close()
			}
			return nil, err
		}
		out = append(out, l)
	}
	return out, nil
}

// ensureDirectory makes the state directory and proves that it can be written.
func ensureDirectory(path string) error {
	if err := os.MkdirAll(path, 0o750); err != nil {
		return fmt.Errorf("server.directory %s cannot be made: %w; make it and give it to the user that runs gatepost", path, err)
	}
	probe, err := os.CreateTemp(path, ".probe-")
	if err != nil {
		return fmt.Errorf("server.directory %s cannot be written: %w; give it to the user that runs gatepost", path, errors.Unwrap(err))
	}
	probe.Close()
	return os.Remove(filepath.Clean(probe.Name()))
}

// newLog gives the log: logfmt on a terminal, else one JSON object a line, unless the policy says otherwise.
func newLog(w io.Writer, format policyfile.LogFormat, level slog.Leveler) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	f, isFile := w.(*os.File)
	if format == policyfile.LogLogfmt || format == policyfile.LogAuto && isFile && term.IsTerminal(int(f.Fd())) {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}
