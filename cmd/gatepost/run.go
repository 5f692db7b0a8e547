package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"gatepost.example/cmd/gatepost/page"
	"gatepost.example/filter"
	"gatepost.example/filter/dnsbl"
	"gatepost.example/filter/history"
	"gatepost.example/filter/metric"
	"gatepost.example/filter/milter"
	"gatepost.example/filter/resolve"
	"gatepost.example/filter/state"
	"gatepost.example/filter/submission"
	"gatepost.example/policy/policyfile"
	sdnotify "github.com/coreos/go-systemd/v22/daemon"
)

// stopTime is how long sessions under way may take to end after SIGTERM.
const stopTime = 10 * time.Second

// daemon is the running process: what was wired together, and what a reload exchanges.
type daemon struct {
	path     string
	log      *slog.Logger
	logs     *logs
	metrics  *metric.Metrics
	page     *page.Page
	trend    trend
	resolver *resolve.Client
	dns      outage
	watch    *dnsbl.Watch
	store    state.Store
	history  *history.Store // nil where none is kept
	filter   *filter.Server
	milter   *milter.Server
	since    time.Time
	bound    int64 // bytes of memory that the control group allows; 0 for no bound
	reloads  chan chan error
	beats    chan struct{} // taken by the main loop as long as it lives

	listMu sync.Mutex // one change of a list's file at a time

	directory string     // of the state, as it was at the start
	pauseMu   sync.Mutex // one change of the pause at a time
	paused    bool       // as it was said last

	mu      sync.Mutex // guards what follows
	file    *policyfile.File
	maps    *submission.Maps
	lists   []dnsbl.List
	stamps  map[string]policyfile.Stamp // of the files that lists name
	loaded  time.Time
	looked  time.Time // when it was last looked whether to load anew, by the wall clock
	listens []string  // where the milter protocol is spoken
	refused string    // why the policy as it is now was not taken; "" when it was
	unread  bool      // because it could not be read, which may pass
}

// runDaemon serves until ctx ends or SIGTERM comes. SIGHUP loads the policy anew.
func runDaemon(ctx context.Context, path string, logs io.Writer, signals signals) error {
	file, err := loadPolicy(path)
	if err != nil {
		return err
	}
	if err := ensureDirectory(file.Server.Directory); err != nil {
		return err
	}
	held, err := holdDirectory(file.Server.Directory)
	if err != nil {
		return err
	}
	defer held.Close()
	d := &daemon{path: path, directory: file.Server.Directory, file: file, since: time.Now(), looked: time.Now().Round(0), bound: memoryBound("/"), reloads: make(chan chan error), beats: make(chan struct{})}
	if d.logs, d.log, err = openLog(logs, file); err != nil {
		return err
	}
	defer d.logs.close()
	open, err := d.open()
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
	background.Go(func() { d.watchdog(ctx, d.tell) })
	background.Go(func() { d.logs.run(ctx) })
	background.Go(func() { d.watchDNS(ctx) })
	background.Go(func() { d.watchTrend(ctx) })
	background.Go(func() { d.filter.RenewLeases(ctx) })
	if open.http != nil {
		background.Go(func() { d.serveHTTP(ctx, open.http) })
	}
	if open.admin != nil {
		background.Go(func() { d.serveAdmin(ctx, open.admin) })
	}
	return errors.Join(d.serve(ctx, signals, open.milter), d.closeStores())
}

// serve runs the main loop: sessions, signals, reloads.
func (d *daemon) serve(ctx context.Context, signals signals, listeners []net.Listener) error {
	signals.ends()
	served := make(chan error, 1)
	d.mu.Lock()
	d.listens = addressesOf(listeners)
	d.mu.Unlock()
	go func() { served <- d.milter.Serve(ctx, listeners...) }()
	d.log.Info("serving", "version", version, "policy", d.path, "hash", d.file.Hash, "mode", string(d.file.Mode), "listen", fmt.Sprint(d.listens))
	if os.Geteuid() == 0 {
		d.log.Info("gatepost runs as root and needs no right of root; start it as the user gatepost, as its unit for systemd does")
	}
	d.tell(d.ready())
	heap := newHeap(d.bound)
	follow := time.NewTicker(followEach)
	defer follow.Stop()
	for {
		select {
		case err := <-served:
			return err
		case <-ctx.Done():
			return d.stop(served, "the caller ended")
		case <-d.beats:
		case reply := <-d.reloads:
			reply <- d.reload("a command")
		case <-follow.C:
			heap.follow()
			d.sayPauseEnd()
			if why := d.changed(time.Now()); why != "" {
				d.reload(why)
			}
		case <-signals.reload:
			d.reload("SIGHUP")
		case s := <-signals.stop:
			return d.stop(served, s.String())
		}
	}
}

func (d *daemon) wire() error {
	d.resolver = newResolver(d.file, d.log)
	d.metrics = d.newMetrics()
	d.page = d.newPageOf()
	store, err := openStore(d.file, d.log)
	if err != nil {
		return err
	}
	d.store = store
	if d.history, err = openHistory(d.file, d.log); err != nil {
		return errors.Join(err, d.closeStores())
	}
	d.watch = dnsbl.NewWatch(d.resolver, d.log, time.Now)
	settings, err := settingsOf(d.file)
	if err != nil {
		return errors.Join(err, d.closeStores())
	}
	deps := filter.Deps{Resolver: d.resolver, Watch: d.watch, Store: d.store, Metrics: d.metrics, Log: d.log}
	if d.history != nil {
		deps.History = d.history
	}
	d.filter = filter.NewServer(settings, deps)
	d.took(d.file, settings)
	d.resumePause()
	sessions := d.sessions()
	d.milter = milter.NewServer(milter.Config{
		MaxSessions: sessions, Full: (&room{bound: d.bound, held: heldMemory}).none, Logger: d.log, OnPanic: func(any, []byte) { d.metrics.Panic() },
		NewSession: func(net.Addr) milter.Handler { return d.filter.NewHandler() },
	})
	return nil
}

