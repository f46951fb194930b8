package hub

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"time"

	"github.com/entente-hub/entente/api/audit"
	"github.com/entente-hub/entente/policies"
)

// rulings are the decisions that a write rests on, and their entries, which go into
// the log with it: each once, and only where it does not stand there at the state's
// revision. Two hubs, or two publishers at once, may both record one. Where the trail is
// erased after a time each is recorded anew every day, so that it is not gone before what
// rests on it: see retention.due.
type rulings struct {
	hub       *Hub
	state     *state
	day       int64                         // in which they were made, since 1970-01-01; 0 where the trail is kept for ever
	audiences map[string]*policies.Audience // by label digest
	entries   [][]byte
}

func (h *Hub) rulings(s *state) *rulings {
	r := &rulings{hub: h, state: s, audiences: make(map[string]*policies.Audience)}
	if s.dir.Registry().Rules.TrailRetentionDays > 0 {
		r.day = h.Now().Unix() / int64(day/time.Second)
	}
	return r
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
	if at, ok := r.state.recorded.Load(digest); !ok || at != r.day {
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
			if _, known := r.state.recorded.Load(digest); !known {
				continue
			}
		}
		if _, known := r.state.recorded.Swap(digest, r.day); !known {
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
