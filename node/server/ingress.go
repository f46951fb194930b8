package server

import (
	"context"
	"crypto/aes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/nodeapi"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/api/strictyaml"
	"github.com/entente-hub/entente/node"
	"github.com/entente-hub/entente/policies"
)

// ingress is the policy engine as a node.Ingress.
type ingress struct{ rules *policies.Ingress }

var _ node.Ingress = ingress{}

// loadIngress returns nil and nil where no directory is named.
func loadIngress(c Ingress) (node.Ingress, node.People, error) {
	if c.Directory == "" {
		return nil, nil, nil
	}
	raw, err := os.ReadFile(c.Directory)
	if err != nil {
		return nil, nil, err
	}
	n, err := parseDirectory(raw)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", c.Directory, err)
	}
	module, err := readModule(c.Module)
	if err != nil {
		return nil, nil, err
	}
	rules, err := policies.LoadIngress(module, n)
	if err != nil {
		return nil, nil, err
	}
	roster, err := policies.NewRoster(n)
	if err != nil {
		return nil, nil, err
	}
	return ingress{rules}, people{roster}, nil
}

// parseDirectory reads a national directory in YAML as strictly as what comes over
// the wire.
func parseDirectory(raw []byte) (policies.National, error) {
	asJSON, err := strictyaml.ToJSON(raw)
	if err != nil {
		return policies.National{}, err
	}
	return policies.ParseNational(asJSON)
}

// Permits implements node.Ingress.
func (i ingress) Permits(ctx context.Context, r node.Reader, p node.Holding) (bool, error) {
	readers, err := i.rules.Decide(ctx, policies.Reading{Release: p.Release, Label: p.Label, Emergency: p.Emergency,
		Purpose: r.Purpose, Ceiling: p.Ceiling, At: p.At.Unix()})
	if err != nil {
		return false, err
	}
	return readers.Permits(policies.UserID(r.User)), nil
}

// inbox answers listInbox: by the feed's numbers without a directory of users, by
// cursors with one.
func (h handlers) inbox(ctx context.Context, p nodeapi.ListInboxParams) (nodeapi.InboxPage, error) {
	page := nodeapi.InboxPage{Alerts: []nodeapi.Received{}}
	reader, err := h.node.NewReader(p.User, p.Purpose)
	if err != nil {
		return page, err
	}
	limit := or(p.Limit, defaultLimit)
	if reader == nil {
		if p.Cursor != nil {
			return page, problem.New(problem.Malformed, "cursor is for users of a directory: go on with after")
		}
		list, err := h.node.Inbox(ctx, or(p.After, 0), limit)
		for _, item := range list {
			page.Alerts = append(page.Alerts, received(item))
		}
		return page, err
	}
	after, err := h.places.after(*reader, p)
	if err != nil {
		return page, err
	}
	list, err := h.node.InboxOf(ctx, *reader, after, limit)
	for _, item := range list {
		page.Alerts = append(page.Alerts, h.places.veil(*reader, received(item)))
	}
	return page, err
}

// show answers readInbox.
func (h handlers) show(ctx context.Context, p nodeapi.ReadInboxParams, from alert.MemberID, id alert.ID, version int) (*nodeapi.ReceivedAlert, error) {
	reader, err := h.node.NewReader(p.User, p.Purpose)
	if err != nil {
		return nil, err
	}
	if reader == nil {
		item, err := h.node.Show(ctx, from, id, version)
		if err != nil {
			return nil, err
		}
		out := receivedAlert(*item)
		return &out, nil
	}
	item, err := h.node.ShowTo(ctx, *reader, from, id, version)
	if err != nil {
		return nil, err
	}
	out := receivedAlert(*item)
	out.Summary = h.places.veil(*reader, out.Summary)
	return &out, nil
}

// places turns sequence numbers into cursors and back. A user who saw the numbers
// could tell from their gaps how much there is that it may not have; so could one who
// can make a cursor of a number. A cursor is one block of AES-256 over the number and
// eight zero bytes, under a key of the reader's that comes from the node's token.
type places struct{ secret []byte }

func newPlaces(token string) places { return places{[]byte(token)} }

// veil puts a cursor in the place of the number.
func (p places) veil(r node.Reader, a nodeapi.Received) nodeapi.Received {
	var block [aes.BlockSize]byte
	binary.BigEndian.PutUint64(block[:], uint64(a.Seq))
	p.cipher(r).Encrypt(block[:], block[:])
	cursor := base64.RawURLEncoding.EncodeToString(block[:])
	a.Seq, a.PreviousSeq, a.Cursor = 0, nil, &cursor
	return a
}

// after returns the number that a request goes on from.
func (p places) after(r node.Reader, q nodeapi.ListInboxParams) (int64, error) {
	if q.After != nil && *q.After != 0 {
		return 0, problem.New(problem.Malformed, "after is for a node without a directory of users: go on with cursor")
	}
	if q.Cursor == nil {
		return 0, nil
	}
	malformed := problem.New(problem.Malformed, "the cursor is none that this user was given for this purpose")
	block, err := base64.RawURLEncoding.Strict().DecodeString(*q.Cursor)
	if err != nil || len(block) != aes.BlockSize {
		return 0, malformed
	}
	p.cipher(r).Decrypt(block, block)
	seq := int64(binary.BigEndian.Uint64(block))
	if seq < 1 || binary.BigEndian.Uint64(block[8:]) != 0 {
		return 0, malformed
	}
	return seq, nil
}

// cipher returns the permutation of one reader's cursors.
func (p places) cipher(r node.Reader) interface {
	Encrypt(dst, src []byte)
	Decrypt(dst, src []byte)
} {
	mac := hmac.New(sha256.New, p.secret)
	fmt.Fprintf(mac, "entente inbox cursor 1\n%q\n%q\n", r.User, r.Purpose)
	c, err := aes.NewCipher(mac.Sum(nil))
	if err != nil {
		panic("server: " + err.Error()) // the key has the right size
	}
	return c
}
