package sqlite_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/node/store"
	"github.com/entente-hub/entente/node/store/sqlite"
)

const (
	asked1 = alert.ID("01954c7e-8f5e-7d3a-9c1b-000000000001")
	about1 = alert.ID("01954c7e-8f5e-7d3a-9c1b-0000000000aa")
	reply1 = alert.ID("01954c7e-8f5e-7d3a-9c1b-000000000011")
	reply2 = alert.ID("01954c7e-8f5e-7d3a-9c1b-000000000012")
)

// feedbackLog stores feedback as a node of XA would.
type feedbackLog struct {
	t *testing.T
	s *sqlite.Store
	p store.Position
}

func newFeedbackLog(t *testing.T) *feedbackLog {
	return &feedbackLog{t: t, s: open(t, filepath.Join(t.TempDir(), "node.db"))}
}

func (l *feedbackLog) send(id alert.ID, version int, digest string, r *store.Referring) {
	l.t.Helper()
	if r != nil {
		r.Originator = "XA"
	}
	must(l.t, l.s.Enqueue(ctx, store.Outgoing{ID: id, Version: version, Token: "t", Digest: digest, QueuedAt: at, Referring: r}))
}

func (l *feedbackLog) refuse(id alert.ID, version int) {
	l.t.Helper()
	must(l.t, settleOne(l.s, id, version, store.Settlement{State: store.Refused, Problem: "not-admitted"}))
}

func (l *feedbackLog) receive(from alert.MemberID, id alert.ID, version int, r *store.Referring) {
	l.t.Helper()
	after := l.p
	after.Seq++
	if r != nil {
		r.Originator = from
	}
	must(l.t, l.s.Receive(ctx, store.Reception{Before: l.p, After: after, Items: []store.Item{{Seq: after.Seq, Digest: "d", ReceivedAt: at,
		Delivery: []byte("{}"), Originator: from, ID: id, Version: version, SignedDigest: "s" + string(rune('0'+version)), Referring: r}}}))
	l.p = after
}

func (l *feedbackLog) requests() []store.Request {
	l.t.Helper()
	list, err := l.s.Requests(ctx, 500)
	must(l.t, err)
	return list
}

func request(due int64, asked ...alert.MemberID) *store.Referring {
	return &store.Referring{Re: alert.Reference{Originator: "XB", Alert: about1, Act: alert.Request, Precedence: alert.Flash, Due: due},
		Expires: 1000, Asked: asked, By: "ann"}
}

func answer(to alert.MemberID, act alert.Act) *store.Referring {
	return &store.Referring{Re: alert.Reference{Originator: to, Alert: asked1, Act: act}, Expires: 1000}
}

func TestRequestsAndReplies(t *testing.T) {
	l := newFeedbackLog(t)
	l.send(asked1, 1, "one", request(100, "XB", "XC"))
	l.receive("XC", asked1, 1, answer("XB", alert.Answer)) // to another's request of the same id
	l.receive("XC", reply1, 1, answer("XA", alert.Declined))
	l.receive("XD", reply2, 1, answer("XA", alert.Answer)) // who was not asked
	l.receive("XC", reply2, 1, answer("XA", alert.Comment))
	name := store.Name{Originator: "XA", ID: asked1, Version: 1}
	want := []store.Request{
		{Name: name, Own: true, Re: request(100).Re, Expires: 1000, By: "ann", Asked: "XB"},
		{Name: name, Own: true, Re: request(100).Re, Expires: 1000, By: "ann", Asked: "XC",
			Replies: []store.Reply{{Name: store.Name{Originator: "XC", ID: reply1, Version: 1}, Act: alert.Declined}}},
	}
	if d := cmp.Diff(want, l.requests()); d != "" {
		t.Error(d)
	}
	asked, err := l.s.Asked(ctx, "XA", asked1)
	must(t, err)
	if d := cmp.Diff([]alert.MemberID{"XB", "XC"}, asked); d != "" {
		t.Error(d)
	}
	if list, err := l.s.Requests(ctx, 1000); err != nil || len(list) != 0 {
		t.Errorf("expired requests: %v, %v", list, err)
	}
}

