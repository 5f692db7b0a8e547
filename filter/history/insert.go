package history

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"strings"
)

// inserter adds rows by the statements of one transaction. It goes to the driver itself: database/sql would look at each of twenty values and copy
// them, for every row. Rows wait for those after them: a statement that adds some of them costs less than one for each.
type inserter struct {
	conn      *sql.Conn
	some, one driver.StmtExecContext // add rowsAtOnce, and one; prepared when first needed
	values    []driver.NamedValue    // of rowsAtOnce
	waiting   int                    // rows in values that are not yet added
}

const (
	rowsAtOnce = 16
	rowValues  = 20 // as many as columns
)

// begin begins to insert on the connection of a transaction.
func (i *inserter) begin(conn *sql.Conn) {
	if i.values == nil {
		i.values = make([]driver.NamedValue, rowsAtOnce*rowValues)
	}
	i.conn = conn
}

// add adds a row, now or with those after it.
func (i *inserter) add(row *Row) error {
	row.values(i.values[i.waiting*rowValues:])
	if i.waiting++; i.waiting < rowsAtOnce {
		return nil
	}
	i.waiting = 0
	return i.run(&i.some, i.values)
}

// rest adds the rows that wait.
func (i *inserter) rest() error {
	waiting := i.waiting
	i.waiting = 0
	for n := range waiting {
		if err := i.run(&i.one, i.values[n*rowValues:(n+1)*rowValues]); err != nil {
			return err
		}
	}
	return nil
}

// run adds the rows that values are of. There is no context that may end: for one that may the driver starts a goroutine for each statement. What bounds
// the wait is SQLite's busy_timeout.
func (i *inserter) run(stmt *driver.StmtExecContext, values []driver.NamedValue) error {
	for n := range values {
		values[n].Ordinal = n + 1
	}
	return i.conn.Raw(func(c any) (err error) {
		if *stmt == nil {
			if *stmt, err = prepare(c, len(values)/rowValues); err != nil {
				return err
			}
		}
		_, err = (*stmt).ExecContext(context.Background(), values)
		return err
	})
}

// prepare gives the statement of a driver's connection that adds so many rows.
func prepare(conn any, rows int) (driver.StmtExecContext, error) {
	preparer, fine := conn.(driver.ConnPrepareContext)
	if !fine {
		return nil, errDriver
	}
	row := "(?" + strings.Repeat(", ?", rowValues-1) + ")"
	prepared, err := preparer.PrepareContext(context.Background(), "INSERT INTO record ("+columns+") VALUES "+row+strings.Repeat(", "+row, rows-1))
	if err != nil {
		return nil, err
	}
	stmt, fine := prepared.(driver.StmtExecContext)
	if !fine {
		return nil, errors.Join(errDriver, prepared.Close())
	}
	return stmt, nil
}

var errDriver = errors.New("the database's driver cannot do what this needs")

// close ends the statements.
func (i *inserter) close() (err error) {
	for _, s := range []driver.StmtExecContext{i.some, i.one} {
		if s != nil {
			err = errors.Join(err, i.conn.Raw(func(any) error { return s.(driver.Stmt).Close() }))
		}
	}
	clear(i.values)
	i.some, i.one, i.waiting = nil, nil, 0
	return err
}

// values puts what stands in the columns into values.
func (row *Row) values(into []driver.NamedValue) {
	for i, v := range [rowValues]any{row.seq, row.block, int64(row.place), row.Time.UnixMilli(), row.ID, row.Queue, row.Message, row.Action, row.Rule, row.Spoken,
		row.Client, row.Name, row.Helo, row.User, row.Sender, row.Recipients, row.Author, row.Would, row.words, row.accepted} {
		into[i].Value = v
	}
}
