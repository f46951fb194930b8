package firecheck

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
)

// hubAlert is a version of an alert in the hub's store.
type hubAlert struct {
	row          int64
	name         name
	digest       string // of the alert as sent
	signedDigest string
	expires      int64
	logIndex     int64
	text         *token // as far as its content is not erased
	portions     []hubPortion
}

// hubPortion is a portion as the hub keeps it in mind: its label, without a date of
// retention, outlives its content.
type hubPortion struct {
	id    string
	label *label
}

// name is one version's.
type name struct {
	iss, sub string
	ver      int
}

func (n name) String() string { return fmt.Sprintf("%s/%s version %d", n.iss, n.sub, n.ver) }

// hubDelivery is one in the hub's store that was handed over.
type hubDelivery struct {
	alert         int64
	seq           int64
	chain, digest string
	facts         struct {
		Releases   []release `json:"releases"`
		Revision   string    `json:"revision"`
		Policy     string    `json:"policy"`
		ReleasedAt int64     `json:"released_at"`
	}
	receipt string
	lost    bool // it was asked for again, and served without content
}

type hubFeed struct {
	seq, acked, pending int64
	chain               string
}

// hubData is what the hub's store holds.
type hubData struct {
	alerts     map[int64]*hubAlert
	byName     map[name]*hubAlert
	deliveries map[string][]hubDelivery // by recipient, in order of their places
	feeds      map[string]hubFeed
	waiting    map[string]int64 // pending deliveries
	refused    []text           // by the bytes
	rows       []*stated
	leaves     [][]byte
	hashes     [][]byte // of the log's tree, by their numbers
	size       int64
	root       []byte
}

// readHub reads the hub's database.
func readHub(ctx context.Context, r *run, rep *Report) (*hubData, error) {
	var db *sql.DB
	if r.Store == "postgres" {
		var err error
		if db, err = sql.Open("pgx", r.DSN); err != nil {
			return nil, err
		}
		defer db.Close() // only read
	} else {
		copied, done, err := openCopy(ctx, r.path(r.HubDB))
		if err != nil {
			return nil, err
		}
		defer done()
		db = copied
	}
	h := &hubData{alerts: make(map[int64]*hubAlert), byName: make(map[name]*hubAlert), deliveries: make(map[string][]hubDelivery),
		feeds: make(map[string]hubFeed), waiting: make(map[string]int64)}
	for _, part := range []func(context.Context, *sql.DB, *Report) error{
		h.readLog, h.readStatements, h.readAlerts, h.readPortions, h.readDeliveries, h.readFeeds, h.readRefused} {
		if err := part(ctx, db, rep); err != nil {
			return nil, fmt.Errorf("the hub's store: %w", err)
		}
	}
	return h, nil
}

func (h *hubData) readLog(ctx context.Context, db *sql.DB, rep *Report) error {
	err := query(ctx, db, "SELECT idx, leaf FROM log_entries ORDER BY idx", func(rows *sql.Rows) error {
		var idx int64
		var leaf []byte
		if err := rows.Scan(&idx, &leaf); err != nil {
			return err
		}
		if idx != int64(len(h.leaves)) {
			rep.find(logBroken, "entry %d stands in the place of entry %d", idx, len(h.leaves))
		}
		h.leaves = append(h.leaves, leaf)
		return nil
	})
	if err != nil {
		return err
	}
	err = query(ctx, db, "SELECT idx, hash FROM log_hashes ORDER BY idx", func(rows *sql.Rows) error {
		var idx int64
		var one []byte
		if err := rows.Scan(&idx, &one); err != nil {
			return err
		}
		if idx != int64(len(h.hashes)) {
			rep.find(logBroken, "hash %d of the log's tree stands in the place of hash %d", idx, len(h.hashes))
		}
		h.hashes = append(h.hashes, one)
		return nil
	})
	if err != nil {
		return err
	}
	return db.QueryRowContext(ctx, "SELECT size, root FROM log_head").Scan(&h.size, &h.root)
}

func (h *hubData) readStatements(ctx context.Context, db *sql.DB, _ *Report) error {
	const text = "SELECT position, type, subject, revision, digest, previous, raw FROM statements ORDER BY position"
	return query(ctx, db, text, func(rows *sql.Rows) error {
		s := &stated{}
		h.rows = append(h.rows, s)
		return rows.Scan(&s.pos, &s.typ, &s.subject, &s.rev, &s.digest, &s.prev, &s.raw)
	})
}

