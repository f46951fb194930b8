package policies

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/policies/benchworld"
)

// benchNational makes a directory of n users in ten agencies.
func benchNational(n int) National {
	r := rand.New(rand.NewPCG(2, uint64(n)))
	var taskForces []alert.TaskForceID
	for i := range 20 {
		taskForces = append(taskForces, alert.TaskForceID(fmt.Sprintf("tf-%02d", i)))
	}
	var d National
	for i := range 10 {
		d.Agencies = append(d.Agencies, Agency{ID: AgencyID(fmt.Sprintf("agency-%d", i)), Name: "Agency", FocalPoint: i == 0,
			Categories: someOf(r, alert.Categories, 40)})
	}
	for i := range n {
		d.Users = append(d.Users, User{ID: UserID(fmt.Sprintf("u-%05d", i)), Agency: pick(r, d.Agencies...).ID,
			Clearance: pick(r, levels...), TaskForces: some(r, taskForces, 40), Purposes: someOf(r, alert.Purposes, 50),
			TLPRed: chance(r, 10), Suspended: chance(r, 2)})
	}
	return d
}

// BenchmarkIngress decides on four portions for all users, first and again, beside
// the same rules in plain Go, a user at a time.
func BenchmarkIngress(b *testing.B) {
	var readings []Reading
	for _, l := range benchworld.Labels(benchworld.New(10, 50)) {
		if err := l.Normalize(); err != nil {
			b.Fatal(err)
		}
		readings = append(readings, Reading{Label: &l, Purpose: "investigation", Ceiling: alert.Secret, At: 1, Release: feed.Release{
			Kind: feed.Content, Obligations: &feed.Obligations{Purposes: []alert.Purpose{"investigation"}, HoldUntil: 2}}})
	}
	for _, n := range []int{10, 100, 1000} {
		d := benchNational(n)
		i := mustIndex(b, mustIngressRules(b), d)
		pairs := n * len(readings)
		b.Run(fmt.Sprintf("undecided/users=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				for k := range readings {
					if _, err := i.evaluate(b.Context(), &readings[k]); err != nil {
						b.Fatal(err)
					}
				}
			}
			perPair(b, pairs)
		})
		b.Run(fmt.Sprintf("known/users=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			got := 0
			for b.Loop() {
				for _, q := range readings {
					readers := mustRead(b, i, q)
					for _, u := range i.users {
						if readers.Permits(u) {
							got++
						}
					}
				}
			}
			perPair(b, pairs)
		})
		b.Run(fmt.Sprintf("oracle/users=%d", n), func(b *testing.B) {
			for b.Loop() {
				for _, q := range readings {
					for _, u := range i.users {
						oracleIngress(d, u, q)
					}
				}
			}
			perPair(b, pairs)
		})
	}
	b.Run("index/users=1000", func(b *testing.B) {
		d, rules := benchNational(1000), mustIngressRules(b)
		for b.Loop() {
			mustIndex(b, rules, d)
		}
	})
}
