package state

import (
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

// Database is a SQLite file of ours.
type Database struct {
	Path    string
	What    string // the word for what it keeps
	Schema  string
	Shrinks bool // what is deleted gives its room back, when asked to
}

// Open opens the file for one writer, and makes it when it is not there: WAL, synchronous FULL, rights for nobody but owner and group. A file
// that is no database any more, or whose tables are those of another version of Gatepost, is set aside under a new name, which the log says, and a
// new one takes its place. The error says why the folder cannot be used.
func (d Database) Open(now time.Time, log *slog.Logger) (*sql.DB, error) {
	db, err := d.open()
	switch {
	case err == nil:
	case isCorrupt(err):
		db, err = d.anew(now, log, "corrupt", "is corrupt", err)
	case errors.Is(err, errOtherVersion):
		db, err = d.anew(now, log, "other-version", "is that of another version", err)
	}
	if err == nil {
		return db, nil
	}
	if !Passes(err) {
		err = fmt.Errorf("%w; see that its folder is there and belongs to the user that runs gatepost", err)
	}
	return nil, fmt.Errorf("the %s %s cannot be used: %w", d.What, d.Path, WithRemedy(err))
}

// WithRemedy adds to an error that may pass what helps.
func WithRemedy(err error) error {
	if !Passes(err) {
		return err
	}
	return fmt.Errorf("%w; see that its disk has room and takes writes, and that no other program locks it", err)
}

// Passes reports whether an error is the disk's, or says that another program locks the file: that may be over by itself, or as soon as somebody makes
// room, and nobody is to wait for it. What is wrong with paths and rights is not of that kind.
func Passes(err error) bool {
	for _, one := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.EIO, syscall.ESTALE} {
		if errors.Is(err, one) {
			return true
		}
	}
	// BUSY, LOCKED, READONLY (what rights forbid is told before SQLite is asked), IOERR, FULL (sqlite.org/rescode.html)
	return slices.Contains([]int{5, 6, 8, 10, 13}, codeOf(err))
}

// anew sets the file aside under a name with a word in it, says what is wrong with it, and opens a new one.
func (d Database) anew(now time.Time, log *slog.Logger, word, wrong string, why error) (*sql.DB, error) {
	aside := fmt.Sprintf("%s.%s-%s", d.Path, word, now.UTC().Format("20060102-150405"))
	if err := setAside(d.Path, aside); err != nil {
		return nil, err
	}
	log.Error("the "+d.What+" "+wrong+"; it was set aside and begins anew", "file", d.Path, "aside", aside, "error", why.Error())
	return d.open()
}

func (d Database) open() (*sql.DB, error) {
	if err := makePrivate(d.Path); err != nil {
		return nil, err
	}
	// A transaction waits for another writer when it begins: one that had read before could not write any more behind that one's commit.
	pragmas := url.Values{"_pragma": {"journal_mode(WAL)", "synchronous(FULL)", "busy_timeout(2000)"}, "_txlock": {"immediate"}}
	if d.Shrinks { // only a file without any table takes it
		pragmas["_pragma"] = append([]string{"auto_vacuum(INCREMENTAL)"}, pragmas["_pragma"]...)
	}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: d.Path}).EscapedPath()+"?"+pragmas.Encode())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	var verdict string
	if err := db.QueryRow("PRAGMA quick_check(1)").Scan(&verdict); err != nil {
		db.Close()
		return nil, err
	}
	if verdict != "ok" {
		db.Close()
		return nil, fmt.Errorf("%w: %s", errCorrupt, verdict)
	}
	if err := d.tables(db); err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

// errOtherVersion says that a file is a database with tables of another form.
var errOtherVersion = errors.New("its tables are not those of this version")

// tables makes what tables are missing, and sees that those that were there have the columns that this version writes.
func (d Database) tables(db *sql.DB) error {
	before, err := columnsOf(db)
	if err != nil {
		return err
	}
	fresh, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		return err
	}
	defer fresh.Close()
	fresh.SetMaxOpenConns(1) // each connection would have a memory of its own
	if _, err := fresh.Exec(d.Schema); err != nil {
		return err
	}
	want, err := columnsOf(fresh)
	if err != nil {
		return err
	}
	for table, columns := range before {
		if now, ours := want[table]; ours && now != columns {
			return fmt.Errorf("%w: table %s has columns %q", errOtherVersion, table, columns)
		}
	}
	_, err = db.Exec(d.Schema)
	return err
}

