package state

import (
	"database/sql"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// TestReaderBesideTheWriter: a process that writes a database and reads it too, as the daemon does for its page, keeps the lock that tells other programs
// that somebody has it open. A file's locks end with any descriptor of it that is closed (sqlite.org/howtocorrupt.html 2.2): SQLite before 3.51 then
// removes the log beside it when it goes, and what the daemon writes from there on is nowhere.
func TestReaderBesideTheWriter(t *testing.T) {
	if path := os.Getenv("GATEPOST_TEST_LOCKED"); path != "" {
		if err := lockAlone(path); !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, syscall.EACCES) {
			t.Errorf("another program may have it alone: %v", err)
		}
		return
	}
	d := Database{Path: filepath.Join(t.TempDir(), "test.db"), What: "test", Schema: "CREATE TABLE IF NOT EXISTS one (n INTEGER);"}
	writer, err := d.open()
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	for name, open := range map[string]func() (*sql.DB, error){
		"read":  func() (*sql.DB, error) { return ReadDatabase(d.Path) },
		"write": d.open,
	} {
		db, err := open()
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		child := exec.Command(os.Args[0], "-test.run=^TestReaderBesideTheWriter$")
		child.Env = append(os.Environ(), "GATEPOST_TEST_LOCKED="+d.Path)
		if out, err := child.CombinedOutput(); err != nil {
			t.Errorf("when it was opened once more, to %s: %v\n%s", name, err, out)
		}
	}
}

// lockAlone locks a database as SQLite does for one that nobody else has open: the range of SHARED_FIRST (os.h of SQLite).
func lockAlone(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	return syscall.FcntlFlock(f.Fd(), syscall.F_SETLK, &syscall.Flock_t{Type: syscall.F_WRLCK, Start: 0x40000002, Len: 510})
}
