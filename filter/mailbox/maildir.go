package mailbox

import (
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// walkTree visits all Maildirs at and below a directory. A directory with cur or new in it is a folder; the topmost one of a branch is the
// Maildir, and its own messages are those of its inbox.
func walkTree(root string, since time.Time, visit func(Message) error, failed func(string, error)) error {
	maildir := ""
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
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
			return nil
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
		if maildir == "" || !within(maildir, path) {
			maildir = path
		}
		return walkFolder(path, folderName(maildir, path), since, visit, failed)
	})
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
			info, err := e.Info()
			if err != nil || !info.Mode().IsRegular() {
				continue // moved meanwhile, or no message
			}
			delivered := deliveredAt(e.Name(), info.ModTime())
			if delivered.Before(since) {
				continue
			}
			text, err := readFile(name)
			switch {
			case vanished(err):
				continue
			case err != nil:
				failed(name, err)
				continue
			}
			if err := visit(Message{Name: name, Folder: folder, Time: delivered, Text: text}); err != nil {
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
