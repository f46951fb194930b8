package hub

import (
	"context"
	"crypto/sha256"
	"encoding/base64"

	"github.com/entente-hub/entente/api/audit"
	"github.com/entente-hub/entente/policies"
)

// rulings are the decisions that a write rests on, and their entries, which go into
// the log with it: each once, and only where it does not stand there at the state's
// revision. Two hubs, or two publishers at once, may both record one.
type rulings struct {
	hub       *Hub
	state     *state
	audiences map[string]*policies.Audience // by label digest
	entries   [][]byte
}

func (h *Hub) rulings(s *state) *rulings {
	return &rulings{hub: h, state: s, audiences: make(map[string]*policies.Audience)}
}

// rule decides a question. It returns the digest by which the log names it.
func (r *rulings) rule(ctx context.Context, q policies.Query) (digest string, aud *policies.Audience, err error) {
	digest = r.state.labelDigest(q)
	if aud, ok := r.audiences[digest]; ok {
		return digest, aud, nil
	}
	if aud, err = r.state.decide(ctx, q); err != nil {
		return "", nil, err
	}
	r.audiences[digest] = aud
	if _, ok := r.state.recorded.Load(digest); !ok {
		r.entries = append(r.entries, r.hub.entry(audit.Entry{Kind: audit.Decided, Actor: string(r.hub.ID),
			Revision: r.state.world.Revision, Policy: r.state.engine.Digest(),
			Decision: &audit.Decision{Label: digest, Content: aud.Content(), Existence: aud.Existence(), Refused: aud.Refused()}}))
	}
	return digest, aud, nil
}

// maxRecorded bounds the memory of which decisions are in the log; past it
// some are recorded twice.
const maxRecorded = 1 << 16

// recorded notes that the entries are in the log.
func (r *rulings) recorded() {
	for digest := range r.audiences {
		if r.state.recordedCount.Load() >= maxRecorded {
			return
		}
		if _, known := r.state.recorded.LoadOrStore(digest, nil); !known {
			r.state.recordedCount.Add(1)
		}
	}
}

// labelDigest names a question and so its decision: SHA-256 of the originator, a
// line feed and policies.World.Key.
func (s *state) labelDigest(q policies.Query) string {
	sum := sha256.Sum256([]byte(string(q.Originator) + "\n" + s.policy.Key(q)))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
