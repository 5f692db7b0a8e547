package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/mail"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"gatepost.example/filter"
	"gatepost.example/filter/correspondent"
	"gatepost.example/filter/dnsbl"
	"gatepost.example/filter/history"
	"gatepost.example/filter/mailbox"
	"gatepost.example/filter/message"
	"gatepost.example/filter/play"
	"gatepost.example/filter/resolve"
	"gatepost.example/filter/state"
	"gatepost.example/policy/policyfile"
)

// This file evaluates the mail of a mailbox; tryreport.go says what came of it.

// tryWorkers is how many messages are evaluated at a time: what takes long is DNS.
const tryWorkers = 8

// mailTry is one run over a mailbox.
type mailTry struct {
	file     *policyfile.File
	resolver *resolve.Client
	watch    *dnsbl.Watch
	memory   *state.Embedded
	own      *correspondent.Own
	since    time.Time
	written  []filter.Written // to whom, by Sent folders
	others   []other

	mu     sync.Mutex
	report *tryReport
}

func tryMailbox(c *cobra.Command, o tryOptions, path string) error {
	span, err := policyfile.ParseLong(o.since)
	if err != nil || span <= 0 {
		return fmt.Errorf("--since: %q is no time; write for example 12h or 30d", o.since)
	}
	if o.ip+o.helo+o.from+o.rcpt+o.port != "" || o.compare7489 {
		return fmt.Errorf("%s holds many messages, which say themselves how they came; the other flags go with one message", path)
	}
	file, err := loadPolicy(o.policy)
	if err != nil {
		return err
	}
	now := time.Now()
	t := &mailTry{file: file, memory: state.NewEmbedded(maxCells, now), own: correspondent.NewOwn(nil), since: now.Add(-span), report: newTryReport(), others: othersOf(file)}
	if file.Trust.InsteadOfRefusal == policyfile.InsteadHold {
		t.report.instead = held
	}
	t.resolver = newResolver(file, slog.New(slog.DiscardHandler))
	defer t.resolver.Close()
	t.watch = dnsbl.NewWatch(t.resolver, slog.New(slog.DiscardHandler), time.Now)
	t.watch.Follow(filter.SettingsOf(file).Lists)
	t.watch.Test(c.Context())
	if err := t.learn(path); err != nil {
		return err
	}
	keep, done, err := t.keeper(o.store)
	if err != nil {
		return err
	}
	err = t.run(c.Context(), path, keep)
	lost, closed := done()
	if err = errors.Join(err, closed); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if o.store {
		if t.report.Learned, err = t.teach(c.Context(), o.policy); err != nil {
			return err
		}
	}
	t.report.Path, t.report.Policy, t.report.Since, t.report.Stored, t.report.Lost = path, o.policy, t.since, o.store, lost
	if o.json {
		return printJSON(c, t.report)
	}
	return t.report.print(c.OutOrStdout())
}

// learn warms the memory with what a mailbox tells by itself: which domains are ours, by the recipients, and whom our users wrote to.
func (t *mailTry) learn(path string) error {
	rules := filter.SettingsOf(t.file).Correspondents
	return mailbox.Walk(path, t.since, func(m mailbox.Message) error {
		header, _, err := message.Read(bytes.NewReader(m.Text))
		if err != nil {
			return nil // said when it is evaluated
		}
		var steps []state.Step
		switch mailbox.UseOf(m.Folder) {
		case mailbox.Sent:
			for _, to := range writtenTo(header) {
				steps = append(steps, rules.Wrote("", to)...)
				t.written = append(t.written, filter.Written{To: to, At: m.Time})
			}
		case mailbox.Incoming, mailbox.Junk, mailbox.Trash:
			if a, err := arrivalOf(header, t.file); err == nil && a.Recipient != noRecipient && a.Client.DaemonPort == "25" {
				_, domain, _ := strings.Cut(a.Recipient, "@")
				steps = t.own.Took(strings.ToLower(domain))
			}
		}
		t.memory.Do(context.Background(), m.Time, steps, nil)
		return nil
	}, func(string, error) {})
}

// maxWritten bounds the recipients of one sent message that are learned.
const maxWritten = 1000

// writtenTo gives the recipients of a message that one of our users sent.
func writtenTo(header *message.Header) []string {
	var out []string
	for _, name := range []string{"To", "Cc", "Bcc"} {
		for _, value := range header.Values(name) {
			list, err := mail.ParseAddressList(value)
			if err != nil {
				continue
			}
			for _, a := range list[:min(len(list), maxWritten)] {
				out = append(out, a.Address)
			}
		}
	}
	return out
}

