package sqlite

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/node/store"
)

// recallText is the column recall of the outbox.
func recallText(r *alert.Recall) (string, error) {
	if r == nil {
		return "", nil
	}
	raw, err := json.Marshal(r)
	return string(raw), err
}

// purgedOutgoing holds for whatever an accepted recall has ended with alert.Purge. None
// follows that: what is of another version, or was refused, is of before.
const purgedOutgoing = "EXISTS (SELECT 1 FROM outbox r INDEXED BY outbox_ended WHERE r.id = outbox.id AND r.state = 'accepted' AND r.recall <> ''" +
	" AND r.n <> outbox.n AND json_extract(r.recall, '$.mode') = 'purge')"

// endOthers makes due at once what an accepted recall of an alert ends. Both selects read
// an index of their own.
const endOthers = "UPDATE outbox SET due = 1 WHERE n IN (SELECT n FROM outbox WHERE id = ?1 AND state <> 'refused'" +
	" UNION ALL SELECT n FROM outbox WHERE id = ?1 AND state = 'refused') AND due > 1 AND " + purgedOutgoing

// endPurged does so where the version that was accepted may be a recall: the first is none.
func endPurged(ctx context.Context, tx *sql.Tx, id alert.ID, version int) error {
	if version == 1 {
		return nil
	}
	if _, err := tx.ExecContext(ctx, endOthers, string(id)); err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	return nil
}

// readRecalls fills in the column recall for what was stored before there was one.
func (s *Store) readRecalls(ctx context.Context) error {
	for {
		list, err := collect(ctx, s.read, func(row scanner) (unread, error) {
			var u unread
			o, err := scanOutgoing(prefixed{row, &u.n})
			u.Outgoing = o
			return u, err
		}, "SELECT n, "+strings.TrimPrefix(selectOutgoing, "SELECT ")+" FROM outbox WHERE recall IS NULL ORDER BY n LIMIT 100")
		if err != nil || len(list) == 0 {
			return err
		}
		if err := s.inTx(ctx, func(tx *sql.Tx) error {
			for _, u := range list {
				text, err := recallText(recallIn(u.Token))
				if err != nil {
					return err
				}
				if err := changeOne(ctx, tx, "UPDATE outbox SET recall = ? WHERE n = ?", text, u.n); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return fmt.Errorf("recalls of the outbox: %w", err)
		}
	}
}

// unread is a version in row n of the outbox.
type unread struct {
	n int64
	store.Outgoing
}

// prefixed scans one column before those that are asked for.
type prefixed struct {
	scanner
	first any
}

func (p prefixed) Scan(dest ...any) error { return p.scanner.Scan(append([]any{p.first}, dest...)...) }

// recallIn returns what an alert's signed part says of a recall; nil where it is none, or
// can not be read.
func recallIn(token string) *alert.Recall {
	p, err := payloadIn(token)
	if err != nil {
		return nil
	}
	return p.Recall
}

func payloadIn(token string) (alert.Payload, error) {
	parts := strings.SplitN(token, ".", 3)
	if len(parts) != 3 {
		return alert.Payload{}, errors.New("not a JWS in compact form")
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(parts[1])
	if err != nil {
		return alert.Payload{}, err
	}
	return alert.ParsePayload(raw)
}
