package node

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/trust"
)

// Diff is what changed between two versions of an alert, as far as both are held.
type Diff struct {
	Originator alert.MemberID
	ID         alert.ID
	From, To   int
	Recall     *alert.Recall // To recalls the alert
	Expires    [2]int64      // of From and To, seconds since 1970-01-01 UTC
	Portions   []PortionDiff // those that differ, by id
}

// Change says what has become of something between two versions.
type Change string

// The changes.
const (
	Added   Change = "added"
	Changed Change = "changed"
	// Removed: it was there, and is not any more. Of an alert of another member's nothing
	// tells whether it was withdrawn or is not released any more.
	Removed Change = "removed"
	// Erased: it is in both, and one of them is not held any more, so that nothing tells
	// what changed. Of the member's own it may also be new, or withdrawn: what is gone has no
	// name.
	Erased Change = "erased"
)

// PortionDiff is how a portion differs.
type PortionDiff struct {
	Portion alert.PortionID
	Change  Change
	Release [2]feed.Kind // in From and To; "" where nothing is held of it
	Fields  []FieldDiff  // of notice, label and grading: JSON pointers (RFC 6901) beginning with /notice, /label and /grading
	Objects []ObjectDiff // by id
}

// ObjectDiff is how a STIX object differs.
type ObjectDiff struct {
	ID     string
	Change Change
	Fields []FieldDiff // where it has changed
}

// FieldDiff is a value that differs.
type FieldDiff struct {
	Path     string          // a JSON pointer (RFC 6901)
	Old, New json.RawMessage // nil where there is none
}

// Diff tells what changed between two versions of an alert, of another member's as they
// are held, or of this member's own. Errors are those of Show.
func (n *Node) Diff(ctx context.Context, originator alert.MemberID, id alert.ID, from, to int) (Diff, error) {
	if err := n.unnamed(); err != nil {
		return Diff{}, err
	}
	return n.diff(ctx, nil, originator, id, from, to)
}

// DiffTo is Diff for one user, between what that may read; the member's own alerts are
// the focal point's to read. Errors are those of ShowTo.
func (n *Node) DiffTo(ctx context.Context, r Reader, originator alert.MemberID, id alert.ID, from, to int) (Diff, error) {
	return n.diff(ctx, &r, originator, id, from, to)
}

func (n *Node) diff(ctx context.Context, reader *Reader, originator alert.MemberID, id alert.ID, from, to int) (Diff, error) {
	if from < 1 || to <= from {
		return Diff{}, problem.New(problem.Malformed, "versions %d and %d: name an earlier and a later one", from, to)
	}
	old, err := n.side(ctx, reader, originator, id, from)
	if err != nil {
		return Diff{}, err
	}
	now, err := n.side(ctx, reader, originator, id, to)
	if err != nil {
		return Diff{}, err
	}
	d := Diff{Originator: originator, ID: id, From: from, To: to, Recall: now.recall, Expires: [2]int64{old.expires, now.expires}}
	all := maps.Clone(old.portions)
	maps.Copy(all, now.portions)
	for p := range old.erased {
		if _, ok := all[p]; !ok {
			all[p] = alert.Portion{ID: p}
		}
	}
	for _, p := range slices.Sorted(maps.Keys(all)) {
		one, err := diffPortion(p, old, now)
		if err != nil {
			return Diff{}, problem.Wrap(problem.Internal, err, "the versions can not be compared")
		}
		if one != nil {
			d.Portions = append(d.Portions, *one)
		}
	}
	return d, nil
}

// side is one of two versions.
type side struct {
	expires  int64
	recall   *alert.Recall
	portions map[alert.PortionID]alert.Portion
	erased   map[alert.PortionID]bool // what is not held any more, as far as that may be known
	nameless bool                     // something else is not
}

// side reads a version, of which a reader sees what it may read.
func (n *Node) side(ctx context.Context, reader *Reader, originator alert.MemberID, id alert.ID, version int) (side, error) {
	s := side{portions: make(map[alert.PortionID]alert.Portion), erased: make(map[alert.PortionID]bool)}
	var portions []alert.Portion
	if originator == n.Member {
		a, whole, err := n.ownVersion(ctx, reader, id, version)
		if err != nil {
			return side{}, err
		}
		portions, s.expires, s.recall, s.nameless = a.Portions, a.Expires, a.Recall, !whole
	} else {
		r, err := n.show(ctx, reader, originator, id, version)
		if err != nil {
			return side{}, err
		}
		portions, s.expires, s.recall = r.Alert.Portions, r.Alert.Expires, r.Alert.Recall
		for _, p := range r.Purged {
			for _, id := range p.Portions {
				s.erased[id] = true
			}
		}
	}
	for _, p := range portions {
		s.portions[p.ID] = p
	}
	return s, nil
}

// ownVersion reads a version of an alert of the member's own, and whether all is there that
// it disclosed.
func (n *Node) ownVersion(ctx context.Context, reader *Reader, id alert.ID, version int) (a *trust.VerifiedAlert, whole bool, err error) {
	focal, err := n.focal(ctx, reader)
	if err != nil {
		return nil, false, err
	}
	if !focal {
		return nil, false, problem.New(problem.NotFound, "no such alert")
	}
	o, err := n.Outgoing(ctx, id, version)
	if err != nil {
		return nil, false, err
	}
	if a, err = trust.ReadAlert(o.Token); err != nil {
		return nil, false, problem.Wrap(problem.Internal, err, "the alert in the outbox can not be read")
	}
	return a, isWhole(o), nil
}

