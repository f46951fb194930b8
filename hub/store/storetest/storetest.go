// Package storetest holds implementations of store.Store to its contract: by
// one test for each sentence, by random writes beside a plain model, by
// concurrent writers on two handles, and by faults.
package storetest

import (
	"testing"

	"github.com/entente-hub/entente/hub/store"
)

// Fresh makes an empty database and returns how to open it. open may be called
// several times, for several handles at once, as several processes would, or
// one after the other. Tests close what they open.
type Fresh func(t testing.TB) (open func(t testing.TB) store.Store)

// Run runs the suite. Each test uses a database of its own.
func Run(t *testing.T, fresh Fresh) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, open opener)
	}{
		{"Empty", testEmpty},
		{"Accept", testAccept},
		{"AcceptVersions", testVersions},
		{"HandOver", testHandOver},
		{"Ack", testAck},
		{"Statement", testStatement},
		{"Dropped", testDropped},
		{"Renew", testRenew},
		{"RenewInGroup", testRenewInGroup},
		{"Lost", testLost},
		{"LostThenRenewed", testLostThenRenewed},
		{"PassedOver", testPassedOver},
		{"Ends", testEnds},
		{"Follows", testFollows},
		{"Erasable", testErasable},
		{"Recall", testRecall},
		{"Erase", testErase},
		{"Purge", testPurge},
		{"Trim", testTrim},
		{"TrimmedAdmission", testTrimmedAdmission},
		{"Refuse", testRefuse},
		{"LifeInGroup", testLifeInGroup},
		{"Quota", testQuota},
		{"QuotaOfStatements", testQuotaOfStatements},
		{"RacingQuota", testRacingQuota},
		{"Clock", testClock},
		{"Standing", testStanding},
		{"Unsettled", testUnsettled},
		{"Audiences", testAudiences},
		{"Settled", testSettled},
		{"Proposals", testProposals},
		{"Bundles", testBundles},
		{"Seen", testSeen},
		{"SeenByOthers", testSeenByOthers},
		{"Group", testGroup},
		{"Malformed", testMalformed},
		{"MalformedResettle", testMalformedResettle},
		{"MalformedLife", testMalformedLife},
		{"MalformedTrim", testMalformedTrim},
		{"MalformedRefuse", testMalformedRefuse},
		{"Limits", testLimits},
		{"Bytes", testBytes},
		{"Names", testNames},
		{"Collation", testCollation},
		{"LargeToken", testLargeToken},
		{"LargeGroup", testLargeGroup},
		{"LargeResettle", testLargeResettle},
		{"Lookups", testLookups},
		{"Log", testLog},
		{"Closed", testClosed},
		{"Cancelled", testCancelled},
		{"Model", testModel},
		{"Faults", testFaults},
		{"Concurrent", testConcurrent},
		{"RacingHandOvers", testRacingHandOvers},
		{"RacingAccepts", testRacingAccepts},
		{"RacingResettles", testRacingResettles},
		{"RacingVersions", testRacingVersions},
		{"RacingTrims", testRacingTrims},
		{"RacingRefusals", testRacingRefusals},
		{"RacingOpens", testRacingOpens},
	} {
		t.Run(test.name, func(t *testing.T) {
			open := fresh(t)
			test.run(t, func() store.Store {
				s := open(t)
				t.Cleanup(func() { closeStore(t, s) })
				return s
			})
		})
	}
}

// opener opens the test's database; what it opened is closed with the test.
type opener func() store.Store

// closeStore closes; closing twice must be harmless.
func closeStore(t testing.TB, s store.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}
