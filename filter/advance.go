package filter

import (
	"slices"
	"time"

	"gatepost.example/filter/check"
	"gatepost.example/filter/resolve"
	"gatepost.example/policy"
)

// begin starts the checks of a stage that somebody will read: Authentication-Results, a rule, or the reply that is going to be spoken.
// Those of DATA wait for the end of the body; what they will ask of DNS is asked meanwhile.
func (s *Session) begin(at policy.Stage, into *runs, in *check.Input) {
	hand, _ := s.server.resolver.(resolve.AtHand)
	began, reader := time.Now(), s.reader()
	for _, i := range s.settings.starting[at] {
		entry := &s.settings.checks[i]
		if !reader.wants(s.settings, i) {
			continue
		}
		if s.past != nil {
			into.tasks[i] = s.past.task(entry)
			continue
		}
		into.tasks[i].stop() // of a HELO before
		t := into.place(i)
		t.check, t.log, t.session, t.resolver, t.hand = entry.check, s.log, s, s.server.resolver, hand
		into.tasks[i] = t
		in.Recalled = s.recalled(i)
		t.begin(in)
		if at != policy.Data {
			began = s.perform(entry, t, began)
		}
	}
	if in != nil {
		*in = check.Input{}
	}
}

// perform runs a task: here, if it need not wait for anything, else on a goroutine of its own. It gives the time after that, which is when the
// next one begins: the clock is read once a task.
func (s *Session) perform(e *entry, t *task, began time.Time) time.Time {
	if e.waits || !t.try(began) {
		s.room.lent = true
		t.launch(s.settings.Budget, s.allTasks())
		return time.Now()
	}
	return began.Add(t.took)
}

// performMessage runs the checks of a message whose body has ended.
func (s *Session) performMessage() {
	began := time.Now()
	for _, i := range s.settings.starting[policy.Data] {
		if t := s.msg.tasks[i]; t != nil {
			began = s.perform(&s.settings.checks[i], t, began)
		}
	}
}

// refusal gives the refusal of all that this session or message can bring, if one is already decided.
func (s *Session) refusal() (policy.Decision, bool) {
	w := s.conn.walk
	if s.msg != nil {
		w = s.msg.walk
	}
	d, decided := w.Decision()
	return d, decided && d.Refuses() && !s.mustTake()
}

// reader is who will read the outcomes of the checks that start at a stage.
type reader struct {
	refused bool     // the session is going to be refused: then only the reply's placeholders are read
	facts   []string // of the reply
	prints  bool     // Authentication-Results
	wanted  []bool   // by the rules and limits
}

func (s *Session) reader() reader {
	if d, refused := s.refusal(); refused {
		return reader{refused: true, facts: d.Reply.Facts()}
	}
	wanted := s.settings.wanted
	if s.settled() {
		wanted = s.settings.counted
	}
	return reader{prints: s.printsResults(), wanted: wanted}
}

// wants reports whether the outcome of check i will be read.
func (r *reader) wants(set *Settings, i int) bool {
	switch {
	case r.refused:
		return slices.ContainsFunc(r.facts, func(name string) bool {
			owner, isCheck := set.owner[name]
			return isCheck && owner.check == i
		})
	case r.prints:
		return set.checks[i].prints || r.wanted[i]
	}
	// A later check that is read may wait for this one.
	return slices.Contains(r.wanted[i:], true)
}

// settled reports whether the rules have decided already, those that tag or only watch above the decision too: no check can change what they say.
func (s *Session) settled() bool { return s.msg != nil && s.msg.walk.Settled() }

// printsResults reports whether the message gets Authentication-Results: a stranger's mail does. What our users and machines send goes
// out to the world and gets none, on whatever port a user logs in.
func (s *Session) printsResults() bool {
	user := s.msg != nil && s.msg.from.User != ""
	return s.conn.role == roleMX && !s.conn.trusted && !user
}

// allTasks gives the tasks of the connection and the message together, in registry order. One that came too late has the outcome that was taken for
// its own.
func (s *Session) allTasks() tasks {
	all := slices.Clone(s.conn.tasks)
	if s.msg != nil {
		for i, t := range s.msg.tasks {
			if t != nil {
				all[i] = t
			}
		}
	}
	for i, t := range all {
		if t != nil && t.read != nil && t.read != &t.outcome {
			all[i] = &task{check: t.check, ended: true, outcome: *t.read}
		}
	}
	return all
}

// taskOf gives the task of the check with a name, nil where it was not started.
func (s *Session) taskOf(name string) *task {
	for i := range s.settings.checks {
		if s.settings.checks[i].name == name {
			return s.task(i)
		}
	}
	return nil
}

// advance walks on: first with what is published, then, where an answer can be spoken, with what the undecided rule waits for and this
// stage can deliver. So facts are published only when a walk asks for them, never by chance of arrival.
func (s *Session) advance(at policy.Stage, w *policy.Walk, step func(*policy.Evidence, policy.Stage) []string) {
	for range len(s.settings.Vocabulary.Facts()) + 1 {
		waits := step(s.conn.evidence, at)
		if len(waits) == 0 || !w.MayWait(at) {
			return
		}
		if !s.publishAwaited(waits, at) {
			s.lacks(waits, at)
			return
		}
	}
}

// publishAwaited awaits the started checks that establish one of the facts, and publishes all they give. It reports whether any did.
func (s *Session) publishAwaited(names []string, at policy.Stage) bool {
	published := false
	for _, name := range names {
		owner, isCheck := s.settings.owner[name]
		if !isCheck || s.conn.evidence.KnownID(owner.fact) || s.settings.checks[owner.check].starts > at {
			continue
		}
		out, ok := s.awaitTask(owner.check)
		if !ok {
			continue
		}
		s.publish(owner.check, out, at)
		published = true
	}
	return published
}

func (s *Session) awaitTask(i int) (*check.Outcome, bool) {
	t := s.task(i)
	if t == nil {
		return nil, false
	}
	return t.await(s.settings.Budget), true
}

// task gives the run of check i that belongs to the message, else to the connection; nil for none.
func (s *Session) task(i int) *task {
	if s.msg != nil && s.msg.tasks[i] != nil {
		return s.msg.tasks[i]
	}
	return s.conn.tasks[i]
}

// publishMissing gives facts that nothing established their word for trouble: nothing is unknown after DATA. It is a mistake of ours
// when a check was wanted and not started, so it is said once.
func (s *Session) publishMissing(names []string) {
	for _, name := range names {
		f, ok := s.settings.Vocabulary.Fact(name)
		if !ok || s.conn.evidence.Known(name) {
			continue
		}
		s.conn.evidence.Publish(name, f.Trouble, policy.Data)
		s.server.warnOnce(s.log, "fact "+name+" was asked for and nothing established it")
	}
}
