package firecheck

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
)

// item is a place in an inbox.
type item struct {
	seq        int64
	digest     string
	receivedAt int64 // microseconds since 1970-01-01 UTC
	withheld   bool  // it has no delivery
	name       name
	text       *token
	delivery   delivery
	erased     []release // of what was released, what is erased since
}

// delivery is one as it travels and is stored.
type delivery struct {
	Alert      string    `json:"alert"`
	Releases   []release `json:"releases"`
	Revision   string    `json:"revision"`
	Policy     string    `json:"policy"`
	ReleasedAt int64     `json:"released_at"`
}

// all are the releases as they were, erased or not.
func (i *item) all() []release {
	return append(append([]release(nil), i.delivery.Releases...), i.erased...)
}

// outgoing is an alert of the member's own.
type outgoing struct {
	name    name
	state   string
	problem string
	codes   []string
	digest  string
	receipt string
	text    *token
	whole   bool // nothing of it is erased
}

type nodePurge struct {
	name     name
	cause    string
	portions []string
	token    string
	taken    bool
	refused  string
}

// nodeData is what a node's database holds.
type nodeData struct {
	member     string
	items      []*item
	byName     map[name][]*item // those with a delivery
	outbox     []*outgoing      // in the order of queuing
	purges     []nodePurge
	acks       int64 // that wait, or were refused
	drafts     int64 // pending
	seq        int64
	chain      string
	checkpoint []byte
	alarms     []string
}

// readNode reads a node's database.
func readNode(ctx context.Context, member, file string, rep *Report) (*nodeData, error) {
	db, done, err := openCopy(ctx, file)
	if err != nil {
		return nil, err
	}
	defer done()
	n := &nodeData{member: member, byName: make(map[name][]*item)}
	keys, err := erasableKeys(ctx, db)
	if err != nil {
		return nil, err
	}
	if err := n.readInbox(ctx, db, keys, rep); err != nil {
		return nil, fmt.Errorf("node %s: %w", member, err)
	}
	if err := n.readOutbox(ctx, db, keys, rep); err != nil {
		return nil, fmt.Errorf("node %s: %w", member, err)
	}
	if err := n.readRest(ctx, db); err != nil {
		return nil, fmt.Errorf("node %s: %w", member, err)
	}
	return n, nil
}

func (n *nodeData) readInbox(ctx context.Context, db *sql.DB, keys map[int64][]byte, rep *Report) error {
	const text = "SELECT seq, digest, received_at, delivery, coalesce(originator, ''), coalesce(id, ''), coalesce(version, 0)," +
		" coalesce(signed_digest, ''), kept, key FROM inbox ORDER BY seq"
	return query(ctx, db, text, func(rows *sql.Rows) error {
		i := &item{}
		var stored []byte
		var signedDigest, kept string
		var key int64
		if err := rows.Scan(&i.seq, &i.digest, &i.receivedAt, &stored, &i.name.iss, &i.name.sub, &i.name.ver, &signedDigest, &kept, &key); err != nil {
			return err
		}
		n.items = append(n.items, i)
		if i.withheld = stored == nil; i.withheld {
			return nil
		}
		plain, err := unseal(keys, key, stored)
		if err == nil {
			err = i.open(plain, kept)
		}
		switch {
		case err != nil:
			rep.find(inboxOther, "inbox of %s, item %d can not be read: %v", n.member, i.seq, err)
			i.text = &token{}
		case i.text.Iss != i.name.iss || i.text.Sub != i.name.sub || i.text.Ver != i.name.ver || i.text.signedDigest != signedDigest:
			rep.find(inboxOther, "inbox of %s, item %d is not what its row says", n.member, i.seq)
		}
		n.byName[i.name] = append(n.byName[i.name], i)
		return nil
	})
}

// open reads a stored delivery, or what is left of it, whose digest is then kept.
func (i *item) open(plain []byte, kept string) error {
	want := i.digest
	into := any(&i.delivery)
	var left struct {
		Delivery *delivery  `json:"delivery"`
		Erased   *[]release `json:"erased"`
	}
	if kept != "" {
		left.Delivery, left.Erased = &i.delivery, &i.erased
		want, into = kept, &left
	}
	if digestOf(plain) != want {
		return fmt.Errorf("its digest is %s, not %s", digestOf(plain), want)
	}
	if err := json.Unmarshal(plain, into); err != nil {
		return err
	}
	var err error
	i.text, err = parseToken(i.delivery.Alert)
	return err
}

func (n *nodeData) readOutbox(ctx context.Context, db *sql.DB, keys map[int64][]byte, rep *Report) error {
	const text = "SELECT id, version, token, key, digest, state, problem, codes, receipt FROM outbox ORDER BY n"
	return query(ctx, db, text, func(rows *sql.Rows) error {
		o := &outgoing{name: name{iss: n.member}}
		var stored []byte
		var key int64
		var codes string
		if err := rows.Scan(&o.name.sub, &o.name.ver, &stored, &key, &o.digest, &o.state, &o.problem, &codes, &o.receipt); err != nil {
			return err
		}
		n.outbox = append(n.outbox, o)
		if err := json.Unmarshal([]byte(codes), &o.codes); err != nil {
			return err
		}
		plain, err := unseal(keys, key, stored)
		if err == nil {
			o.text, err = parseToken(string(plain))
		}
		if err != nil {
			rep.find(lost, "outbox of %s: %v can not be read: %v", n.member, o.name, err)
			o.text = &token{}
			return nil
		}
		if p := o.text.payload; p.Iss != n.member || p.Sub != o.name.sub || p.Ver != o.name.ver {
			rep.find(lost, "outbox of %s: the row of %v holds another alert", n.member, o.name)
		}
		o.whole = digestOf(plain) == o.digest
		return nil
	})
}

func (n *nodeData) readRest(ctx context.Context, db *sql.DB) error {
	for text, into := range map[string][]any{
		"SELECT count(*) FROM acks":                           {&n.acks},
		"SELECT count(*) FROM drafts WHERE state = 'pending'": {&n.drafts},
		"SELECT seq, chain, checkpoint FROM position":         {&n.seq, &n.chain, &n.checkpoint},
	} {
		if err := db.QueryRowContext(ctx, text).Scan(into...); err != nil {
			return fmt.Errorf("%s: %w", text, err)
		}
	}
	err := query(ctx, db, "SELECT originator, id, version, cause, portions, token, taken, refused FROM purges ORDER BY n", func(rows *sql.Rows) error {
		var p nodePurge
		var portions string
		if err := rows.Scan(&p.name.iss, &p.name.sub, &p.name.ver, &p.cause, &portions, &p.token, &p.taken, &p.refused); err != nil {
			return err
		}
		err := json.Unmarshal([]byte(portions), &p.portions)
		n.purges = append(n.purges, p)
		return err
	})
	if err != nil {
		return err
	}
	return query(ctx, db, "SELECT kind, detail FROM alarms ORDER BY n", func(rows *sql.Rows) error {
		var kind, detail string
		err := rows.Scan(&kind, &detail)
		n.alarms = append(n.alarms, kind+": "+detail)
		return err
	})
}
