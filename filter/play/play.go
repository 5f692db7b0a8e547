package play

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"gatepost.example/filter"
	"gatepost.example/filter/dnsbl"
	"gatepost.example/filter/message"
	"gatepost.example/filter/resolve"
	"gatepost.example/filter/resolve/resolvetest"
	"gatepost.example/policy"
	"gatepost.example/policy/policyfile"
)

// Event is something that a session's client or recipient sees: a refusal, or the end of a message.
type Event struct {
	Stage   policy.Stage
	Outcome string // "554 5.7.1 text (id ...)", "accept", "none", "discard", "quarantine", "452 ..."
	Rule    string // "" when none decided
	Decided policy.Stage
	Header  []policy.Field // for the end of a message that passed: the added fields from the top, then those that were kept
}

// String gives the event as a line of want.
func (e Event) String() string {
	text := e.Stage.String() + " " + e.Outcome
	if e.Rule != "" {
		text += fmt.Sprintf(" rule %s decided %s", e.Rule, e.Decided)
	}
	return text
}

// Result is what came of playing a case.
type Result struct {
	Events  []Event
	Records []Record
}

// Record is a decision with the text of every fact known when it was taken.
type Record struct {
	filter.Record
	Facts map[string]string
}

// Loader gives the text of the policy file that a case includes.
type Loader func(name string) ([]byte, error)

// The moment and the name under which cases are played, so that the same case always gives the same.
const defaultMTA = "mx.example.net"

// Policies keeps the policies of cases that were played, so that those that share one compile it once.
type Policies struct {
	Keep    filter.Keeper      // gets every message with its evidence; nil for nobody
	Reading policyfile.Reading // what the policies may read; by itself nothing

	// Settings gives what sessions follow under a policy, with the tables that it names opened; nil for none opened. What is given stands in
	// the place of files on disk, by their paths.
	Settings func(file *policyfile.File, given map[string][]byte) (*filter.Settings, error)

	byText map[string]*policyfile.File
}

// Play plays a case. Its error says that the case cannot be played; whether it ended as wanted says Result.Check.
func (known *Policies) Play(c *Case, load Loader, now time.Time) (*Result, error) {
	file, err := known.of(c, load)
	if err != nil {
		return nil, err
	}
	given, err := values(c.Name, "memory", c.Memory, file.Vocabulary)
	if err != nil {
		return nil, err
	}
	if c.Facts != nil {
		if c, err = c.ordinary(file.Vocabulary, given); err != nil {
			return nil, err
		}
	}
	zone, err := resolvetest.Parse(c.DNS)
	if err != nil {
		return nil, fmt.Errorf("%s: dns: %w", c.Name, err)
	}
	set := filter.SettingsOf(file)
	if known.Settings != nil {
		if set, err = known.Settings(file, c.Disk); err != nil {
			return nil, fmt.Errorf("%s: policy: %w", c.Name, err)
		}
	}
	p := newPlayer(set, zone, nil, given, now, known.Keep)
	for _, command := range c.Session {
		if err := p.do(c, command); err != nil {
			return nil, fmt.Errorf("%s: session:%d: %w", c.Name, command.Line, err)
		}
		if c.Facts != nil && len(p.result.Events) > 0 {
			break // an ordinary client goes no further
		}
	}
	p.session.Close()
	return &p.result, nil
}

// values reads the values of a section as the facts' types ask.
func values(name, section string, all []Given, v *policy.Vocabulary) (map[string]policy.Value, error) {
	out := map[string]policy.Value{}
	for _, g := range all {
		fact, known := v.Fact(g.Name)
		if !known {
			return nil, fmt.Errorf("%s: %s:%d: unknown fact %q; gatepost facts prints all", name, section, g.Line, g.Name)
		}
		value, err := policy.ParseValue(fact.Type, g.Value)
		if err != nil {
			return nil, fmt.Errorf("%s: %s:%d: %s: %w", name, section, g.Line, g.Name, err)
		}
		out[g.Name] = value
	}
	return out, nil
}

