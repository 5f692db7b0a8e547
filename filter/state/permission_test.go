package state

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

// asReader calls f as somebody who is in the group that a file has, and may write nothing there: the tests' own user where that is not root.
func asReader(t *testing.T, group int, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		f()
		return
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // which ends with the goroutine, and its rights with it
		if err := errors.Join(syscall.Setfsgid(group), syscall.Setfsuid(65534)); err != nil {
			done <- err
			return
		}
		f()
		done <- nil
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// TestReadByTheGroup: whoever is in the group reads a database, while a writer has it open and when nobody has, whatever the umask was. Others are
// told that they may not.
func TestReadByTheGroup(t *testing.T) {
	const group = 12345
	defer syscall.Umask(syscall.Umask(0o077)) // as systemd sets it
	dir := t.TempDir()
	path := filepath.Join(dir, "test.db")
	d := Database{Path: path, What: "test", Schema: "CREATE TABLE IF NOT EXISTS one (n INTEGER);"}
	db, err := d.open()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("INSERT INTO one VALUES (7)"); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) != 3 {
		t.Fatalf("%v, %v: want the database and two files beside it", files, err)
	}
	for _, name := range append(files, dir, filepath.Dir(dir)) {
		if os.Geteuid() == 0 {
			if err := os.Chown(name, -1, group); err != nil {
				t.Fatal(err)
			}
		}
		if info, err := os.Stat(name); err != nil || !info.IsDir() && info.Mode().Perm() != 0o640 {
			t.Errorf("%s: %v, %v, want -rw-r-----", name, info.Mode(), err)
		}
	}
	for _, name := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(name, 0o750); err != nil {
			t.Fatal(err)
		}
	}
	read := func(when string) {
		asReader(t, group, func() {
			reader, err := ReadDatabase(path)
			if err != nil {
				t.Errorf("%s: %v", when, err)
				return
			}
			defer reader.Close()
			n := 0
			if err := reader.QueryRow("SELECT n FROM one").Scan(&n); err != nil || n != 7 {
				t.Errorf("%s: %d, %v", when, n, err)
			}
		})
	}
	read("while it is written")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o550); err != nil {
		t.Fatal(err)
	}
	read("when nobody writes")
	if err := os.Chmod(path, 0o200); err != nil {
		t.Fatal(err)
	}
	asReader(t, group+1, func() {
		if _, err := ReadDatabase(path); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("one who may not read it: %v", err)
		}
	})
	if err := os.Chmod(dir, 0o750); err != nil { // to be removed
		t.Fatal(err)
	}
}
