package e2e_test

import (
	"hash/fnv"
	"iter"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// strike is one fault of a schedule.
type strike struct {
	kind   string
	pick   uint64        // which of the targets there are, and by how much
	pause  time.Duration // from the end of the one before
	length time.Duration // until it is healed
}

// pace says how fast faults follow, each bound being the longest.
type pace struct{ pause, length time.Duration }

// The paces of both forms. In the long one a fault may outlast the time limits of those
// whom it meets.
var (
	quick = pace{400 * time.Millisecond, 700 * time.Millisecond}
	calm  = pace{8 * time.Second, 20 * time.Second}
)

// lane is a sequence of faults that never meet one another; lanes go on side by side.
type lane struct {
	name  string
	kinds []string
}

// lanes are all faults there are, by what they may not share.
var lanes = []lane{
	{"ends", []string{killHub, killNode}},
	{"links", []string{string(refused), string(silent), string(halfOpen), string(slow), partition}},
	{"disks", []string{fullDisk}},
	{"clocks", []string{hubClock, nodeClock}},
	{"database", []string{killPrimary, killStandby, failOver_, fullDatabase}},
	{"statements", []string{suspendAgreement, suspendMember, changeRoster}},
}

// strikes is the endless sequence of a lane's faults, of those that can be done. The seed
// determines it. Kinds come in rounds: none is waited for longer than two rounds take.
func (l lane) strikes(seed uint64, can []string, p pace) iter.Seq[strike] {
	return func(yield func(strike) bool) {
		h := fnv.New64a()
		h.Write([]byte(l.name))
		rnd := rand.New(rand.NewPCG(seed, h.Sum64()))
		var kinds []string
		for _, k := range l.kinds {
			if slices.Contains(can, k) {
				kinds = append(kinds, k)
			}
		}
		for len(kinds) > 0 {
			for _, i := range rnd.Perm(len(kinds)) {
				s := strike{kinds[i], rnd.Uint64(), upTo(rnd, p.pause), upTo(rnd, p.length)}
				if !yield(s) {
					return
				}
			}
		}
	}
}

// upTo returns a time up to a limit, and no less than a tenth of it.
func upTo(rnd *rand.Rand, limit time.Duration) time.Duration {
	return limit/10 + time.Duration(rnd.Int64N(int64(limit-limit/10)))
}

// TestSchedule: the seed alone determines what happens in which order, and each kind of
// fault has its turn in each round.
func TestSchedule(t *testing.T) {
	var all []string
	for _, l := range lanes {
		all = append(all, l.kinds...)
	}
	first := func(l lane, seed uint64, can []string, n int) (out []strike) {
		for s := range l.strikes(seed, can, calm) {
			if out = append(out, s); len(out) == n {
				break
			}
		}
		return out
	}
	allow := cmp.AllowUnexported(strike{})
	for _, l := range lanes {
		n := 3 * len(l.kinds)
		a, b := first(l, 7, all, n), first(l, 7, all, n)
		if diff := cmp.Diff(a, b, allow); diff != "" {
			t.Errorf("%s: twice the same seed:\n%s", l.name, diff)
		}
		if cmp.Equal(a, first(l, 8, all, n), allow) {
			t.Errorf("%s: another seed, the same schedule", l.name)
		}
		for i := range 3 {
			var round []string
			for _, s := range a[i*len(l.kinds) : (i+1)*len(l.kinds)] {
				round = append(round, s.kind)
				if s.length <= 0 || s.length > calm.length || s.pause > calm.pause {
					t.Errorf("%s: %+v", l.name, s)
				}
			}
			slices.Sort(round)
			if diff := cmp.Diff(slices.Sorted(slices.Values(l.kinds)), round); diff != "" {
				t.Errorf("%s: round %d:\n%s", l.name, i+1, diff)
			}
		}
		for range l.strikes(7, nil, calm) {
			t.Errorf("%s: a fault that can not be done", l.name)
		}
	}
}
