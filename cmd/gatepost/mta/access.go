package mta

import (
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
)

// Barred says why the user that Postfix's services run as may not use a unix socket, and the command that mends it; "" when it may.
func (p *Postfix) Barred(path string) (fix, what string) {
	name := p.Value("mail_owner")
	if name == "" {
		name = "postfix"
	}
	return Barred(name, path)
}

// Barred says why Sendmail does not use a unix socket, and the command that mends it; "" when it does: its user has to be able to, and it holds a
// socket unsafe below a folder that more than its owner may write to, /tmp among them.
func (s *Sendmail) Barred(path string) (fix, what string) {
	if fix, what = Barred(s.RunAs, path); what != "" || s.Lenient {
		return fix, what
	}
	for _, dir := range parents(path) {
		if info, err := os.Stat(dir); err == nil && info.Mode()&0o022 != 0 {
			fix = "chmod go-w " + dir
			if info.Mode()&fs.ModeSticky != 0 {
				fix = "give the socket a folder of its own, such as /run/gatepost, by listen.milter"
			}
			return fix, fmt.Sprintf("Sendmail takes no socket below %s, which others may write to (%s)", dir, describe(info))
		}
	}
	return "", ""
}

// Barred says why a user may not use a unix socket, and the command that mends it; "" when it may: it has to search every folder above the
// socket, and to write to it.
func Barred(name, path string) (fix, what string) {
	who, err := lookup(name)
	if err != nil {
		return "", ""
	}
	for _, dir := range parents(path) {
		if info, err := os.Stat(dir); err == nil && !who.may(info, 1) {
			return fmt.Sprintf("chgrp %s %s && chmod g+x %s", who.group, dir, dir), fmt.Sprintf("user %s may not enter %s (%s)", name, dir, describe(info))
		}
	}
	if info, err := os.Stat(path); err == nil && !who.may(info, 2) {
		dir := filepath.Dir(path)
		return fmt.Sprintf("chgrp %s %s %s && chmod g+xs %s && chmod 0660 %s", who.group, dir, path, dir, path),
			fmt.Sprintf("user %s may not use %s (%s)", name, path, describe(info))
	}
	return "", ""
}

// parents gives the folders above a path, from the root down.
func parents(path string) []string {
	var out []string
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		out = append(out, dir)
		if dir == filepath.Dir(dir) {
			slices.Reverse(out)
			return out
		}
	}
}

// account is a user with its groups.
type account struct {
	uid   uint32
	gids  []uint32
	group string
}

func lookup(name string) (*account, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	out := &account{uid: uint32(uid), group: u.Gid}
	if g, err := user.LookupGroupId(u.Gid); err == nil {
		out.group = g.Name
	}
	ids, err := u.GroupIds()
	for _, id := range ids {
		if gid, err := strconv.ParseUint(id, 10, 32); err == nil {
			out.gids = append(out.gids, uint32(gid))
		}
	}
	return out, err
}

// may reports whether the account has a right (1 to enter, 2 to write) by the modes of a file.
func (a *account) may(info fs.FileInfo, right fs.FileMode) bool {
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || a.uid == 0 {
		return true
	}
	mode := info.Mode().Perm()
	switch {
	case owner.Uid == a.uid:
		mode >>= 6
	case slices.Contains(a.gids, owner.Gid):
		mode >>= 3
	}
	return mode&right != 0
}

func describe(info fs.FileInfo) string {
	text := info.Mode().Perm().String()
	if owner, ok := info.Sys().(*syscall.Stat_t); ok {
		text += fmt.Sprintf(", owner %s, group %s", userOf(owner.Uid), groupOf(owner.Gid))
	}
	return text
}

func userOf(id uint32) string {
	if u, err := user.LookupId(fmt.Sprint(id)); err == nil {
		return u.Username
	}
	return fmt.Sprint(id)
}

func groupOf(id uint32) string {
	if g, err := user.LookupGroupId(fmt.Sprint(id)); err == nil {
		return g.Name
	}
	return fmt.Sprint(id)
}
