package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/crypto/shroud"
	"github.com/entente-hub/entente/node/store"
)

// delegate stores what is kept of a delegation; nil: the alert is none. One that is
// delivered again is stored already.
func delegate(ctx context.Context, tx *sql.Tx, own bool, id alert.ID, digest string, d *store.Delegating) error {
	if d == nil {
		return nil
	}
	_, err := tx.ExecContext(ctx, "INSERT INTO delegations (originator, id, digest, own, recipient, precedence, due, expires, written_by)"+
		" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
		string(d.Originator), string(id), digest, own, string(d.To), string(d.Precedence), d.Due, d.Expires, d.By)
	if err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	return nil
}

var (
	// madeOf is the alert that was made of delegation d: by what was stored with it or,
	// where the database was restored from a backup made before, by the member's own answer.
	madeOf = "coalesce((SELECT p.id FROM outbox p WHERE p.id = d.published AND p.version = 1 AND p.digest = d.published_digest AND p.state <> 'refused')," +
		" (SELECT r.published FROM feedback r WHERE d.own = 0 AND r.about_originator = d.originator AND r.about_id = d.id AND r.act = 'answer'" +
		" AND r.own = 1 AND r.published <> '' AND " + stands("r") + " ORDER BY r.id LIMIT 1), '')"

	// recalledDelegation holds for d. Nothing but a recall follows the first version.
	recalledDelegation = "CASE d.own WHEN 1 THEN EXISTS (SELECT 1 FROM outbox o WHERE o.id = d.id AND o.version > 1 AND o.state <> 'refused')" +
		" ELSE EXISTS (SELECT 1 FROM inbox o WHERE o.originator = d.originator AND o.id = d.id AND o.recall <> '') END"

	// delegationReplies collects, as a JSON text, the replies to d: in the order of acts
	// answers come first.
	delegationReplies = "(SELECT json_group_array(json_array(originator, id, version, act, published) ORDER BY act, id DESC) FROM" +
		" (SELECT r.originator, r.id, r.version, r.act, r.published FROM feedback r WHERE r.about_originator = d.originator AND r.about_id = d.id" +
		" AND r.act IN ('answer', 'refusal') AND r.originator = d.recipient AND " + stands("r") +
		" ORDER BY r.act, r.id DESC LIMIT " + strconv.Itoa(store.MaxReplies) + "))"

	selectDelegations = "SELECT x.originator, x.id, x.own, x.recipient, x.precedence, x.due, x.expires, x.written_by, x.recalled, x.made," +
		" coalesce((SELECT o.state FROM outbox o WHERE o.id = x.made AND o.state <> 'refused' ORDER BY o.version LIMIT 1), '')," +
		" coalesce((SELECT o.due > ?1 FROM outbox o WHERE o.id = x.made AND o.state <> 'refused' ORDER BY o.version DESC LIMIT 1), 0) AS standing," +
		" x.replies FROM (SELECT d.*, " + madeOf + " AS made, " + recalledDelegation + " AS recalled, " + delegationReplies + " AS replies FROM delegations d" +
		" WHERE d.own = 0 OR EXISTS (SELECT 1 FROM outbox o WHERE o.id = d.id AND o.version = 1 AND o.digest = d.digest AND o.state <> 'refused')) x"
)

// Delegations implements store.Store.
func (s *Store) Delegations(ctx context.Context, at int64) ([]store.Delegation, error) {
	return collect(ctx, s.read, scanDelegation, selectDelegations+" WHERE x.expires > ?1 OR standing ORDER BY x.due, x.originator, x.id", at)
}

// Delegation implements store.Store.
func (s *Store) Delegation(ctx context.Context, originator alert.MemberID, id alert.ID, at int64) (*store.Delegation, error) {
	return s.oneDelegation(ctx, " WHERE x.originator = ?2 AND x.id = ?3", at, string(originator), string(id))
}

