package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/nodeapi"
)

// The head of a user's list says that it goes on from cursors, also where it is empty.
func TestInboxHeads(t *testing.T) {
	one := []nodeapi.Received{{Seq: 12, Originator: "XA", Id: "id", Version: 1}}
	for _, list := range [][]nodeapi.Received{nil, one} {
		for byUser, want := range map[bool]string{false: "SEQ", true: "CURSOR"} {
			var b strings.Builder
			if err := printInbox(&b, list, byUser); err != nil {
				t.Fatal(err)
			}
			if head, _, _ := strings.Cut(b.String(), " "); head != want {
				t.Errorf("%d alerts, by a user %t: the list begins with %s", len(list), byUser, head)
			}
		}
	}
}

// What is printed of a received alert says where it stands and stood, the levels in
// the reader's scheme and the originator's, and what came by emergency.
func TestPrintedInbox(t *testing.T) {
	until := time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)
	emergency := &nodeapi.EmergencyRelease{Statement: "digest", Threat: "a boat\nbinds    nothing", Duty: "SOLAS V/33", Until: until}
	a := nodeapi.Received{Seq: 12, PreviousSeq: new(int64(3)), Originator: "XA", Id: "id", Version: 1, Banner: "SECRET XB",
		Portions: []nodeapi.ReceivedPortion{{Portion: "p0", Release: "content", Emergency: emergency}, {Portion: "p1", Release: "existence"},
			{Portion: "p2", Release: "content", MarkingUnknown: new(true)}}}
	first := a
	first.Seq, first.PreviousSeq, first.Portions = 4, nil, nil
	var list, alert strings.Builder
	if err := printInbox(&list, []nodeapi.Received{first, a}, false); err != nil {
		t.Fatal(err)
	}
	scheme := "urn:entente:policy:xb:1"
	if err := printAlert(&alert, &nodeapi.ReceivedAlert{Summary: a, Portions: []nodeapi.HeldPortion{
		{Portion: "p0", Release: "content", ShownAs: new("SECRET XB"), ShownIn: &scheme, MarkedAs: new("XA-GEHEIM"),
			MarkedIn: new("urn:entente:policy:xa:1"), Emergency: emergency},
		{Portion: "p1", Release: "existence"},
		{Portion: "p2", Release: "content", ShownAs: new("top-secret"), ShownIn: &scheme, WithoutEquivalent: new(true),
			MarkedAs: new("XA-STRENG GEHEIM"), MarkedIn: new("urn:entente:policy:xa:1")},
		{Portion: "p3", Release: "content", ShownAs: new("SECRET XB"), ShownIn: &scheme, MarkedAs: new("secret"),
			MarkedIn: new("urn:entente:policy:xa:1"), MarkingUnknown: new(true)},
	}}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\n4           XA/id/1", "\n12 (was 3)  XA/id/1", "p0:content(emergency) p1:existence p2:content(marked with what is not a name of that scheme)"} {
		if !strings.Contains(list.String(), want) {
			t.Errorf("no %q in\n%s", want, &list)
		}
	}
	for _, want := range []string{"item       12 (was 3)\n", "  marked   SECRET XB (XA-GEHEIM, urn:entente:policy:xa:1)\n",
		"  marked   top-secret, without equivalent in urn:entente:policy:xb:1 (XA-STRENG GEHEIM, urn:entente:policy:xa:1)\n",
		"  marked   SECRET XB (secret, urn:entente:policy:xa:1: the originator wrote what is not a name of that scheme)\n",
		"  EMERGENCY release until 2027-03-01T12:00:00Z\n           threat: a boat binds nothing\n           duty: SOLAS V/33\n"} {
		if !strings.Contains(alert.String(), want) {
			t.Errorf("no %q in\n%s", want, &alert)
		}
	}
	if strings.Count(alert.String(), "marked ") != 3 || strings.Count(alert.String(), "EMERGENCY") != 1 {
		t.Errorf("%s", &alert)
	}
}
