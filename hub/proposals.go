package hub

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/audit"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/hub/store"
	"github.com/entente-hub/entente/trust"
)

// MaxProposal bounds a proposal, in bytes: all that wait are looked through.
const MaxProposal = 64 << 10

// Proposal is a statement that waits for further signatures.
type Proposal struct {
	store.Proposal
	Missing []string // whose, in words
}

// Propose takes in a statement with some of its signatures, from whoever brings it,
// and joins them to those that were brought before. With the last one the statement
// comes into force: then missing is empty. Errors are *problem.Error; a refusal is
// recorded.
func (h *Hub) Propose(ctx context.Context, member alert.MemberID, raw []byte) (digest string, missing []string, err error) {
	for {
		digest, missing, err = h.propose(ctx, member, raw)
		if !errors.Is(err, errStale) {
			break
		}
	}
	if err != nil {
		return "", nil, h.refuse(ctx, string(member), nil, err)
	}
	return digest, missing, nil
}

func (h *Hub) propose(ctx context.Context, member alert.MemberID, raw []byte) (string, []string, error) {
	s, err := h.newerDirectory(ctx)
	if err != nil {
		return "", nil, err
	}
	st, missing, err := s.dir.Propose(h.Now(), raw)
	if err == nil && len(missing) > 0 && len(raw) > MaxProposal {
		err = problem.New(problem.TooLarge, "a proposal has at most %d bytes", MaxProposal)
	}
	if err != nil {
		return "", nil, err
	}
	open, err := h.Store.Proposals(ctx)
	if err != nil {
		return "", nil, unavailable(err)
	}
	next := store.Proposal{Digest: st.Digest, Edition: 1, Type: string(st.Type), Subject: st.Subject, Revision: st.Revision,
		By: member, At: h.Now().Unix(), Raw: raw}
	mine := 0
	for _, p := range open {
		if p.By == member {
			mine++
		}
		if p.Digest != st.Digest {
			continue
		}
		next.Edition, next.By, next.At = p.Edition+1, p.By, p.At
		if next.Raw, missing, err = h.joined(s.dir, p.Raw, raw); err != nil {
			return "", nil, err
		}
		if len(missing) > 0 && bytes.Equal(next.Raw, p.Raw) {
			return st.Digest, missing, nil // nothing that was not there
		}
	}
	if len(missing) == 0 {
		return st.Digest, nil, h.takeStatement(ctx, string(member), next.Raw)
	}
	if err := h.hasRules(ctx, st.Body); err != nil {
		return "", nil, err
	}
	if next.Edition == 1 && mine >= h.Quotas.Proposals { // lest one fill the hub with what nobody will sign
		return "", nil, h.full(member, "%d proposals wait for signatures", mine)
	}
	return st.Digest, missing, h.storeProposal(ctx, s, member, audit.Proposal, next)
}

// joined merges what was brought with what is stored. A signature that was stored may
// have lost its standing since: then what was brought stands alone.
func (h *Hub) joined(dir *trust.Directory, stored, brought []byte) ([]byte, []string, error) {
	raw, err := trust.Merge(stored, brought)
	if err != nil {
		return nil, nil, err
	}
	_, missing, err := dir.Propose(h.Now(), raw)
	if err != nil {
		_, missing, err = dir.Propose(h.Now(), brought)
		return brought, missing, err
	}
	return raw, missing, nil
}

func (h *Hub) storeProposal(ctx context.Context, s *state, member alert.MemberID, kind audit.Kind, p store.Proposal) error {
	res, err := h.ledger.commit(ctx, store.Write{Seen: s.position, Proposal: &p,
		Entries: [][]byte{h.entry(audit.Entry{Kind: kind, Actor: string(member),
			Statement: &audit.Named{Type: p.Type, Subject: p.Subject, Revision: p.Revision, Digest: p.Digest}})}})
	if err != nil {
		return err
	}
	if res.Outcome != store.Done {
		return errStale
	}
	return nil
}

// Proposals returns what waits for signatures, as far as it is a member's affair,
// oldest first.
func (h *Hub) Proposals(ctx context.Context, member alert.MemberID) ([]Proposal, error) {
	s, err := h.newerDirectory(ctx)
	if err != nil {
		return nil, err
	}
	open, err := h.Store.Proposals(ctx)
	if err != nil {
		return nil, unavailable(err)
	}
	var out []Proposal
	for _, p := range open {
		st, missing, err := s.dir.Propose(h.Now(), p.Raw)
		if err != nil || !concerns(s.dir, st, p.By, member) {
			continue // overtaken by another statement, or nobody's business
		}
		out = append(out, Proposal{p, missing})
	}
	return out, nil
}

// concerns reports whether a member may see a proposal: negotiations are the affair
// of those who must agree. Rules are everybody's.
func concerns(dir *trust.Directory, st trust.Statement, by, member alert.MemberID) bool {
	switch b := st.Body.(type) {
	case *federation.Agreement:
		return by == member || slices.Contains(dir.Needed(st), string(member))
	case *federation.Policy:
		return true
	case *federation.Emergency:
		return b.Originator == member
	}
	return by == member
}

// Decline removes a proposal that a member may see. To whom it is none of his
// business there is none. Errors are *problem.Error.
func (h *Hub) Decline(ctx context.Context, member alert.MemberID, digest string) error {
	for {
		s, err := h.newerDirectory(ctx)
		if err != nil {
			return err
		}
		list, err := h.Proposals(ctx, member)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(list, func(p Proposal) bool { return p.Digest == digest && mayDecline(p, member) })
		if i < 0 {
			return h.refuse(ctx, string(member), nil, problem.New(problem.NotFound, "no such proposal"))
		}
		p := list[i].Proposal
		p.Edition, p.Raw = p.Edition+1, nil
		if err := h.storeProposal(ctx, s, member, audit.Declined, p); !errors.Is(err, errStale) {
			return err
		}
	}
}

// mayDecline reports whether a member that sees a proposal can end it: who made it,
// and whoever must sign. Policy officers are no members: theirs ends who made it.
func mayDecline(p Proposal, member alert.MemberID) bool {
	return p.By == member || p.Type != string(federation.TypePolicy)
}

// shownTo reports whether a statement in force is any of a member's business. Consents
// and emergencies name alerts, and who gets them, of which others must not know:
// a consent is its originator's, an emergency also of those whom it names. A legal hold
// is no member's: it would tell of an inquiry.
func shownTo(member alert.MemberID, s store.Statement) bool {
	if federation.StatementType(s.Type) == federation.TypeLegalHold {
		return false
	}
	if !strings.HasPrefix(s.Subject, string(member)+"/") {
		switch federation.StatementType(s.Type) {
		case momentType, federation.TypeConsent:
			return false
		case federation.TypeEmergency:
			e, err := trust.Peek[*federation.Emergency](s.Raw)
			return err == nil && slices.Contains(e.Members, member)
		}
	}
	return true
}
