package history

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
)

// schema: blocks hold the records; a row of table record is what one is searched by. Rows stand in the order of blocks, so that a block's rows
// are a range. In name stand the sums of a block's names, which go with it.
const schema = `
CREATE TABLE IF NOT EXISTS policy (identity TEXT PRIMARY KEY, first INTEGER NOT NULL, text BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS entry (identity TEXT NOT NULL, list TEXT NOT NULL, pairs TEXT NOT NULL, text TEXT NOT NULL,
	PRIMARY KEY (identity, list, pairs, text)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS block (id INTEGER PRIMARY KEY, first INTEGER NOT NULL, last INTEGER NOT NULL, row INTEGER NOT NULL,
	records INTEGER NOT NULL, core BLOB NOT NULL, detail BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS record (seq INTEGER PRIMARY KEY, block INTEGER NOT NULL, place INTEGER NOT NULL, time INTEGER NOT NULL,
	id TEXT NOT NULL, queue TEXT NOT NULL, message TEXT NOT NULL, action TEXT NOT NULL, rule TEXT NOT NULL, spoken TEXT NOT NULL,
	client TEXT NOT NULL, name TEXT NOT NULL, helo TEXT NOT NULL, user TEXT NOT NULL, sender TEXT NOT NULL, recipients TEXT NOT NULL,
	author TEXT NOT NULL, would TEXT NOT NULL, words TEXT NOT NULL, accepted INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS name (block INTEGER PRIMARY KEY, row INTEGER NOT NULL, sums BLOB NOT NULL);
CREATE TRIGGER IF NOT EXISTS block_gone AFTER DELETE ON block BEGIN DELETE FROM name WHERE block = old.id; END;`

// Row is what a record is searched by, and a list of records shows.
type Row struct {
	ID         string    `json:"id"`
	Time       time.Time `json:"time"`
	Action     string    `json:"action"` // what was done: a reply code or an action; left: the client left before anything was decided
	Rule       string    `json:"rule,omitempty"`
	Spoken     string    `json:"spoken,omitempty"`
	Client     string    `json:"client"`
	Name       string    `json:"name,omitempty"`
	Helo       string    `json:"helo,omitempty"`
	User       string    `json:"user,omitempty"`
	Sender     string    `json:"sender"`
	Recipients string    `json:"recipients,omitempty"`
	Author     string    `json:"author,omitempty"` // the author domain
	Queue      string    `json:"queue,omitempty"`
	Message    string    `json:"message_id,omitempty"`
	Would      string    `json:"would,omitempty"`
	Apart      []string  `json:"apart,omitempty"` // the replies that some recipients met, where the message met another end

	seq, block int64
	place      int
	words      string // " action rule ..." of all decisions of the record
	accepted   bool
}

// Left is the action of a record whose client left before anything was decided.
const Left = "left"

// rowOf gives the row of a record.
func rowOf(r *Record) Row {
	row := Row{
		ID: r.ID, Time: r.Time, Action: Left, Client: "local", Name: r.Client.Name, Helo: r.Helo, User: r.Sender.User, Sender: r.Sender.Address,
		Queue: r.QueueID, accepted: true,
	}
	if r.Client.Addr.IsValid() {
		row.Client = r.Client.Addr.String()
	}
	if m := r.Message; m != nil {
		row.Author, row.Message = m.AuthorDomain, m.MessageID
		if m.HopAddr.IsValid() {
			row.Client = m.HopAddr.String()
		}
	}
	row.Recipients = recipientsOf(r)
	if l := r.Final(); l != nil {
		row.Action, row.Rule, row.Spoken = l.What, l.Rule, l.Spoken
	}
	var room [16]string                                  // for as many as there mostly are
	words, woulds := append(room[:0], ""), []string(nil) // nothing at both ends: a blank stands before each word and behind it
	for i := range r.Lines {
		l := &r.Lines[i]
		words = append(words, l.What, l.Rule)
		words = append(words, l.Tags...)
		for _, w := range l.Woulds {
			words, woulds = append(words, w.Rule, "would-"+w.What), append(woulds, w.String())
		}
		row.accepted = row.accepted && (l.What == "none" || l.What == "accept")
	}
	row.Would = strings.Join(woulds, "; ")
	row.words = strings.Join(append(words, ""), " ")
	return row
}

// shownRecipients bounds the recipients that a row names.
const shownRecipients = 20

func recipientsOf(r *Record) string {
	if len(r.Recipients) == 1 {
		return r.Recipients[0].Address
	}
	out := make([]byte, 0, 256) // for as many as there mostly are
	for i, one := range r.Recipients {
		if i == shownRecipients {
			out = fmt.Appendf(out, " and %d more", len(r.Recipients)-i)
			break
		}
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, one.Address...)
	}
	return string(out)
}

const columns = "seq, block, place, time, id, queue, message, action, rule, spoken, client, name, helo, user, sender, recipients, author, would, words, accepted"

func (row *Row) scan(rows *sql.Rows) error {
	var at int64
	err := rows.Scan(&row.seq, &row.block, &row.place, &at, &row.ID, &row.Queue, &row.Message, &row.Action, &row.Rule, &row.Spoken,
		&row.Client, &row.Name, &row.Helo, &row.User, &row.Sender, &row.Recipients, &row.Author, &row.Would, &row.words, &row.accepted)
	row.Time = time.UnixMilli(at)
	row.Apart = apart(row.words, row.Action)
	return err
}

// apart gives the reply codes among the words of a record, each once, but for what was done in the end.
func apart(words, action string) (out []string) {
	for _, word := range strings.Fields(words) {
		isCode := len(word) == 3 && (word[0] == '4' || word[0] == '5') && strings.Trim(word, "0123456789") == ""
		if isCode && word != action && !slices.Contains(out, word) {
			out = append(out, word)
		}
	}
	return out
}

// maxBlock bounds a block before it is compressed: what of the file cannot be bigger is not read.
const maxBlock = 64 << 20

func newUnpacker() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxBlock))
}

// newPacker gives a packer without the entropy coding of zstd, which takes near a microsecond a record and makes the file three parts in a hundred smaller.
func newPacker() (*zstd.Encoder, error) {
	return zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(blockBytes), zstd.WithLowerEncoderMem(true),
		zstd.WithNoEntropyCompression(true))
}
