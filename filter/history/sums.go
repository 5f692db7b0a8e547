package history

import (
	"context"
	"fmt"
	"time"
)

// Sum is how many records of a step of time have a word.
type Sum struct {
	At   time.Time // the beginning of the step
	Word string    // an action, or a rule
	N    int
}

// Column is what Sums counts by.
type Column string

// The columns.
const (
	ByAction Column = "action"
	ByRule   Column = "rule" // without the records over which no rule decided
)

// Sums counts records from since until now in steps of time, the oldest first.
func (r *Reader) Sums(ctx context.Context, by Column, since time.Time, step time.Duration) ([]Sum, error) {
	column := "action"
	if by == ByRule {
		column = "rule"
	}
	ms := step.Milliseconds()
	rows, err := r.db.QueryContext(ctx, "SELECT (time - ?1) / ?2, "+column+", count(*) FROM record WHERE time >= ?1 AND "+column+" <> '' GROUP BY 1, 2 ORDER BY 1, 2", since.UnixMilli(), ms)
	if err != nil {
		return nil, fmt.Errorf("the history cannot be read: %w", err)
	}
	defer rows.Close()
	var out []Sum
	for rows.Next() {
		var n int64
		var s Sum
		if err := rows.Scan(&n, &s.Word, &s.N); err != nil {
			return nil, fmt.Errorf("the history cannot be read: %w", err)
		}
		s.At = since.Add(time.Duration(n) * step)
		out = append(out, s)
	}
	return out, rows.Err()
}