func (known *Policies) of(c *Case, load Loader) (*policyfile.File, error) {
	text := []byte(c.Policy)
	if c.Include != "" {
		base, err := load(c.Include)
		if err != nil {
			return nil, fmt.Errorf("%s: policy: %w", c.Name, err)
		}
		if text, err = merge(base, text); err != nil {
			return nil, fmt.Errorf("%s: policy: %w", c.Name, err)
		}
	}
	if file := known.byText[string(text)]; file != nil && len(c.Disk) == 0 {
		return file, nil
	}
	vocabulary, err := filter.Vocabulary()
	if err != nil {
		return nil, err
	}
	file, err := policyfile.ParseWith(c.Name+":policy", text, vocabulary, c.reading(known.Reading))
	if err != nil || len(c.Disk) > 0 { // what it read is the case's own
		return file, err
	}
	if known.byText == nil {
		known.byText = map[string]*policyfile.File{}
	}
	known.byText[string(text)] = file
	return file, nil
}

// reading puts the files that the case brings before those of the disk.
func (c *Case) reading(from policyfile.Reading) policyfile.Reading {
	disk := from.File
	if len(c.Disk) > 0 {
		from.File = func(path string) ([]byte, error) {
			if text, ok := c.Disk[path]; ok || disk == nil {
				return text, nil
			}
			return disk(path)
		}
	}
	return from
}

// player is one run of a case.
type player struct {
	server  *filter.Server
	session *filter.Session
	client  filter.Client
	sender  filter.Sender
	result  Result
	last    *filter.Record
	facts   []policy.Fact
	now     time.Time
}

func newPlayer(set *filter.Settings, r resolve.Resolver, w *dnsbl.Watch, given map[string]policy.Value, now time.Time, keep filter.Keeper) *player {
	n := 0
	p := newPlayerWith(set, now, filter.Deps{
		Resolver: r, Watch: w, Given: given, History: keep,
		NewID: func() string { n++; return fmt.Sprintf("TEST-%04d", n) },
	})
	p.session = p.server.NewSession()
	return p
}

// newPlayerWith gives a player whose server rests on what d names, and begins at a moment.
func newPlayerWith(set *filter.Settings, now time.Time, d filter.Deps) *player {
	p := &player{facts: set.Vocabulary.Facts(), now: now}
	d.Log, d.Now, d.OnRecord = slog.New(slog.DiscardHandler), func() time.Time { return p.now }, p.record
	p.server = filter.NewServer(set, d)
	return p
}

// record keeps a decision with all facts, which live only as long as this call.
func (p *player) record(r filter.Record) {
	facts := map[string]string{}
	for _, f := range p.facts {
		if r.Evidence.Known(f.Name) {
			facts[f.Name] = r.Evidence.Text(f.Name)
		}
	}
	r.Evidence = nil
	p.result.Records = append(p.result.Records, Record{r, facts})
	p.last = &r
}

func (p *player) do(c *Case, command Command) error {
	words := command.Words
	switch command.Verb {
	case "connect":
		return p.connect(words)
	case "helo":
		p.event(policy.Helo, p.session.Helo(words[0], p.sender.TLS))
	case "starttls":
		p.sender.TLS = filter.TLS{Version: words[0], Cipher: "TLS_AES_256_GCM_SHA384", Bits: 256}
	case "auth":
		p.sender.User, p.sender.Method = words[0], "PLAIN"
	case "mail":
		p.sender.Address, p.sender.Resolved = strings.Trim(words[0], "<>"), ""
		if len(words) > 2 && words[1] == "resolved" {
			p.sender.Resolved = words[2]
		}
		p.event(policy.Mail, p.session.Mail(p.sender))
	case "rcpt":
		p.event(policy.Rcpt, p.session.Rcpt(recipient(words)))
	case "data":
		text, ok := c.Files[words[0]]
		if !ok {
			return fmt.Errorf("there is no section \"-- %s --\" with the message", words[0])
		}
		return p.data(text)
	case "rset":
		p.session.Abort()
	case "wait":
		passed, err := time.ParseDuration(words[0])
		if err != nil || passed < 0 {
			return fmt.Errorf("%q is no time to wait; write 90s, 15m or 24h", words[0])
		}
		p.now = p.now.Add(passed)
	case "quit":
		p.session.Close()
		p.session = p.server.NewSession()
	}
	return nil
}

