package mailbox

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// walkTree visits all Maildirs at and below a directory, and what stands outside of them as mbox files or as messages (.eml). A directory with cur
// or new in it is a folder; the topmost one of a branch is the Maildir, and its own messages are those of its inbox.
func walkTree(root string, since time.Time, visit func(Message) error, failed func(string, error)) error {
	maildir, found := "", false
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			if !vanished(err) {
				failed(path, err)
			}
			if d != nil && d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		case !d.IsDir():
			if maildir != "" && within(maildir, path) || !d.Type().IsRegular() {
				return nil // what the mail store keeps beside the messages
			}
			is, err := walkFile(path, since, visit, failed)
			found = found || is
			return err
		}
		switch d.Name() {
		case "cur", "new", "tmp":
			if isFolder(filepath.Dir(path)) {
				return filepath.SkipDir // visited with its folder
			}
		}
		if !isFolder(path) {
			return nil
		}
		found = true
		if maildir == "" || !within(maildir, path) {
			maildir = path
		}
		return walkFolder(path, folderName(maildir, path), since, visit, failed)
	})
	if err == nil && !found {
		err = fmt.Errorf("%s holds no Maildir, no mbox and no .eml file; of a mail store of another form, export a folder", root)
	}
	return err
}

// walkFile visits the messages of a file outside of a Maildir: an mbox, which is a user's inbox (/var/mail/anna) unless its name says what else it is
// for, or one message. It reports whether it is either.
func walkFile(path string, since time.Time, visit func(Message) error, failed func(string, error)) (is bool, err error) {
	name := filepath.Base(path)
	folder := Inbox
	if UseOf(name) != Incoming {
		folder = name
	}
	is, err = IsMailbox(path)
	switch {
	case err != nil:
		failed(path, err)
		return false, nil
	case is:
		return true, walkMbox(path, folder, since, visit, failed)
	case strings.EqualFold(filepath.Ext(name), ".eml"):
		if part := filepath.Base(filepath.Dir(path)); UseOf(part) != Incoming {
			folder = part
		}
		return true, walkMessage(path, folder, since, visit, failed)
	}
	return false, nil
}

// walkMessage visits a file with one message.
func walkMessage(path, folder string, since time.Time, visit func(Message) error, failed func(string, error)) error {
	info, err := os.Stat(path)
	if err != nil {
		return nil // moved meanwhile
	}
	delivered := deliveredAt(filepath.Base(path), info.ModTime())
	if delivered.Before(since) {
		return nil
	}
	text, err := readFile(path)
	switch {
	case vanished(err):
		return nil
	case err != nil:
		failed(path, err)
		return nil
	}
	return visit(Message{Name: path, Folder: folder, Time: delivered, Text: text})
}

func isFolder(path string) bool {
	for _, name := range []string{"cur", "new"} {
		if info, err := os.Stat(filepath.Join(path, name)); err == nil && info.IsDir() {
			return true
		}
	}
	return false
}

func within(outer, path string) bool {
	return path == outer || strings.HasPrefix(path, outer+string(filepath.Separator))
}

// folderName gives a folder as people see it: ".Archive.2026" of Maildir++ and the directory "Archive/2026" are both "Archive.2026".
func folderName(maildir, path string) string {
	if path == maildir {
		return Inbox
	}
	relative, err := filepath.Rel(maildir, path)
	if err != nil {
		return path
	}
	name := strings.Trim(strings.ReplaceAll(relative, string(filepath.Separator), "."), ".")
	return strings.TrimPrefix(name, Inbox+".")
}

func walkFolder(path, folder string, since time.Time, visit func(Message) error, failed func(string, error)) error {
	for _, part := range []string{"cur", "new"} {
		entries, err := os.ReadDir(filepath.Join(path, part))
		if err != nil && !vanished(err) {
			failed(filepath.Join(path, part), err)
		}
		for _, e := range entries {
			name := filepath.Join(path, part, e.Name())
			if info, err := e.Info(); err != nil || !info.Mode().IsRegular() || strings.HasPrefix(e.Name(), ".") {
				continue // moved meanwhile, or no message
			}
			if err := walkMessage(name, folder, since, visit, failed); err != nil {
				return err
			}
		}
	}
	return nil
}

// deliveredAt reads the moment with which the name of a message begins, in seconds since 1970; otherwise it is that of the file.
func deliveredAt(name string, changed time.Time) time.Time {
	digits, _, _ := strings.Cut(name, ".")
	if seconds, err := strconv.ParseInt(digits, 10, 64); err == nil && seconds > 0 && seconds < 1<<40 {
		return time.Unix(seconds, 0)
	}
	return changed
}
