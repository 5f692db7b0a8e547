package soak

import (
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite", for a program that locks the daemon's files

	"gatepost.example/filter/resolve/resolvetest"
)

// results gives the Authentication-Results that a message got.
func results(a Answer) string {
	for _, f := range a.Fields {
		if strings.EqualFold(f.HeaderName, "Authentication-Results") {
			return f.HeaderValue
		}
	}
	return ""
}

// fresh is honest mail of a domain that no cache knows.
func fresh(n int) Mail {
	m := good()
	m.Sender = fmt.Sprintf("a@s%d.good.example", n)
	return m
}

// TestDNSFaults: while DNS is silent, broken, lame or slow, mail gets an answer within the MTA's patience and never a 5xx; when it is back,
// results are right again within seconds.
func TestDNSFaults(t *testing.T) {
	d := Start(t, Options{Zone: zone + "*.good.example TXT \"v=spf1 ip4:192.0.2.0/24 -all\"\n*.good.example MX 10 mail.good.example\n", Policy: shippedRules(t)})
	n := 0
	for _, fault := range []struct {
		name string
		does resolvetest.Fault
	}{
		{"silent", resolvetest.Silent}, {"SERVFAIL", resolvetest.Rcode(2)}, {"REFUSED", resolvetest.Rcode(5)}, {"junk before the answer", resolvetest.Junk},
		{"another's id", resolvetest.WrongID}, {"another question", resolvetest.WrongQuestion}, {"30 s slow", resolvetest.Delay(30 * time.Second)},
	} {
		t.Run(fault.name, func(t *testing.T) {
			d.DNS.Misbehave(fault.does)
			for _, m := range []Mail{fresh(n), spoof()} {
				m.Sender = strings.Replace(m.Sender, "@", fmt.Sprintf("@f%d.", n), 1)
				a, err := d.Send(m)
				if err != nil || a.Code >= 500 || a.Code == 0 {
					t.Errorf("mail of %s got %+v, %v", m.Sender, a, err)
				}
				n++
			}
			d.DNS.Misbehave()
			back := ""
			for range 60 { // trouble is remembered for 5 s
				n++
				a, err := d.Send(fresh(n))
				if err != nil {
					t.Fatal(err)
				}
				if back = results(a); strings.Contains(back, "spf=pass") && a.Code == 250 {
					return
				}
				time.Sleep(250 * time.Millisecond)
			}
			t.Errorf("DNS is back, and still: %s", back)
		})
	}
}

// TestNoHerd: many sessions that ask for the same while DNS is silent make a handful of queries, not one each.
func TestNoHerd(t *testing.T) {
	d := Start(t, Options{Zone: zone, Policy: shippedRules(t)})
	d.DNS.Misbehave(resolvetest.Silent)
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			if a, err := d.Send(good()); err != nil || a.Code >= 500 {
				t.Errorf("%+v, %v", a, err)
			}
		})
	}
	all.Wait()
	if queries := len(d.DNS.Queries()); queries > 200 {
		t.Errorf("%d queries for 100 sessions of one sender", queries)
	}
}

// TestOneServerSilent: with two servers of which one is silent, mail has its results.
func TestOneServerSilent(t *testing.T) {
	silent, err := resolvetest.NewServer(resolvetest.Must(zone))
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	silent.Misbehave(resolvetest.Silent)
	d := Start(t, Options{Zone: zone, Policy: shippedRules(t)})
	d.WritePolicy(Options{Policy: shippedRules(t), DNS: fmt.Sprintf("servers = [%q, %q]\ntimeout = \"2s\"\nbudget = \"8s\"\n", silent.Addr(), d.DNS.Addr())})
	if err := d.Stop(); err != nil {
		t.Fatal(err)
	}
	d.Begin()
	a, err := d.Send(good())
	if err != nil || !strings.Contains(results(a), "spf=pass") || !strings.Contains(results(a), "dmarc=pass") {
		t.Errorf("%s %+v, %v", results(a), a, err)
	}
}

// databases are the daemon's files.
var databases = []string{"state.db", "history.db"}

// says waits until gatepost status says that something is wrong, or that all is well.
func says(t *testing.T, d *Daemon, words ...string) {
	t.Helper()
	out, code := "", 0
	for range 60 {
		out, code = d.Command("status")
		all := true
		for _, w := range words {
			all = all && strings.Contains(out, w)
		}
		if all && (code == 0) == (words[0] == "all is well") {
			return
		}
		time.Sleep(250 * time.Millisecond)
	}
	t.Errorf("gatepost status (exit status %d) does not say %q:\n%s", code, words, out)
}

