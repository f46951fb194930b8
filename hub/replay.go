package hub

import (
	"context"
	"errors"
	"slices"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/hub/store"
)

// replay serves again what was handed over, under the rules of this moment:
// another hub may have been told to withhold it since this one last looked.
func (h *Hub) replay(ctx context.Context, member alert.MemberID, after int64, limit int) ([]feed.Item, string, error) {
	if err := h.refresh(ctx); err != nil {
		return nil, "", err
	}
	s, err := h.current(ctx)
	if err != nil {
		return nil, "", err
	}
	stored, err := h.Store.Delivered(ctx, member, after, limit)
	if err != nil {
		return nil, "", unavailable(err)
	}
	var items []feed.Item
	var lost store.Resettle
	size := 0
	for _, d := range stored {
		if size += len(d.Alert.Token); len(items) > 0 && size > maxPageBytes {
			break
		}
		item := feed.Item{Seq: d.Seq, Digest: d.Digest}
		if !d.Lost { // else it comes with what was made pending in its place, and would come twice
			if item, err = h.redeliver(ctx, s, member, d); err != nil {
				return nil, "", err
			}
		}
		items = append(items, item)
		if item.Delivery == nil && !d.Lost && !d.Superseded && (d.Follows || !h.expired(d.Alert)) {
			lost.Lost = append(lost.Lost, d.ID)
			if c := (store.Claim{AlertRow: d.AlertRow, Recipient: member}); !slices.Contains(lost.Renew, c) {
				lost.Renew = append(lost.Renew, c)
			}
		}
	}
	if len(items) == 0 {
		return nil, "", problem.Wrap(problem.Internal, errChanged, "")
	}
	if err := h.still(ctx, s, lost); err != nil {
		return nil, "", err
	}
	return items, stored[len(items)-1].Chain, nil
}

// still fails with errStale where something was stated since the state was made,
// by whichever hub. It is asked last, when an answer is ready. With it goes what the
// answer does to deliveries that are served without content: their recipient, who asks
// for them, holds nothing of them. They are pending once more; what waits is withheld,
// and comes back when the rules do.
func (h *Hub) still(ctx context.Context, s *state, lost store.Resettle) error {
	res, err := h.ledger.commit(ctx, store.Write{Seen: s.position, Resettle: &lost})
	if err != nil {
		return err
	}
	if res.Outcome == store.Stale || s.lapsed(h.Now()) {
		return errStale
	}
	return nil
}

// Read answers an alert's originator with its receipt, and a recipient with the
// item of its feed. To anybody else there is no such alert.
func (h *Hub) Read(ctx context.Context, member, originator alert.MemberID, id alert.ID, version int) (receipt string, item *feed.Item, err error) {
	if err := h.refresh(ctx); err != nil {
		return "", nil, err
	}
	s, err := h.current(ctx)
	if err != nil {
		return "", nil, err
	}
	absent := problem.New(problem.NotFound, "no such alert")
	if member == originator {
		row, err := h.Store.Alert(ctx, originator, id, version)
		if errors.Is(err, store.ErrNotFound) {
			return "", nil, absent
		} else if err != nil {
			return "", nil, unavailable(err)
		}
		receipt, err = h.receipt(ctx, *row)
		return receipt, nil, err
	}
	d, err := h.Store.DeliveryOf(ctx, member, originator, id, version)
	if errors.Is(err, store.ErrNotFound) {
		return "", nil, absent
	} else if err != nil {
		return "", nil, unavailable(err)
	}
	i, err := h.redeliver(ctx, s, member, *d)
	if err != nil {
		return "", nil, err
	}
	if i.Delivery == nil {
		return "", nil, absent // no longer permitted: it is gone
	}
	if err := h.still(ctx, s, store.Resettle{}); err != nil {
		return "", nil, err
	}
	return "", &i, nil
}
