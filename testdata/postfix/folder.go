package postfix

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// Folder is a temporary folder that goes when this process ends, however it ends: an interrupted demo, or a test that ran into its time
// limit, leaves neither files nor processes behind. A shell in a session of its own waits for the end of a pipe that only this process holds.
type Folder struct {
	Path   string
	pipe   *os.File
	keeper *exec.Cmd
}

// keeperTime bounds how long ending and removing may take; Postfix gives its processes five seconds.
const keeperTime = 30 * time.Second

// NewFolder makes a folder that every user may enter. At the end the shell commands of end run first, with the folder as $1.
func NewFolder(name, end string) (*Folder, error) {
	path, err := os.MkdirTemp("", name)
	if err != nil {
		return nil, err
	}
	f := &Folder{Path: path}
	if err := f.keep(end); err != nil {
		os.RemoveAll(path)
		return nil, fmt.Errorf("the keeper of %s: %w", path, err)
	}
	return f, nil
}

func (f *Folder) keep(end string) error {
	if err := os.Chmod(f.Path, 0o755); err != nil {
		return err
	}
	wait, pipe, err := os.Pipe() // no other child inherits it
	if err != nil {
		return err
	}
	defer wait.Close()
	f.pipe = pipe
	f.keeper = exec.Command("/bin/sh", "-c", "cat >/dev/null\n"+end+"\nrm -rf \"$1\"", "keeper", f.Path)
	f.keeper.Dir = "/"
	f.keeper.Stdin = wait
	f.keeper.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // an interrupt at the terminal is not for it
	if err := f.keeper.Start(); err != nil {
		pipe.Close()
		return err
	}
	return nil
}

// Remove runs the end and removes the folder.
func (f *Folder) Remove() error {
	f.pipe.Close()
	ended := make(chan error, 1)
	go func() { ended <- f.keeper.Wait() }()
	select {
	case err := <-ended:
		return err
	case <-time.After(keeperTime):
		err := f.keeper.Process.Kill()
		<-ended
		return errors.Join(fmt.Errorf("%s could not be removed within %s", f.Path, keeperTime), err)
	}
}