// maxCells bounds the memory, at some hundred bytes a key.
const maxCells = 1_000_000

// openStore gives the memory as [store] says.
func openStore(file *policyfile.File, log *slog.Logger) (state.Store, error) {
	if file.Store.Kind == policyfile.StoreRedis {
		return state.OpenRedis(state.RedisConfig{URL: file.Store.URL, Local: state.NewEmbedded(maxCells, time.Now()), Now: time.Now, Log: log})
	}
	return state.Open(filepath.Join(file.Server.Directory, "state.db"), maxCells, time.Now, log)
}

// settingsOf gives what sessions follow under a policy file, with the tables that it names opened.
func settingsOf(file *policyfile.File) (*filter.Settings, error) { return settingsWith(file, nil) }

// settingsWith is settingsOf with files that stand in the place of those on disk, by their paths.
func settingsWith(file *policyfile.File, given map[string][]byte) (*filter.Settings, error) {
	set := filter.SettingsOf(file)
	if file.Submission.LoginMaps == "" {
		return set, nil
	}
	maps, err := submission.OpenWith(file.Submission.LoginMaps, given)
	if err != nil {
		return nil, fmt.Errorf("submission.login_maps: %w", err)
	}
	set.Maps = maps
	return set, nil
}

// took notes that a policy file is in force.
func (d *daemon) took(file *policyfile.File, set *filter.Settings) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.metrics.Policy(file.Hash, string(file.Mode))
	d.file, d.maps, d.lists, d.stamps, d.loaded, d.refused, d.unread = file, set.Maps, set.Lists, maps.Clone(file.Stamps), time.Now(), "", false
}

// current gives the policy file in force. Whoever is not the main loop, which reloads, asks for it here.
func (d *daemon) current() *policyfile.File {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.file
}

// newResolver gives a resolver as [dns] says.
func newResolver(file *policyfile.File, log *slog.Logger) *resolve.Client {
	servers := make([]string, len(file.DNS.Servers))
	for i, s := range file.DNS.Servers {
		servers[i] = s.String()
	}
	return resolve.New(resolve.Config{Servers: servers, Timeout: file.DNS.Timeout, Entries: file.DNS.Cache, Log: log})
}

// followEach is how often the files that a policy names are looked at.
const followEach = 5 * time.Second

// changed says why the policy is to be loaded anew, or nothing: a file that it names has changed, an entry's time is over, or it may not be over, because
// the clock had been ahead.
func (d *daemon) changed(now time.Time) string {
	const file = "a file that the policy names"
	d.mu.Lock()
	defer d.mu.Unlock()
	now = now.Round(0) // the wall clock alone
	back := now.Before(d.looked.Add(-time.Minute))
	d.looked = now
	switch {
	case d.unread:
		return unread
	case back:
		return "the clock was set back"
	case !d.file.Expires.IsZero() && !now.Before(d.file.Expires), d.maps != nil && d.maps.Changed():
		return file
	}
	for path, stamp := range d.stamps {
		if now := policyfile.StampOf(path); now != stamp {
			d.stamps[path] = now // a broken file is said once
			return file
		}
	}
	return ""
}

// reload makes new sessions follow the policy file as it is now. A file with mistakes changes nothing.
func (d *daemon) reload(why string) error {
	d.tell(reloading())
	defer func() { d.tell(d.ready()) }()
	defer releaseProgram()
	file, err := loadPolicy(d.path)
	var settings *filter.Settings
	if err == nil {
		settings, err = settingsOf(file)
	}
	if err != nil {
		if d.refuse(err, file != nil) || why != unread {
			d.metrics.Reload(false)
			for _, one := range mistakes(err) {
				d.log.Error("policy not reloaded; the old one stays", "why", why, "error", one)
			}
		}
		return err
	}
	if fmt.Sprint(file.Listen, file.DNS, file.Server.Directory, file.Store, file.History) != fmt.Sprint(d.file.Listen, d.file.DNS, d.file.Server.Directory, d.file.Store, d.file.History) {
		d.log.Warn("changes of [listen], [dns], [store], [history] and server.directory take effect when the daemon starts anew")
	}
	d.logs.follow(file)
	d.filter.Reload(settings)
	d.took(file, settings)
	d.metrics.Reload(true)
	d.log.Info("policy reloaded", "why", why, "hash", file.Hash, "mode", string(file.Mode))
	return nil
}

// unread is why a policy is loaded again that could not be read: no descriptor was free, or somebody was just moving the file.
const unread = "it could not be read before"

// refuse notes why the policy was not taken, and whether it was read whole. It reports whether that is another reason than before.
func (d *daemon) refuse(err error, whole bool) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	before := d.refused
	d.refused, d.unread = err.Error(), !whole && !errors.As(err, new(answerNo))
	return d.refused != before
}

// mistakes gives the lines of an error: one for each mistake of a policy file.
func mistakes(err error) []string {
	var wrong policyfile.Errors
	if !errors.As(err, &wrong) {
		return []string{err.Error()}
	}
	var out []string
	for _, one := range wrong {
		out = append(out, one.Error())
	}
	return out
}

// stop lets sessions under way end, for a while.
func (d *daemon) stop(served chan error, why string) error {
	d.log.Info("stopping", "why", why)
	d.tell(sdnotify.SdNotifyStopping)
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
