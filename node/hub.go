package node

import (
	"context"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/crypto/tlog"
)

// Hub is what a node asks of a hub, over a connection on which both have shown
// who they are. Every error is a *problem.Error: the hub's own, Unavailable
// where it can not be reached, or Internal where its answer makes no sense. It
// is safe for concurrent use, and every method honours ctx. Nothing that it
// returns is verified.
type Hub interface {
	// Publish hands over an alert with all disclosures and returns the receipt.
	Publish(ctx context.Context, token string) (receipt string, err error)
	// PublishAll hands over up to MaxBatch alerts, as Publish would one after the other,
	// and returns what became of them in their order: of the first at least. Of those
	// behind nothing is known. A refusal that is no judgement, as for want of room, does
	// not keep back what is behind it.
	PublishAll(ctx context.Context, tokens []string) ([]Published, error)
	// Audience asks who would get what of labelled portions.
	Audience(ctx context.Context, q AudienceQuery) (Audience, error)
	// Poll returns up to limit items of the feed after a sequence number, and
	// waits up to wait for the first.
	Poll(ctx context.Context, after int64, limit int, wait time.Duration) (feed.Page, error)
	// Acknowledge hands over up to 100 signed acknowledgements. The hub may have
	// taken some of them where it returns an error.
	Acknowledge(ctx context.Context, acks []string) error
	// Purged hands over up to 100 signed purge receipts. The hub may have taken some of
	// them where it returns an error.
	Purged(ctx context.Context, purges []string) error
	// Holders asks who was handed over an alert of the caller's own, and who has erased
	// what of it.
	Holders(ctx context.Context, id alert.ID) (HoldersReport, error)
	// Statements returns up to limit statements after a position, in order.
	Statements(ctx context.Context, after int64, limit int) ([]PlacedStatement, error)
	// SubmitStatement brings a statement into force; one that is changes nothing.
	SubmitStatement(ctx context.Context, raw []byte) error
	Negotiation
	// Published returns up to limit alerts of the caller's own that the hub has accepted,
	// after an index of its log, in that order; -1: from the first. There are fewer where
	// they are large, and none only where there are no more.
	Published(ctx context.Context, after int64, limit int) ([]PublishedAlert, error)
	// Explain asks who gets what of a version of an alert of the caller's own.
	Explain(ctx context.Context, id alert.ID, version int) (Audience, error)
	// Checkpoint returns the audit log's signed checkpoint.
	Checkpoint(ctx context.Context) ([]byte, error)
	// Consistency returns the proof that the log of size newer begins with that
	// of size older; both are at least 1.
	Consistency(ctx context.Context, older, newer int64) (tlog.ConsistencyPath, error)
}

// Published is what became of an alert: the hub's receipt, or why it is refused, a
// *problem.Error.
type Published struct {
	Receipt string
	Refusal error
}

// PublishedAlert is an alert of the caller's own, with what the hub has not erased of it,
// and its receipt.
type PublishedAlert struct{ Token, Receipt string }

// PlacedStatement is a statement at its position in the hub's list.
type PlacedStatement struct {
	Position int64
	Raw      []byte
}

// HoldersReport is the hub's word on who holds an alert.
type HoldersReport struct {
	HandOvers []HandOver
	Purges    []PurgeReceipt
}

// HandOver is one hand-over of one version to one member.
type HandOver struct {
	Member     alert.MemberID
	Version    int
	Seq        int64  // its place in the member's feed
	Chain      string // the feed's chain value there
	ReleasedAt int64  // seconds since 1970-01-01 UTC
	Releases   []feed.Release
	Ack        string // the JWS of feed.Ack, or ""
	Lost       bool   // it was served again without content: the member holds nothing of it
}

// PurgeReceipt is a member's word that it has erased what it held of a version.
type PurgeReceipt struct {
	Member  alert.MemberID
	Version int
	Receipt string // the JWS of feed.Purge
}

// AudienceQuery asks who would get what.
type AudienceQuery struct {
	Expires  int64 // of the alert to be, seconds since 1970-01-01 UTC
	Portions []LabelledPortion
}

// LabelledPortion is a portion's label without its content.
type LabelledPortion struct {
	ID    alert.PortionID
	Label alert.Label
}

// Audience is the hub's answer.
type Audience struct {
	Revision string // of the statements decided upon
	Policy   string // digest of the policy bundle that decided
	Portions []PortionAudience
}

// PortionAudience says who would get what of one portion.
type PortionAudience struct {
	Portion alert.PortionID
	Members []MemberDecision
}

// MemberDecision says what one member would get, and why not more.
type MemberDecision struct {
	Member     alert.MemberID
	Release    feed.Kind
	Codes      []string // why content is not released
	Message    string   // the first code in words
	Agreements []CitedAgreement
	Emergency  string    // digest of the emergency without which it were not released, or ""
	Held       feed.Kind // what was handed over last; "" if nothing was
}

// CitedAgreement is an agreement on which a release rests.
type CitedAgreement struct {
	ID, Digest, Title string
	Version           int64 // revision of the agreement's statement
}
