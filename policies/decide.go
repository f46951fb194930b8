package policies

import (
	"container/list"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"sync"

	"github.com/entente-hub/entente/api/alert"
)

// MaxRemembered bounds the decisions that a World remembers; beyond it the one
// longest unused is forgotten and would be made again. A decision takes about
// a KiB, and two bytes a member.
const MaxRemembered = 1 << 15

// Query asks who may have a portion. The label must be in canonical form
// (alert.Label.Normalize). Alert matters where consent to that very alert does:
// under originator control and with sources.
type Query struct {
	Originator alert.MemberID
	Label      alert.Label
	Alert      alert.ID
	Sources    map[alert.ID]alert.MemberID // whose the alerts in Label.DerivedFrom are; nobody can consent for one left out
}

// Key returns all that the answer depends on besides originator and revisions:
// alert.Label.ReleaseKey, whose the sources are, and the emergency in force for
// the alert, where the label has compartments.
func (w *World) Key(q Query) string {
	key := q.Label.ReleaseKey(q.Alert)
	if e, ok := w.declared(q); ok {
		key += "\nemergency " + e.Digest
	}
	for _, id := range q.Label.DerivedFrom {
		key += "\n" + string(id) + " " + string(q.Sources[id])
	}
	return key
}

// Decide returns the decision for a label, made once for each originator and
// World.Key: callers who come while it is being made wait for it.
// A caller that stops waiting does not stop the others. Errors are those of ctx
// or wrap ErrPolicy; they are not remembered.
func (w *World) Decide(ctx context.Context, q Query) (*Audience, error) {
	d, first := w.memo.get(w.memoKey(&q))
	if !first {
		select {
		case <-d.done:
			return d.audience, d.err
		default:
		}
		select {
		case <-d.done:
			return d.audience, d.err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	d.err = broken("the evaluation panicked") // stands only if the next line does not return
	defer w.memo.finish(d)
	d.audience, d.err = w.evaluate(context.WithoutCancel(ctx), q)
	return d.audience, d.err
}

// evaluate asks the rules.
func (w *World) evaluate(ctx context.Context, q Query) (*Audience, error) {
	g := w.given(q.Originator)
	decision, err := evaluate(ctx, w.engine.release, w.input(q, g))
	if err != nil {
		return nil, err
	}
	return w.audience(g.others, decision)
}

// memoKey names what World.Key names, and the originator, in less time: it is
// made for each look-up.
type memoKey [sha256.Size]byte

func (w *World) memoKey(q *Query) memoKey {
	l := &q.Label
	b := make([]byte, 0, 2048)
	b = texts(b, q.Originator)
	b = texts(b, l.Policy, l.MarkedAs, l.HandlingText)
	b = append(b, byte(l.Classification), byte(l.TLP), byte(l.PersonalData), 0)
	if l.OriginatorControl {
		b[len(b)-1] = 1
	}
	b = texts(b, l.Compartments...)
	b = texts(b, l.ReleasableTo...)
	b = texts(b, l.DiscoverableTo...)
	b = texts(b, l.Categories...)
	b = texts(b, l.Purposes...)
	b = texts(b, l.Handling...)
	b = texts(b, l.DerivedFrom...)
	for _, id := range l.DerivedFrom {
		b = texts(b, q.Sources[id])
	}
	if l.OriginatorControl || len(l.DerivedFrom) > 0 {
		b = texts(b, q.Alert)
	}
	if e, ok := w.declared(*q); ok {
		b = texts(b, e.Digest)
	}
	return sha256.Sum256(b)
}

// texts appends a list so that it can be told where each text and the list end.
func texts[T ~string](b []byte, list ...T) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, s := range list {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	return b
}

// decision is a remembered answer; it is complete once done is closed.
type decision struct {
	key      memoKey
	done     chan struct{}
	audience *Audience
	err      error
}

// memo remembers the MaxRemembered decisions last used.
type memo struct {
	mu    sync.Mutex
	order *list.List // of *decision, last used first
	at    map[memoKey]*list.Element
}

func (m *memo) init() { m.order, m.at = list.New(), make(map[memoKey]*list.Element) }

// get returns the decision under a key, and whether the caller is to make it.
func (m *memo) get(key memoKey) (*decision, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e, ok := m.at[key]; ok {
		m.order.MoveToFront(e)
		return e.Value.(*decision), false
	}
	d := &decision{key: key, done: make(chan struct{})}
	m.at[key] = m.order.PushFront(d)
	if m.order.Len() > MaxRemembered {
		last := m.order.Back()
		delete(m.at, m.order.Remove(last).(*decision).key)
	}
	return d, true
}

// finish publishes a decision and forgets it if it failed.
func (m *memo) finish(d *decision) {
	if d.err != nil {
		m.mu.Lock()
		if e, ok := m.at[d.key]; ok && e.Value == d {
			m.order.Remove(e)
			delete(m.at, d.key)
		}
		m.mu.Unlock()
	}
	close(d.done)
}
