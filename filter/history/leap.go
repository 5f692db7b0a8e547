package history

import (
	"database/sql"
	"time"
)

// A clock that is set months ahead would make everything too old at once, and nobody gets it back when the clock is right again. So after a leap ahead,
// or where the newest record is from long ago, nothing is deleted for its age for a while; for its size it is.
const (
	leap     = time.Hour
	spareFor = time.Hour
)

// looks is what is known of the clock: when it was looked at, and until when the old is spared.
type looks struct{ at, spared time.Time }

// begins notes when the newest record ended; zero without one.
func (l *looks) begins(newest, now time.Time) {
	if l.at = now; !newest.IsZero() && now.Sub(newest) > leap {
		l.spared = now.Add(spareFor)
	}
}

// leapt looks at the clock, and reports whether it has leapt ahead since the last look: on the wall it went further than by the monotonic clock.
func (l *looks) leapt(now time.Time) bool {
	ahead := now.Round(0).Sub(l.at.Round(0)) - now.Sub(l.at)
	if l.at = now; ahead <= leap {
		return false
	}
	l.spared = now.Add(spareFor)
	return true
}

// oldest gives the time before which a record's time is over.
func (s *Store) oldest(now time.Time) time.Time {
	if s.looks.leapt(now) {
		s.config.Log.Warn("the clock has leapt ahead, or the machine slept: no record of the history is deleted for its age for an hour", "to", now.UTC().Format(time.RFC3339))
	}
	if now.Before(s.looks.spared) {
		return time.Time{}
	}
	return now.Add(-s.config.Keep)
}

// newest gives when the newest block of a database ended; zero without one.
func newest(db *sql.DB) (time.Time, error) {
	var last int64
	switch err := db.QueryRow("SELECT last FROM block ORDER BY id DESC LIMIT 1").Scan(&last); err {
	case nil:
		return time.UnixMilli(last), nil
	case sql.ErrNoRows:
		return time.Time{}, nil
	default:
		return time.Time{}, err
	}
}
