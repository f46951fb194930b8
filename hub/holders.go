package hub

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/audit"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/hub/store"
)

// Holder is one hand-over of an alert.
type Holder struct {
	store.Holder
	ReleasedAt int64 // seconds since 1970-01-01 UTC
	Releases   []feed.Release
}

// Holders returns who was handed over what of an alert of the member's own, and the
// purge receipts. That it was asked is recorded. To anybody else there is no such alert.
func (h *Hub) Holders(ctx context.Context, member alert.MemberID, id alert.ID) ([]Holder, []store.Purge, error) {
	row, err := h.Store.Alert(ctx, member, id, 1)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil, h.refuse(ctx, string(member), nil, problem.New(problem.NotFound, "no such alert"))
	} else if err != nil {
		return nil, nil, unavailable(err)
	}
	v, err := h.own(ctx, *row)
	if err != nil {
		return nil, nil, h.refuse(ctx, string(member), nil, err)
	}
	only := v.told()
	list, err := h.Store.Holders(ctx, member, id)
	if err != nil {
		return nil, nil, unavailable(err)
	}
	purges, err := h.Store.Purges(ctx, member, id)
	if err != nil {
		return nil, nil, unavailable(err)
	}
	var out []Holder
	for _, held := range list {
		if only != "" && held.Recipient != only {
			continue
		}
		held.Lost = held.Lost && held.Receipt == "" // whoever has acknowledged it has it
		var f facts
		if err := json.Unmarshal(held.Facts, &f); err != nil {
			return nil, nil, problem.Wrap(problem.Internal, err, "")
		}
		out = append(out, Holder{held, f.ReleasedAt, f.Releases})
	}
	purges = slices.DeleteFunc(purges, func(p store.Purge) bool { return only != "" && p.Recipient != only })
	_, err = h.ledger.commit(ctx, store.Write{Entries: [][]byte{h.entry(audit.Entry{Kind: audit.Holders, Actor: string(member), Alert: named(*row)})}})
	return out, purges, err
}

// own returns the view of an alert of the caller's, unless whoever signed it had the
// name before: then it is another member's.
func (h *Hub) own(ctx context.Context, row store.Alert) (*view, error) {
	s, err := h.newer(ctx)
	if err != nil {
		return nil, err
	}
	v, err := h.views.of(row)
	if err != nil {
		return nil, problem.Wrap(problem.Internal, err, "")
	}
	if !s.dir.Certified(row.Originator, v.kid) {
		return nil, problem.New(problem.NotFound, "no such alert")
	}
	return v, nil
}

// told is the only member of whom the originator of feedback may learn whether it was
// handed over; "": of all. Who else gets it tells who may have somebody else's alert.
func (v *view) told() alert.MemberID {
	if v.re == nil {
		return ""
	}
	return v.re.Originator
}

// Purged stores a member's signed purge receipts, at most feed.MaxPage. One that does
// not hold ends it; what was stored before stays.
func (h *Hub) Purged(ctx context.Context, member alert.MemberID, purges []string) error {
	return h.takeAll(ctx, member, purges, h.storePurges)
}

// storePurges stores purge receipts at one state, in one transaction as far as they
// verify. It returns how many are stored; a refusal comes unrecorded.
func (h *Hub) storePurges(ctx context.Context, s *state, member alert.MemberID, purges []string) (int, error) {
	var writes []store.Write
	var refusal error
	told := make(map[purged]*words)
	for _, jws := range purges {
		var w store.Write
		if w, refusal = h.readPurge(ctx, s, member, jws); refusal != nil {
			break
		}
		if news, err := h.saysMore(ctx, w.Purge, told); err != nil {
			return 0, err
		} else if !news {
			continue
		}
		writes = append(writes, w)
	}
	if done, err := h.commitSigned(ctx, writes, refusal); err != nil {
		return min(done, len(purges)), err
	}
	return len(purges), nil
}

// saysMore reports whether a receipt tells the originator anything that none of its
// member's for the version does: that a portion was erased, or that it was erased after
// it was handed over again. Others are taken, and not stored. So there are no more of them
// than hand-overs of portions, and portions.
func (h *Hub) saysMore(ctx context.Context, p *store.Purge, told map[purged]*words) (bool, error) {
	key := purged{p.Recipient, p.Originator, p.ID, p.Version}
	if told[key] == nil {
		var err error
		if told[key], err = h.wordsOf(ctx, key); err != nil {
			return false, err
		}
	}
	return told[key].add(p)
}

