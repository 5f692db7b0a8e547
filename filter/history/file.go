package history

import (
	"errors"
	"os"

	"gatepost.example/filter/state"
)

// open opens the file, and reads the key of hidden local parts: what is written is written under it.
func (s *Store) open() error {
	key, err := keyOf(s.config.KeyFile)
	if err != nil {
		return err
	}
	db, err := state.Database{Path: s.config.Path, What: "history", Schema: schema, Shrinks: true}.Open(s.config.Now(), s.config.Log)
	if err != nil {
		return err
	}
	last, err := newest(db)
	if err == nil {
		s.made, err = os.Stat(s.config.Path)
	}
	if err != nil {
		return errors.Join(err, db.Close())
	}
	s.db, s.key = db, key
	s.looks.begins(last, s.config.Now())
	return nil
}

// usable opens the file where it is not open yet, and gives why it cannot be written, as far as that can be told without trying.
func (s *Store) usable() error {
	if s.db == nil {
		if err := s.open(); err != nil {
			return err
		}
		s.keptErr = noneKept // a file that is opened anew can be written, as far as one can see
		s.takeOver()
	}
	return state.Present(s.config.Path, s.made)
}

// letGo closes a file that is gone, or that somebody has changed under us, so that it takes no room any more: the next second opens the one that stands
// there then, or makes one.
func (s *Store) letGo() {
	if s.db != nil {
		_ = s.db.Close() // what is wrong with it is known
		s.db = nil
	}
}
