package hub

import (
	"cmp"
	"fmt"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/hub/store"
)

// Quotas bound what a member can make the hub keep. A field that is 0 has its default. They
// are held to in the transaction that would go beyond them, by all hubs on a store, but for
// Proposals, which are counted just before: of those a member may have as many more as it
// brings at the same moment.
type Quotas struct {
	Alerts    int64 // alert versions that have not ended; default 1,000,000
	Bytes     int64 // of these with their disclosures; default 4 GiB
	Consents  int64 // subjects of consents that a member has brought; default 100,000
	Proposals int   // that wait for signatures; default 16
}

// DefaultQuotas are those of a hub that is told of none.
func DefaultQuotas() Quotas {
	return Quotas{Alerts: 1_000_000, Bytes: 4 << 30, Consents: 100_000, Proposals: 16}
}

func (q Quotas) orDefault() Quotas {
	d := DefaultQuotas()
	return Quotas{cmp.Or(q.Alerts, d.Alerts), cmp.Or(q.Bytes, d.Bytes), cmp.Or(q.Consents, d.Consents), cmp.Or(q.Proposals, d.Proposals)}
}

func (q Quotas) ofAlerts() store.Quota { return store.Quota{Alerts: q.Alerts, Bytes: q.Bytes} }

// quotaPause is what a member is told to wait before it tries again what is beyond its
// quota.
const quotaPause = time.Minute

// full is the answer to what is beyond a member's quota: no judgement, for it passes when
// something has ended.
func (h *Hub) full(m alert.MemberID, what string, bounds ...any) error {
	h.Metrics.full.Inc()
	e := problem.New(problem.RateLimited, "the quota of %s at this hub is used up: %s", m, fmt.Sprintf(what, bounds...))
	e.RetryAfter = quotaPause
	return e
}
