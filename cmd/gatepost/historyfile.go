package main

import (
	"errors"
	"log/slog"
	"path/filepath"
	"time"

	"gatepost.example/filter/history"
	"gatepost.example/policy/policyfile"
)

// historyPath is where the history of a policy's daemon stands; historyKey is the key of hidden addresses.
func historyPath(file *policyfile.File) string {
	return filepath.Join(file.Server.Directory, "history.db")
}

func historyKey(file *policyfile.File) string {
	return filepath.Join(file.Server.Directory, "history.key")
}

// openHistory gives the history as [history] says, nil where none is kept.
func openHistory(file *policyfile.File, log *slog.Logger) (*history.Store, error) {
	if file.History.Keep == 0 {
		return nil, nil
	}
	c := history.Config{Path: historyPath(file), Keep: file.History.Keep, Size: int64(file.History.Size), Now: time.Now, Log: log}
	if file.History.Addresses == policyfile.AddressesHashed {
		c.KeyFile = historyKey(file)
	}
	return history.Open(c)
}

// closeStores writes what is not written yet.
func (d *daemon) closeStores() error {
	if d.history == nil {
		return d.store.Close()
	}
	return errors.Join(d.history.Close(), d.store.Close())
}
