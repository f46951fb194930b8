package hub

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/audit"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/hub/store"
	"github.com/entente-hub/entente/policies"
	"github.com/entente-hub/entente/trust"
)

// Publish takes in one version of an alert from the member that the connection
// proved, and returns the signed receipt: from then on the alert, its
// deliveries and their audit entries are on stable storage. The same bytes
// again have the same receipt, or are refused again. Errors are *problem.Error.
func (h *Hub) Publish(ctx context.Context, member alert.MemberID, token string) (string, error) {
	s, err := h.current(ctx)
	if err != nil {
		return "", err
	}
	for {
		receipt, about, err := h.publish(ctx, s, member, token)
		stale := errors.Is(err, errStale)
		if err == nil || !stale && (!isJudgement(err) || errors.Is(err, errRefusedBefore)) {
			return receipt, err
		}
		// A refusal is for good, so it must not rest on less than what any hub
		// on this store has been told: a node key that came in elsewhere, say.
		newer, nerr := h.newer(ctx)
		if nerr != nil {
			return "", nerr
		}
		if newer == s && !stale {
			receipt, err = h.refuseAlert(ctx, s, member, token, about, err)
			if !errors.Is(err, errStale) {
				return receipt, err
			}
			if newer, nerr = h.newer(ctx); nerr != nil {
				return "", nerr
			}
		}
		if newer == s { // the store knows of statements that it does not show
			return "", errStale
		}
		s = newer
	}
}

// errStale says that the store knows of statements that the state does not.
var errStale = problem.New(problem.Unavailable, "the statements have changed meanwhile")

// publish takes an alert in at one state. A refusal is returned unrecorded, with
// the alert that it is about, nil as long as nobody's signature vouches for it.
func (h *Hub) publish(ctx context.Context, s *state, member alert.MemberID, token string) (string, *audit.Alert, error) {
	a, err := h.verify(ctx, s, member, token)
	if err != nil {
		return "", nil, err
	}
	row := alertRow(a, token)
	if err := h.admit(ctx, s, a); err != nil {
		return "", named(row), err
	}
	in, err := h.accept(ctx, s, a, row)
	if err != nil {
		return "", nil, err
	}
	res, err := h.ledger.commit(ctx, in.write)
	if err != nil {
		return "", nil, err
	}
	receipt, err := h.concluded(ctx, in, res)
	return receipt, named(row), err
}

// intake is an alert that was judged, with the write that takes it in.
type intake struct {
	alert   *trust.VerifiedAlert
	row     store.Alert
	write   store.Write
	decided *rulings
}

// concluded returns the receipt for what was taken in, now or before, or the refusal,
// unrecorded.
func (h *Hub) concluded(ctx context.Context, in intake, res store.Result) (string, error) {
	row := in.row
	switch res.Outcome {
	case store.Done:
		in.decided.recorded()
		if _, err := h.views.add(row, in.alert); err != nil { // those who wait for it need not read it again
			return "", problem.Wrap(problem.Internal, err, "")
		}
		h.Metrics.accepted()
		if row.Version > 1 {
			h.eraser.changed()
		}
		row.AcceptedAt, row.LogIndex = in.write.Accept.AcceptedAt, res.Index
	case store.Replay:
		row = *res.Prior
	case store.Stale:
		return "", errStale
	case store.Refused:
		return "", refusedBefore(res.Reason)
	case store.Full:
		return "", h.full(row.Originator, "%d alerts that have not ended, or %d bytes; what ends or is recalled makes room", h.Quotas.Alerts, h.Quotas.Bytes)
	case store.Gap:
		return "", problem.New(problem.Fork, "version %d does not follow the one before, or that is a recall, which nothing but another recall follows", row.Version)
	default:
		return "", conflict(row)
	}
	return h.receipt(ctx, row)
}

// verify checks what can be checked without policy: whose it is, and that all
// of it is there and hangs together.
func (h *Hub) verify(ctx context.Context, s *state, member alert.MemberID, token string) (*trust.VerifiedAlert, error) {
	a, err := s.dir.VerifyAlert(token)
	if err != nil {
		return nil, err
	}
	if a.Issuer != member {
		return nil, problem.New(problem.WrongMember, "%s can not publish in another member's name", member)
	}
	// The key was good at the alert's own iat, which whoever stole it could
	// choose. One that has ended by its date alone was not stolen: what waited
	// in an outbox meanwhile is taken.
	if err := h.byTime(ctx, func(now time.Time) error {
		if s.dir.Revoked(a.KeyID, now.Unix()) {
			return problem.New(problem.BadSignature, "key %s has been revoked", a.KeyID)
		}
		return nil
	}); err != nil {
		return nil, err
	}
	if len(a.Portions) == 0 && a.Recall == nil {
		return nil, problem.New(problem.Malformed, "the alert discloses no portion to the hub")
	}
	for _, p := range a.Portions {
		if p.Label == nil {
			return nil, problem.New(problem.Malformed, "portion %s comes without its label and content", p.ID)
		}
	}
	return a, nil
}

