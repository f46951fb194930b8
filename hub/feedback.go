package hub

import (
	"context"
	"errors"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/hub/store"
	"github.com/entente-hub/entente/trust"
)

// Feedback is an alert that refers to another (alert.Reference). Its own label is
// decided like any; and it goes only to those who may know of what it refers to.

// maxChain bounds how far references are followed: a comment on an answer to a request
// about an alert is three.
const maxChain = 8

// concerned reports whether an alert may go to a member at all: one that is feedback,
// to the originator of what it refers to, and to those who would get any of that now; a
// delegation to nobody but the member that is to publish it, whatever widens a release.
func (h *Hub) concerned(ctx context.Context, s *state, v *view, m alert.MemberID, depth int) (bool, error) {
	switch {
	case v.to != "":
		return m == v.to, nil
	case v.re == nil || m == v.re.Originator:
		return true, nil
	case depth >= maxChain:
		return false, nil
	}
	standing, err := h.Store.StandingAlert(ctx, h.Now().Unix(), v.re.Originator, v.re.Alert)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	} else if err != nil {
		return false, unavailable(err)
	}
	row, err := h.Store.Alert(ctx, standing.Originator, standing.ID, standing.Version)
	if err != nil {
		return false, unavailable(err)
	}
	about, err := h.views.of(*row)
	if err != nil {
		return false, problem.Wrap(problem.Internal, err, "")
	}
	p, err := h.permitAt(ctx, s, about, m, false, depth+1)
	return p != nil, err
}

// refers judges what an alert refers to. On what its author was never handed over it is
// refused as on what does not exist.
func (h *Hub) refers(ctx context.Context, a *trust.VerifiedAlert) error {
	if a.Version > 1 {
		if err := h.sameReference(ctx, a); err != nil {
			return err
		}
	}
	for re, depth := a.Re, 0; re != nil; depth++ {
		if depth >= maxChain {
			return problem.New(problem.Malformed, "it stands at the end of a chain of more than %d references", maxChain)
		}
		if depth == 0 {
			if has, err := h.has(ctx, a.Issuer, re.Originator, re.Alert); err != nil {
				return err
			} else if !has {
				return unknownReference()
			}
		}
		row, err := h.Store.Alert(ctx, re.Originator, re.Alert, 1)
		switch {
		case errors.Is(err, store.ErrNotFound) && depth == 0: // its own, which is not there
			return unknownReference()
		case errors.Is(err, store.ErrNotFound):
			return nil
		case err != nil:
			return unavailable(err)
		}
		v, err := h.views.of(*row)
		if err != nil {
			return problem.Wrap(problem.Internal, err, "")
		}
		re = v.re
	}
	return nil
}

func unknownReference() error {
	refusal := problem.New(problem.NotAdmitted, "it refers to no alert that its author has")
	refusal.Codes = []string{"unknown-reference"}
	return refusal
}

// sameReference refuses a version that refers to something else than the one before:
// whoever has that one is told of this one. A recall refers to nothing, and is all that
// follows a delegation.
func (h *Hub) sameReference(ctx context.Context, a *trust.VerifiedAlert) error {
	row, err := h.Store.Alert(ctx, a.Issuer, a.Subject, a.Version-1)
	if errors.Is(err, store.ErrNotFound) {
		return nil // which the store refuses
	} else if err != nil {
		return unavailable(err)
	}
	v, err := h.views.of(*row)
	if err != nil {
		return problem.Wrap(problem.Internal, err, "")
	}
	if v.to != "" && a.Recall == nil {
		return problem.New(problem.Fork, "nothing but a recall follows a delegation")
	}
	same := a.Re == nil && v.re == nil ||
		a.Re != nil && v.re != nil && a.Re.Originator == v.re.Originator && a.Re.Alert == v.re.Alert && a.Re.Act == v.re.Act
	if a.Recall != nil && a.Re == nil || a.Recall == nil && same {
		return nil
	}
	return problem.New(problem.Fork, "it refers to something else than the version before")
}