// readAlerts reads the alerts, and opens what is sealed of them.
func (h *hubData) readAlerts(ctx context.Context, db *sql.DB, rep *Report) error {
	keys, err := erasableKeys(ctx, db)
	if err != nil {
		return err
	}
	const text = "SELECT id, originator, alert, version, digest, signed_digest, expires, log_index, token FROM alerts ORDER BY id"
	return query(ctx, db, text, func(rows *sql.Rows) error {
		a := &hubAlert{}
		var digest, plain []byte
		if err := rows.Scan(&a.row, &a.name.iss, &a.name.sub, &a.name.ver, &digest, &a.signedDigest, &a.expires, &a.logIndex, &plain); err != nil {
			return err
		}
		a.digest = b64.EncodeToString(digest)
		h.alerts[a.row] = a
		if h.byName[a.name] != nil {
			rep.find(twice, "%v is in the hub's store twice", a.name)
		}
		h.byName[a.name] = a
		var err error
		if keys[a.row] != nil { // the key of an alert has its row's number
			plain, err = unseal(keys, a.row, plain)
		}
		if err == nil {
			a.text, err = parseToken(string(plain))
		}
		if err != nil {
			rep.find(lost, "%v in the hub's store can not be read: %v", a.name, err)
			a.text = &token{}
		} else if p := a.text.payload; p.Iss != a.name.iss || p.Sub != a.name.sub || p.Ver != a.name.ver || p.Exp != a.expires ||
			a.text.signedDigest != a.signedDigest {
			rep.find(inboxOther, "%v in the hub's store is not what its row says", a.name)
		}
		return nil
	})
}

func (h *hubData) readPortions(ctx context.Context, db *sql.DB, _ *Report) error {
	labels := make(map[int64]*label)
	err := query(ctx, db, "SELECT id, key FROM labels", func(rows *sql.Rows) error {
		var id int64
		var key []byte
		if err := rows.Scan(&id, &key); err != nil {
			return err
		}
		for i, c := range key { // the alert's id, where it counts, and a line feed come first
			if c == '\n' {
				key = key[i+1:]
				break
			}
		}
		l, err := parseLabel(key)
		labels[id] = l
		return err
	})
	if err != nil {
		return err
	}
	return query(ctx, db, "SELECT alert, portion, label FROM portions ORDER BY alert, position", func(rows *sql.Rows) error {
		var alert, row int64
		var p hubPortion
		if err := rows.Scan(&alert, &p.id, &row); err != nil {
			return err
		}
		if p.label = labels[row]; p.label == nil || h.alerts[alert] == nil {
			return fmt.Errorf("portion %s of alert %d has no label or alert", p.id, alert)
		}
		h.alerts[alert].portions = append(h.alerts[alert].portions, p)
		return nil
	})
}

func (h *hubData) readDeliveries(ctx context.Context, db *sql.DB, _ *Report) error {
	const text = "SELECT recipient, alert, seq, chain, digest, facts, receipt, lost FROM deliveries WHERE state = 1 ORDER BY recipient, seq"
	err := query(ctx, db, text, func(rows *sql.Rows) error {
		var d hubDelivery
		var m string
		var facts, receipt []byte
		if err := rows.Scan(&m, &d.alert, &d.seq, &d.chain, &d.digest, &facts, &receipt, &d.lost); err != nil {
			return err
		}
		d.receipt = string(receipt)
		h.deliveries[m] = append(h.deliveries[m], d)
		return json.Unmarshal(facts, &h.deliveries[m][len(h.deliveries[m])-1].facts)
	})
	if err != nil {
		return err
	}
	return query(ctx, db, "SELECT recipient, count(*) FROM deliveries WHERE state = 0 GROUP BY recipient", func(rows *sql.Rows) error {
		var m string
		var n int64
		err := rows.Scan(&m, &n)
		h.waiting[m] = n
		return err
	})
}

func (h *hubData) readFeeds(ctx context.Context, db *sql.DB, _ *Report) error {
	return query(ctx, db, "SELECT recipient, seq, chain, acked, pending FROM feeds", func(rows *sql.Rows) error {
		var m string
		var f hubFeed
		err := rows.Scan(&m, &f.seq, &f.chain, &f.acked, &f.pending)
		h.feeds[m] = f
		return err
	})
}

func (h *hubData) readRefused(ctx context.Context, db *sql.DB, _ *Report) error {
	return query(ctx, db, "SELECT originator, digest FROM refused ORDER BY originator, digest", func(rows *sql.Rows) error {
		var r text
		var digest []byte
		err := rows.Scan(&r.iss, &digest)
		r.digest = b64.EncodeToString(digest)
		h.refused = append(h.refused, r)
		return err
	})
}
