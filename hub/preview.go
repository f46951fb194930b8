package hub

import (
	"context"
	"encoding/json"
	"errors"
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
	Emergency  string    // digest of the emergency without which it were not released
	Held       feed.Kind // what was handed over last; "" while nothing was, and in a preview
}

// Preview decides labelled portions for the member as originator, with the live
// policy, and stores nothing but its audit entry. id may be empty where no
// consent to an alert counts; expires is in seconds since 1970-01-01 UTC, 0 for
// the default lifetime.
func (h *Hub) Preview(ctx context.Context, member alert.MemberID, id alert.ID, expires int64, portions []Labelled) (Rules, []Forecast, error) {
	if err := h.refresh(ctx); err != nil {
		return Rules{}, nil, err
	}
	s, err := h.current(ctx)
	if err != nil {
		return Rules{}, nil, err
	}
	now := h.Now()
	if expires == 0 {
		expires = now.Add(alert.DefaultLifetime).Unix()
	}
	if expires <= now.Unix() || expires > now.Add(alert.MaxLifetime+time.Second).Unix() {
		return Rules{}, nil, problem.New(problem.Malformed, "expires does not lie ahead, or too far")
	}
	if err := h.forecastAdmission(ctx, s, member, now, expires, portions); err != nil {
		return Rules{}, nil, h.refuse(ctx, string(member), nil, err)
	}
	out, err := h.forecasts(ctx, s, store.Alert{Originator: member, ID: id, IssuedAt: now.Unix(), Expires: expires}, portions,
		audit.Entry{Kind: audit.Preview, Actor: string(member)})
	return s.summary(), out, err
}

// Explain decides one of the member's own alerts again, with the live policy, and
// says beside it what each member was handed. It stores nothing but its audit entry.
// To anybody else there is no such alert.
func (h *Hub) Explain(ctx context.Context, member alert.MemberID, id alert.ID, version int) (Rules, []Forecast, error) {
	if err := h.refresh(ctx); err != nil {
		return Rules{}, nil, err
	}
	s, err := h.current(ctx)
	if err != nil {
		return Rules{}, nil, err
	}
	row, err := h.Store.Alert(ctx, member, id, version)
	if errors.Is(err, store.ErrNotFound) {
		return Rules{}, nil, h.refuse(ctx, string(member), nil, problem.New(problem.NotFound, "no such alert"))
	} else if err != nil {
		return Rules{}, nil, unavailable(err)
	}
	v, err := h.own(ctx, *row)
	if err != nil {
		return Rules{}, nil, h.refuse(ctx, string(member), nil, err)
	}
	var portions []Labelled
	for _, p := range v.portions {
		portions = append(portions, Labelled{p.ID, *p.Label})
	}
	out, err := h.forecasts(ctx, s, *row, portions, audit.Entry{Kind: audit.Preview, Actor: string(member), Alert: named(*row)})
	if err != nil {
		return Rules{}, nil, err
	}
	switch _, err := h.Store.Alert(ctx, member, id, version+1); {
	case err == nil:
		for i := range out {
			out[i].end()
		}
	case !errors.Is(err, store.ErrNotFound):
		return Rules{}, nil, unavailable(err)
	}
	return s.summary(), out, h.addHeld(ctx, v, out)
}

// end says that nobody gets anything any more.
func (f *Forecast) end() {
	for i, m := range f.Members {
		f.Members[i] = MemberForecast{Member: m.Member, Release: feed.None, Message: "A later version has ended it."}
	}
}

// addHeld adds to forecasts what each member was handed last.
func (h *Hub) addHeld(ctx context.Context, v *view, forecasts []Forecast) error {
	row := v.row
	held := make(map[alert.MemberID]map[alert.PortionID]feed.Kind)
	for _, f := range forecasts {
		for i, m := range f.Members {
			if only := v.told(); only != "" && m.Member != only {
				continue
			}
			if _, asked := held[m.Member]; !asked {
				kinds, err := h.heldBy(ctx, m.Member, row)
				if err != nil {
					return err
				}
				held[m.Member] = kinds
			}
			f.Members[i].Held = held[m.Member][f.Portion]
		}
	}
	return nil
}

