package mta

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRightsByModes: the modes of a file as the kernel reads them: the owner's where the owner asks, else the group's, else the others'.
func TestRightsByModes(t *testing.T) {
	uid, gid := uint32(os.Getuid()), uint32(os.Getgid())
	if uid == 0 {
		uid, gid = 12345, 12345
	}
	path := filepath.Join(t.TempDir(), "socket")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		if err := os.Chown(path, int(uid), int(gid)); err != nil {
			t.Fatal(err)
		}
	}
	owner, member, other := &account{uid: uid}, &account{uid: uid + 1, gids: []uint32{gid}}, &account{uid: uid + 1}
	for mode, may := range map[os.FileMode][3]bool{0o600: {true, false, false}, 0o660: {true, true, false}, 0o666: {true, true, true}, 0o006: {false, false, true}, 0o066: {false, true, true}} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := [3]bool{owner.may(info, 2), member.may(info, 2), other.may(info, 2)}; got != may {
			t.Errorf("%o: owner, member, other %v, want %v", mode, got, may)
		}
	}
	if got := parents("/run/gatepost/milter.sock"); len(got) != 3 || got[0] != "/" || got[2] != "/run/gatepost" {
		t.Errorf("parents: %v", got)
	}
}

// TestSendmailsFolders: what others may write to is no folder for Sendmail's socket, whoever owns it; with DontBlameSendmail it may be.
func TestSendmailsFolders(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	for cf, want := range map[string]string{
		"O RunAsUser=root\n":                                               "Sendmail takes no socket below /",
		"O RunAsUser=root\nO DontBlameSendmail=safe\n":                     "Sendmail takes no socket below /",
		"O RunAsUser=root\nO DontBlameSendmail=WorldWritableDirPathSafe\n": "",
	} {
		if fix, what := ParseSendmail(cf).Barred(filepath.Join(dir, "socket")); !strings.HasPrefix(what, want) || (what == "") != (want == "") || (fix == "") != (want == "") {
			t.Errorf("%q: %q, to mend %q", cf, what, fix)
		}
	}
}
