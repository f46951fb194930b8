package alert

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const otherID = ID("01890a5d-ac96-774b-bcce-b302099a8999")

func recall() Payload {
	p := validPayload()
	p.Portions, p.Recall = []DigestRef{}, &Recall{Mode: Purge, Reason: "the source was mistaken"}
	return p
}

func request() Payload {
	p := validPayload()
	p.Version, p.Previous = 1, ""
	p.Re = &Reference{Originator: "XB", Alert: otherID, Act: Request, Precedence: Immediate, Due: p.IssuedAt + 8*60*60}
	return p
}

// Signed too: the bytes must not change.
func TestEndBytes(t *testing.T) {
	for want, p := range map[string]Payload{
		`"portions":[],"recall":{"mode":"purge","reason":"the source was mistaken"}}`:                             recall(),
		`,"re":{"iss":"XB","sub":"` + string(otherID) + `","act":"request","prec":"immediate","due":1800028800}}`: request(),
	} {
		b := encode(t, p)
		if !strings.HasSuffix(string(b), want) {
			t.Errorf("got  %s\nwant …%s", b, want)
		}
		got, err := ParsePayload(b)
		if diff := cmp.Diff(p, got); err != nil || diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
	}
}

func TestRecallsAndReferences(t *testing.T) {
	for name, tt := range map[string]struct {
		from   func() Payload
		change func(*Payload)
		ok     bool
	}{
		"a recall to cease use":      {recall, func(p *Payload) { p.Recall.Mode = CeaseUse }, true},
		"a recall of no mode":        {recall, func(p *Payload) { p.Recall.Mode = "" }, false},
		"a recall of another mode":   {recall, func(p *Payload) { p.Recall.Mode = "burn" }, false},
		"a recall without reason":    {recall, func(p *Payload) { p.Recall.Reason = "" }, false},
		"a recall with a long one":   {recall, func(p *Payload) { p.Recall.Reason = strings.Repeat("x", MaxText+1) }, false},
		"a first version recalls":    {recall, func(p *Payload) { p.Version, p.Previous = 1, "" }, false},
		"a recall with portions":     {recall, func(p *Payload) { p.Portions = refs(4) }, false},
		"no portions and no recall":  {recall, func(p *Payload) { p.Recall = nil }, false},
		"a recall of feedback":       {recall, func(p *Payload) { p.Re = &Reference{Originator: "XB", Alert: otherID, Act: Comment} }, true},
		"a comment":                  {request, func(p *Payload) { p.Re = &Reference{Originator: "XB", Alert: otherID, Act: Comment} }, true},
		"a comment that is due":      {request, func(p *Payload) { p.Re.Act, p.Re.Precedence = Comment, "" }, false},
		"a comment with precedence":  {request, func(p *Payload) { p.Re.Act, p.Re.Due = Comment, 0 }, false},
		"an act of no name":          {request, func(p *Payload) { p.Re = &Reference{Originator: "XB", Alert: otherID} }, false},
		"another act":                {request, func(p *Payload) { p.Re = &Reference{Originator: "XB", Alert: otherID, Act: "shout"} }, false},
		"about nobody's alert":       {request, func(p *Payload) { p.Re.Originator = "" }, false},
		"about no alert":             {request, func(p *Payload) { p.Re.Alert = "" }, false},
		"about itself":               {request, func(p *Payload) { p.Re.Alert = p.Subject }, false},
		"about an own alert":         {request, func(p *Payload) { p.Re.Originator = p.Issuer }, true},
		"a request of no precedence": {request, func(p *Payload) { p.Re.Precedence = "" }, false},
		"of another precedence":      {request, func(p *Payload) { p.Re.Precedence = "urgent" }, false},
		"a request without deadline": {request, func(p *Payload) { p.Re.Due = 0 }, false},
		"due when it is made":        {request, func(p *Payload) { p.Re.Due = p.IssuedAt }, false},
		"due a second later":         {request, func(p *Payload) { p.Re.Due = p.IssuedAt + 1 }, true},
		"due when it expires":        {request, func(p *Payload) { p.Re.Due = p.Expires }, true},
		"due after it has expired":   {request, func(p *Payload) { p.Re.Due = p.Expires + 1 }, false},
	} {
		p := tt.from()
		tt.change(&p)
		_, err := ParsePayload(encode(t, p))
		if (err == nil) != tt.ok || err != nil && !isRefusal(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, act := range Acts() {
		p := request()
		if p.Re.Act = act; act != Request {
			p.Re.Precedence, p.Re.Due = "", 0
		}
		if _, err := ParsePayload(encode(t, p)); err != nil {
			t.Errorf("%s: %v", act, err)
		}
	}
}

func TestUnknownMembersOfRecallAndReference(t *testing.T) {
	for _, p := range []Payload{recall(), request()} {
		b := encode(t, p)
		for _, old := range []string{`{"mode":`, `{"iss":"XB",`} {
			altered := strings.Replace(string(b), old, `{"more":1,`+old[1:], 1)
			if altered == string(b) {
				continue
			}
			if _, err := ParsePayload([]byte(altered)); !isRefusal(err) {
				t.Errorf("%s: %v", altered, err)
			}
		}
	}
	var r Reference
	if err := json.Unmarshal([]byte(`{"iss":"xb","sub":"1"}`), &r); !errors.Is(err, ErrInvalid) {
		t.Errorf("names are checked when they are read: %v", err)
	}
}

func TestDeadlines(t *testing.T) {
	want := []time.Duration{8 * time.Hour, 8 * time.Hour, 72 * time.Hour, 168 * time.Hour}
	for i, p := range Precedences() {
		if p.Deadline() != want[i] {
			t.Errorf("%s: %s", p, p.Deadline())
		}
	}
	if Precedence("other").Deadline() != 0 {
		t.Error("a precedence of no name has a deadline")
	}
}
