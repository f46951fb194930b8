package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// op is a prepared statement of the writing connection.
type op int

const (
	readHead op = iota
	readAlert
	readRow
	readErasable
	readEnded
	readPrior
	readLabel
	readFeed
	readDelivery
	readItem
	readStatement
	readUnsent
	readFollows
	readHeld
	readPurge
	readProposal
	readBundle
	readSettled
	readUsed
	readHash
	readKept
	readRefused
	addAlert
	addLabel
	setAudience
	eraseAlert
	endAlert
	addPortion
	addDelivery
	moveDelivery
	ackDelivery
	loseDelivery
	setFeed
	addStatement
	dropOutdated
	dropProposal
	setProposal
	setBundle
	addPurge
	setSettled
	addKey
	setKey
	changeUsed
	addEntry
	trimEntries
	addRefused
	addHash
	setHead
	ops // how many
)

var opSQL = [ops]string{
	readHead:     "SELECT size, root, alerts, labels, deliveries, statements, proposals, bundles FROM log_head",
	readAlert:    selectRows + "a.originator = ? AND a.alert = ? AND a.version = ?",
	readRow:      selectRows + "a.id = ?",
	readErasable: selectRows + "a.originator = ? AND a.alert = ? AND a.version <= ? AND a.erase_at > 0 AND a.over = 0",
	readEnded: "SELECT " + deliveryColumns + ", f.seq, f.chain, f.acked, f.pending" +
		" FROM alerts a CROSS JOIN deliveries d ON d.alert = a.id CROSS JOIN feeds f ON f.recipient = d.recipient" +
		" WHERE a.originator = ? AND a.alert = ? AND a.version = ?",
	readPrior:     "SELECT " + alertColumns + " FROM alerts a WHERE a.originator = ? AND a.alert = ? AND a.version = ?",
	readLabel:     "SELECT id FROM labels WHERE originator = ? AND key_digest = ?",
	readFeed:      "SELECT seq, chain, acked, pending FROM feeds WHERE recipient = ?",
	readDelivery:  "SELECT " + deliveryColumns + " FROM deliveries d WHERE d.id = ?",
	readItem:      "SELECT " + deliveryColumns + " FROM deliveries d WHERE d.recipient = ? AND d.seq = ?",
	readStatement: "SELECT digest, raw FROM statements WHERE type = ? AND subject = ? AND revision = ?",
	readUnsent: "SELECT " + deliveryColumns + " FROM deliveries d" +
		" WHERE d.alert = ? AND d.recipient = ? AND d.state IN (0, 2)",
	readFollows: "SELECT " + deliveryColumns + " FROM deliveries d" +
		" WHERE d.alert = ? AND d.recipient = ? AND d.follows = 1 LIMIT 1",
	readHeld: "SELECT " + deliveryColumns + " FROM alerts a CROSS JOIN deliveries d ON d.alert = a.id" +
		" WHERE a.originator = ? AND a.alert = ? AND a.version = ? AND d.recipient = ? AND d.seq IS NOT NULL LIMIT 1",
	readPurge: "SELECT true FROM alerts a CROSS JOIN purges p ON p.alert = a.id" +
		" WHERE a.originator = ? AND a.alert = ? AND a.version = ? AND p.recipient = ? AND p.cause = ? AND p.portions_digest = ? AND p.at = ?",
	readProposal: "SELECT id, edition, type, subject, revision FROM proposals WHERE digest = ?",
	readBundle:   "SELECT revision, raw FROM bundles WHERE digest = ?",
	readSettled:  "SELECT position, at FROM settled",
	readUsed:     "SELECT alerts, bytes, statements FROM used WHERE member = ?",
	readHash:     "SELECT hash FROM log_hashes WHERE idx = ?",
	addAlert: "INSERT INTO alerts (id, originator, alert, version, digest, signed_digest, previous, issued_at," +
		" expires, accepted_at, log_index, erase_at, over, recall, refers, token)" +
		" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
	eraseAlert:  "UPDATE alerts SET erase_at = ?, over = ?, token = ? WHERE id = ? AND erase_at = ?",
	endAlert:    "UPDATE alerts SET erase_at = ?, over = ? WHERE id = ? AND erase_at = ?",
	addLabel:    "INSERT INTO labels (id, originator, key_digest, key, audience) VALUES (?, ?, ?, ?, ?)",
	setAudience: "UPDATE labels SET audience = ? WHERE id = ?",
	addPortion:  "INSERT INTO portions (alert, position, portion, label) VALUES (?, ?, ?, ?)",
	addDelivery: "INSERT INTO deliveries (recipient, alert, follows, state, seen, renewed, seq, chain, digest, facts, id)" +
		" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
	moveDelivery: "UPDATE deliveries SET state = ?, seen = ?, renewed = ?, seq = ?, chain = ?, digest = ?, facts = ?" +
		" WHERE id = ? AND state = ?",
	ackDelivery:  "UPDATE deliveries SET receipt = ? WHERE id = ? AND state = 1 AND receipt IS NULL",
	loseDelivery: "UPDATE deliveries SET lost = 1 WHERE id = ? AND state = 1 AND lost = 0",
	setFeed: "INSERT INTO feeds (recipient, seq, chain, acked, pending) VALUES (?, ?, ?, ?, ?)" +
		" ON CONFLICT (recipient) DO UPDATE SET seq = excluded.seq, chain = excluded.chain," +
		" acked = excluded.acked, pending = excluded.pending",
	addStatement: "INSERT INTO statements (position, type, subject, revision, digest, previous, raw)" +
		" VALUES (?, ?, ?, ?, ?, ?, ?)",
	dropOutdated: "DELETE FROM proposals WHERE type = ? AND subject = ? AND revision <= ?",
	dropProposal: "DELETE FROM proposals WHERE digest = ?",
	setProposal: "INSERT INTO proposals (id, digest, edition, type, subject, revision, by, at, raw)" +
		" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (digest) DO UPDATE SET edition = excluded.edition," +
		" id = excluded.id, type = excluded.type, subject = excluded.subject, revision = excluded.revision," +
		" by = excluded.by, at = excluded.at, raw = excluded.raw",
	setBundle: "INSERT INTO bundles (id, digest, revision, by, at, raw) VALUES (?, ?, ?, ?, ?, ?)" +
		" ON CONFLICT (digest) DO UPDATE SET id = excluded.id, revision = excluded.revision, by = excluded.by," +
		" at = excluded.at, raw = excluded.raw",
	addPurge: "INSERT INTO purges (alert, recipient, cause, portions_digest, portions, at, receipt)" +
		" VALUES (?, ?, ?, ?, ?, ?, ?)",
	setSettled:  "UPDATE settled SET position = ?, at = ?",
	readKept:    "SELECT count(*) FROM log_entries WHERE idx BETWEEN ? AND ? AND length(leaf) > 0",
	readRefused: "SELECT reason FROM refused WHERE originator = ? AND digest = ?",
	addKey:      "INSERT INTO erasable_keys (n, key) VALUES (?, ?)",
	setKey:      "UPDATE erasable_keys SET key = ? WHERE n = ?",
	changeUsed: "INSERT INTO used (member, alerts, bytes, statements) VALUES (?, ?, ?, ?)" +
		" ON CONFLICT (member) DO UPDATE SET alerts = alerts + excluded.alerts, bytes = bytes + excluded.bytes," +
		" statements = statements + excluded.statements",
	addEntry:    "INSERT INTO log_entries (idx, leaf) VALUES (?, ?)",
	trimEntries: "UPDATE log_entries SET leaf = x'' WHERE idx BETWEEN ? AND ? AND length(leaf) > 0",
	addRefused:  "INSERT INTO refused (originator, digest, reason) VALUES (?, ?, ?)",
	addHash:     "INSERT INTO log_hashes (idx, hash) VALUES (?, ?)",
	setHead: "UPDATE log_head SET size = ?, root = ?, alerts = ?, labels = ?, deliveries = ?, statements = ?," +
		" proposals = ?, bundles = ?" +
		" WHERE size = ? AND root = ?",
}

