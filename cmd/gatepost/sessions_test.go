package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// sessionFiles gives every session file of the project.
func sessionFiles(t *testing.T) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(filepath.Join(root, "testdata", "sessions"), func(path string, d fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".txtar") {
			out = append(out, path)
		}
		return err
	})
	if err != nil || len(out) == 0 {
		t.Fatalf("no session files: %v", err)
	}
	return out
}

// TestSessions plays every session file as an admin would: by gatepost test.
func TestSessions(t *testing.T) {
	for _, path := range sessionFiles(t) {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			var out, errs bytes.Buffer
			if status := execute([]string{"test", path}, &out, &errs); status != exitDone {
				t.Errorf("exit status %d\n%s%s", status, &out, &errs)
			}
		})
	}
}

// TestSessionsCanFail: a session file that wants something else is told so, with what happened.
func TestSessionsCanFail(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "testdata/sessions/at-once.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.Replace(text, []byte("\nconnect 421 "), []byte("\nfact client.ip = 192.0.2.9\nconnect 550 "), 1)
	path := filepath.Join(t.TempDir(), "wrong.txtar")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	if status := execute([]string{"test", path}, &out, &errs); status != exitNo {
		t.Errorf("exit status %d, want %d", status, exitNo)
	}
	for _, want := range []string{
		"got 192.0.2.1\n",
		"got connect 421 4.7.0 Too much from 192.0.2.0/24; slow down (id TEST-0001) rule blocked decided connect\n",
		"0 of 1 sessions ended as wanted\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("there is no %q in\n%s", want, &out)
		}
	}
}
