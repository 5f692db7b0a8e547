package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"time"

	"gatepost.example/filter"
	"gatepost.example/filter/milter"
	"gatepost.example/policy/policyfile"
)

// This file is the daemon's side of commands: JSON over HTTP on a socket of this machine, whose rights say who may.

// adminTime bounds one request.
const adminTime = 10 * time.Second

// Status is what `gatepost status` says.
type Status struct {
	Version  string     `json:"version"`
	Since    time.Time  `json:"since"`
	Policy   string     `json:"policy"`
	Hash     string     `json:"hash"`
	Mode     string     `json:"mode"`
	Milter   []string   `json:"milter"`                 // where the milter protocol is spoken, as listen.milter names it
	Enforced []string   `json:"enforced,omitempty"`     // the rules that refuse in mode observe too
	Paused   *time.Time `json:"paused_until,omitempty"` // until when everything is accepted
	Loaded   time.Time  `json:"loaded"`
	Refused  string     `json:"refused,omitempty"` // why the file as it is now was not taken; "" when it was
	Born     time.Time  `json:"memory_since"`
	Settled  bool       `json:"memory_settled"`
	Memory   string     `json:"memory,omitempty"`  // what is wrong with it
	Kept     uint64     `json:"history_kept"`      // records since the start
	Lost     uint64     `json:"history_lost"`      // the same, those that could not be written
	History  string     `json:"history,omitempty"` // what is wrong with it
	Log      string     `json:"log,omitempty"`     // the same
	DNS      string     `json:"dns,omitempty"`     // the same
	Lists    []string   `json:"lists_out_of_use,omitempty"`
}

// openAdmin opens the socket for commands. One that cannot be made stops no mail: it is nil, and the log says why.
func (d *daemon) openAdmin(socket policyfile.Endpoint) net.Listener {
	listener, err := listenAdmin(socket.Address)
	if err != nil {
		d.log.Error("commands cannot reach the daemon; mail goes on", "socket", socket.String(), "error", err.Error())
		return nil
	}
	return listener
}

// serveAdmin serves commands until ctx ends.
func (d *daemon) serveAdmin(ctx context.Context, listener net.Listener) {
	d.serveWeb(ctx, listener, d.adminRoutes(), "commands cannot reach the daemon any more")
}

// listenAdmin makes the socket for group gatepost, where there is one. A socket that another daemon answers at is left alone, and so is what is none.
func listenAdmin(path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, fmt.Errorf("%w; make the folder and give it to the user that runs gatepost, or set listen.admin = \"\"", err)
	}
	l, err := milter.Listen("unix:" + path)
	if err != nil {
		return nil, err
	}
	if group, err := user.LookupGroup("gatepost"); err == nil {
		if gid, err := strconv.Atoi(group.Gid); err == nil {
			_ = os.Chown(path, -1, gid) // without the right to, the socket stays with the daemon's own group
		}
	}
	return l, nil
}

func (d *daemon) adminRoutes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", answer(func(*http.Request) (any, error) { return d.status(), nil }))
	mux.HandleFunc("GET /probe", answer(func(r *http.Request) (any, error) {
		p, came := d.filter.ProbeOf(r.FormValue("name"))
		if !came {
			return nil, errors.New("no session greeted with that name")
		}
		return p, nil
	}))
	mux.HandleFunc("GET /policy", answer(func(*http.Request) (any, error) { return d.running(), nil }))
	mux.HandleFunc("POST /reload", answer(func(r *http.Request) (any, error) { return nil, d.askReload(r.Context()) }))
	mux.HandleFunc("POST /history/flush", answer(func(r *http.Request) (any, error) {
		if d.history == nil {
			return nil, nil
		}
		return nil, d.history.Flush(r.Context())
	}))
	mux.HandleFunc("POST /pause", answer(d.pause))
	mux.HandleFunc("GET /limit", answer(func(r *http.Request) (any, error) {
		return d.filter.Levels(r.Context(), r.FormValue("name"), r.FormValue("key"))
	}))
	mux.HandleFunc("POST /limit/reset", answer(func(r *http.Request) (any, error) {
		return d.filter.ResetLimit(r.Context(), r.FormValue("name"), r.FormValue("key"))
	}))
	mux.HandleFunc("GET /reputation", answer(func(r *http.Request) (any, error) {
		return d.filter.Reputes(r.Context(), r.FormValue("kind"), r.FormValue("name"))
	}))
	mux.HandleFunc("POST /reputation/forget", answer(func(r *http.Request) (any, error) {
		return d.filter.ForgetRepute(r.Context(), r.FormValue("name")), nil
	}))
	mux.HandleFunc("POST /page", answer(d.pageLink))
	mux.HandleFunc("POST /reputation/learn", answer(d.learn))
	mux.HandleFunc("POST /correspondents", answer(d.learnWritten))
	mux.HandleFunc("GET /list", answer(func(r *http.Request) (any, error) { return d.showList(r.FormValue("name")) }))
	mux.HandleFunc("POST /list", answer(d.changeList))
	return mux
}

// lessons is the body of a request to learn.
type lessons struct {
	Spam, Undo bool
	Lessons    []filter.Lesson
}

func (d *daemon) learn(r *http.Request) (any, error) {
	var l lessons
	if err := json.NewDecoder(r.Body).Decode(&l); err != nil {
		return nil, err
	}
	return d.filter.Learn(r.Context(), l.Lessons, l.Spam, l.Undo), nil
}

// answer makes a handler of what gives a value or an error: 200 with JSON, or 400 with the error's text.
func answer(do func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		value, err := do(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(value) // a command that hung up has no use for the answer
	}
}

func (d *daemon) status() Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := Status{
		Version: version, Since: d.since, Policy: d.path, Hash: d.file.Hash, Mode: string(d.file.Mode), Enforced: d.file.Enforced, Loaded: d.loaded, Refused: d.refused,
		Memory: d.filter.Memory(), Milter: d.listens, Log: d.logs.wrong(), DNS: d.dns.wrong(),
	}
	s.Born, s.Settled = d.filter.Born()
	if d.history != nil {
		s.Kept, s.Lost = d.history.Counts()
		s.History = d.history.Status()
	}
	if until, paused := d.filter.Paused(); paused {
		s.Paused = &until
	}
	for _, l := range d.lists {
		if !d.watch.Usable(l) {
			s.Lists = append(s.Lists, l.Name)
		}
	}
	return s
}

// askReload has the main loop load the policy, and waits for its answer.
func (d *daemon) askReload(ctx context.Context) error {
	reply := make(chan error, 1)
	select {
	case d.reloads <- reply:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-reply:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
