// Package mailbox reads delivered mail where it lies: a Maildir with its folders, an mbox file, or a tree of several of either. It writes nothing.
//
//	mailbox.go  what kind of place a path is, and a walk over its messages
//	maildir.go  Maildir and Maildir++ (folders as .Junk), and folders as directories
//	mbox.go     mbox in its dialects: mboxo, mboxrd
//	folder.go   what a folder is for, by its name
package mailbox

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
)

// Message is one delivered message.
type Message struct {
	Name   string    // the file, or "file#3" for the third message of an mbox
	Folder string    // "INBOX", "Junk", "Archive.2026"; of an mbox its file's name, among several "INBOX" where that name is a user's
	Time   time.Time // when it was delivered
	Text   []byte    // as it lies there
}

// MaxMessage bounds a message that is read, in bytes; MTAs take 10 to 50 MB.
const MaxMessage = 100 << 20

// Inbox is the folder of a Maildir itself.
const Inbox = "INBOX"

// IsMailbox reports whether a path is a place with many messages: a directory, or a file that begins as an mbox does.
func IsMailbox(path string) (bool, error) {
	info, err := os.Stat(path)
	if err != nil || info.IsDir() {
		return err == nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	line, _ := bufio.NewReaderSize(f, 1024).Peek(1024)
	line, _, _ = bytes.Cut(line, []byte("\n"))
	_, ok := fromLine(line)
	return ok, nil
}

// Walk visits every message that was delivered at since or later, folder by folder, in the order of names. What cannot be read is handed to
// failed, and the walk goes on. It ends at the first error that visit gives. A directory in which nothing is a mailbox is an error.
func Walk(path string, since time.Time, visit func(Message) error, failed func(name string, err error)) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return err
	case !info.IsDir():
		return walkMbox(path, filepath.Base(path), since, visit, failed)
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return err
	}
	return walkTree(path, since, visit, failed)
}

// errFound ends a walk at the message that was looked for.
var errFound = errors.New("found")

// Pick gives one message of an mbox by the name that Walk gives it: "file#3". It reports false for a name of another form.
func Pick(name string) (text []byte, named bool, err error) {
	i := strings.LastIndexByte(name, '#')
	if i < 0 || strings.Trim(name[i+1:], "0123456789") != "" || name[i+1:] == "" {
		return nil, false, nil
	}
	if many, err := IsMailbox(name[:i]); err != nil || !many {
		return nil, false, nil
	}
	err = Walk(name[:i], time.Time{}, func(m Message) error {
		if m.Name != name {
			return nil
		}
		text = m.Text
		return errFound
	}, func(failed string, wrong error) {
		if failed == name {
			err = wrong
		}
	})
	if errors.Is(err, errFound) {
		return text, true, nil
	}
	if err == nil {
		err = fmt.Errorf("%s has no message %s", name[:i], name[i+1:])
	}
	return nil, true, err
}

// readFile reads a whole message; one that the mail store has compressed, with gzip or zstd, is unpacked.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	in := bufio.NewReader(f)
	switch magic, _ := in.Peek(4); {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		unpacked, err := gzip.NewReader(in)
		if err != nil {
			return nil, err
		}
		return readBounded(unpacked)
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		unpacked, err := zstd.NewReader(in, zstd.WithDecoderMaxMemory(2*MaxMessage), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		defer unpacked.Close()
		return readBounded(unpacked)
	}
	return readBounded(in)
}

func readBounded(r io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, MaxMessage+1))
	if err == nil && len(text) > MaxMessage {
		err = fmt.Errorf("the message has over %d MB", MaxMessage>>20)
	}
	return text, err
}

// vanished reports whether a file went away meanwhile, as mail does that is moved or deleted.
func vanished(err error) bool { return errors.Is(err, fs.ErrNotExist) }
