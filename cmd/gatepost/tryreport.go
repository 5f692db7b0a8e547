package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"gatepost.example/filter/mailbox"
	"gatepost.example/filter/play"
	"gatepost.example/policy"
)

// outcome is what would become of a message.
type outcome string

// The outcomes, from the mildest.
const (
	taken     outcome = "taken"
	tagged    outcome = "tagged"
	held      outcome = "held"
	deferred  outcome = "deferred"
	refused   outcome = "refused"
	discarded outcome = "discarded"
)

// outcomes are the columns of the table.
var outcomes = [...]outcome{taken, tagged, held, deferred, refused, discarded}

// outcomeOf reads from the record of a message what would become of it were all rules enforced, and the rule that says so. In the place of a
// refusal that cannot be spoken is instead.
func outcomeOf(r *play.Result, gentle bool, instead outcome) (outcome, string) {
	if len(r.Records) == 0 {
		return taken, ""
	}
	last := r.Records[len(r.Records)-1]
	tags := strings.Join(slices.Compact(slices.Clone(last.Tags)), ",")
	switch d := last.Decision; {
	case d.Refuses() && gentle:
		return instead, d.Rule
	case d.Action == policy.Quarantine:
		return held, d.Rule
	case d.Refuses() && d.Reply.Temporary():
		return deferred, d.Rule
	case d.Refuses():
		return refused, d.Rule
	case d.Action == policy.Discard:
		return discarded, d.Rule
	case tags != "":
		return tagged, tags
	default:
		return taken, d.Rule
	}
}

// tryReport is what came of a mailbox.
type tryReport struct {
	Path    string         `json:"path"`
	Policy  string         `json:"policy"`
	Since   time.Time      `json:"since"`
	Folders []*folderTotal `json:"folders"`
	Changes []*change      `json:"otherwise"` // messages that would end otherwise than where they lie
	Reasons map[string]int `json:"unknown,omitempty"`
	Stored  bool           `json:"stored"`
	Lost    uint64         `json:"lost,omitempty"`
	Learned int            `json:"correspondents,omitempty"` // recipients of sent mail that the daemon's memory was told of

	instead  outcome // of a refusal that cannot be spoken
	byFolder map[string]*folderTotal
	byChange map[string]*change
}

// folderTotal is the totals of one folder, of all mailboxes together.
type folderTotal struct {
	Folder  string          `json:"folder"`
	Use     string          `json:"use"`
	Total   int             `json:"messages"`
	By      map[outcome]int `json:"by"`
	Unknown int             `json:"unknown"` // it cannot be told how they came
}

// change is messages that would end otherwise than where they lie, for the same reason.
type change struct {
	Wanted   bool           `json:"wanted"` // they lie where wanted mail lies
	Folder   string         `json:"folder"`
	Outcome  outcome        `json:"outcome"`
	Rule     string         `json:"rule"`
	Count    int            `json:"count"`
	Authors  map[string]int `json:"authors"`
	Rests    map[string]int `json:"not_known,omitempty"` // what alone, had it been so when they came, would have changed it, and for how many
	Examples []example      `json:"examples"`
}

// example is one message.
type example struct {
	ID     string    `json:"id"`
	Time   time.Time `json:"time"`
	Client string    `json:"client"`
	Sender string    `json:"sender"`
	Author string    `json:"author"`
	File   string    `json:"file"`
}

// Bounds of what is kept for people.
const (
	maxExamples = 3
	maxAuthors  = 1000
	maxReasons  = 100
)

var uses = map[mailbox.Use]string{mailbox.Incoming: "incoming", mailbox.Junk: "junk", mailbox.Sent: "sent", mailbox.Drafts: "drafts", mailbox.Trash: "trash"}

func newTryReport() *tryReport {
	return &tryReport{instead: tagged, Reasons: map[string]int{}, byFolder: map[string]*folderTotal{}, byChange: map[string]*change{}}
}

func (r *tryReport) folder(name string) *folderTotal {
	f := r.byFolder[name]
	if f == nil {
		f = &folderTotal{Folder: name, Use: uses[mailbox.UseOf(name)], By: map[outcome]int{}}
		r.byFolder[name] = f
		at, _ := slices.BinarySearchFunc(r.Folders, f, func(a, b *folderTotal) int { return cmp.Compare(a.Folder, b.Folder) })
		r.Folders = slices.Insert(r.Folders, at, f)
	}
	f.Total++
	return f
}

func (r *tryReport) reason(why string) {
	if len(r.Reasons) < maxReasons || r.Reasons[why] > 0 {
		r.Reasons[why]++
	}
}

func (r *tryReport) failed(_ string, err error) { r.reason("a file cannot be read: " + err.Error()) }

func (r *tryReport) unknown(m mailbox.Message, err error) {
	r.folder(m.Folder).Unknown++
	r.reason(strings.TrimSuffix(err.Error(), "; give --ip ADDRESS"))
}

