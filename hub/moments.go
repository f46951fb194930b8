package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/hub/store"
	"github.com/entente-hub/entente/trust"
)

// Validity dates pass without a statement. So that it can be told which of two
// decisions was made under later rules, and all hubs of a store decide under the same,
// a hub that finds a date passed says so in the list of statements: a *moment*, at
// which the world is looked at from then on. It is no statement of anybody's, is shown
// to no member, and has a position like all that is on the list.
const (
	momentType    = "moment"
	momentSubject = "world"
)

// moment is the last one on the list.
type moment struct {
	at       int64 // seconds since 1970-01-01 UTC
	revision int64
	digest   string
}

func (m moment) time() time.Time { return time.Unix(m.at, 0) }

// read takes up a row of the list.
func (m *moment) read(s store.Statement) error {
	var body struct {
		At int64 `json:"at"`
	}
	if err := json.Unmarshal(s.Raw, &body); err != nil {
		return fmt.Errorf("moment %d: %w", s.Revision, err)
	}
	*m = moment{body.At, s.Revision, s.Digest}
	return nil
}

// next is the row that says that it is now.
func (m moment) next(now time.Time) (*store.Statement, error) {
	raw, err := json.Marshal(map[string]int64{"at": now.Unix()})
	if err != nil {
		return nil, err
	}
	return &store.Statement{Type: momentType, Subject: momentSubject, Revision: m.revision + 1, Previous: m.digest,
		Digest: federation.Digest(raw), Raw: raw}, nil
}

// due reports whether the world looks another way now than at the moment: a date has
// passed, or a hub whose clock was ahead has written a moment that is still to come.
func (m moment) due(w *federation.World, now time.Time) bool {
	return !w.Lapses.IsZero() && !now.Before(w.Lapses) || m.at > now.Add(skew).Unix()
}

// list is what a store's list of statements says up to a position.
type list struct {
	dir      *trust.Directory
	position int64
	newest   int64 // the latest iat among the statements
	moment   moment
}

// with takes in further rows. The store is not trusted: what it holds is verified as
// if it had just come in.
func (l list) with(now time.Time, rows []store.Statement) (list, error) {
	var raws [][]byte
	for _, s := range rows {
		l.position = s.Position
		if s.Type == momentType {
			if err := l.moment.read(s); err != nil {
				return l, problem.Wrap(problem.Unavailable, fmt.Errorf("%w: %w", errUnverified, err), errUnverified.Error())
			}
			continue
		}
		raws = append(raws, s.Raw)
	}
	var err error
	if l.dir, err = l.dir.With(now, raws...); err != nil {
		return l, problem.Wrap(problem.Unavailable, fmt.Errorf("%w: %w", errUnverified, err), errUnverified.Error())
	}
	for _, s := range rows {
		if head, ok := l.dir.HeadNamed(s.Type, s.Subject); ok {
			l.newest = max(l.newest, head.IssuedAt)
		}
	}
	return l, nil
}

// readOn takes in the rows that the store has beyond the list's, up to a position; 0:
// all there are.
func readOn(ctx context.Context, st store.Store, l list, now time.Time, upTo int64) (list, error) {
	for upTo == 0 || l.position < upTo {
		rows, err := st.Statements(ctx, l.position, statementPage)
		if err != nil {
			return l, unavailable(err)
		}
		for i, s := range rows {
			if upTo > 0 && s.Position > upTo {
				rows = rows[:i]
				break
			}
		}
		if len(rows) == 0 {
			break
		}
		if l, err = l.with(now, rows); err != nil {
			return l, err
		}
	}
	return l, nil
}
