package history

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestKey: a key is made once and stays. An empty file, as a disk leaves it that was full, is no key, and one that somebody cut is said.
func TestKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.key")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	key, err := keyOf(path)
	info, told := os.Stat(path)
	if err != nil || told != nil || len(key) != keySize || info.Mode().Perm() != 0o640 {
		t.Fatalf("%d bytes, %v, %v, %v", len(key), err, info, told)
	}
	if again, err := keyOf(path); err != nil || !bytes.Equal(again, key) {
		t.Errorf("another one later: %v", err)
	}
	if names, err := os.ReadDir(filepath.Dir(path)); err != nil || len(names) != 1 {
		t.Errorf("beside it there is something: %v, %v", names, err)
	}
	if err := os.WriteFile(path, key[:leastKey-1], 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := keyOf(path); err == nil || !strings.Contains(err.Error(), "too short") {
		t.Error(err)
	}
}
