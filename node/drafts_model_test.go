package node_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/node"
	"github.com/entente-hub/entente/node/store"
)

// told is what the model keeps of a draft: no more than the rules speak of.
type told struct {
	id     store.DraftID
	digest string
	author string
	level  alert.Classification
	state  store.DraftState
	by     string
	reason string
	ends   time.Time
}

// model is the rules on drafts, written apart from the node.
type model struct {
	crew   *crew
	now    func() time.Time
	drafts []*told
	alerts int
}

// knows reports whether a user may know of a draft.
func (m *model) knows(user string, d *told) bool {
	if d.state != store.Released && !m.now().Before(d.ends) {
		return false
	}
	return m.reads(user, d) && (d.author == user || m.crew.Has(user, node.Releaser))
}

// reads reports whether a user may read all of a draft.
func (m *model) reads(user string, d *told) bool {
	u, ok := m.crew.get(user)
	return ok && u.clearance >= d.level && (d.level <= alert.Restricted || slices.Contains(u.taskForces, "tf-one"))
}

// decide says what an operation of a user's on a draft ends in: "" for success.
func (m *model) decide(op, user, digest, reason string, d *told) problem.Kind {
	switch {
	case !m.crew.Shows(user, "token-of-"+user):
		return problem.Unauthenticated
	case !m.knows(user, d):
		return problem.NotFound
	case op == "withdraw" && user != d.author, op != "withdraw" && user == d.author:
		return problem.Forbidden
	case op == "release" && digest != d.digest:
		return problem.Conflict
	}
	want := map[string]store.DraftState{"release": store.Released, "reject": store.Rejected, "withdraw": store.Withdrawn}[op]
	if d.state != store.Pending {
		if d.state == want && d.by == user && (op != "reject" || d.reason == reason) {
			return ""
		}
		return problem.Conflict
	}
	if op == "release" && !(m.crew.Has(d.author, node.Author) && m.reads(d.author, d)) {
		return problem.Conflict
	}
	d.state, d.by, d.reason = want, user, reason
	if op == "release" {
		m.alerts++
	}
	return ""
}

// TestDraftsFollowTheModel: random users do random things to random drafts, while the
// directory changes, time goes by and the node is killed; each ends as the model says, and at the end
// there is one alert for each draft that was released, and no other.
func TestDraftsFollowTheModel(t *testing.T) {
	const seed = 20270301
	r := rand.New(rand.NewPCG(seed, 1))
	b := newBureau(t)
	m := &model{crew: b.crew, now: func() time.Time { return time.Now().Add(b.late) }}
	names := []string{"anna", "bert", "carl", "dora", "Anna", "nobody"}
	original := newCrew().users
	for step := range 1500 {
		user := names[r.IntN(len(names))]
		p := node.Person{User: user, Token: "token-of-" + user}
		where := fmt.Sprintf("seed %d, step %d, %s", seed, step, user)
		switch r.IntN(13) {
		case 0, 1:
			level := []alert.Classification{alert.Unclassified, alert.Restricted, alert.Secret}[r.IntN(3)]
			w := writing(level, level)
			ends := m.retain(r, &w)
			d, err := b.n.AddDraft(ctx, p, w)
			want := m.add(user, level, ends)
			check(t, where+" adds", err, want)
			if err == nil {
				m.drafts = append(m.drafts, &told{id: d.ID, digest: d.Digest, author: user, level: level, state: store.Pending, ends: ends})
			}
		case 12:
			b.late += time.Duration(r.IntN(20)) * time.Hour
			must(t, b.n.DraftsStep(ctx))
		case 2:
			changeCrew(r, b.crew, original)
		case 3:
			if r.IntN(4) == 0 {
				b.restart(node.AllFourEyes)
			}
		case 4:
			m.checkList(t, where, b, p)
		default:
			if len(m.drafts) == 0 {
				continue
			}
			d := m.drafts[max(len(m.drafts)-1-r.IntN(6), 0)]
			digest, reason := d.digest, []string{"no", "not yet"}[r.IntN(2)]
			if r.IntN(8) == 0 {
				digest = m.drafts[0].digest
			}
			op := []string{"release", "release", "reject", "withdraw"}[r.IntN(4)]
			if op != "reject" {
				reason = ""
			}
			var err error
			switch op {
			case "release":
				_, err = b.n.Release(ctx, p, d.id, digest)
			case "reject":
				_, err = b.n.Reject(ctx, p, d.id, reason)
			case "withdraw":
				_, err = b.n.Withdraw(ctx, p, d.id)
			}
			check(t, where+" "+op, err, m.decide(op, user, digest, reason, d))
		}
	}
	m.checkOutbox(t, b)
}

