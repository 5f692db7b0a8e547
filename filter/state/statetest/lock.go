// Package statetest helps tests with SQLite files: it does to them what other programs may do.
package statetest

import (
	"database/sql"
	"testing"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// Lock locks a database as a program that has it for itself does, also for those who only read it, until the function that it gives is called. Nobody
// else may have it open.
func Lock(t testing.TB, path string) (unlock func()) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	for _, words := range []string{"PRAGMA locking_mode = EXCLUSIVE", "BEGIN EXCLUSIVE", "CREATE TABLE other (x)"} {
		if _, err := db.Exec(words); err != nil {
			t.Fatal(err)
		}
	}
	return func() {
		if _, err := db.Exec("ROLLBACK"); err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}