// A later version takes the place of the one before: with another deadline, or, as a
// recall, with nothing.
func TestVersionsOfFeedback(t *testing.T) {
	l := newFeedbackLog(t)
	l.receive("XB", asked1, 1, request(100, "XA"))
	l.receive("XB", asked1, 1, request(100, "XA")) // delivered again
	l.send(reply1, 1, "a", &store.Referring{Re: alert.Reference{Originator: "XB", Alert: asked1, Act: alert.Answer}, Expires: 1000})
	if list := l.requests(); len(list) != 1 || list[0].Own || len(list[0].Replies) != 1 {
		t.Fatalf("%+v", list)
	}
	l.receive("XB", asked1, 2, request(200, "XA"))
	l.send(reply1, 2, "b", nil)
	if list := l.requests(); len(list) != 1 || list[0].Version != 2 || list[0].Re.Due != 200 || len(list[0].Replies) != 0 {
		t.Fatalf("%+v", list)
	}
	l.refuse(reply1, 1) // settled in any order: the recall is still to be sent
	l.refuse(reply1, 2)
	l.receive("XB", asked1, 3, nil)
	if list := l.requests(); len(list) != 0 {
		t.Fatalf("recalled: %+v", list)
	}
	if asked, err := l.s.Asked(ctx, "XB", asked1); err != nil || len(asked) != 0 {
		t.Errorf("recalled: %v, %v", asked, err)
	}
}

// What the hub refuses was never asked, nor answered; another of the same number counts
// in its place.
func TestRefusedFeedback(t *testing.T) {
	l := newFeedbackLog(t)
	l.send(asked1, 1, "one", request(100, "XB"))
	l.send(asked1, 2, "two", request(200, "XB"))
	if list := l.requests(); len(list) != 1 || list[0].Re.Due != 200 {
		t.Fatalf("%+v", list)
	}
	must(t, settleOne(l.s, asked1, 1, store.Settlement{State: store.Accepted, Receipt: "r"}))
	l.refuse(asked1, 2)
	if list := l.requests(); len(list) != 1 || list[0].Version != 1 || list[0].Re.Due != 100 {
		t.Fatalf("after a refusal: %+v", list)
	}
	l.send(asked1, 2, "three", nil) // a recall, under the number that was refused
	if list := l.requests(); len(list) != 0 {
		t.Fatalf("recalled: %+v", list)
	}
	l.receive("XB", asked1, 1, request(100, "XA"))
	l.send(reply1, 1, "a", answer("XB", alert.Answer))
	l.refuse(reply1, 1)
	if list := l.requests(); len(list) != 1 || len(list[0].Replies) != 0 {
		t.Fatalf("a refused answer: %+v", list)
	}
}

// Whether a request asks the member may show when more of it is delivered.
func TestAskedLater(t *testing.T) {
	l := newFeedbackLog(t)
	l.receive("XB", asked1, 1, request(100))
	if list := l.requests(); len(list) != 0 {
		t.Fatalf("%+v", list)
	}
	l.receive("XB", asked1, 1, request(100, "XA"))
	if list := l.requests(); len(list) != 1 {
		t.Fatalf("%+v", list)
	}
}

// However many replies somebody sends, so many are returned; an answer is among them.
func TestManyReplies(t *testing.T) {
	l := newFeedbackLog(t)
	l.send(asked1, 1, "one", request(100, "XB"))
	l.receive("XB", reply1, 1, answer("XA", alert.Answer))
	for i := range store.MaxReplies + 5 {
		l.receive("XB", alert.ID(fmt.Sprintf("01954c7e-8f5e-7d3a-9c1b-000000001%03d", i)), 1, answer("XA", alert.Declined))
	}
	replies := l.requests()[0].Replies
	if len(replies) != store.MaxReplies || replies[0].ID != reply1 || !strings.HasSuffix(string(replies[store.MaxReplies-1].ID), "1104") {
		t.Errorf("%d: %+v", len(replies), replies)
	}
}