// diffPortion compares a portion; nil: it is the same.
func diffPortion(id alert.PortionID, old, now side) (*PortionDiff, error) {
	was, before := old.portions[id]
	is, after := now.portions[id]
	d := &PortionDiff{Portion: id, Release: [2]feed.Kind{kindOf(was, before), kindOf(is, after)}}
	switch {
	case !after && (now.erased[id] || now.nameless), !before && after && (old.erased[id] || old.nameless):
		d.Change = Erased
		return d, nil
	case !after:
		d.Change = Removed
		return d, nil
	case !before:
		d.Change = Added
		return d, nil
	}
	d.Change = Changed
	a, err := frame(was)
	if err != nil {
		return nil, err
	}
	b, err := frame(is)
	if err != nil {
		return nil, err
	}
	if d.Fields, err = diffJSON(a, b); err != nil {
		return nil, err
	}
	if was.Content != nil && is.Content != nil {
		if d.Objects, err = diffObjects(was.Content.Objects, is.Content.Objects); err != nil {
			return nil, err
		}
	}
	if len(d.Fields) == 0 && len(d.Objects) == 0 && d.Release[0] == d.Release[1] {
		return nil, nil
	}
	return d, nil
}

func kindOf(p alert.Portion, held bool) feed.Kind {
	switch {
	case !held:
		return ""
	case p.Content == nil:
		return feed.Existence
	}
	return feed.Content
}

// frame is a portion without its objects.
func frame(p alert.Portion) (json.RawMessage, error) {
	f := struct {
		Notice  string         `json:"notice,omitempty"`
		Label   *alert.Label   `json:"label,omitempty"`
		Grading *alert.Grading `json:"grading,omitempty"`
	}{Notice: p.Notice, Label: p.Label}
	if p.Content != nil {
		f.Grading = p.Content.Grading
	}
	return json.Marshal(f)
}

// diffObjects compares STIX objects by id; several of one id in their order.
func diffObjects(old, now []json.RawMessage) ([]ObjectDiff, error) {
	was, err := byID(old)
	if err != nil {
		return nil, err
	}
	is, err := byID(now)
	if err != nil {
		return nil, err
	}
	all := maps.Clone(was)
	maps.Copy(all, is)
	var list []ObjectDiff
	for _, id := range slices.Sorted(maps.Keys(all)) {
		a, b := was[id], is[id]
		for i := range max(len(a), len(b)) {
			switch {
			case i >= len(a):
				list = append(list, ObjectDiff{ID: id, Change: Added})
			case i >= len(b):
				list = append(list, ObjectDiff{ID: id, Change: Removed})
			default:
				fields, err := diffJSON(a[i], b[i])
				if err != nil {
					return nil, err
				}
				if len(fields) > 0 {
					list = append(list, ObjectDiff{ID: id, Change: Changed, Fields: fields})
				}
			}
		}
	}
	return list, nil
}

func byID(objects []json.RawMessage) (map[string][]json.RawMessage, error) {
	out := make(map[string][]json.RawMessage)
	for _, o := range objects {
		ref, err := alert.ParseObjectRef(o)
		if err != nil {
			return nil, err
		}
		out[ref.ID] = append(out[ref.ID], o)
	}
	return out, nil
}

// diffJSON compares two values. Numbers are the same where they are written the same.
func diffJSON(old, now json.RawMessage) ([]FieldDiff, error) {
	a, err := decodeJSON(old)
	if err != nil {
		return nil, err
	}
	b, err := decodeJSON(now)
	if err != nil {
		return nil, err
	}
	var list []FieldDiff
	if err := compareJSON(&list, "", a, b); err != nil {
		return nil, err
	}
	slices.SortFunc(list, func(x, y FieldDiff) int { return cmp.Compare(x.Path, y.Path) })
	return list, nil
}

func decodeJSON(raw json.RawMessage) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	err = d.Decode(&v)
	return v, err
}

// absent stands for no value, which null is one of.
type absent struct{}

// pointerEscape is RFC 6901 section 3.
var pointerEscape = strings.NewReplacer("~", "~0", "/", "~1")

func compareJSON(list *[]FieldDiff, path string, a, b any) error {
	if x, ok := a.(map[string]any); ok {
		if y, ok := b.(map[string]any); ok {
			all := maps.Clone(x)
			maps.Copy(all, y)
			for name := range all {
				if err := compareJSON(list, path+"/"+pointerEscape.Replace(name), member(x, name), member(y, name)); err != nil {
					return err
				}
			}
			return nil
		}
	}
	if x, ok := a.([]any); ok {
		if y, ok := b.([]any); ok {
			for i := range max(len(x), len(y)) {
				if err := compareJSON(list, path+"/"+strconv.Itoa(i), element(x, i), element(y, i)); err != nil {
					return err
				}
			}
			return nil
		}
	}
	old, err := encodeJSON(a)
	if err != nil {
		return err
	}
	now, err := encodeJSON(b)
	if err != nil {
		return err
	}
	if (old == nil) != (now == nil) || !bytes.Equal(old, now) {
		*list = append(*list, FieldDiff{path, old, now})
	}
	return nil
}

func member(m map[string]any, name string) any {
	if v, ok := m[name]; ok {
		return v
	}
	return absent{}
}

func element(list []any, i int) any {
	if i < len(list) {
		return list[i]
	}
	return absent{}
}

func encodeJSON(v any) (json.RawMessage, error) {
	if v == (absent{}) {
		return nil, nil
	}
	return json.Marshal(v)
}