// keeper gives where decisions are kept, nil for nowhere, and what writes the last of them and tells how many were lost.
func (t *mailTry) keeper(store bool) (filter.Keeper, func() (uint64, error), error) {
	if !store {
		return nil, func() (uint64, error) { return 0, nil }, nil
	}
	h, err := openHistory(t.file, slog.New(slog.DiscardHandler))
	switch {
	case err != nil:
		return nil, nil, err
	case h == nil:
		return nil, nil, fmt.Errorf("the policy keeps no history; set [history] keep")
	}
	return &patient{store: h}, func() (uint64, error) {
		err := h.Close()
		_, lost := h.Counts()
		return lost, err
	}, nil
}

// patient hands records to a history no faster than it writes them.
type patient struct {
	store *history.Store
	mu    sync.Mutex
	added uint64
}

// Bounds of how many records may wait to be written, and for how long one waits for that.
const (
	patientWaiting = 2000
	patientRounds  = 200
)

// Add implements filter.Keeper.
func (p *patient) Add(r *history.Record, policy *history.Policy) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for range patientRounds {
		if kept, lost := p.store.Counts(); p.added < kept+lost+patientWaiting {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	p.added++
	p.store.Add(r, policy)
}

// run evaluates every message.
func (t *mailTry) run(ctx context.Context, path string, keep filter.Keeper) error {
	messages := make(chan mailbox.Message)
	var work sync.WaitGroup
	for range tryWorkers {
		last := &lastKept{next: keep}
		judge := play.NewJudge(filter.SettingsOf(t.file), play.Rests{Resolver: t.resolver, Watch: t.watch, Memory: t.memory, History: last})
		work.Go(func() {
			for m := range messages {
				t.one(judge, last, m)
			}
		})
	}
	err := mailbox.Walk(path, t.since, func(m mailbox.Message) error {
		if use := mailbox.UseOf(m.Folder); use == mailbox.Sent || use == mailbox.Drafts {
			t.mu.Lock()
			defer t.mu.Unlock()
			t.report.folder(m.Folder)
			return ctx.Err()
		}
		select {
		case messages <- m:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}, func(name string, err error) {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.report.failed(name, err)
	})
	close(messages)
	work.Wait()
	return err
}

// one evaluates one message.
func (t *mailTry) one(judge *play.Judge, last *lastKept, m mailbox.Message) {
	header, body, err := message.Read(bytes.NewReader(m.Text))
	var a arrival
	if err == nil {
		a, err = arrivalOf(header, t.file)
	}
	var result *play.Result
	if err == nil {
		a.Client.Name = play.VerifiedName(context.Background(), t.resolver, a.Client.Addr)
		result, err = judge.Message(m.Time, a.Envelope, a.asItCame(header), body)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		t.report.unknown(m, err)
		return
	}
	if c := t.report.add(m, a, result); c != nil {
		for _, said := range restsOn(t.others, last.record, c.Outcome) {
			c.Rests[said]++
		}
	}
}

// writtenAtOnce is how many recipients the daemon is told of at once.
const writtenAtOnce = 1000

// teach tells the daemon whom our users wrote to; without a daemon it tells its memory. It gives how many were taken.
func (t *mailTry) teach(ctx context.Context, policy string) (int, error) {
	learned := 0
	where := place{policy: policy}
	for part := range slices.Chunk(t.written, writtenAtOnce) {
		n := 0
		err := where.ask("POST", "/correspondents", nil, part, &n)
		var refused answerNo
		switch {
		case errors.As(err, &refused):
			return learned, err
		case err != nil:
			return t.teachAlone(ctx)
		}
		learned += n
	}
	return learned, nil
}

// teachAlone writes into the memory of a daemon that does not run.
func (t *mailTry) teachAlone(ctx context.Context) (int, error) {
	log := slog.New(slog.DiscardHandler)
	store, err := openStore(t.file, log)
	if err != nil {
		return 0, err
	}
	learned := filter.NewServer(filter.SettingsOf(t.file), filter.Deps{Resolver: t.resolver, Store: store, Log: log}).LearnWritten(ctx, t.written)
	return learned, store.Close()
}

// learnWritten is the daemon's side of teach.
func (d *daemon) learnWritten(r *http.Request) (any, error) {
	var all []filter.Written
	if err := json.NewDecoder(r.Body).Decode(&all); err != nil {
		return nil, err
	}
	return d.filter.LearnWritten(r.Context(), all), nil
}
