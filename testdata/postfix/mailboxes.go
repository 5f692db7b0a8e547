package postfix

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"
)

// Mailboxes is a folder with a Maildir for each user.
type Mailboxes string

// Of gives the messages that a user got, each as it was stored, the oldest first.
func (m Mailboxes) Of(name string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(string(m), name, "new", "*"))
	if err != nil {
		return nil, err
	}
	sort.Slice(files, func(a, b int) bool { return modified(files[a]).Before(modified(files[b])) })
	var out []string
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		out = append(out, string(text))
	}
	return out, nil
}

func modified(path string) time.Time {
	info, err := os.Stat(path)
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

// Delivered waits until some message of a user contains a text, and gives it.
func (m Mailboxes) Delivered(name, text string) (string, error) {
	for range 400 {
		messages, err := m.Of(name)
		if err != nil {
			return "", err
		}
		for _, m := range messages {
			if strings.Contains(m, text) {
				return m, nil
			}
		}
		time.Sleep(25 * time.Millisecond)
	}
	return "", fmt.Errorf("%s got no message with %q", name, text)
}
