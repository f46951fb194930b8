package plan

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/hub/store"
)

// MaxText bounds ids, digests and other short texts, in bytes. Index entries
// of PostgreSQL hold 2,704 bytes; three texts make the longest key.
const MaxText = 512

// Needs is what must be read, under the lock, before a group of writes can be
// decided. Nothing is named twice.
type Needs struct {
	Alerts     []AlertKey // with predecessors
	Ends       []AlertKey // versions, also among Alerts, to be ended with those before
	Rows       []int64    // of alerts
	Labels     []LabelKey
	Feeds      []alert.MemberID
	Deliveries []int64
	Items      []ItemKey
	Statements []StatementKey // with predecessors
	Claims     []Claim
	Proposals  []string // digests
	Bundles    []string // digests
	Purges     []PurgeKey
	Used       []alert.MemberID
	Refused    []RefusedKey
	Runs       []store.Run // of the log, to be trimmed
	Settled    bool
}

// NeedsOf checks the form of the writes and says what they depend on. Errors
// wrap store.ErrInvalid.
func NeedsOf(writes []store.Write) (Needs, error) {
	var s sets
	for i := range writes {
		if err := s.add(&writes[i]); err != nil {
			return Needs{}, fmt.Errorf("%w: write %d: %w", store.ErrInvalid, i, err)
		}
	}
	return Needs{s.alerts.list, s.ends.list, s.rows.list, s.labels.list, s.feeds.list, s.deliveries.list, s.items.list,
		s.statements.list, s.claims.list, s.proposals.list, s.bundles.list, s.purges.list, s.used.list, s.refused.list, s.runs.list, s.settled}, nil
}

// set keeps distinct values in the order in which they came.
type set[T comparable] struct {
	has  map[T]bool
	list []T
}

func (s *set[T]) add(v T) (added bool) {
	if s.has[v] {
		return false
	}
	if s.has == nil {
		s.has = make(map[T]bool)
	}
	s.has[v] = true
	s.list = append(s.list, v)
	return true
}

type sets struct {
	alerts     set[AlertKey]
	ends       set[AlertKey]
	rows       set[int64]
	labels     set[LabelKey]
	feeds      set[alert.MemberID]
	deliveries set[int64]
	items      set[ItemKey]
	statements set[StatementKey]
	claims     set[Claim]
	proposals  set[string]
	bundles    set[string]
	purges     set[PurgeKey]
	used       set[alert.MemberID]
	refused    set[RefusedKey]
	runs       set[store.Run]
	settled    bool
}

func (s *sets) add(w *store.Write) error {
	n := 0
	var err error
	if w.Accept != nil {
		n++
		if len(w.Entries) == 0 {
			return fmt.Errorf("accept without an audit entry")
		}
		err = s.accept(w.Accept)
	}
	if w.Refuse != nil {
		n++
		err = s.refuse(w)
	}
	if w.HandOver != nil {
		n++
		err = s.handOver(w.HandOver)
	}
	if w.Ack != nil {
		n++
		err = s.ack(w.Ack)
	}
	if w.Statement != nil {
		n++
		err = s.statement(w.Statement)
	}
	if w.Resettle != nil {
		n++
		err = s.resettle(w.Resettle)
	}
	if w.Proposal != nil {
		n++
		err = s.proposal(w.Proposal)
	}
	if w.Bundle != nil {
		n++
		err = s.bundle(w.Bundle)
	}
	if w.Erase != nil {
		n++
		err = s.erase(w.Erase)
	}
	if w.Purge != nil {
		n++
		err = s.purge(w.Purge)
	}
	if w.Trim != nil {
		n++
		err = s.trim(w)
	}
	for _, leaf := range w.Entries {
		if len(leaf) == 0 {
			return fmt.Errorf("empty audit entry")
		}
	}
	if n > 1 {
		return fmt.Errorf("%d changes in one write", n)
	}
	return err
}

func (s *sets) accept(a *store.Accept) error {
	if err := names(string(a.Originator), string(a.ID)); err != nil {
		return err
	}
	if err := texts(a.SignedDigest); err != nil { // Previous is kept only if it equals a stored one
		return err
	}
	if err := s.version(a); err != nil {
		return err
	}
	s.used.add(a.Originator)
	s.refused.add(RefusedKey{a.Originator, a.Digest})
	for _, p := range a.Portions {
		if err := names(string(p.ID)); err != nil {
			return err
		}
		s.labels.add(LabelKey{a.Originator, p.LabelKey})
	}
	var seen set[alert.MemberID]
	for _, r := range a.Recipients {
		if err := names(string(r)); err != nil {
			return err
		}
		if !seen.add(r) {
			return fmt.Errorf("recipient %q named twice", r)
		}
		s.feeds.add(r)
	}
	return nil
}

func (s *sets) handOver(h *store.HandOver) error {
	if err := names(string(h.Recipient)); err != nil {
		return err
	}
	if h.After < 0 {
		return fmt.Errorf("hand-over after %d", h.After)
	}
	s.feeds.add(h.Recipient)
	var seen set[int64]
	for i, it := range h.Items {
		if it.Seq != h.After+1+int64(i) {
			return fmt.Errorf("item %d has number %d after %d", i, it.Seq, h.After)
		}
		if err := names(it.Chain); err != nil {
			return err
		}
		if err := texts(it.Digest); err != nil {
			return err
		}
		if !seen.add(it.ID) {
			return fmt.Errorf("delivery %d named twice", it.ID)
		}
		s.deliveries.add(it.ID)
	}
	if n := len(h.Items); n > 0 && h.Items[n-1].Chain != h.Chain {
		return fmt.Errorf("chain value is not that of the last item")
	}
	for _, id := range slices.Concat(h.Withheld, h.Dropped) {
		if !seen.add(id) {
			return fmt.Errorf("delivery %d named twice", id)
		}
		s.deliveries.add(id)
	}
	return nil
}

func (s *sets) ack(a *store.Ack) error {
	// The chain value and receipt are the recipient's own words. They are
	// compared and kept as bytes: no form of theirs may spoil the group.
	if err := names(string(a.Recipient)); err != nil {
		return err
	}
	s.feeds.add(a.Recipient)
	s.items.add(ItemKey{a.Recipient, a.Seq})
	return nil
}

func (s *sets) statement(st *store.Statement) error {
	if err := names(st.Type, st.Subject); err != nil {
		return err
	}
	if err := texts(st.Digest); err != nil { // Previous as above
		return err
	}
	if st.Revision < 1 {
		return fmt.Errorf("revision %d", st.Revision)
	}
	if st.Of != "" {
		if err := names(string(st.Of)); err != nil {
			return err
		}
		s.used.add(st.Of)
	}
	s.statements.add(StatementKey{st.Type, st.Subject, st.Revision})
	if st.Revision > 1 {
		s.statements.add(StatementKey{st.Type, st.Subject, st.Revision - 1})
	}
	return nil
}

// names holds names to what both databases keep as text, and to some length.
func names(values ...string) error {
	for _, v := range values {
		if v == "" {
			return fmt.Errorf("empty name")
		}
	}
	return texts(values...)
}

// texts refuses what PostgreSQL does not keep as text, on SQLite too.
func texts(values ...string) error {
	for _, v := range values {
		if len(v) > MaxText || !utf8.ValidString(v) || strings.ContainsRune(v, 0) {
			return fmt.Errorf("text %.64q: UTF-8 without NUL, at most %d bytes", v, MaxText)
		}
	}
	return nil
}
