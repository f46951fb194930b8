package server

import (
	"encoding/json"
	"time"

	"github.com/entente-hub/entente/api/hubapi"
	"github.com/entente-hub/entente/api/nodeapi"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/node"
	"github.com/entente-hub/entente/node/store"
)

// unverified begins the banner of what does not verify any more.
const unverified = "NOT VERIFIED: "

func outgoing(o store.Outgoing) nodeapi.Outgoing {
	out := nodeapi.Outgoing{Id: string(o.ID), Version: int32(o.Version), Digest: o.Digest,
		State: nodeapi.OutgoingState(o.State), QueuedAt: o.QueuedAt, Attempts: o.Attempts,
		LastError: optional(o.LastError), Receipt: optional(o.Receipt),
		Author: optional(o.Author), ReleasedBy: optional(o.ReleasedBy)}
	if o.Problem != "" {
		out.Problem = optional(problem.Kind.Type(o.Problem))
	}
	if len(o.Codes) > 0 {
		out.Codes = &o.Codes
	}
	out.Recall = o.Recall
	return out
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func received(r node.Received) nodeapi.Received {
	a := r.Alert
	out := nodeapi.Received{Seq: r.Seq, Originator: string(a.Issuer), Id: string(a.Subject), Version: int32(a.Version),
		IssuedAt: seconds(a.IssuedAt), Expires: seconds(a.Expires), ReceivedAt: r.ReceivedAt,
		Banner: r.Banner, Re: reference(a.Re), Delegate: delegating(a.Delegate), Portions: []nodeapi.ReceivedPortion{}}
	if r.Previous != 0 {
		out.PreviousSeq = &r.Previous
	}
	if r.Fault != nil {
		out.Banner = unverified + r.Fault.Error()
	}
	if r.Superseded != 0 {
		later := int32(r.Superseded)
		out.SupersededBy = &later
	}
	out.Recall, out.Purged = r.Recall, purgedList(r.Purged)
	for i, p := range a.Portions {
		portion := nodeapi.ReceivedPortion{Portion: string(p.ID), Notice: optional(p.Notice),
			Release: nodeapi.ReceivedPortionRelease(r.Delivery.Releases[i].Kind)}
		if p.Content != nil {
			n := len(p.Content.Objects)
			portion.Objects = &n
		}
		told := tell(r, i)
		portion.ShownAs, portion.ShownIn, portion.WithoutEquivalent = told.shownAs, told.shownIn, told.withoutEquivalent
		portion.MarkedAs, portion.MarkedIn, portion.Emergency = told.markedAs, told.markedIn, told.emergency
		portion.MarkingUnknown = told.markingUnknown
		out.Portions = append(out.Portions, portion)
	}
	return out
}

// told is what both forms of a received portion tell of its level and of how it
// came to be released.
type told struct {
	shownAs, shownIn, markedAs, markedIn *string
	withoutEquivalent, markingUnknown    *bool
	emergency                            *nodeapi.EmergencyRelease
}

// tell returns what is told of portion i.
func tell(r node.Received, i int) told {
	var t told
	h := r.Held[r.Alert.Portions[i].ID]
	if h == nil {
		return t
	}
	if l := h.Level; l != nil {
		t = told{shownAs: &l.Name, shownIn: optional(l.Scheme), markedAs: &l.MarkedAs, markedIn: &l.MarkedIn}
		if !l.Equivalent {
			without := true
			t.withoutEquivalent = &without
		}
		if l.MarkingUnknown {
			unknown := true
			t.markingUnknown = &unknown
		}
	}
	if e := h.Emergency; e != nil {
		t.emergency = &nodeapi.EmergencyRelease{Statement: r.Delivery.Releases[i].Emergency, Threat: e.Threat, Duty: e.Duty,
			Until: seconds(e.ValidUntil)}
	}
	return t
}

func seconds(unix int64) time.Time { return time.Unix(unix, 0).UTC() }

func receivedAlert(r node.Received) nodeapi.ReceivedAlert {
	out := nodeapi.ReceivedAlert{Summary: received(r), SignedBy: r.Alert.KeyID, WithheldOrDecoy: r.Alert.Hidden,
		Alert: r.Delivery.Alert, Portions: []nodeapi.HeldPortion{}}
	for i, p := range r.Alert.Portions {
		release := r.Delivery.Releases[i]
		held := nodeapi.HeldPortion{Portion: string(p.ID), Notice: optional(p.Notice), Label: p.Label,
			Release: nodeapi.HeldPortionRelease(release.Kind), Obligations: release.Obligations}
		if len(release.Agreements) > 0 {
			held.Agreements = &release.Agreements
		}
		told := tell(r, i)
		held.ShownAs, held.ShownIn, held.WithoutEquivalent = told.shownAs, told.shownIn, told.withoutEquivalent
		held.MarkedAs, held.MarkedIn, held.Emergency = told.markedAs, told.markedIn, told.emergency
		held.MarkingUnknown = told.markingUnknown
		if p.Content != nil {
			objects := append([]json.RawMessage{}, p.Content.Objects...)
			held.Grading, held.Objects = p.Content.Grading, &objects
		}
		out.Portions = append(out.Portions, held)
	}
	return out
}

func audience(a node.Audience) nodeapi.AudienceAnswer {
	out := nodeapi.AudienceAnswer{Revision: a.Revision, Policy: a.Policy, Portions: []hubapi.PortionAudience{}}
	for _, p := range a.Portions {
		portion := hubapi.PortionAudience{Portion: string(p.Portion), Members: []hubapi.MemberDecision{}}
		for _, m := range p.Members {
			d := hubapi.MemberDecision{Member: string(m.Member), Release: hubapi.MemberDecisionRelease(m.Release),
				Message: optional(m.Message), Emergency: optional(m.Emergency)}
			if m.Held != "" {
				held := hubapi.MemberDecisionHeld(m.Held)
				d.Held = &held
			}
			if len(m.Codes) > 0 {
				d.Codes = &m.Codes
			}
			var cited []hubapi.CitedAgreement
			for _, c := range m.Agreements {
				cited = append(cited, hubapi.CitedAgreement{Id: c.ID, Digest: c.Digest, Title: c.Title, Version: c.Version})
			}
			if len(cited) > 0 {
				d.Agreements = &cited
			}
			portion.Members = append(portion.Members, d)
		}
		out.Portions = append(out.Portions, portion)
	}
	return out
}

func status(n *node.Node, s node.Status) nodeapi.Status {
	out := nodeapi.Status{Member: string(n.Member), Hub: string(n.HubID), Following: s.Following, LastError: optional(s.LastError),
		Cursor: s.Cursor, Inbox: s.Counts.Inbox, Revision: s.Revision, Alarms: []nodeapi.Alarm{}}
	if s.Offline {
		out.Offline = &s.Offline
	}
	for _, a := range s.Alarms {
		out.Alarms = append(out.Alarms, nodeapi.Alarm{At: a.At.UTC(), Kind: a.Kind, Detail: a.Detail})
	}
	if !s.LastContact.IsZero() {
		at := s.LastContact.UTC()
		out.LastContact = &at
	}
	out.Requests.AskingOpen, out.Requests.AskingLate = s.Requests.OpenOut, s.Requests.LateOut
	out.Requests.AskedOpen, out.Requests.AskedLate = s.Requests.OpenIn, s.Requests.LateIn
	out.Outbox.Queued, out.Outbox.Accepted, out.Outbox.Refused = s.Counts.Queued, s.Counts.Accepted, s.Counts.Refused
	return out
}