// columnsOf gives the columns of each table, with types, in one text.
func columnsOf(db *sql.DB) (map[string]string, error) {
	rows, err := db.Query("SELECT t.name, c.name || ' ' || c.type FROM sqlite_master AS t, pragma_table_info(t.name) AS c WHERE t.type = 'table' ORDER BY t.name, c.cid")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[string]string{}
	for rows.Next() {
		var table, column string
		if err := rows.Scan(&table, &column); err != nil {
			return nil, err
		}
		out[table] += column + ", "
	}
	return out, rows.Err()
}

// ReadDatabase opens a SQLite file to read, also while a writer has it open, and also for one who may read it but write nothing beside it. The error
// says when it is not there or may not be read.
func ReadDatabase(path string) (*sql.DB, error) {
	if err := may(path, unix.R_OK); err != nil {
		return nil, err
	}
	db, err := readable(path, url.Values{})
	if err == nil {
		return db, nil
	}
	if _, gone := os.Stat(path + "-wal"); errors.Is(gone, fs.ErrNotExist) { // no writer has it open: nobody has to make files beside it
		return readable(path, url.Values{"immutable": {"1"}})
	}
	return nil, err
}

func readable(path string, query url.Values) (*sql.DB, error) {
	query["mode"], query["_pragma"] = []string{"ro"}, []string{"busy_timeout(2000)"}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+query.Encode())
	if err != nil {
		return nil, err
	}
	var tables int
	if err := db.QueryRow("SELECT count(*) FROM sqlite_master").Scan(&tables); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// makePrivate makes the file with rights for nobody but owner and group, before SQLite would; the files beside it get the same.
func makePrivate(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o640)
	if errors.Is(err, fs.ErrExist) {
		return may(path, unix.R_OK|unix.W_OK)
	}
	if err != nil {
		return err
	}
	// The mode is that whatever the umask says: the group reads the history.
	return errors.Join(f.Chmod(0o640), f.Close())
}

// may says that a file is not there or may not be opened so. It does not try: with any descriptor of a file that is closed, all locks end that this
// process has on it (sqlite.org/howtocorrupt.html 2.2), those of SQLite too where it has it open already.
func may(path string, how uint32) error {
	if err := unix.Faccessat(unix.AT_FDCWD, path, how, unix.AT_EACCESS); err != nil {
		return &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return nil
}

var errCorrupt = errors.New("the file is corrupt")

// isCorrupt tells a broken file from one that cannot be opened. SQLite's codes 11 and 26 (sqlite.org/rescode.html).
func isCorrupt(err error) bool {
	code := codeOf(err)
	return code == 11 || code == 26 || errors.Is(err, errCorrupt)
}

// codeOf gives SQLite's primary result code of an error; 0 for others.
func codeOf(err error) int {
	var coded interface{ Code() int }
	if errors.As(err, &coded) {
		return coded.Code() & 0xff
	}
	return 0
}

// Spoilt reports whether an error says that a file that was open is not any more what it was: corrupt, or cut (SQLITE_IOERR_IN_PAGE).
func Spoilt(err error) bool {
	var coded interface{ Code() int }
	return isCorrupt(err) || errors.As(err, &coded) && coded.Code() == 10|34<<8
}

func setAside(path, aside string) error {
	for _, tail := range []string{"-wal", "-shm", ""} {
		if err := os.Rename(path+tail, aside+tail); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s cannot be set aside: %w", filepath.Base(path), err)
		}
	}
	return nil
}

// Present reports that a database's file was removed or replaced since it was opened, when made was read: SQLite would go on writing to the
// one that has no name any more.
func Present(path string, made os.FileInfo) error {
	info, err := os.Stat(path)
	if err == nil && !os.SameFile(info, made) {
		err = errors.New("another file has taken its place")
	}
	if err != nil {
		return fmt.Errorf("the file is gone: %w", err)
	}
	return nil
}