func (h *Hub) heldBy(ctx context.Context, member alert.MemberID, row store.Alert) (map[alert.PortionID]feed.Kind, error) {
	kinds := make(map[alert.PortionID]feed.Kind)
	d, err := h.Store.DeliveryOf(ctx, member, row.Originator, row.ID, row.Version)
	if errors.Is(err, store.ErrNotFound) {
		return kinds, nil
	} else if err != nil {
		return nil, unavailable(err)
	}
	var f facts
	if err := json.Unmarshal(d.Facts, &f); err != nil {
		return nil, problem.Wrap(problem.Internal, err, "")
	}
	for _, r := range f.holds() {
		kinds[r.Portion] = r.Kind
	}
	return kinds, nil
}

// Rules name what was decided by.
type Rules struct {
	Revision string // of the world
	Policy   string // digest of the rules
}

func (s *state) summary() Rules { return Rules{s.world.Revision, s.engine.Digest()} }

// forecasts decides labelled portions of an alert and records that it was asked.
func (h *Hub) forecasts(ctx context.Context, s *state, row store.Alert, portions []Labelled, entry audit.Entry) ([]Forecast, error) {
	entry.Revision, entry.Policy = s.world.Revision, s.engine.Digest()
	decided := h.rulings(s)
	var out []Forecast
	for _, p := range portions {
		q, err := h.query(ctx, row.Originator, row.ID, p.Label)
		if err != nil {
			return nil, err
		}
		digest, aud, err := decided.rule(ctx, q)
		if err != nil {
			return nil, err
		}
		entry.Portions = append(entry.Portions, audit.Portion{Portion: p.ID, Label: digest})
		f := forecast(s, q, p.ID, aud, row.IssuedAt, row.Expires)
		f.judge(s, q, aud, row, h.Now().Unix())
		out = append(out, f)
	}
	if _, err := h.ledger.commit(ctx, store.Write{Entries: append(decided.entries, h.entry(entry))}); err != nil {
		return nil, err
	}
	decided.recorded()
	return out, nil
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

// judge takes out what would not be handed over any more, whatever the rules permit.
func (f *Forecast) judge(s *state, q policies.Query, aud *policies.Audience, row store.Alert, now int64) {
	for i, m := range f.Members {
		r := s.policy.Release(aud, m.Member, f.Portion, q, row.IssuedAt, row.Expires)
		why := ""
		switch {
		case m.Release == feed.None:
		case row.Expires <= now:
			why = "The alert has expired."
		case r.Kind == feed.None || r.Obligations != nil && r.Obligations.HoldUntil <= now:
			why = "The time for which it may be held has ended."
		}
		if why != "" {
			f.Members[i] = MemberForecast{Member: m.Member, Release: feed.None, Message: why}
		}
	}
}

func forecast(s *state, q policies.Query, id alert.PortionID, aud *policies.Audience, iat, exp int64) Forecast {
	f := Forecast{Portion: id}
	codes := make(map[alert.MemberID][]string)
	refused := aud.Refused()
	messages := make(map[string]string)
	for _, r := range s.engine.Rules() {
		messages[r.Code] = r.Message
		for _, m := range refused[r.Code] {
			codes[m] = append(codes[m], r.Code)
		}
	}
	for _, m := range s.world.Communities[alert.Federation] {
		if m == q.Originator {
			continue
		}
		d := MemberForecast{Member: m, Release: aud.Of(m), Codes: codes[m]}
		if len(d.Codes) > 0 {
			d.Message = messages[d.Codes[0]]
		}
		if d.Release == feed.Content {
			r := s.policy.Release(aud, m, id, q, iat, exp)
			d.Agreements, d.Emergency = cited(s.world, r.Agreements), r.Emergency
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
