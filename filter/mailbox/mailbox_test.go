package mailbox

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
)

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// seen walks and gives "folder text" of each message, in order.
func seen(t *testing.T, path string, since time.Time) (out []string, failed []string) {
	t.Helper()
	err := Walk(path, since, func(m Message) error {
		out = append(out, m.Folder+" "+strings.TrimSpace(string(m.Text)))
		return nil
	}, func(name string, err error) { failed = append(failed, name) })
	if err != nil {
		t.Fatal(err)
	}
	return out, failed
}

// TestTree: Maildirs of two users, one with Maildir++ folders and one with directories, as mail stores lay them out.
func TestTree(t *testing.T) {
	root := t.TempDir()
	put(t, root+"/a/Maildir/cur/1764000000.M1P1.host:2,S", "inbox a")
	put(t, root+"/a/Maildir/new/1764000001.M1P1.host", "new a")
	put(t, root+"/a/Maildir/tmp/1764000001.M1P2.host", "half written")
	put(t, root+"/a/Maildir/.Junk/cur/1764000002.M1P1.host:2,", "junk a")
	put(t, root+"/a/Maildir/.Archive.2025/cur/1764000003.M1P1.host:2,", "archive a")
	put(t, root+"/a/Maildir/.Old/cur/1500000000.M1P1.host:2,", "too old")
	put(t, root+"/a/Maildir/subscriptions", "no message")
	put(t, root+"/b/cur/1764000004.M1P1.host", "inbox b")
	put(t, root+"/b/Sent/cur/1764000005.M1P1.host", "sent b")
	put(t, root+"/b/INBOX/Lists/new/1764000006.M1P1.host", "lists b")
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	w.Write([]byte("packed b"))
	w.Close()
	put(t, root+"/b/new/1764000007.M1P1.host", packed.String())
	put(t, root+"/b/new/1764000008.M1P1.host", "\x1f\x8bbroken")
	var squeezed bytes.Buffer
	z, err := zstd.NewWriter(&squeezed)
	if err != nil {
		t.Fatal(err)
	}
	z.Write([]byte("squeezed b"))
	z.Close()
	put(t, root+"/b/new/1764000009.M1P1.host", squeezed.String())
	put(t, root+"/b/cur/.nfs0000", "of the file system")
	put(t, root+"/b/mbox", "From a@example.org Tue Nov 24 12:00:00 2026\n\nno mailbox within a Maildir\n")
	got, failed := seen(t, root, time.Unix(1700000000, 0))
	want := []string{
		"INBOX inbox a", "INBOX new a", "Archive.2025 archive a", "Junk junk a", "INBOX inbox b", "INBOX packed b", "INBOX squeezed b", "Lists lists b", "Sent sent b",
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) || len(failed) != 1 || !strings.HasSuffix(failed[0], "1764000008.M1P1.host") {
		t.Errorf("got %q, failed %q\nwant %q", got, failed, want)
	}
	if one, _ := seen(t, root+"/a/Maildir", time.Unix(1764000002, 0)); len(one) != 2 {
		t.Errorf("of one Maildir since a moment: %q", one)
	}
}

// TestTreeOfFiles: mbox files side by side, as /var/mail has them, exported messages, and a path that is a link; a tree without any mail is said.
func TestTreeOfFiles(t *testing.T) {
	root := t.TempDir()
	box := "From a@example.org Tue Nov 24 12:00:00 2026\n"
	put(t, root+"/mail/anna", box+"one\n\n"+box+"two\n")
	put(t, root+"/mail/bert", box+"three\n")
	put(t, root+"/mail/carl/Sent", box+"four\n")
	put(t, root+"/mail/carl/spam", box+"five\n")
	put(t, root+"/mail/export/1764000001.eml", "six")
	put(t, root+"/mail/export/Junk/message.EML", "seven")
	put(t, root+"/mail/export/notes.txt", "no message")
	put(t, root+"/mail/export/empty", "")
	if err := os.Symlink(root+"/mail", root+"/link"); err != nil {
		t.Fatal(err)
	}
	got, failed := seen(t, root+"/link", time.Unix(1700000000, 0))
	want := []string{"INBOX one", "INBOX two", "INBOX three", "Sent four", "spam five", "INBOX six", "Junk seven"}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) || len(failed) > 0 {
		t.Errorf("got %q, failed %q\nwant %q", got, failed, want)
	}
	put(t, root+"/store/mailboxes/INBOX/u.1", "a form of its own")
	if err := Walk(root+"/store", time.Time{}, func(Message) error { return nil }, func(string, error) {}); err == nil || !strings.Contains(err.Error(), "holds no Maildir, no mbox and no .eml file") {
		t.Errorf("a store of another form: %v", err)
	}
}