// TestLocked: while another program locks the files, mail goes on; what is lost is counted; afterwards all is well by itself.
func TestLocked(t *testing.T) {
	d := Start(t, Options{Zone: zone, Policy: shippedRules(t)})
	serves(t, d, "at first")
	unlock := lockFiles(t, d)
	for range 20 {
		serves(t, d, "while the files are locked")
	}
	says(t, d, "WRONG", "memory cannot be written", "history")
	unlock()
	serves(t, d, "when they are free")
	says(t, d, "all is well")
	accounts(t, d, 22)
}

// accounts wants each message in the history or counted as lost.
func accounts(t *testing.T, d *Daemon, sent int) {
	t.Helper()
	kept, lost := accountsFor(t, d, sent)
	if rows := rowsOf(t, d); rows != int(kept) || lost == 0 {
		t.Errorf("%d messages were sent; %v are kept, %v lost, the history has %d", sent, kept, lost, rows)
	}
}

// accountsFor waits until each message is kept or counted as lost.
func accountsFor(t *testing.T, d *Daemon, sent int) (kept, lost float64) {
	t.Helper()
	for range 40 { // a commit a second
		kept, _ = d.Metric("gatepost_history_records_total", "kept")
		if lost, _ = d.Metric("gatepost_history_records_total", "lost"); int(kept+lost) >= sent {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if int(kept+lost) != sent {
		t.Errorf("%d messages were sent; %v are kept, %v lost", sent, kept, lost)
	}
	return kept, lost
}

// lockFiles locks the daemon's files as another program does, until the function that it gives is called.
func lockFiles(t *testing.T, d *Daemon) (unlock func()) {
	var locks []*sql.DB
	for _, name := range databases {
		if _, err := os.Stat(filepath.Join(d.State(), name)); err != nil {
			continue // the memory is elsewhere
		}
		db, err := sql.Open("sqlite", "file:"+filepath.Join(d.State(), name)+"?_pragma=busy_timeout(0)")
		if err != nil {
			t.Error(err)
			continue
		}
		db.SetMaxOpenConns(1)
		if err := begins(db); err != nil {
			t.Error(err)
			db.Close()
			continue
		}
		locks = append(locks, db)
	}
	return func() {
		for _, db := range locks {
			if _, err := db.Exec("ROLLBACK"); err != nil {
				t.Error(err)
			}
			db.Close()
		}
	}
}

// begins locks a database. The daemon leaves its own lock for moments only while much mail comes: SQLite, which waits up to 100 ms between two
// looks, would not find one for a long time.
func begins(db *sql.DB) (err error) {
	for range 30_000 {
		if _, err = db.Exec("BEGIN EXCLUSIVE"); err == nil {
			return nil
		}
		time.Sleep(time.Millisecond)
	}
	return err
}

// TestFolderRemoved: without its folder the daemon goes on, and says so.
func TestFolderRemoved(t *testing.T) {
	d := Start(t, Options{Zone: zone, Policy: shippedRules(t)})
	serves(t, d, "at first")
	if err := os.RemoveAll(filepath.Join(d.Dir, "state")); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		serves(t, d, "without its folder")
	}
	says(t, d, "WRONG", "memory")
	if err := d.Stop(); err == nil {
		t.Error("what could not be written is no fault at the end")
	}
	d.Begin()
	serves(t, d, "in a new folder")
	says(t, d, "all is well")
}

// TestFilesRemoved: files that an admin removes to make room, or that somebody cuts, while the daemon has them open, are there again by themselves, with
// all that it remembers; what the history lost is counted.
func TestFilesRemoved(t *testing.T) {
	for name, spoil := range map[string]func(string) error{
		"removed": os.Remove,
		"cut":     func(file string) error { return os.Truncate(file, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			d := Start(t, Options{Zone: zone, Policy: counting})
			for range 5 {
				serves(t, d, "at first")
			}
			accountsFor(t, d, 5)
			files, err := filepath.Glob(filepath.Join(d.State(), "*.db*"))
			if err != nil || len(files) != 6 {
				t.Fatal(files, err)
			}
			for _, file := range files {
				if err := spoil(file); err != nil {
					t.Fatal(err)
				}
			}
			for range 5 {
				serves(t, d, "with its files "+name)
			}
			for _, said := range []string{ // status says it too, for a second
				"the memory cannot be written; decisions go on, what is new is lost if the daemon ends", "the history cannot be written; mail goes on, what is decided now is lost for it",
			} {
				d.logs(t, said, func() {})
			}
			says(t, d, "all is well")
			accountsFor(t, d, 10)
			serves(t, d, "when they are back")
			if err := d.Stop(); err != nil {
				t.Error(err)
			}
			d.Begin()
			if n := levelOf(t, d); n < 10.5 || n > 11 { // it drains
				t.Errorf("after a restart the limit has counted %v messages, want 11", n)
			}
			says(t, d, "all is well")
			if n := rowsOf(t, d); n == 0 || n > 6 {
				t.Errorf("the history has %d records, want 1 to 6", n)
			}
		})
	}
}

// TestCorrupt: files that are no databases any more are set aside under a new name.
func TestCorrupt(t *testing.T) {
	d := Start(t, Options{Zone: zone, Policy: shippedRules(t)})
	serves(t, d, "at first")
	if err := d.Stop(); err != nil {
		t.Fatal(err)
	}
	for _, name := range databases {
		if err := os.WriteFile(filepath.Join(d.Dir, "state", name), []byte(strings.Repeat("no database ", 5000)), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	d.Begin()
	serves(t, d, "after corruption")
	for _, name := range databases {
		aside, err := filepath.Glob(filepath.Join(d.Dir, "state", name+".corrupt-*"))
		if err != nil || len(aside) != 1 {
			t.Errorf("%s was not set aside: %v, %v", name, aside, err)
			continue
		}
		if text, err := os.ReadFile(aside[0]); err != nil || string(text) != strings.Repeat("no database ", 5000) {
			t.Errorf("%s has %d other bytes, %v", aside[0], len(text), err)
		}
		if !strings.Contains(d.Log(), aside[0]) {
			t.Errorf("the log does not name %s", aside[0])
		}
	}
	says(t, d, "all is well")
}

// TestDiskFull: on a full disk mail goes on, what is lost is counted and said, and when there is room again all is well by itself.
func TestDiskFull(t *testing.T) {
	if os.Getuid() != 0 {
		if os.Getenv("GATEPOST_CI") != "" {
			t.Fatal("a small disk is made by root only")
		}
		t.Skip("a small disk is made by root only")
	}
	d := Start(t, Options{Zone: zone, Policy: shippedRules(t), Disk: "4m"})
	state := d.State()
	serves(t, d, "at first")
	filler := filepath.Join(state, "filler")
	if err := os.WriteFile(filler, make([]byte, 8<<20), 0o600); err == nil {
		t.Fatal("the disk is not full")
	}
	for i := range 200 {
		m := good()
		m.Addr = fmt.Sprintf("192.0.2.%d", i)
		if a, err := d.Send(m); err != nil || a.Code >= 500 || a.Code == 0 {
			t.Fatalf("on a full disk: %+v, %v", a, err)
		}
	}
	says(t, d, "WRONG", "cannot be written")
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	serves(t, d, "with room again")
	says(t, d, "all is well")
	accounts(t, d, 202)
	if err := d.Stop(); err != nil {
		t.Error(err)
	}
}

// TestReadOnly: when the disk turns read-only, as a kernel does after an error of the disk, mail goes on, what is lost is counted and said, also by a
// daemon that begins on such a disk.
func TestReadOnly(t *testing.T) {
	if os.Getuid() != 0 {
		unless(t, "a disk with an error is made by root only")
	}
	d := Start(t, Options{Zone: zone, Policy: shippedRules(t)})
	if err := d.Stop(); err != nil {
		t.Fatal(err)
	}
	image := filepath.Join(d.Dir, "disk")
	for _, words := range [][]string{{"truncate", "-s", "16M", image}, {"mkfs.ext4", "-q", "-F", image}} {
		if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", words, err, out)
		}
	}
	if out, err := exec.Command("mount", "-o", "loop,errors=remount-ro", image, d.State()).CombinedOutput(); err != nil {
		t.Logf("NOT TESTED: a disk that turns read-only; no image of a disk can be mounted here: %s", out)
		return
	}
	t.Cleanup(func() { _ = exec.Command("umount", "-l", d.State()).Run() })
	d.Begin()
	serves(t, d, "at first")
	device, err := exec.Command("findmnt", "-no", "SOURCE", d.State()).Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join("/sys/fs/ext4", filepath.Base(strings.TrimSpace(string(device))), "trigger_fs_error"), []byte("1"), 0o200); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		serves(t, d, "on a disk that turned read-only")
	}
	says(t, d, "WRONG", "the memory cannot be written", "the history cannot be written")
	if lost, _ := d.Metric("gatepost_history_records_total", "lost"); lost == 0 {
		t.Error("no record is counted as lost")
	}
	_ = d.Stop() // the last commit fails, and says so
	d.Begin()
	serves(t, d, "when it began on a read-only disk")
	says(t, d, "WRONG", "the memory cannot be written", "the history cannot be written", "see that its disk has room and takes writes")
	_ = d.Stop()
}