// retain names the retention of some portions of a draft, and says when that ends then.
func (m *model) retain(r *rand.Rand, d *node.Draft) time.Time {
	ends := m.now().Add(30 * 24 * time.Hour)
	for i := range d.Plan.Portions {
		if days := r.IntN(50) - 2; days < 40 {
			last := m.now().UTC().Truncate(24*time.Hour).AddDate(0, 0, days)
			d.Plan.Portions[i].Label.Retention = alert.Date(last.Format(time.DateOnly))
			if end := last.AddDate(0, 0, 1); end.Before(ends) {
				ends = end
			}
		}
	}
	return ends
}

// add says what adding a draft ends in.
func (m *model) add(user string, level alert.Classification, ends time.Time) problem.Kind {
	switch {
	case !m.crew.Shows(user, "token-of-"+user):
		return problem.Unauthenticated
	case !m.crew.Has(user, node.Author):
		return problem.Forbidden
	case !m.now().Before(ends):
		return problem.Malformed
	case !m.knows(user, &told{author: user, level: level, ends: ends}):
		return problem.Forbidden
	}
	return ""
}

func check(t *testing.T, what string, err error, want problem.Kind) {
	t.Helper()
	if err == nil && want != "" || err != nil && problem.KindOf(err) != want {
		t.Fatalf("%s: %v, want %q", what, err, want)
	}
}

// changeCrew changes one user, or makes it what it was.
func changeCrew(r *rand.Rand, c *crew, original map[string]hand) {
	user := []string{"anna", "bert", "carl", "dora"}[r.IntN(4)]
	switch r.IntN(9) {
	case 0:
		c.remove(user)
	case 1:
		c.change(user, func(h *hand) { *h = original[user]; h.isSuspended = true })
	case 2:
		c.change(user, func(h *hand) { *h = original[user]; h.clearance = alert.Unclassified })
	case 3:
		c.change(user, func(h *hand) { *h = original[user]; h.roles = h.roles[:len(h.roles)-1] })
	default:
		c.change(user, func(h *hand) { *h = original[user] })
	}
}

// checkList holds what a user is shown against the model.
func (m *model) checkList(t *testing.T, where string, b *bureau, p node.Person) {
	t.Helper()
	list, err := b.n.Drafts(ctx, p, "", "", 1000)
	if !m.crew.Shows(p.User, p.Token) {
		check(t, where+" lists", err, problem.Unauthenticated)
		return
	}
	check(t, where+" lists", err, "")
	var want, got []string
	for _, d := range m.drafts {
		if m.knows(p.User, d) {
			want = append(want, fmt.Sprintf("%s %s %q %q", d.id, d.state, d.by, d.reason))
		}
	}
	for _, d := range list {
		got = append(got, fmt.Sprintf("%s %s %q %q", d.ID, d.State, d.End.By, d.End.Reason))
	}
	if slices.Reverse(got); !slices.Equal(got, want) {
		t.Fatalf("%s sees %v, want %v", where, got, want)
	}
}

// checkOutbox holds the outbox against the model.
func (m *model) checkOutbox(t *testing.T, b *bureau) {
	t.Helper()
	pairs := make(map[string]int)
	for _, o := range b.queued(m.alerts) {
		pairs[o.Author+" "+o.ReleasedBy]++
	}
	for _, d := range m.drafts {
		if d.state == store.Released {
			pairs[d.author+" "+d.by]--
		}
	}
	for pair, n := range pairs {
		if n != 0 {
			t.Errorf("%s: %d alerts too many", pair, n)
		}
		if author, releaser, _ := strings.Cut(pair, " "); author == releaser {
			t.Errorf("%s has released its own", author)
		}
	}
	if m.alerts < 10 {
		t.Errorf("%d alerts: the run says little", m.alerts)
	}
}

// TestOneWayToTheOutbox: nothing in the node enqueues an alert but queue, nothing mints
// leave but mayGo, and nothing makes a released draft but Release.
func TestOneWayToTheOutbox(t *testing.T) {
	files, err := os.ReadDir(".")
	must(t, err)
	found := make(map[string][]string)
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), f.Name(), nil, 0)
		must(t, err)
		for _, d := range file.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			ast.Inspect(fn, func(n ast.Node) bool {
				switch x := n.(type) {
				case *ast.SelectorExpr:
					if slices.Contains([]string{"Enqueue", "ReleaseDraft", "mayGo", "queue"}, x.Sel.Name) {
						found[x.Sel.Name] = append(found[x.Sel.Name], fn.Name.Name)
					}
				case *ast.CompositeLit:
					if id, ok := x.Type.(*ast.Ident); ok && (id.Name == "leave" || id.Name == "released") {
						found[id.Name] = append(found[id.Name], fn.Name.Name)
					}
				}
				return true
			})
		}
	}
	for what, where := range map[string]string{"Enqueue": "queue", "ReleaseDraft": "queue", "queue": "issue", "mayGo": "issue", "leave": "mayGo", "released": "Release"} {
		if !slices.Equal(found[what], []string{where}) {
			t.Errorf("%s stands in %v, and only in %s it may", what, found[what], where)
		}
	}
}
