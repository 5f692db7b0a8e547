package history

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"strings"
)

// inserter adds rows by the statement of one transaction. It goes to the driver itself: database/sql would look at each of twenty values and copy
// them, for every row.
type inserter struct {
	conn   *sql.Conn
	stmt   driver.StmtExecContext
	values []driver.NamedValue
}

// prepare begins to insert on the connection of a transaction.
func (i *inserter) prepare(ctx context.Context, conn *sql.Conn) error {
	n := strings.Count(columns, ",") + 1
	if i.values == nil {
		i.values = make([]driver.NamedValue, n)
	}
	i.conn = conn
	return conn.Raw(func(c any) error {
		preparer, fine := c.(driver.ConnPrepareContext)
		if !fine {
			return errDriver
		}
		stmt, err := preparer.PrepareContext(ctx, "INSERT INTO record ("+columns+") VALUES (?"+strings.Repeat(", ?", n-1)+")")
		if err != nil {
			return err
		}
		if i.stmt, fine = stmt.(driver.StmtExecContext); !fine {
			return errors.Join(errDriver, stmt.Close())
		}
		return nil
	})
}

var errDriver = errors.New("the database's driver cannot do what this needs")

// add adds a row. There is no context that may end: for one that may the driver starts a goroutine for each row. What bounds the wait is
// SQLite's busy_timeout.
func (i *inserter) add(row *Row) error {
	row.values(i.values)
	return i.conn.Raw(func(any) error {
		_, err := i.stmt.ExecContext(context.Background(), i.values)
		return err
	})
}

// close ends the statement.
func (i *inserter) close() error {
	if i.stmt == nil {
		return nil
	}
	stmt := i.stmt.(driver.Stmt)
	i.stmt = nil
	clear(i.values)
	return i.conn.Raw(func(any) error { return stmt.Close() })
}

// values puts what stands in the columns into values.
func (row *Row) values(into []driver.NamedValue) {
	for i, v := range [...]any{row.seq, row.block, int64(row.place), row.Time.UnixMilli(), row.ID, row.Queue, row.Message, row.Action, row.Rule, row.Spoken,
		row.Client, row.Name, row.Helo, row.User, row.Sender, row.Recipients, row.Author, row.Would, row.words, row.accepted} {
		into[i] = driver.NamedValue{Ordinal: i + 1, Value: v}
	}
}
