package node

import (
	"context"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/tlog"
)

// Offline is the Hub of a node without a network: it is never there, and nothing is
// reached for. A node with it waits for parcels.
type Offline struct{}

var _ Hub = Offline{}

func offline() error {
	return problem.New(problem.Unavailable, "this node has no network to its hub: what waits goes with the next export")
}

// Publish implements Hub, as all below: Unavailable.
func (Offline) Publish(context.Context, string) (string, error) { return "", offline() }

// PublishAll implements Hub.
func (Offline) PublishAll(context.Context, []string) ([]Published, error) { return nil, offline() }

// Audience implements Hub.
func (Offline) Audience(context.Context, AudienceQuery) (Audience, error) {
	return Audience{}, offline()
}

// Poll implements Hub.
func (Offline) Poll(context.Context, int64, int, time.Duration) (feed.Page, error) {
	return feed.Page{}, offline()
}

// Acknowledge implements Hub.
func (Offline) Acknowledge(context.Context, []string) error { return offline() }

// Purged implements Hub.
func (Offline) Purged(context.Context, []string) error { return offline() }

// Holders implements Hub.
func (Offline) Holders(context.Context, alert.ID) (HoldersReport, error) {
	return HoldersReport{}, offline()
}

// Statements implements Hub.
func (Offline) Statements(context.Context, int64, int) ([]PlacedStatement, error) {
	return nil, offline()
}

// SubmitStatement implements Hub.
func (Offline) SubmitStatement(context.Context, []byte) error { return offline() }

// Published implements Hub.
func (Offline) Published(context.Context, int64, int) ([]PublishedAlert, error) {
	return nil, offline()
}

// Explain implements Hub.
func (Offline) Explain(context.Context, alert.ID, int) (Audience, error) {
	return Audience{}, offline()
}

// Checkpoint implements Hub.
func (Offline) Checkpoint(context.Context) ([]byte, error) { return nil, offline() }

// Consistency implements Hub.
func (Offline) Consistency(context.Context, int64, int64) (tlog.ConsistencyPath, error) {
	return nil, offline()
}

// Propose implements Negotiation.
func (Offline) Propose(context.Context, []byte) (ProposalState, error) {
	return ProposalState{}, offline()
}

// Proposals implements Negotiation.
func (Offline) Proposals(context.Context) ([]OpenProposal, error) { return nil, offline() }

// Decline implements Negotiation.
func (Offline) Decline(context.Context, string) error { return offline() }

// SubmitBundle implements Negotiation.
func (Offline) SubmitBundle(context.Context, []byte) error { return offline() }

// Bundles implements Negotiation.
func (Offline) Bundles(context.Context) ([]StoredBundle, error) { return nil, offline() }

// Bundle implements Negotiation.
func (Offline) Bundle(context.Context, string) ([]byte, error) { return nil, offline() }