// MadeOf implements store.Store.
func (s *Store) MadeOf(ctx context.Context, own alert.ID, at int64) (*store.Delegation, error) {
	return s.oneDelegation(ctx, " WHERE x.made = ?2 AND x.made <> '' AND x.n IN (SELECT n FROM delegations WHERE published = ?2 AND published <> ''"+
		" UNION SELECT m.n FROM feedback r JOIN delegations m ON m.originator = r.about_originator AND m.id = r.about_id AND m.own = 0"+
		" WHERE r.published = ?2 AND r.published <> '')", at, string(own))
}

func (s *Store) oneDelegation(ctx context.Context, where string, args ...any) (*store.Delegation, error) {
	d, err := scanDelegation(s.read.QueryRowContext(ctx, selectDelegations+where+" LIMIT 1", args...))
	if err != nil {
		return nil, notFound(err)
	}
	return &d, nil
}

func scanDelegation(row scanner) (store.Delegation, error) {
	var d store.Delegation
	var replies string
	if err := row.Scan((*string)(&d.Originator), (*string)(&d.ID), &d.Own, (*string)(&d.To), (*string)(&d.Precedence), &d.Due,
		&d.Expires, &d.By, &d.Recalled, (*string)(&d.Published), (*string)(&d.State), &d.Standing, &replies); err != nil {
		return store.Delegation{}, err
	}
	var list [][]json.RawMessage
	err := json.Unmarshal([]byte(replies), &list)
	for _, values := range list {
		var r store.DelegationReply
		for i, into := range []any{(*string)(&r.Originator), (*string)(&r.ID), &r.Version, (*string)(&r.Act), (*string)(&r.Published)} {
			err = errors.Join(err, json.Unmarshal(values[i], into))
		}
		d.Replies = append(d.Replies, r)
	}
	if err != nil {
		return store.Delegation{}, fmt.Errorf("replies to %s: %w", d.ID, err)
	}
	return d, nil
}

// publish links an alert that is enqueued to the delegation that it was made of; nil: to
// none. ErrDelegation unless that waits for it.
func publish(ctx context.Context, tx *sql.Tx, o store.Outgoing) error {
	p := o.Publication
	if p == nil {
		return nil
	}
	answer, err := json.Marshal(p.Answer)
	if err != nil {
		return err
	}
	key, sealed, err := enshroud(ctx, tx, 0, answer)
	if err != nil {
		return err
	}
	err = changeOne(ctx, tx, "UPDATE delegations AS d SET published = ?, published_digest = ?, answer = ?, answer_key = ?"+
		" WHERE d.originator = ? AND d.id = ? AND d.own = 0 AND "+madeOf+" = '' AND NOT "+recalledDelegation,
		string(o.ID), o.Digest, sealed, key, string(p.Originator), string(p.ID))
	if errors.Is(err, store.ErrStale) {
		return store.ErrDelegation
	}
	return err
}

// answered queues the answer that waits for an alert to be accepted, or drops it.
func answered(ctx context.Context, tx *sql.Tx, id alert.ID, version int, state store.State) error {
	if version != 1 {
		return nil
	}
	var n int64
	var key, sealed []byte
	err := tx.QueryRowContext(ctx, "SELECT d.n, k.key, d.answer FROM delegations d JOIN erasable_keys k ON k.n = d.answer_key"+
		" WHERE d.published = ? AND d.published <> '' AND d.answer IS NOT NULL", string(id)).Scan(&n, &key, &sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	} else if err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	if err := changeOne(ctx, tx, "UPDATE delegations SET answer = NULL WHERE n = ?", n); err != nil || state != store.Accepted {
		return err
	}
	var answer store.Outgoing
	if err := json.Unmarshal(shroud.Open(key, sealed), &answer); err != nil {
		return fmt.Errorf("the answer to the delegation that %s was made of: %w", id, err)
	}
	return enqueue(ctx, tx, answer)
}
