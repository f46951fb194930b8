package server

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/nodeapi"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/node"
)

// CompareVersions implements GET /v1/diff/{originator}/{id}.
func (h handlers) CompareVersions(ctx context.Context, r nodeapi.CompareVersionsRequestObject) (nodeapi.CompareVersionsResponseObject, error) {
	originator, id, err := named(r.Originator, r.Id)
	if err != nil {
		return nil, err
	}
	reader, err := h.node.NewReader(r.Params.User, r.Params.Purpose)
	if err != nil {
		return nil, err
	}
	versions, err := h.node.Versions(ctx, reader, originator, id)
	if err != nil {
		return nil, err
	}
	from, to, err := between(versions, int(or(r.Params.From, 0)), int(or(r.Params.To, 0)))
	if err != nil {
		return nil, err
	}
	compare := h.node.Diff
	if reader != nil {
		compare = func(ctx context.Context, originator alert.MemberID, id alert.ID, from, to int) (node.Diff, error) {
			return h.node.DiffTo(ctx, *reader, originator, id, from, to)
		}
	}
	d, err := compare(ctx, originator, id, from, to)
	if err != nil {
		return nil, err
	}
	return nodeapi.CompareVersions200JSONResponse(difference(d)), nil
}

// between says which two of the versions that there are, at least one, are compared: 0
// stands for the latest, and for the one before the newer.
func between(versions []int, from, to int) (int, int, error) {
	if to == 0 {
		to = versions[len(versions)-1]
	}
	if from == 0 {
		for _, v := range versions {
			if v < to {
				from = v
			}
		}
	}
	switch {
	case from == 0:
		return 0, 0, problem.New(problem.NotFound, "no earlier version of it is here")
	case !slices.Contains(versions, from) || !slices.Contains(versions, to):
		return 0, 0, problem.New(problem.NotFound, "no such version is here")
	case from >= to:
		return 0, 0, problem.New(problem.Malformed, "versions %d and %d: from is the older one, to the newer", from, to)
	}
	return from, to, nil
}

func difference(d node.Diff) nodeapi.Diff {
	out := nodeapi.Diff{Originator: string(d.Originator), Id: string(d.ID), From: int32(d.From), To: int32(d.To), Recall: d.Recall,
		ExpiresBefore: seconds(d.Expires[0]), ExpiresAfter: seconds(d.Expires[1]), Portions: []nodeapi.PortionDiff{}}
	for _, p := range d.Portions {
		portion := nodeapi.PortionDiff{Portion: string(p.Portion), Change: string(p.Change), Before: kind(p.Release[0]), After: kind(p.Release[1]),
			Fields: fieldDiffs(p.Fields), Objects: []nodeapi.ObjectDiff{}}
		for _, o := range p.Objects {
			portion.Objects = append(portion.Objects, nodeapi.ObjectDiff{Id: o.ID, Change: string(o.Change), Fields: fieldDiffs(o.Fields)})
		}
		out.Portions = append(out.Portions, portion)
	}
	return out
}

func kind(k feed.Kind) *feed.Kind {
	if k == "" {
		return nil
	}
	return &k
}

func fieldDiffs(list []node.FieldDiff) []nodeapi.FieldDiff {
	out := []nodeapi.FieldDiff{}
	text := func(raw json.RawMessage) *string {
		if raw == nil {
			return nil
		}
		return optional(string(raw))
	}
	for _, f := range list {
		out = append(out, nodeapi.FieldDiff{Path: f.Path, Old: text(f.Old), New: text(f.New)})
	}
	return out
}
