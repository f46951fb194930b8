package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/node/store"
)

// referOwn stores what is kept of an alert of the member's own that refers to another.
func referOwn(ctx context.Context, tx *sql.Tx, o store.Outgoing) error {
	return refer(ctx, tx, true, o.ID, o.Version, o.Digest, o.Referring)
}

// referReceived does so of one received.
func referReceived(ctx context.Context, tx *sql.Tx, i store.Item) error {
	return refer(ctx, tx, false, i.ID, i.Version, i.SignedDigest, i.Referring)
}

// refer stores what is kept; nil: the alert refers to none. A version that is delivered
// again may bring to light that it asks the member.
func refer(ctx context.Context, tx *sql.Tx, own bool, id alert.ID, version int, digest string, r *store.Referring) error {
	if r == nil {
		return nil
	}
	key := []any{string(r.Originator), string(id), version, digest}
	if _, err := tx.ExecContext(ctx, "INSERT INTO feedback (originator, id, version, digest, own, act, about_originator, about_id,"+
		" precedence, due, expires, written_by, published) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
		append(key, own, string(r.Re.Act), string(r.Re.Originator), string(r.Re.Alert), string(r.Re.Precedence), r.Re.Due,
			r.Expires, r.By, string(r.Re.Published))...); err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	for _, m := range r.Asked {
		if _, err := tx.ExecContext(ctx, "INSERT INTO asked (n, member) SELECT n, ? FROM feedback WHERE originator = ? AND id = ?"+
			" AND version = ? AND digest = ? ON CONFLICT DO NOTHING", append([]any{string(m)}, key...)...); err != nil {
			return fmt.Errorf("sqlite: %w", err)
		}
	}
	return nil
}

// stands holds for a row f of feedback that is of the last version that counts. Of one
// number there may be several in the outbox: all but one were refused.
func stands(f string) string {
	own := "FROM outbox o WHERE o.id = " + f + ".id AND o.state <> 'refused' AND o.version "
	return "CASE " + f + ".own WHEN 1 THEN" +
		" EXISTS (SELECT 1 " + own + "= " + f + ".version AND o.digest = " + f + ".digest) AND NOT EXISTS (SELECT 1 " + own + "> " + f + ".version)" +
		" ELSE NOT EXISTS (SELECT 1 FROM inbox o WHERE o.originator = " + f + ".originator AND o.id = " + f + ".id AND o.version > " + f + ".version)" +
		" END"
}

var (
	// selectReplies collects, as a JSON text, the replies to request f of member a; in
	// the order of acts answers come first.
	selectReplies = "(SELECT json_group_array(json_array(id, version, act) ORDER BY id) FROM (SELECT r.id, r.version, r.act FROM feedback r" +
		" WHERE r.about_originator = f.originator AND r.about_id = f.id AND r.act IN ('answer', 'refusal')" +
		" AND r.originator = a.member AND " + stands("r") + " ORDER BY r.act, r.id DESC LIMIT " + strconv.Itoa(store.MaxReplies) + "))"

	selectRequests = "SELECT f.originator, f.id, f.version, f.own, f.act, f.about_originator, f.about_id, f.precedence, f.due," +
		" f.expires, f.written_by, a.member, " + selectReplies + " FROM feedback f JOIN asked a ON a.n = f.n" +
		" WHERE f.act = 'request' AND f.expires > ? AND " + stands("f") + " ORDER BY f.due, f.originator, f.id, a.member"

	selectAsked = "SELECT a.member FROM feedback f JOIN asked a ON a.n = f.n" +
		" WHERE f.originator = ? AND f.id = ? AND f.act = 'request' AND " + stands("f") + " ORDER BY a.member"
)

// Requests implements store.Store.
func (s *Store) Requests(ctx context.Context, at int64) ([]store.Request, error) {
	return collect(ctx, s.read, scanRequest, selectRequests, at)
}

// Asked implements store.Store.
func (s *Store) Asked(ctx context.Context, originator alert.MemberID, id alert.ID) ([]alert.MemberID, error) {
	return collect(ctx, s.read, func(row scanner) (m alert.MemberID, err error) {
		var text string
		err = row.Scan(&text)
		return alert.MemberID(text), err
	}, selectAsked, string(originator), string(id))
}

func scanRequest(row scanner) (store.Request, error) {
	var r store.Request
	var replies string
	if err := row.Scan((*string)(&r.Originator), (*string)(&r.ID), &r.Version, &r.Own, (*string)(&r.Re.Act),
		(*string)(&r.Re.Originator), (*string)(&r.Re.Alert), (*string)(&r.Re.Precedence), &r.Re.Due,
		&r.Expires, &r.By, (*string)(&r.Asked), &replies); err != nil {
		return store.Request{}, err
	}
	var list [][]json.RawMessage
	if err := json.Unmarshal([]byte(replies), &list); err != nil {
		return store.Request{}, fmt.Errorf("replies to %s: %w", r.ID, err)
	}
	for _, values := range list {
		reply := store.Reply{Name: store.Name{Originator: r.Asked}}
		for i, into := range []any{(*string)(&reply.ID), &reply.Version, (*string)(&reply.Act)} {
			if err := json.Unmarshal(values[i], into); err != nil {
				return store.Request{}, fmt.Errorf("replies to %s: %w", r.ID, err)
			}
		}
		r.Replies = append(r.Replies, reply)
	}
	return r, nil
}