// statements are the prepared statements of the writing connection.
type statements [ops]*sql.Stmt

func (s *statements) prepare(ctx context.Context, db *sql.DB) error {
	for i, text := range opSQL {
		stmt, err := db.PrepareContext(ctx, text)
		if err != nil {
			return fmt.Errorf("preparing %q: %w", text, err)
		}
		s[i] = stmt
	}
	return nil
}

func (s *statements) close() error {
	var errs []error
	for _, stmt := range s {
		if stmt != nil {
			errs = append(errs, stmt.Close())
		}
	}
	return errors.Join(errs...)
}

// tx is a transaction of the writing connection.
type tx struct {
	ctx   context.Context
	sql   *sql.Tx
	from  *statements
	stmts statements
}

func (t *tx) stmt(o op) *sql.Stmt {
	if t.stmts[o] == nil {
		t.stmts[o] = t.sql.StmtContext(t.ctx, t.from[o])
	}
	return t.stmts[o]
}

func (t *tx) row(o op, args ...any) *sql.Row { return t.stmt(o).QueryRowContext(t.ctx, args...) }

// each reads the rows of a query.
func (t *tx) each(o op, scan func(*sql.Rows) error, args ...any) (err error) {
	rows, err := t.stmt(o).QueryContext(t.ctx, args...)
	if err != nil {
		return fmt.Errorf("%q: %w", opSQL[o], err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return fmt.Errorf("%q: %w", opSQL[o], err)
		}
	}
	return rows.Err()
}

// any runs a statement that may change any number of rows.
func (t *tx) any(o op, args ...any) (sql.Result, error) {
	res, err := t.stmt(o).ExecContext(t.ctx, args...)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", opSQL[o], err)
	}
	return res, nil
}

// one runs a statement that must change exactly one row.
func (t *tx) one(o op, args ...any) error { return t.many(1, o, args...) }

// many runs a statement that must change so many rows.
func (t *tx) many(want int64, o op, args ...any) error {
	res, err := t.any(o, args...)
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err == nil && n != want {
		err = fmt.Errorf("%d rows changed, want %d", n, want)
	}
	if err != nil {
		return fmt.Errorf("%q: %w", opSQL[o], err)
	}
	return nil
}