// admit judges times and admission policy.
func (h *Hub) admit(ctx context.Context, s *state, a *trust.VerifiedAlert) error {
	if err := h.byTime(ctx, func(now time.Time) error { return inTime(a, now) }); err != nil {
		return err
	}
	if err := h.refers(ctx, a); err != nil {
		return err
	}
	if a.Recall != nil { // whoever may not say any more may still take back
		return nil
	}
	var labels []alert.Label
	for _, p := range a.Portions {
		labels = append(labels, *p.Label)
	}
	refusals, err := s.policy.Admit(ctx, policies.Admission{Originator: a.Issuer, IssuedAt: a.IssuedAt, Expires: a.Expires, Labels: labels})
	if err != nil {
		return problem.Wrap(problem.Internal, err, "")
	}
	if len(refusals) > 0 {
		return notAdmitted(a.Portions, refusals)
	}
	return nil
}

func inTime(a *trust.VerifiedAlert, now time.Time) error {
	switch err := a.CheckTimes(now); {
	case errors.Is(err, alert.ErrExpired):
		return problem.New(problem.Expired, "%w", err)
	case errors.Is(err, alert.ErrNotYetValid):
		return problem.New(problem.NotYetValid, "%w", err)
	}
	return nil
}

func notAdmitted(portions []alert.Portion, refusals []policies.Refusal) error {
	e := problem.New(problem.NotAdmitted, "%s", refusals[0].Message)
	if i := refusals[0].Portion; i >= 0 && i < len(portions) {
		e.Detail = "portion " + string(portions[i].ID) + ": " + e.Detail
	}
	for _, r := range refusals {
		e.Codes = append(e.Codes, r.Code)
	}
	slices.Sort(e.Codes)
	e.Codes = slices.Compact(e.Codes)
	return e
}

// accept decides every portion and makes the write that stores it all.
func (h *Hub) accept(ctx context.Context, s *state, a *trust.VerifiedAlert, row store.Alert) (intake, error) {
	row.AcceptedAt, row.EraseAt = h.Now().Unix(), firstEnd(row, a.Portions)
	// What it ends is over whatever any clock says: EndsAt is a time that has always passed.
	w := store.Write{Seen: s.position, Accept: &store.Accept{Alert: row, EndsAt: 1, Quota: h.Quotas.ofAlerts(), Keep: a.Recall != nil && a.Recall.Mode == alert.CeaseUse}}
	admission := audit.Entry{Kind: audit.Admission, Actor: string(a.Issuer), Alert: named(row),
		Revision: s.world.Revision, Policy: s.engine.Digest()}
	decided := h.rulings(s)
	for _, p := range a.Portions {
		q, err := h.query(ctx, a.Issuer, a.Subject, *p.Label)
		if err != nil {
			return intake{}, err
		}
		digest, aud, err := decided.rule(ctx, q)
		if err != nil {
			return intake{}, err
		}
		settled, err := s.ofLabel(ctx, q)
		if err != nil {
			return intake{}, err
		}
		w.Accept.Portions = append(w.Accept.Portions,
			store.Portion{ID: p.ID, LabelKey: p.Label.ReleaseKey(a.Subject), Audience: s.settledAs(settled)})
		w.Accept.Recipients = append(w.Accept.Recipients, aud.Content()...)
		w.Accept.Recipients = append(w.Accept.Recipients, aud.Existence()...)
		admission.Portions = append(admission.Portions, audit.Portion{Portion: p.ID, Label: digest})
	}
	if h.resettler.settled.Load() != s && a.Recall == nil { // a later pass may not see that this was decided: see everybody
		w.Accept.Recipients = append(w.Accept.Recipients, everybody(s.world, a.Issuer)...)
	}
	slices.Sort(w.Accept.Recipients)
	w.Accept.Recipients = slices.Compact(w.Accept.Recipients)
	if d := a.Delegate; d != nil {
		w.Accept.Recipients = slices.DeleteFunc(w.Accept.Recipients, func(m alert.MemberID) bool { return m != d.To })
	}
	w.Entries = append([][]byte{h.entry(admission)}, decided.entries...) // first: the receipt names its index
	return intake{a, row, w, decided}, nil
}

