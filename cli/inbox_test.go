package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/nodeapi"
)

// What is printed of a received alert says where it stands and stood, the levels in
// the reader's scheme and the originator's, and what came by emergency.
func TestPrintedInbox(t *testing.T) {
	until := time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)
	emergency := &nodeapi.EmergencyRelease{Statement: "digest", Threat: "a boat\nbinds    nothing", Duty: "SOLAS V/33", Until: until}
	a := nodeapi.Received{Seq: 12, PreviousSeq: new(int64(3)), Originator: "XA", Id: "id", Version: 1, Banner: "SECRET XB",
		Portions: []nodeapi.ReceivedPortion{{Portion: "p0", Release: "content", Emergency: emergency}, {Portion: "p1", Release: "existence"}}}
	first := a
	first.Seq, first.PreviousSeq, first.Portions = 4, nil, nil
	var list, alert strings.Builder
	if err := printInbox(&list, []nodeapi.Received{first, a}); err != nil {
		t.Fatal(err)
	}
	scheme := "urn:entente:policy:xb:1"
	if err := printAlert(&alert, &nodeapi.ReceivedAlert{Summary: a, Portions: []nodeapi.HeldPortion{
		{Portion: "p0", Release: "content", ShownAs: new("SECRET XB"), ShownIn: &scheme, MarkedAs: new("XA-GEHEIM"),
			MarkedIn: new("urn:entente:policy:xa:1"), Emergency: emergency},
		{Portion: "p1", Release: "existence"},
		{Portion: "p2", Release: "content", ShownAs: new("top-secret"), ShownIn: &scheme, WithoutEquivalent: new(true),
			MarkedAs: new("XA-STRENG GEHEIM"), MarkedIn: new("urn:entente:policy:xa:1")},
	}}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\n4           XA/id/1", "\n12 (was 3)  XA/id/1", "p0:content(emergency) p1:existence"} {
		if !strings.Contains(list.String(), want) {
			t.Errorf("no %q in\n%s", want, &list)
		}
	}
	for _, want := range []string{"item       12 (was 3)\n", "  marked   SECRET XB (XA-GEHEIM, urn:entente:policy:xa:1)\n",
		"  marked   top-secret, without equivalent in urn:entente:policy:xb:1 (XA-STRENG GEHEIM, urn:entente:policy:xa:1)\n",
		"  EMERGENCY release until 2027-03-01T12:00:00Z\n           threat: a boat binds nothing\n           duty: SOLAS V/33\n"} {
		if !strings.Contains(alert.String(), want) {
			t.Errorf("no %q in\n%s", want, &alert)
		}
	}
	if strings.Count(alert.String(), "marked ") != 2 || strings.Count(alert.String(), "EMERGENCY") != 1 {
		t.Errorf("%s", &alert)
	}
}