// purged names what a receipt is about.
type purged struct {
	recipient, originator alert.MemberID
	id                    alert.ID
	version               int
}

// words is what receipts of a member say of a version: of each portion how late it was
// erased at the latest; and since when it was had, each time that it was handed over. Both in
// seconds since 1970-01-01 UTC.
type words struct {
	erased map[alert.PortionID]int64
	had    map[alert.PortionID][]int64
}

// wordsOf reads what is stored of a version and a member.
func (h *Hub) wordsOf(ctx context.Context, of purged) (*words, error) {
	list, err := h.Store.Holders(ctx, of.originator, of.id)
	if err != nil {
		return nil, unavailable(err)
	}
	stored, err := h.Store.Purges(ctx, of.originator, of.id)
	if err != nil {
		return nil, unavailable(err)
	}
	w := &words{make(map[alert.PortionID]int64), make(map[alert.PortionID][]int64)}
	for _, held := range list {
		if held.Recipient != of.recipient || held.Version != of.version {
			continue
		}
		var f facts
		if err := json.Unmarshal(held.Facts, &f); err != nil {
			return nil, problem.Wrap(problem.Internal, err, "")
		}
		since, err := hadSince(held, f)
		if err != nil {
			return nil, err
		}
		for _, r := range f.Releases {
			w.had[r.Portion] = append(w.had[r.Portion], since)
		}
	}
	for _, before := range stored {
		if before.Recipient == of.recipient && before.Version == of.version {
			if _, err := w.add(&before); err != nil {
				return nil, err
			}
		}
	}
	return w, nil
}

// hadSince is from when on a receipt counts for a hand-over, as its originator's node
// reads it: by the member's own word it had not erased before it acknowledged; without that
// the hub's clock says when, and the member's may be behind.
func hadSince(held store.Holder, f facts) (int64, error) {
	if held.Receipt == "" {
		return f.ReleasedAt - int64(alert.MaxSkew/time.Second), nil
	}
	// It was verified when it was stored; what counts here is what it says.
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(held.Receipt+".", ".")[1])
	if err != nil {
		return 0, problem.Wrap(problem.Internal, err, "")
	}
	a, err := feed.Parse[feed.Ack](raw)
	if err != nil {
		return 0, problem.Wrap(problem.Internal, err, "")
	}
	return a.IssuedAt, nil
}

// add adds what a receipt says, and reports whether that is more.
func (w *words) add(p *store.Purge) (more bool, err error) {
	var portions []alert.PortionID
	if err := json.Unmarshal([]byte(p.Portions), &portions); err != nil {
		return false, problem.Wrap(problem.Internal, err, "")
	}
	for _, id := range portions {
		before, named := w.erased[id]
		more = more || !named || slices.ContainsFunc(w.had[id], func(since int64) bool { return before < since && since <= p.At })
		if !named || p.At > before {
			w.erased[id] = p.At
		}
	}
	return more, nil
}

// readPurge verifies a purge receipt and that it is about what was handed over.
func (h *Hub) readPurge(ctx context.Context, s *state, member alert.MemberID, jws string) (store.Write, error) {
	var p feed.Purge
	err := h.verifySigned(s, member, jws, feed.PurgeType, func(payload []byte) (sig signed, err error) {
		p, err = feed.Parse[feed.Purge](payload)
		return signed{p.Issuer, p.Hub, p.IssuedAt}, err
	})
	if err != nil {
		return store.Write{}, err
	}
	absent := problem.New(problem.NotFound, "no such delivery")
	d, err := h.Store.DeliveryOf(ctx, member, p.Originator, p.Alert, p.Version)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return store.Write{}, absent
	case err != nil:
		return store.Write{}, unavailable(err)
	case d.Alert.SignedDigest != p.Digest:
		return store.Write{}, absent
	case !d.Superseded && p.Cause != feed.Ended:
		return store.Write{}, problem.New(problem.Malformed, "the version stands: nothing has recalled or superseded it")
	}
	if had, err := h.hadAll(ctx, member, p); err != nil || !had {
		return store.Write{}, cmp.Or(err, error(absent))
	}
	portions, err := json.Marshal(p.Portions)
	if err != nil {
		return store.Write{}, problem.Wrap(problem.Internal, err, "")
	}
	return store.Write{
		Seen: s.position,
		Purge: &store.Purge{Recipient: member, Originator: p.Originator, ID: p.Alert, Version: p.Version,
			Cause: string(p.Cause), Portions: string(portions), At: p.IssuedAt, Receipt: jws},
		Entries: [][]byte{h.entry(audit.Entry{Kind: audit.Purged, Actor: string(member), Alert: named(d.Alert),
			Recipient: member, Cause: string(p.Cause), Erased: p.Portions, Proof: jws})},
	}, nil
}

