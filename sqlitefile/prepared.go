package sqlitefile

import (
	"context"
	"database/sql/driver"
	"errors"
)

// maxPrepared bounds the statements that one connection keeps: more than the texts that
// a hub or a node has, so that it is reached only by texts made up as they are needed.
const maxPrepared = 256

// preparing opens connections that prepare each text of SQL once and keep it. Where
// many small transactions are made, as at a node, parsing the same texts anew was a
// quarter of the processor time.
type preparing struct{ driver.Connector }

func (p preparing) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := p.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	inner, ok := c.(sqliteConn)
	if !ok {
		return nil, errors.Join(errors.New("the driver lacks what is needed of a connection"), c.Close())
	}
	return &preparedConn{sqliteConn: inner, kept: make(map[string]*preparedStmt)}, nil
}

// sqliteConn is what database/sql asks of a connection, and the driver has.
type sqliteConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// preparedConn is used by one goroutine at a time, as every driver.Conn.
type preparedConn struct {
	sqliteConn
	kept map[string]*preparedStmt
}

// sqliteStmt is a statement of the driver's.
type sqliteStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

type preparedStmt struct {
	sqliteStmt
	open bool // rows are being read from it: it can not be run a second time
}

// prepared returns the kept statement of a text, or nil where it is at work or there are
// too many.
func (c *preparedConn) prepared(ctx context.Context, query string) (*preparedStmt, error) {
	if s, ok := c.kept[query]; ok {
		if s.open {
			return nil, nil
		}
		return s, nil
	}
	if len(c.kept) >= maxPrepared {
		return nil, nil
	}
	inner, err := c.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	stmt, ok := inner.(sqliteStmt)
	if !ok {
		return nil, errors.Join(errors.New("the driver lacks what is needed of a statement"), inner.Close())
	}
	s := &preparedStmt{sqliteStmt: stmt}
	c.kept[query] = s
	return s, nil
}

// ExecContext implements driver.ExecerContext.
func (c *preparedConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	s, err := c.prepared(ctx, query)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return c.sqliteConn.ExecContext(ctx, query, args)
	}
	return s.ExecContext(ctx, args)
}

// QueryContext implements driver.QueryerContext.
func (c *preparedConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	s, err := c.prepared(ctx, query)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return c.sqliteConn.QueryContext(ctx, query, args)
	}
	rows, err := s.QueryContext(ctx, args)
	if err != nil {
		return nil, err
	}
	s.open = true
	return &preparedRows{Rows: rows, stmt: s}, nil
}

// Close finalizes the statements and closes the connection.
func (c *preparedConn) Close() error {
	var errs []error
	for _, s := range c.kept {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, c.sqliteConn.Close())...)
}

// preparedRows gives its statement back when it is closed.
type preparedRows struct {
	driver.Rows
	stmt *preparedStmt
}

// Close implements driver.Rows.
func (r *preparedRows) Close() error {
	err := r.Rows.Close()
	r.stmt.open = false
	return err
}