// connect understands "192.0.2.1:49152 [port 587] [name mail.example.org] [mta mx.example.net]", and "local" for mail without a client.
func (p *player) connect(words []string) error {
	p.session.Close()
	p.session, p.sender = p.server.NewSession(), filter.Sender{}
	p.client = filter.Client{DaemonPort: "25", MTA: defaultMTA}
	if words[0] == "local" {
		p.client.DaemonPort, p.client.QueueID, p.client.Addr = "0", "4fTEST0000", netip.MustParseAddr("127.0.0.1")
	} else if at, err := netip.ParseAddrPort(words[0]); err == nil {
		p.client.Addr = at.Addr().Unmap()
	} else if addr, err := netip.ParseAddr(words[0]); err == nil {
		p.client.Addr = addr.Unmap()
	} else {
		return fmt.Errorf("%q is no address; write 192.0.2.1:49152, [2001:db8::1]:49152 or local", words[0])
	}
	for i := 1; i+1 < len(words); i += 2 {
		switch words[i] {
		case "port":
			p.client.DaemonPort = words[i+1]
		case "name":
			p.client.Name = words[i+1]
		case "mta":
			p.client.MTA = words[i+1]
		default:
			return fmt.Errorf("unknown word %q; connect takes port, name and mta", words[i])
		}
	}
	p.event(policy.Connect, p.session.Connect(p.client))
	return nil
}

// recipient understands "<b@example.net> [refused 5.1.1] [resolved ADDRESS] [alias]".
func recipient(words []string) filter.Recipient {
	r := filter.Recipient{Address: strings.Trim(words[0], "<>"), Mailer: "smtp", Host: "example.net"}
	r.Resolved = r.Address
	for i := 1; i < len(words); i++ {
		switch {
		case words[i] == "refused" && i+1 < len(words):
			r.Mailer, r.Host, r.Resolved = "error", words[i+1], "refused by the MTA"
		case words[i] == "resolved" && i+1 < len(words):
			r.Resolved = words[i+1]
		case words[i] == "alias":
			r.Mailer, r.Host = "error", "5.1.1 User unknown in virtual alias table"
		}
	}
	return r
}

// chunkSize is the most that Postfix sends of a body at once.
const chunkSize = 65535

func (p *player) data(text []byte) error {
	header, body, err := message.Read(bytes.NewReader(text))
	if err != nil {
		return err
	}
	return p.message(header, body)
}

func (p *player) message(header *message.Header, body io.Reader) error {
	for _, f := range header.Fields {
		p.session.HeaderField(f.Name, f.Value)
	}
	p.session.EndOfHeader()
	chunk := make([]byte, chunkSize)
	for {
		n, err := body.Read(chunk)
		p.session.Body(chunk[:n])
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	p.last = nil
	response, edits := p.session.EndOfMessage("4fTEST0001")
	p.end(header, response, edits)
	return nil
}

// event keeps a refusal; going on is nothing to see.
func (p *player) event(at policy.Stage, r filter.Response) {
	if r.Verb != filter.GoOn {
		p.result.Events = append(p.result.Events, Event{Stage: at, Outcome: r.String(), Rule: p.last.Decision.Rule, Decided: p.last.Decision.Decided})
	}
}

// end keeps how a message ended, with the header that its recipients get.
func (p *player) end(header *message.Header, r filter.Response, edits filter.Edits) {
	e := Event{Stage: policy.Data, Outcome: r.String()}
	if p.last != nil {
		e.Rule, e.Decided = p.last.Decision.Rule, p.last.Decision.Decided
		if r.Verb == filter.GoOn {
			e.Outcome = p.last.What()
		}
	}
	if r.Verb == filter.GoOn {
		e.Header = append(e.Header, edits.Insert...)
		seen := map[string]int{}
		for _, f := range header.Fields {
			name := strings.ToLower(f.Name)
			seen[name]++
			if !deleted(edits.Delete, f.Name, seen[name]) {
				e.Header = append(e.Header, policy.Field{Name: f.Name, Value: f.Value})
			}
		}
	}
	p.result.Events = append(p.result.Events, e)
}

func deleted(deletions []filter.Deletion, name string, index int) bool {
	for _, d := range deletions {
		if strings.EqualFold(d.Name, name) && d.Index == index {
			return true
		}
	}
	return false
}