// add counts a message, and gives what it would end otherwise with; nil where it ends as it lies.
func (r *tryReport) add(m mailbox.Message, a arrival, result *play.Result) *change {
	o, rule := outcomeOf(result, a.gentle, r.instead)
	r.folder(m.Folder).By[o]++
	use := mailbox.UseOf(m.Folder)
	wanted := use == mailbox.Incoming
	if wanted == (o == taken) || use == mailbox.Trash {
		return nil
	}
	key := fmt.Sprint(m.Folder, "\x00", o, "\x00", rule)
	c := r.byChange[key]
	if c == nil {
		c = &change{Wanted: wanted, Folder: m.Folder, Outcome: o, Rule: rule, Authors: map[string]int{}, Rests: map[string]int{}}
		r.byChange[key] = c
		r.Changes = append(r.Changes, c)
	}
	c.Count++
	client := "this machine"
	if a.Client.Addr.IsValid() {
		client = a.Client.Addr.String()
	}
	e := example{Time: m.Time, Client: client, Sender: a.Sender, File: m.Name}
	if n := len(result.Records); n > 0 {
		e.ID, e.Author = result.Records[n-1].ID, result.Records[n-1].Facts["author.domain"]
	}
	author := e.Author
	if author == "" {
		_, author, _ = strings.Cut(e.Sender, "@") // refused before the author was known
	}
	if len(c.Authors) < maxAuthors || c.Authors[author] > 0 {
		c.Authors[author]++
	}
	c.Examples = append(c.Examples, e)
	slices.SortFunc(c.Examples, func(a, b example) int { return cmp.Compare(a.File, b.File) })
	c.Examples = c.Examples[:min(len(c.Examples), maxExamples)]
	return c
}

// print writes the report for people.
func (r *tryReport) print(out io.Writer) error {
	total := 0
	for _, f := range r.Folders {
		total += f.Total
	}
	if total == 0 {
		_, err := fmt.Fprintf(out, "%s: no message was delivered since %s; --since TIME looks further back, as in --since 365d\n", r.Path, r.Since.Format(time.DateOnly))
		return err
	}
	fmt.Fprintf(out, "%s: %d messages since %s, as %s would judge them with today's DNS, were it enforced\n\n",
		r.Path, total, r.Since.Format(time.DateOnly), r.Policy)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "messages\t")
	for _, o := range outcomes {
		fmt.Fprintf(w, "%s\t", o)
	}
	fmt.Fprint(w, "unknown\t  folder\n")
	for _, f := range r.Folders {
		fmt.Fprintf(w, "%d\t", f.Total)
		for _, o := range outcomes {
			fmt.Fprintf(w, "%d\t", f.By[o])
		}
		note := ""
		if f.Use == "sent" || f.Use == "drafts" {
			note = " (your own: not judged)"
		}
		fmt.Fprintf(w, "%d\t  %s%s\n", f.Unknown, shownText(f.Folder), note)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	slices.SortFunc(r.Changes, func(a, b *change) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Folder+string(a.Outcome)+a.Rule, b.Folder+string(b.Outcome)+b.Rule))
	})
	r.printChanges(out, true, "Wanted mail that would not reach the inbox untouched")
	r.printChanges(out, false, "Junk that would pass")
	r.printNotes(out)
	return nil
}

func (r *tryReport) printChanges(out io.Writer, wanted bool, title string) {
	total := 0
	for _, c := range r.Changes {
		if c.Wanted == wanted {
			total += c.Count
		}
	}
	fmt.Fprintf(out, "\n%s: %d\n", title, total)
	for _, c := range r.Changes {
		if c.Wanted != wanted {
			continue
		}
		by := ""
		if c.Rule != "" {
			by = " by " + c.Rule
		}
		fmt.Fprintf(out, "  %d in %s: %s%s, from %s\n", c.Count, shownText(c.Folder), c.Outcome, by, topOf(c.Authors))
		if len(c.Rests) > 0 {
			fmt.Fprintf(out, "    otherwise if at that time, which a mailbox does not tell, %s\n", restsText(c.Rests))
		}
		for _, e := range c.Examples {
			fmt.Fprintf(out, "    %s  %s  <%s> from %s  %s\n", e.ID, e.Time.Format("2006-01-02 15:04"), shownText(e.Sender), e.Client, shownText(e.File))
		}
	}
}

// maxTop is how many authors a line names.
const maxTop = 4

// topOf names the author domains with the most messages.
func topOf(authors map[string]int) string {
	names := slices.SortedFunc(maps.Keys(authors), func(a, b string) int { return cmp.Or(cmp.Compare(authors[b], authors[a]), cmp.Compare(a, b)) })
	var out []string
	for i, name := range names {
		if i == maxTop {
			out = append(out, fmt.Sprintf("%d more", len(names)-maxTop))
			break
		}
		out = append(out, fmt.Sprintf("%s %d", dash(shownText(name)), authors[name]))
	}
	return strings.Join(out, ", ")
}

// printNotes says how to go on, and what cannot be known.
func (r *tryReport) printNotes(out io.Writer) {
	if len(r.Reasons) > 0 {
		fmt.Fprintln(out, "\nUnknown:")
		for _, why := range slices.Sorted(maps.Keys(r.Reasons)) {
			fmt.Fprintf(out, "  %d: %s\n", r.Reasons[why], shownText(why))
		}
	}
	fmt.Fprintln(out)
	if r.Stored {
		fmt.Fprintln(out, "gatepost explain ID says why, and gatepost replay what another policy would do; gatepost try FILE says why with today's DNS.")
	} else {
		fmt.Fprintln(out, "gatepost try FILE says why; with --store the decisions are kept, for gatepost explain ID and gatepost replay.")
	}
	if r.Learned > 0 {
		fmt.Fprintf(out, "%d recipients of sent mail are correspondents in the daemon's memory now.\n", r.Learned)
	}
	if r.Lost > 0 {
		fmt.Fprintf(out, "%d decisions could not be kept.\n", r.Lost)
	}
	fmt.Fprint(out, `What cannot be known from delivered mail: the DNS of then (keys and addresses change: an old message can fail today
that passed), who was known and how (each message is judged as if its sender were new, in a settled memory, but for
correspondents from Sent folders), rates and limits, TLS, what was refused before Gatepost, and who would have come back
after greylisting (all of these did).
`)
}

// shownText brings what a sender wrote into one line that is safe for a terminal.
func shownText(text string) string { return strings.Join(strings.Fields(play.Visible(text)), " ") }
