package hub

import (
	"context"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/audit"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/hub/store"
	"github.com/entente-hub/entente/policies"
)

// Labelled is a portion of an alert that is not yet published.
type Labelled struct {
	ID    alert.PortionID
	Label alert.Label
}

// Forecast says who would get what of a portion.
type Forecast struct {
	Portion alert.PortionID
	Members []MemberForecast // every member but the originator, sorted
}

// MemberForecast is what one member would get, and why not more.
type MemberForecast struct {
	Member     alert.MemberID
	Release    feed.Kind
	Codes      []string // why content is not released, in the order of the rules
	Message    string   // the first code in words
	Agreements []federation.InForce
}

// Preview decides labelled portions for the member as originator, with the live
// policy, and stores nothing but its audit entry. id may be empty where no
// consent to an alert counts; expires is in seconds since 1970-01-01 UTC, 0 for
// the default lifetime.
func (h *Hub) Preview(ctx context.Context, member alert.MemberID, id alert.ID, expires int64, portions []Labelled) (*federation.World, []Forecast, error) {
	if err := h.refresh(ctx); err != nil {
		return nil, nil, err
	}
	s, err := h.current(ctx)
	if err != nil {
		return nil, nil, err
	}
	now := h.Now()
	if expires == 0 {
		expires = now.Add(alert.DefaultLifetime).Unix()
	}
	if expires <= now.Unix() || expires > now.Add(alert.MaxLifetime+time.Second).Unix() {
		return nil, nil, problem.New(problem.Malformed, "expires does not lie ahead, or too far")
	}
	if err := h.forecastAdmission(ctx, s, member, now, expires, portions); err != nil {
		return nil, nil, h.refuse(ctx, string(member), nil, err)
	}
	w := store.Write{}
	entry := audit.Entry{Kind: audit.Preview, Actor: string(member), Revision: s.world.Revision, Policy: h.Engine.Digest()}
	audiences := make(map[string]*policies.Audience)
	var out []Forecast
	for _, p := range portions {
		q, err := h.query(ctx, member, id, p.Label)
		if err != nil {
			return nil, nil, err
		}
		aud, err := s.decide(ctx, q)
		if err != nil {
			return nil, nil, err
		}
		digest := labelDigest(q)
		entry.Portions = append(entry.Portions, audit.Portion{Portion: p.ID, Label: digest})
		if _, ok := audiences[digest]; !ok {
			audiences[digest] = aud
			w.Entries = h.decisionEntry(w.Entries, s, digest, aud)
		}
		out = append(out, h.forecast(s, member, id, p, aud, now.Unix(), expires))
	}
	w.Entries = append(w.Entries, h.entry(entry))
	if _, err := h.ledger.commit(ctx, w); err != nil {
		return nil, nil, err
	}
	s.record(audiences)
	return s.world, out, nil
}

func (h *Hub) forecastAdmission(ctx context.Context, s *state, member alert.MemberID, now time.Time, expires int64, portions []Labelled) error {
	var labels []alert.Label
	var heads []alert.Portion
	for _, p := range portions {
		labels = append(labels, p.Label)
		heads = append(heads, alert.Portion{ID: p.ID})
	}
	refusals, err := s.policy.Admit(ctx, policies.Admission{Originator: member, IssuedAt: now.Unix(), Expires: expires, Labels: labels})
	if err != nil {
		return problem.Wrap(problem.Internal, err, "")
	}
	if len(refusals) > 0 {
		return notAdmitted(heads, refusals)
	}
	return nil
}

func (h *Hub) forecast(s *state, member alert.MemberID, id alert.ID, p Labelled, aud *policies.Audience, iat, exp int64) Forecast {
	f := Forecast{Portion: p.ID}
	query := policies.Query{Originator: member, Label: p.Label, Alert: id}
	codes := make(map[alert.MemberID][]string)
	refused := aud.Refused()
	messages := make(map[string]string)
	for _, r := range h.Engine.Rules() {
		messages[r.Code] = r.Message
		for _, m := range refused[r.Code] {
			codes[m] = append(codes[m], r.Code)
		}
	}
	for _, m := range s.world.Communities[alert.Federation] {
		if m == member {
			continue
		}
		d := MemberForecast{Member: m, Release: aud.Of(m), Codes: codes[m]}
		if len(d.Codes) > 0 {
			d.Message = messages[d.Codes[0]]
		}
		if d.Release == feed.Content {
			d.Agreements = cited(s.world, s.policy.Release(aud, m, p.ID, query, iat, exp).Agreements)
		}
		f.Members = append(f.Members, d)
	}
	return f
}

func cited(w *federation.World, digests []string) []federation.InForce {
	var out []federation.InForce
	for _, a := range w.Agreements {
		for _, d := range digests {
			if a.Digest == d {
				out = append(out, a)
			}
		}
	}
	return out
}
