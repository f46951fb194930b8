package plan

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/entente-hub/entente/hub/store"
)

func (s *sets) proposal(pr *store.Proposal) error {
	if err := names(pr.Digest); err != nil {
		return err
	}
	if pr.Edition < 1 {
		return fmt.Errorf("edition %d", pr.Edition)
	}
	s.proposals.add(pr.Digest)
	if len(pr.Raw) == 0 { // to be removed: the rest is not looked at
		return nil
	}
	if err := names(pr.Type, pr.Subject, string(pr.By)); err != nil {
		return err
	}
	if pr.Revision < 1 {
		return fmt.Errorf("revision %d", pr.Revision)
	}
	return nil
}

func (s *sets) bundle(b *store.Bundle) error {
	if err := names(b.Digest, string(b.By)); err != nil {
		return err
	}
	if b.Revision < 1 {
		return fmt.Errorf("revision %d", b.Revision)
	}
	s.bundles.add(b.Digest)
	return nil
}

func (p *planner) proposal(pr *store.Proposal) store.Outcome {
	row := p.State.Proposals[pr.Digest] // edition 0 if there is none
	if row.Edition != pr.Edition-1 {
		return store.Stale
	}
	if len(pr.Raw) == 0 {
		if row.Edition > 0 {
			delete(p.State.Proposals, pr.Digest)
			p.proposals.set(pr.Digest, NewProposal{})
		}
		return store.Done
	}
	if row.Edition == 0 {
		p.Head.Proposals++
		row.Row = p.Head.Proposals
	}
	p.State.Proposals[pr.Digest] = ProposalRow{row.Row, pr.Edition, pr.Type, pr.Subject, pr.Revision}
	stored := *pr
	p.proposals.set(pr.Digest, NewProposal{row.Row, &stored})
	return store.Done
}

// outdate removes the proposals that a statement takes the place of.
func (p *planner) outdate(st StatementKey) {
	p.out.Outdated = append(p.out.Outdated, st)
	for digest, row := range p.State.Proposals {
		if row.Type == st.Type && row.Subject == st.Subject && row.Revision <= st.Revision {
			delete(p.State.Proposals, digest)
			p.proposals.set(digest, NewProposal{})
		}
	}
}

func (p *planner) bundle(b *store.Bundle) store.Outcome {
	if row, ok := p.State.Bundles[b.Digest]; ok && row.Revision >= b.Revision {
		if row.Revision == b.Revision && bytes.Equal(row.Raw, b.Raw) {
			return store.Replay
		}
		return store.Conflict
	}
	p.Head.Bundles++
	stored := *b
	p.State.Bundles[b.Digest] = BundleRow{b.Revision, b.Raw}
	p.out.Bundles = slices.DeleteFunc(p.out.Bundles, func(have NewBundle) bool { return have.Digest == b.Digest })
	p.out.Bundles = append(p.out.Bundles, NewBundle{p.Head.Bundles, &stored})
	return store.Done
}

// proposals keeps what became of each proposal last.
type proposals struct {
	last    map[string]NewProposal // by digest; zero: removed
	digests set[string]
}

func (ps *proposals) set(digest string, last NewProposal) {
	if ps.last == nil {
		ps.last = make(map[string]NewProposal)
	}
	ps.last[digest] = last
	ps.digests.add(digest)
}

func (ps *proposals) changes(c *Changes) {
	for _, digest := range ps.digests.list {
		if last := ps.last[digest]; last.Proposal != nil {
			c.Proposals = append(c.Proposals, last)
		} else {
			c.Removed = append(c.Removed, digest)
		}
	}
}
