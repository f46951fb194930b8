package hub

import (
	"context"
	"slices"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/hub/store"
	"github.com/entente-hub/entente/trust"
)

// MaxBatch is how many alerts PublishAll takes at once: enough that a request, a commit
// and a flush to stable storage cost one of them little, and few enough that a batch
// of one member keeps nobody waiting for long.
const MaxBatch = 32

// Published is what became of one alert of PublishAll: its receipt, or why it was
// refused.
type Published struct {
	Receipt string
	Refusal error
}

// PublishAll takes in up to MaxBatch alerts of one member, each as Publish would after
// those before it; as many as possible share a commit. It returns what became of them, in
// their order. Where it can not go on these are fewer than the alerts; if that is so from
// the first on it returns why instead, as Publish does. Those behind were not taken. One that
// is beyond the member's quota, for now, is told of where what was behind it still fitted.
func (h *Hub) PublishAll(ctx context.Context, member alert.MemberID, tokens []string) ([]Published, error) {
	if len(tokens) > MaxBatch {
		return nil, problem.New(problem.TooLarge, "%d alerts at once, where %d are taken", len(tokens), MaxBatch)
	}
	var out []Published
	for len(out) < len(tokens) {
		some, full := h.together(ctx, member, tokens[len(out):])
		if out = append(out, some...); full || len(out) == len(tokens) { // what is behind may build on what did not fit
			break
		}
		receipt, err := h.Publish(ctx, member, tokens[len(out)])
		if err != nil && !isJudgement(err) {
			if len(out) > 0 {
				err = nil // the caller sends what is left, and is told then
			}
			return out, err
		}
		out = append(out, Published{Receipt: receipt, Refusal: err})
	}
	return out, nil
}

// together takes in, with one commit, those of the first alerts that can be judged before
// any of them is stored, and returns their receipts. Whatever is not plainly taken is left
// to Publish, with all behind it: the same bytes again have the same receipt. But where full
// it has stored what is behind some that do not fit, and the last of the answers is a receipt.
func (h *Hub) together(ctx context.Context, member alert.MemberID, tokens []string) (out []Published, full bool) {
	s, err := h.current(ctx)
	if err != nil || len(tokens) < 2 {
		return nil, false
	}
	var list []intake
	var writes []store.Write
	for _, token := range tokens {
		a, err := h.verify(ctx, s, member, token)
		if err != nil || restsOn(a, list) || h.admit(ctx, s, a) != nil {
			break
		}
		in, err := h.accept(ctx, s, a, alertRow(a, token))
		if err != nil {
			break
		}
		list, writes = append(list, in), append(writes, in.write)
	}
	if len(list) == 0 {
		return nil, false
	}
	results, err := h.ledger.commitAll(ctx, writes)
	if err != nil {
		return nil, false
	}
	for n := len(list); n > 0 && results[n-1].Outcome == store.Full; n-- { // left to Publish, which counts them
		list = list[:n-1]
	}
	taken := 0
	for i, in := range list {
		receipt, err := h.concluded(ctx, in, results[i])
		if err != nil && results[i].Outcome != store.Full {
			break
		}
		if out = append(out, Published{receipt, err}); err == nil {
			taken = len(out)
		}
	}
	out = out[:taken]
	return out, slices.ContainsFunc(out, func(p Published) bool { return p.Refusal != nil })
}

// restsOn reports whether judging an alert asks the store about one of others: as one of
// its versions, as what it refers to, or as a source.
func restsOn(a *trust.VerifiedAlert, others []intake) bool {
	return slices.ContainsFunc(others, func(o intake) bool {
		return slices.Contains(a.Names(), o.row.ID)
	})
}
