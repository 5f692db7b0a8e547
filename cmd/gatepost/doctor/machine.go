package doctor

import (
	"context"

	"golang.org/x/sys/unix"
)

// clock says whether the kernel holds the clock for right: signatures have times, and greylisting and limits count them.
func (d *Doctor) clock(context.Context) {
	var t unix.Timex // with no mode set nothing is changed (adjtimex(2))
	state, err := unix.Adjtimex(&t)
	switch {
	case err != nil:
		d.say("clock", Note, "", "the kernel does not say whether the clock is right: %v", err)
	case state == unix.TIME_ERROR || t.Status&unix.STA_UNSYNC != 0:
		d.say("clock", Wrong, "timedatectl set-ntp true", "nobody keeps the clock right: no time service has synchronized it")
	default:
		d.say("clock", OK, "", "the clock is kept right by a time service")
	}
}

// What has to be free where state is kept.
const (
	freeBytes  = 200 << 20
	freeInodes = 1000
)

// space says whether there is room where state is kept.
func (d *Doctor) space(context.Context) {
	if d.File == nil {
		return
	}
	dir := d.File.Server.Directory
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		d.say("space", Wrong, "install -d -o gatepost -g gatepost -m 0750 "+dir, "%s cannot be looked at: %v", dir, err)
		return
	}
	d.judgeSpace(dir, s.Bavail*uint64(s.Bsize), s.Files, s.Ffree)
}

// judgeSpace says whether so many bytes and files more are enough; of files 0 at all means that the file system does not count them.
func (d *Doctor) judgeSpace(dir string, free, files, freeFiles uint64) {
	switch {
	case free < freeBytes:
		d.say("space", Wrong, "make room, or lower [history] keep and size", "only %d MB are free in %s", free>>20, dir)
	case files > 0 && freeFiles < freeInodes:
		d.say("space", Wrong, "make room: df -i "+dir, "only %d files more fit into %s", freeFiles, dir)
	default:
		d.say("space", OK, "", "%d MB are free in %s", free>>20, dir)
	}
}
