package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"gatepost.example/filter/state"
)

// ensureDirectory makes the state directory and proves that it can be written. That its disk is full or takes no writes is no reason not to serve: what
// would be written there says so.
func ensureDirectory(path string) error {
	if err := os.MkdirAll(path, 0o750); err != nil {
		return fmt.Errorf("server.directory %s cannot be made: %w; make it and give it to the user that runs gatepost", path, err)
	}
	probe, err := os.CreateTemp(path, ".probe-")
	if state.Passes(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("server.directory %s cannot be written: %w; give it to the user that runs gatepost", path, errors.Unwrap(err))
	}
	probe.Close()
	return os.Remove(filepath.Clean(probe.Name()))
}

// holdDirectory keeps a second daemon out of a state directory until what it gives is closed, or the process ends: two would each write what they
// remember over what the other does. Where the file system knows no locks (some that come over a network), nobody is kept out.
func holdDirectory(path string) (*os.File, error) {
	held, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(held.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); errors.Is(err, syscall.EWOULDBLOCK) {
		held.Close()
		return nil, fmt.Errorf("server.directory %s is in use by another gatepost serve; end that one, or give this one a directory of its own", path)
	}
	return held, nil
}