// hadAll reports whether every portion that a receipt names was handed over to its
// member, in any delivery of the version.
func (h *Hub) hadAll(ctx context.Context, member alert.MemberID, p feed.Purge) (bool, error) {
	list, err := h.Store.Holders(ctx, p.Originator, p.Alert)
	if err != nil {
		return false, unavailable(err)
	}
	had := make(map[alert.PortionID]bool)
	for _, held := range list {
		if held.Recipient != member || held.Version != p.Version {
			continue
		}
		var f facts
		if err := json.Unmarshal(held.Facts, &f); err != nil {
			return false, problem.Wrap(problem.Internal, err, "")
		}
		for _, r := range f.Releases {
			had[r.Portion] = true
		}
	}
	return !slices.ContainsFunc(p.Portions, func(id alert.PortionID) bool { return !had[id] }), nil
}

// signed is what every signed message of a node's says of itself.
type signed struct {
	issuer alert.MemberID
	hub    hubID
	at     int64 // seconds since 1970-01-01 UTC
}

// verifySigned verifies a node's message with a key that was good when it was signed,
// which may be a while ago, and has not been revoked since.
func (h *Hub) verifySigned(s *state, member alert.MemberID, jws, typ string, parse func([]byte) (signed, error)) error {
	now := h.Now()
	var m signed
	_, kid, err := keys.VerifyParsed(jws, typ, func(payload []byte) (lookup keys.Lookup, err error) {
		if m, err = parse(payload); err != nil {
			return nil, problem.New(problem.Malformed, "%w", err)
		}
		return s.dir.NodeKey(member, m.at), nil
	})
	var p *problem.Error
	switch {
	case errors.As(err, &p):
		return p
	case err != nil:
		return problem.New(problem.BadSignature, "%s: %w", typ, err)
	case s.dir.Revoked(kid, now.Unix()):
		return problem.New(problem.BadSignature, "%s: key %s has been revoked", typ, kid)
	case m.at > now.Add(skew).Unix():
		return problem.New(problem.NotYetValid, "%s: it is dated in the future", typ)
	case m.issuer != member:
		return problem.New(problem.WrongMember, "%s can not speak in another member's name", member)
	case m.hub != h.ID:
		return problem.New(problem.Malformed, "%s: it is not addressed to this hub", typ)
	}
	return nil
}

// Published returns a member's own accepted alerts after an index of the log, up to
// limit or as many as one page holds, with their receipts and what has not ended of
// them: what a node that lost them has to know before it goes on. What a predecessor in
// the member's name has published is not its own.
func (h *Hub) Published(ctx context.Context, member alert.MemberID, after int64, limit int) (tokens, receipts []string, err error) {
	size := 0
	for len(tokens) < limit && size <= maxPageBytes {
		list, err := h.Store.Published(ctx, member, after, min(limit-len(tokens), publishedPage))
		if err != nil {
			return nil, nil, unavailable(err)
		}
		if len(list) == 0 {
			break
		}
		for _, row := range list {
			if size += len(row.Token); size > maxPageBytes && len(tokens) > 0 {
				break
			}
			after = row.LogIndex
			if _, err := h.own(ctx, row); problem.KindOf(err) == problem.NotFound {
				continue
			} else if err != nil {
				return nil, nil, err
			}
			token, _, _, err := remains(store.Due{Alert: row}, h.Now().Unix())
			if err != nil {
				return nil, nil, problem.Wrap(problem.Internal, err, "")
			}
			receipt, err := h.receipt(ctx, row)
			if err != nil {
				return nil, nil, err
			}
			tokens, receipts = append(tokens, token), append(receipts, receipt)
		}
	}
	if len(tokens) == 0 {
		return nil, nil, nil
	}
	_, err = h.ledger.commit(ctx, store.Write{Entries: [][]byte{h.entry(audit.Entry{Kind: audit.Holders, Actor: string(member)})}})
	return tokens, receipts, err
}

// publishedPage bounds how many alerts are read at once for one answer.
const publishedPage = 8