func TestUseOf(t *testing.T) {
	for folder, want := range map[string]Use{
		"INBOX": Incoming, "Junk": Junk, "Spam": Junk, "Archive.Spam": Junk, "Spam.2026": Junk, "Sent": Sent, "Sent Items": Sent, "Gesendet": Sent,
		"Entwürfe": Drafts, "Trash": Trash, "Deleted Items": Trash, "Spammers": Incoming, "Archive.2026": Incoming, "Junk.mbox": Junk,
	} {
		if got := UseOf(folder); got != want {
			t.Errorf("%s is %d, want %d", folder, got, want)
		}
	}
}

const boxed = `From a@example.org Tue Nov 24 12:00:00 2026
Subject: one

hello
>From here, quoted once
>>From there, quoted twice
From here, but not behind an empty line

From nobody, without a date

From "odd one"@example.org  Tue Nov  3 12:00:00 2026 +0100
Subject: two

From MAILER-DAEMON Wed Nov 25 12:00:00 CET 2026
Subject: three

no end`

// TestMbox: what parts messages, what only looks like it, and quotes; with either line end.
func TestMbox(t *testing.T) {
	for _, ends := range []string{"\n", "\r\n"} {
		path := filepath.Join(t.TempDir(), "Junk")
		put(t, path, strings.ReplaceAll(boxed, "\n", ends))
		if is, err := IsMailbox(path); err != nil || !is {
			t.Fatalf("%v, %v", is, err)
		}
		var got []string
		err := Walk(path, time.Time{}, func(m Message) error {
			got = append(got, fmt.Sprintf("%s %s %s", filepath.Base(m.Name), m.Time.UTC().Format("2 15:04"), strings.ReplaceAll(string(m.Text), ends, "|")))
			return nil
		}, func(name string, err error) { t.Error(name, err) })
		want := []string{
			"Junk#1 24 12:00 Subject: one||hello|From here, quoted once|>From there, quoted twice|From here, but not behind an empty line||From nobody, without a date|",
			"Junk#2 3 11:00 Subject: two|",
			"Junk#3 25 12:00 Subject: three||no end",
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%v\n%q\nwant\n%q", err, got, want)
		}
	}
	box := filepath.Join(t.TempDir(), "box")
	put(t, box, boxed)
	if text, one, err := Pick(box + "#2"); err != nil || !one || string(text) != "Subject: two\n" {
		t.Errorf("the second: %q, %v, %v", text, one, err)
	}
	if _, one, err := Pick(box + "#4"); !one || err == nil || !strings.Contains(err.Error(), "has no message 4") {
		t.Errorf("a fourth: %v, %v", one, err)
	}
	if _, one, err := Pick(box); one || err != nil {
		t.Errorf("the whole: %v, %v", one, err)
	}
	path := filepath.Join(t.TempDir(), "message.eml")
	put(t, path, "From: a@example.org\n\nFrom x Tue Nov 24 12:00:00 2026\n")
	if is, err := IsMailbox(path); err != nil || is {
		t.Errorf("a message is no mailbox: %v, %v", is, err)
	}
	if _, err := IsMailbox(path + "x"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what is not there: %v", err)
	}
}

// writeMboxrd writes messages as mboxrd has them (one > before From and before any number of > before it).
func writeMboxrd(messages []string) []byte {
	var out bytes.Buffer
	for _, m := range messages {
		out.WriteString("From a@example.org Tue Nov 24 12:00:00 2026\n")
		for line := range strings.SplitSeq(m, "\n") {
			if strings.HasPrefix(strings.TrimLeft(line, ">"), "From ") {
				line = ">" + line
			}
			out.WriteString(line + "\n")
		}
		out.WriteString("\n")
	}
	return out.Bytes()
}

// FuzzMbox: messages that are written as mboxrd are read back as they were, and any bytes at all lose nothing but the lines that part
// messages and quotes.
func FuzzMbox(f *testing.F) {
	f.Add("Subject: x\n\nFrom a@example.org Tue Nov 24 12:00:00 2026\n>From b", "two\n\n\n")
	f.Add(boxed, "")
	f.Fuzz(func(t *testing.T, one, two string) {
		var raw int
		err := ReadMbox(strings.NewReader(one), func(_ int, _ time.Time, text []byte, _ error) error {
			raw += len(text)
			return nil
		})
		if err != nil || raw > len(one) {
			t.Fatalf("%d bytes of %d, %v", raw, len(one), err)
		}
		if strings.ContainsRune(one+two, '\r') || len(one)+len(two) > maxLine/2 {
			return
		}
		var got []string
		err = ReadMbox(bytes.NewReader(writeMboxrd([]string{one, two})), func(_ int, _ time.Time, text []byte, err error) error {
			got = append(got, strings.TrimSuffix(string(text), "\n"))
			return err
		})
		if err != nil || !slices.Equal(got, []string{one, two}) {
			t.Errorf("%v %q, want %q", err, got, []string{one, two})
		}
	})
}
