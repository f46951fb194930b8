package nodetest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/hubapi"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/trust"
)

// Negotiated is what the hub holds besides what is in force.
type Negotiated struct {
	Proposals []hubapi.OpenProposal
	Bundles   []hubapi.StoredBundle
	Packed    map[string][]byte                                // bundles by the digest of their rules
	Read      func(bundle []byte) (hubapi.StoredBundle, error) // reads a bundle that is brought
	Explained hubapi.AudienceAnswer                            // of every alert of which Own is true
	Own       func(m alert.MemberID, id string) bool           // nil: none is
}

// Directory verifies all statements that the hub holds, as a node does; those that
// do not verify are passed over.
func (h *Hub) Directory() *trust.Directory {
	d := trust.New(h.F.Authority.Public())
	for _, raw := range h.Statements {
		if next, err := d.With(time.Now(), raw); err == nil {
			d = next
		}
	}
	return d
}

func (h *Hub) negotiation(handle func(pattern string, f func(m alert.MemberID, r *http.Request) (any, error))) {
	handle("POST /v1/proposals", h.propose)
	handle("GET /v1/proposals", func(alert.MemberID, *http.Request) (any, error) {
		return hubapi.ProposalList{Proposals: append([]hubapi.OpenProposal{}, h.Proposals...)}, nil
	})
	handle("DELETE /v1/proposals/{digest}", func(_ alert.MemberID, r *http.Request) (any, error) {
		before := len(h.Proposals)
		h.Proposals = slices.DeleteFunc(h.Proposals, func(p hubapi.OpenProposal) bool { return p.Digest == r.PathValue("digest") })
		if len(h.Proposals) == before {
			return nil, problem.New(problem.NotFound, "no such proposal")
		}
		return nil, nil
	})
	handle("GET /v1/audience/{id}/{version}", func(m alert.MemberID, r *http.Request) (any, error) {
		if h.Own == nil || !h.Own(m, r.PathValue("id")) {
			return nil, problem.New(problem.NotFound, "no such alert")
		}
		return h.Explained, nil
	})
	handle("POST /v1/bundles", h.submitBundle)
	handle("GET /v1/bundles", func(alert.MemberID, *http.Request) (any, error) {
		return hubapi.BundleList{Bundles: append([]hubapi.StoredBundle{}, h.Bundles...)}, nil
	})
	handle("GET /v1/bundles/{digest}", func(_ alert.MemberID, r *http.Request) (any, error) {
		raw, ok := h.Packed[r.PathValue("digest")]
		if !ok {
			return nil, problem.New(problem.NotFound, "no such bundle")
		}
		return hubapi.SignedBundle{Bundle: raw}, nil
	})
}

// propose joins signatures, and brings into force what all have signed.
func (h *Hub) propose(m alert.MemberID, r *http.Request) (any, error) {
	var raw json.RawMessage
	if err := json.NewDecoder(r.Body).Decode(&raw); err != nil {
		return nil, problem.New(problem.Malformed, "%w", err)
	}
	d := h.Directory()
	s, missing, err := d.Propose(time.Now(), raw)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(h.Proposals, func(p hubapi.OpenProposal) bool { return p.Digest == s.Digest })
	if at >= 0 {
		joined, err := trust.Merge(h.Proposals[at].Statement, raw)
		if err != nil {
			return nil, err
		}
		if s, missing, err = d.Propose(time.Now(), joined); err != nil {
			return nil, err
		}
	}
	state := hubapi.ProposalState{Digest: s.Digest, InForce: len(missing) == 0, Missing: append([]string{}, missing...)}
	switch {
	case state.InForce:
		h.Proposals = slices.DeleteFunc(h.Proposals, func(p hubapi.OpenProposal) bool { return p.Digest == s.Digest })
		if !d.Holds(s.Digest) {
			h.Statements = append(h.Statements, bytes.Clone(s.Raw))
		}
	case at >= 0:
		h.Proposals[at].Statement, h.Proposals[at].Missing = s.Raw, state.Missing
	default:
		h.Proposals = append(h.Proposals, hubapi.OpenProposal{Digest: s.Digest, By: string(m), At: time.Now().UTC(),
			Missing: state.Missing, Statement: s.Raw})
	}
	return state, nil
}

func (h *Hub) submitBundle(m alert.MemberID, r *http.Request) (any, error) {
	var in hubapi.SignedBundle
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || h.Read == nil {
		return nil, problem.New(problem.Malformed, "no bundle")
	}
	b, err := h.Read(in.Bundle)
	if err != nil {
		return nil, problem.New(problem.Malformed, "%w", err)
	}
	if h.Packed == nil {
		h.Packed = make(map[string][]byte)
	}
	if _, ok := h.Packed[b.Digest]; !ok {
		b.By, b.At = string(m), time.Now().UTC()
		h.Packed[b.Digest], h.Bundles = in.Bundle, append(h.Bundles, b)
	}
	return nil, nil
}