// everybody returns the members but one, for a delivery each that waits. While no pass
// has been over a label at the state's revision, the decision that is stored with the
// label may give more than this alert's; where the next one does too, no pass would
// see a difference. What waits is decided at hand-over, withheld, and judged again by
// the next pass.
func everybody(w *federation.World, but alert.MemberID) []alert.MemberID {
	var out []alert.MemberID
	for m := range w.Members {
		if m != but {
			out = append(out, m)
		}
	}
	return out
}

// query asks about a label. Whose its sources are, the store knows; but a source
// counts only for an originator who has it, or else previews would tell whose an
// id is to whoever has come across it.
func (h *Hub) query(ctx context.Context, originator alert.MemberID, id alert.ID, l alert.Label) (policies.Query, error) {
	q := policies.Query{Originator: originator, Label: l, Alert: id}
	if len(l.DerivedFrom) == 0 {
		return q, nil
	}
	owners, err := h.Store.Originators(ctx, l.DerivedFrom)
	if err != nil {
		return q, unavailable(err)
	}
	q.Sources = make(map[alert.ID]alert.MemberID)
	for source, owner := range owners {
		has, err := h.has(ctx, originator, owner, source)
		if err != nil {
			return q, err
		}
		if has {
			q.Sources[source] = owner
		}
	}
	return q, nil
}

// has reports whether an alert is the member's own, or any version of it was
// handed over to it.
func (h *Hub) has(ctx context.Context, member, owner alert.MemberID, id alert.ID) (bool, error) {
	if member == owner {
		return true, nil
	}
	has, err := h.Store.Handed(ctx, member, owner, id)
	if err != nil {
		return false, unavailable(err)
	}
	return has, nil
}

// decide answers for all recipients of a label at the state's revision.
func (s *state) decide(ctx context.Context, q policies.Query) (*policies.Audience, error) {
	aud, err := s.policy.Decide(ctx, q)
	if err != nil {
		return nil, problem.Wrap(problem.Internal, err, "")
	}
	return aud, nil
}

// ofLabel decides for a label as it is interned: where alerts share it, without what
// is only so for one of them, as in an emergency.
func (s *state) ofLabel(ctx context.Context, q policies.Query) (*policies.Audience, error) {
	if !q.Label.NamesAlert() {
		q.Alert = ""
	}
	return s.decide(ctx, q)
}

func alertRow(a *trust.VerifiedAlert, token string) store.Alert {
	return store.Alert{
		Originator: a.Issuer, ID: a.Subject, Version: a.Version,
		Token: token, Digest: sha256.Sum256([]byte(token)),
		SignedDigest: a.SignedDigest, Previous: a.Previous,
		IssuedAt: a.IssuedAt, Expires: a.Expires, Recall: a.Recall != nil, Refers: a.Re != nil,
	}
}

func named(row store.Alert) *audit.Alert {
	return &audit.Alert{Originator: row.Originator, ID: row.ID, Version: row.Version, Digest: digestText(row)}
}

func digestText(row store.Alert) string { return base64.RawURLEncoding.EncodeToString(row.Digest[:]) }

func conflict(row store.Alert) error {
	return problem.New(problem.Conflict, "version %d of alert %s exists with other bytes", row.Version, row.ID)
}

func codesOf(err error) []string {
	var p *problem.Error
	if errors.As(err, &p) {
		return p.Codes
	}
	return nil
}

// receipt signs what the store holds about an accepted alert. Ed25519 is
// deterministic: the same facts have the same receipt.
func (h *Hub) receipt(ctx context.Context, row store.Alert) (string, error) {
	payload, err := json.Marshal(feed.Receipt{Issuer: h.ID, Originator: row.Originator, Alert: row.ID,
		Version: row.Version, Digest: digestText(row), AcceptedAt: row.AcceptedAt, LogIndex: row.LogIndex})
	if err != nil {
		return "", problem.Wrap(problem.Internal, err, "")
	}
	jws, err := keys.Sign(ctx, h.Signer, feed.ReceiptType, payload)
	if err != nil {
		return "", problem.Wrap(problem.Unavailable, err, "the alert is accepted; its receipt can not be signed now")
	}
	return jws, nil
}
