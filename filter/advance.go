package filter

import (
	"slices"

	"gatepost.example/filter/check"
	"gatepost.example/filter/resolve"
	"gatepost.example/policy"
)

// begin starts the checks of a stage that somebody will read: Authentication-Results, a rule, or the reply that is going to be spoken.
// Those of DATA wait for the end of the body; what they will ask of DNS is asked meanwhile.
func (s *Session) begin(at policy.Stage, into *runs, in *check.Input) {
	hand, _ := s.server.resolver.(resolve.AtHand)
	for _, i := range s.settings.starting[at] {
		entry := &s.settings.checks[i]
		if !s.wants(i) {
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
			s.perform(entry, t)
		}
	}
	if in != nil {
		*in = check.Input{}
	}
}

// perform runs a task: here, if it need not wait for anything, else on a goroutine of its own.
func (s *Session) perform(e *entry, t *task) {
	if e.waits || !t.try() {
		s.room.lent = true
		t.launch(s.settings.Budget, s.allTasks())
	}
}

// performMessage runs the checks of a message whose body has ended.
func (s *Session) performMessage() {
	for _, i := range s.settings.starting[policy.Data] {
		if t := s.msg.tasks[i]; t != nil {
			s.perform(&s.settings.checks[i], t)
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

// wants reports whether the outcome of check i will be read. Of a session that is going to be refused only the reply's placeholders are.
func (s *Session) wants(i int) bool {
	if d, refused := s.refusal(); refused {
		return slices.ContainsFunc(d.Reply.Facts(), func(name string) bool {
			owner, isCheck := s.settings.owner[name]
			return isCheck && owner == i
		})
	}
	if s.printsResults() && s.settings.checks[i].prints {
		return true
	}
	wanted := s.settings.wanted
	if s.settled() {
		wanted = s.settings.counted
	}
	if s.printsResults() {
		return wanted[i]
	}
	// A later check that is read may wait for this one.
	return slices.Contains(wanted[i:], true)
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
		i, isCheck := s.settings.owner[name]
		if !isCheck || s.conn.evidence.Known(name) || s.settings.checks[i].check.Starts() > at {
			continue
		}
		out, ok := s.awaitTask(i)
		if !ok {
			continue
		}
		s.publish(i, out, at)
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
