package scenario

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/policies"
)

// portion is the name of the one portion that a scenario asks about.
const portion = alert.PortionID("portion")

// Check asks an engine's rules and returns, in plain words, where their answer is
// not the expected one: members in order, one difference a line, as in
// "XB: expected content, got none (need-to-know)". None: the scenario holds.
// Errors are those of ctx and of policies.World.
func (s Scenario) Check(ctx context.Context, e *policies.Engine) (differences []string, err error) {
	if err := ctx.Err(); err != nil { // small questions may be answered before anybody looks again
		return nil, fmt.Errorf("%s: %w", s, err)
	}
	w, err := e.World(s.world)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s, err)
	}
	if s.admit {
		if differences, err = s.checkAdmission(ctx, w); err != nil {
			return nil, fmt.Errorf("%s: %w", s, err)
		}
	}
	if len(s.expect) == 0 {
		return differences, nil
	}
	audience, err := w.Decide(ctx, s.query)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s, err)
	}
	codes := make(map[alert.MemberID][]string)
	for code, members := range audience.Refused() {
		for _, m := range members {
			codes[m] = append(codes[m], code)
		}
	}
	for _, m := range slices.Sorted(maps.Keys(s.expect)) {
		x := s.expect[m]
		got := expected{kind: audience.Of(m), reason: audience.Reason(m), reasons: sorted(codes[m])}
		if line := x.release(got); line != "" {
			differences = append(differences, fmt.Sprintf("%s: %s", m, line))
		} else if x.binds {
			r := w.Release(audience, m, portion, s.query, s.issued.Unix(), s.expires.Unix())
			for _, line := range x.obligations(r, s.issued) {
				differences = append(differences, fmt.Sprintf("%s: %s", m, line))
			}
		}
	}
	return differences, nil
}

// checkAdmission compares the codes for which the alert is not taken in.
func (s Scenario) checkAdmission(ctx context.Context, w *policies.World) ([]string, error) {
	refusals, err := w.Admit(ctx, policies.Admission{Originator: s.query.Originator, IssuedAt: s.issued.Unix(),
		Expires: s.expires.Unix(), Labels: []alert.Label{s.query.Label}})
	if err != nil {
		return nil, err
	}
	var codes []string
	for _, r := range refusals {
		codes = append(codes, r.Code)
	}
	if got := slices.Compact(sorted(codes)); !slices.Equal(got, s.refused) {
		return []string{fmt.Sprintf("admission: expected %s, got %s", admission(s.refused), admission(got))}, nil
	}
	return nil, nil
}

func admission(codes []string) string {
	if len(codes) == 0 {
		return "to be taken in"
	}
	return "refused (" + strings.Join(codes, ", ") + ")"
}

// release says how what a member gets differs, "" if it does not.
func (x expected) release(got expected) string {
	switch {
	case x.kind != got.kind, x.reason != "" && x.reason != got.reason:
		if x.reasons == nil {
			got.reasons = nil
		}
	case x.reasons == nil || slices.Equal(sorted(x.reasons), got.reasons):
		return ""
	}
	return fmt.Sprintf("expected %s, got %s", x, got)
}

// String writes an expectation as a scenario does on one line.
func (x expected) String() string {
	codes := x.reason
	if x.reasons != nil {
		codes = strings.Join(sorted(x.reasons), ", ")
	}
	if codes == "" {
		return string(x.kind)
	}
	return fmt.Sprintf("%s (%s)", x.kind, codes)
}

// obligations says how what binds a member differs.
func (x expected) obligations(r feed.Release, issued time.Time) (out []string) {
	o := r.Obligations
	if o == nil {
		return []string{"expected obligations, got none"}
	}
	differ := func(what, want, got string) {
		if want != got {
			out = append(out, fmt.Sprintf("%s: expected %s, got %s", what, want, got))
		}
	}
	if x.onward != nil {
		differ("onward", fmt.Sprint(*x.onward), fmt.Sprint(o.Onward))
	}
	if x.emergency != nil {
		differ("emergency", fmt.Sprint(*x.emergency), fmt.Sprint(r.Emergency != ""))
	}
	if x.holdDays != nil {
		differ("held until", day(issued.AddDate(0, 0, *x.holdDays)), day(time.Unix(o.HoldUntil, 0)))
	}
	if x.purposes != nil {
		differ("purposes", listed(x.purposes), listed(o.Purposes))
	}
	if x.agreements != nil {
		differ("agreements", listed(x.agreements), listed(r.Agreements))
	}
	return out
}

func day(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func listed[T ~string](list []T) string {
	if len(list) == 0 {
		return "none"
	}
	var out []string
	for _, v := range sorted(list) {
		out = append(out, string(v))
	}
	return strings.Join(out, ", ")
}
