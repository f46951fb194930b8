package alert

import "testing"

func TestReleaseKeyRoundTrip(t *testing.T) {
	l := Label{Policy: "urn:x:y", Classification: Secret, Categories: []Category{"smuggling"}, Purposes: []Purpose{"investigation"},
		PersonalData: Personal, Retention: "2027-03-31", ReleasableTo: []Audience{"XB"}}
	id := ID("01890a5d-ac96-774b-bcce-b302099a8057")
	for _, controlled := range []bool{false, true} {
		l.OriginatorControl = controlled
		want := l
		want.Retention = ""
		got, gotID, err := ReadReleaseKey(l.ReleaseKey(id))
		if err != nil {
			t.Fatal(err)
		}
		if string(got.Canonical()) != string(want.Canonical()) || (gotID == id) != controlled || !controlled && gotID != "" {
			t.Errorf("controlled %v: %+v %q", controlled, got, gotID)
		}
	}
	good := l.ReleaseKey(id)
	for _, key := range []string{"", "x", "\n{}", good + " ", "x" + good[1:], string(id) + string(l.Canonical()),
		"\n" + string(l.Canonical()), string(id) + "\n " + string(l.Canonical())} {
		if _, _, err := ReadReleaseKey(key); err == nil {
			t.Errorf("%q was read", key)
		}
	}
}
