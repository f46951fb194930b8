package alert

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func delegation() Payload {
	p := validPayload()
	p.Version, p.Previous = 1, ""
	p.Delegate = &Delegation{To: "XB", Precedence: Priority, Due: p.IssuedAt + 3*24*60*60, Lifetime: 3600}
	return p
}

func TestDelegations(t *testing.T) {
	p := delegation()
	want := `,"delegate":{"to":"XB","prec":"priority","due":1800259200,"lifetime":3600}}`
	b := encode(t, p)
	if !strings.HasSuffix(string(b), want) { // signed: the bytes must not change
		t.Errorf("got  %s\nwant …%s", b, want)
	}
	got, err := ParsePayload(b)
	if diff := cmp.Diff(p, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	for name, tt := range map[string]struct {
		change func(*Payload)
		ok     bool
	}{
		"to nobody":                {func(p *Payload) { p.Delegate.To = "" }, false},
		"to itself":                {func(p *Payload) { p.Delegate.To = p.Issuer }, false},
		"a second version":         {func(p *Payload) { p.Version, p.Previous = 2, digest(1) }, false},
		"a recall":                 {func(p *Payload) { p.Portions, p.Recall = []DigestRef{}, &Recall{Purge, "no"} }, false},
		"feedback":                 {func(p *Payload) { p.Re = &Reference{Originator: "XB", Alert: otherID, Act: Comment} }, false},
		"of no precedence":         {func(p *Payload) { p.Delegate.Precedence = "" }, false},
		"of another precedence":    {func(p *Payload) { p.Delegate.Precedence = "soon" }, false},
		"without deadline":         {func(p *Payload) { p.Delegate.Due = 0 }, false},
		"due when it is made":      {func(p *Payload) { p.Delegate.Due = p.IssuedAt }, false},
		"due when it expires":      {func(p *Payload) { p.Delegate.Due = p.Expires }, true},
		"due after it has expired": {func(p *Payload) { p.Delegate.Due = p.Expires + 1 }, false},
		"for no time":              {func(p *Payload) { p.Delegate.Lifetime = 0 }, false},
		"for all its time":         {func(p *Payload) { p.Delegate.Lifetime = p.Expires - p.IssuedAt }, true},
		"for longer":               {func(p *Payload) { p.Delegate.Lifetime = p.Expires - p.IssuedAt + 1 }, false},
	} {
		p := delegation()
		tt.change(&p)
		if _, err := ParsePayload(encode(t, p)); (err == nil) != tt.ok || err != nil && !isRefusal(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, tt := range map[string]struct {
		re Reference
		ok bool
	}{
		"an answer":           {Reference{Originator: "XB", Alert: otherID, Act: Answer, Published: "01890a5d-ac96-774b-bcce-b302099a8998"}, true},
		"a refusal":           {Reference{Originator: "XB", Alert: otherID, Act: Declined, Published: "01890a5d-ac96-774b-bcce-b302099a8998"}, false},
		"what it answers to":  {Reference{Originator: "XB", Alert: otherID, Act: Answer, Published: otherID}, false},
		"the answer itself":   {Reference{Originator: "XB", Alert: otherID, Act: Answer, Published: validPayload().Subject}, false},
		"what is no alert id": {Reference{Originator: "XB", Alert: otherID, Act: Answer, Published: "x"}, false},
	} {
		p := validPayload()
		p.Re = &tt.re
		if _, err := ParsePayload(encode(t, p)); (err == nil) != tt.ok || err != nil && !isRefusal(err) {
			t.Errorf("published by %s: %v", name, err)
		}
	}
}

// delegated is an alert of one portion, delegated to XB.
func delegated() Alert {
	to, as := labelTo("XB"), labelTo("federation")
	return Alert{Payload: delegation(), Portions: []Portion{{ID: "p1", Label: &to, Content: &Content{Objects: []json.RawMessage{}, Publish: &as}}, {ID: "p2"}}}
}

func labelTo(list ...Audience) Label {
	return Label{Policy: "urn:a:b", Classification: Restricted, ReleasableTo: list, Categories: []Category{"visa"}, Purposes: []Purpose{"prevention"},
		PersonalData: NoPersonalData}
}

func TestCheckDelegation(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*Alert)
		ok     bool
	}{
		"as it should be":           {func(*Alert) {}, true},
		"no delegation":             {func(a *Alert) { a.Delegate, a.Portions[0].Content.Publish = nil, nil }, true},
		"a label without one":       {func(a *Alert) { a.Delegate = nil }, false},
		"no label":                  {func(a *Alert) { a.Portions[0].Content.Publish = nil }, false},
		"to somebody else":          {func(a *Alert) { a.Portions[0].Label.ReleasableTo = []Audience{"XC"} }, false},
		"to somebody else too":      {func(a *Alert) { a.Portions[0].Label.ReleasableTo = []Audience{"XB", "XC"} }, false},
		"to everybody":              {func(a *Alert) { a.Portions[0].Label.ReleasableTo = []Audience{"federation"} }, false},
		"to nobody":                 {func(a *Alert) { a.Portions[0].Label.ReleasableTo = nil }, false},
		"discoverable":              {func(a *Alert) { a.Portions[0].Label.DiscoverableTo = []Audience{"XC"} }, false},
		"derived":                   {func(a *Alert) { a.Portions[0].Label.DerivedFrom = []ID{otherID} }, false},
		"published as derived":      {func(a *Alert) { a.Portions[0].Content.Publish.DerivedFrom = []ID{otherID} }, false},
		"with a national marking":   {func(a *Alert) { a.Portions[0].Content.Publish.MarkedAs = "XA-GEHEIM" }, false},
		"published under less":      {func(a *Alert) { a.Portions[0].Content.Publish.Classification = Unclassified }, false},
		"for another purpose":       {func(a *Alert) { a.Portions[0].Content.Publish.Purposes = []Purpose{"investigation"} }, false},
		"published under more":      {func(a *Alert) { a.Portions[0].Content.Publish.Classification = Secret }, true},
		"marked for the other only": {func(a *Alert) { a.Portions[0].Label.MarkedAs = "XA-GEHEIM" }, true},
	} {
		a := delegated()
		tt.change(&a)
		if err := a.CheckDelegation(); (err == nil) != tt.ok || err != nil && !isRefusal(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAtLeast(t *testing.T) {
	asked := Label{Classification: Confidential, TLP: Amber, Compartments: []TaskForceID{"tf-a"}, ReleasableTo: []Audience{"XC", "coast"}, DiscoverableTo: []Audience{"XD"},
		Categories: []Category{"visa"}, Purposes: []Purpose{"investigation", "prevention"}, PersonalData: Personal, Handling: []Handling{"H1", "H3"},
		HandlingText: "ask first", OriginatorControl: true, Retention: "2027-03-31"}
	for name, tt := range map[string]struct {
		change func(*Label)
		ok     bool
	}{
		"alike":                 {func(*Label) {}, true},
		"of a higher level":     {func(l *Label) { l.Classification = Secret }, true},
		"of a lower one":        {func(l *Label) { l.Classification = Restricted }, false},
		"of none":               {func(l *Label) { l.Classification = 0 }, false},
		"narrower TLP":          {func(l *Label) { l.TLP = Red }, true},
		"wider TLP":             {func(l *Label) { l.TLP = Green }, false},
		"no TLP":                {func(l *Label) { l.TLP = 0 }, false},
		"one compartment more":  {func(l *Label) { l.Compartments = []TaskForceID{"tf-a", "tf-b"} }, true},
		"no compartment":        {func(l *Label) { l.Compartments = nil }, false},
		"fewer recipients":      {func(l *Label) { l.ReleasableTo = []Audience{"XC"} }, true},
		"another recipient":     {func(l *Label) { l.ReleasableTo = []Audience{"XC", "XE"} }, false},
		"everybody":             {func(l *Label) { l.ReleasableTo = []Audience{"federation"} }, false},
		"known to a recipient":  {func(l *Label) { l.DiscoverableTo = []Audience{"XC", "XD"} }, true},
		"known to another":      {func(l *Label) { l.DiscoverableTo = []Audience{"XE"} }, false},
		"another category too":  {func(l *Label) { l.Categories = []Category{"visa", "health"} }, true},
		"another in its place":  {func(l *Label) { l.Categories = []Category{"health"} }, false},
		"fewer purposes":        {func(l *Label) { l.Purposes = l.Purposes[:1] }, true},
		"another purpose":       {func(l *Label) { l.Purposes = []Purpose{"labour-matching"} }, false},
		"stricter of persons":   {func(l *Label) { l.PersonalData = SpecialCategory }, true},
		"laxer of persons":      {func(l *Label) { l.PersonalData = NoPersonalData }, false},
		"another code too":      {func(l *Label) { l.Handling = []Handling{"H1", "H2", "H3"} }, true},
		"a code less":           {func(l *Label) { l.Handling = []Handling{"H3"} }, false},
		"more text":             {func(l *Label) { l.HandlingText = "XB: ask first" }, true},
		"another text":          {func(l *Label) { l.HandlingText = "as you like" }, false},
		"free of its control":   {func(l *Label) { l.OriginatorControl = false }, false},
		"held for less long":    {func(l *Label) { l.Retention = "2027-03-30" }, true},
		"held for longer":       {func(l *Label) { l.Retention = "2027-04-01" }, false},
		"held for ever":         {func(l *Label) { l.Retention = "" }, false},
		"in another scheme":     {func(l *Label) { l.Policy, l.MarkedAs = "urn:x:y", "XB-GEHEIM" }, true},
		"derived from another":  {func(l *Label) { l.DerivedFrom = []ID{otherID} }, true},
		"released to nobody":    {func(l *Label) { l.ReleasableTo, l.DiscoverableTo = nil, nil }, true},
		"a community by member": {func(l *Label) { l.ReleasableTo = []Audience{"XF"} }, false},
	} {
		l := asked
		tt.change(&l)
		if err := l.AtLeast(asked); (err == nil) != tt.ok || err != nil && !isRefusal(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	wide := labelTo("federation")
	for _, to := range []Audience{"XB", "coast", "federation"} {
		l := labelTo(to)
		l.DiscoverableTo = []Audience{to}
		if err := l.AtLeast(wide); err != nil {
			t.Errorf("to %s, where everybody may have it: %v", to, err)
		}
	}
}
