package firecheck

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// payload is the clear part of an alert.
type payload struct {
	Iss      string `json:"iss"`
	Sub      string `json:"sub"`
	Ver      int    `json:"ver"`
	Prev     string `json:"prev"`
	Iat      int64  `json:"iat"`
	Exp      int64  `json:"exp"`
	Portions []struct {
		Digest string `json:"..."`
	} `json:"portions"`
	Recall *struct {
		Mode string `json:"mode"`
	} `json:"recall"`
	Re *reference `json:"re"`
}

// reference is what feedback refers to.
type reference struct {
	Iss string `json:"iss"`
	Sub string `json:"sub"`
	Act string `json:"act"`

	Precedence string `json:"prec"` // of a request
}

// label is what the rules read of a portion's label.
type label struct {
	Policy            string   `json:"policy"`
	Classification    string   `json:"classification"`
	TLP               string   `json:"tlp"`
	Compartments      []string `json:"compartments"`
	ReleasableTo      []string `json:"releasable_to"`
	DiscoverableTo    []string `json:"discoverable_to"`
	Categories        []string `json:"categories"`
	Purposes          []string `json:"purposes"`
	PersonalData      string   `json:"personal_data"`
	Handling          []string `json:"handling"`
	OriginatorControl bool     `json:"originator_control"`
	Retention         string   `json:"retention"`
	DerivedFrom       []string `json:"derived_from"`
}

func parseLabel(raw []byte) (*label, error) {
	var l label
	if err := json.Unmarshal(raw, &l); err != nil {
		return nil, fmt.Errorf("label: %w", err)
	}
	for _, list := range []*[]string{&l.Compartments, &l.ReleasableTo, &l.DiscoverableTo, &l.Categories, &l.Purposes, &l.Handling, &l.DerivedFrom} {
		slices.Sort(*list)
		if len(*list) == 0 {
			*list = nil
		}
	}
	return &l, nil
}

// same reports whether two labels say the same, but for the date of retention.
func (l label) same(o label) bool {
	l.Retention, o.Retention = "", ""
	a, aErr := json.Marshal(l)
	b, bErr := json.Marshal(o)
	return aErr == nil && bErr == nil && string(a) == string(b)
}

// ends is when lawful holding ends by the label: the first second after its day.
func (l *label) ends() (int64, bool) {
	t, err := time.Parse(time.DateOnly, l.Retention)
	if err != nil {
		return 0, false
	}
	return t.AddDate(0, 0, 1).Unix(), true
}

// shown is a portion as far as a token discloses it.
type shown struct {
	id      string
	label   *label
	content []byte // JSON; nil: not disclosed
}

// token is an alert as far as it is disclosed: an SD-JWT (RFC 9901).
type token struct {
	payload
	jws          string
	signedDigest string
	portions     []shown // in the payload's order
}

// portion returns a disclosed portion.
func (t *token) portion(id string) (shown, bool) {
	i := slices.IndexFunc(t.portions, func(s shown) bool { return s.id == id })
	if i < 0 {
		return shown{}, false
	}
	return t.portions[i], true
}

// disclosure is one of an SD-JWT's, decoded: [salt, value] of an array's element, or
// [salt, name, value].
type disclosure struct {
	digest string
	name   string
	value  json.RawMessage
	used   bool
}

// parseToken reads an SD-JWT: each disclosure must be one that the signed payload, or a
// disclosed portion, names by its digest.
func parseToken(text string) (*token, error) {
	jws, rest, ok := strings.Cut(text, "~")
	if !ok {
		return nil, errors.New("no SD-JWT")
	}
	s, err := parseJWS(jws)
	if err != nil {
		return nil, err
	}
	t := &token{jws: jws, signedDigest: digestOf(s.input)}
	if err := json.Unmarshal(s.payload, &t.payload); err != nil {
		return nil, err
	}
	found, err := disclosures(rest)
	if err != nil {
		return nil, err
	}
	for _, p := range t.Portions {
		d := found[p.Digest]
		if d == nil {
			continue
		}
		d.used = true
		one, err := readPortion(d, found)
		if err != nil {
			return nil, err
		}
		t.portions = append(t.portions, one)
	}
	for _, d := range found {
		if !d.used {
			return nil, fmt.Errorf("a disclosure that nothing refers to: %.60s", d.value)
		}
	}
	return t, nil
}

func disclosures(rest string) (map[string]*disclosure, error) {
	found := make(map[string]*disclosure)
	for text := range strings.SplitSeq(rest, "~") {
		if text == "" {
			continue
		}
		raw, err := b64.DecodeString(text)
		var parts []json.RawMessage
		if err == nil {
			err = json.Unmarshal(raw, &parts)
		}
		if err != nil {
			return nil, fmt.Errorf("disclosure: %w", err)
		}
		d := &disclosure{digest: digestOf(text)}
		switch len(parts) {
		case 2:
			d.value = parts[1]
		case 3:
			d.value = parts[2]
			if err := json.Unmarshal(parts[1], &d.name); err != nil {
				return nil, fmt.Errorf("disclosure: %w", err)
			}
		default:
			return nil, fmt.Errorf("a disclosure of %d parts", len(parts))
		}
		found[d.digest] = d
	}
	return found, nil
}

func readPortion(d *disclosure, found map[string]*disclosure) (shown, error) {
	var head struct {
		ID string   `json:"id"`
		SD []string `json:"_sd"`
	}
	if err := json.Unmarshal(d.value, &head); err != nil {
		return shown{}, fmt.Errorf("portion: %w", err)
	}
	out := shown{id: head.ID}
	for _, digest := range head.SD {
		nested := found[digest]
		if nested == nil {
			continue
		}
		nested.used = true
		switch nested.name {
		case "label":
			l, err := parseLabel(nested.value)
			if err != nil {
				return shown{}, err
			}
			out.label = l
		case "content":
			out.content = nested.value
		default:
			return shown{}, fmt.Errorf("portion %s conceals %q", head.ID, nested.name)
		}
	}
	if (out.label == nil) != (out.content == nil) {
		return shown{}, fmt.Errorf("portion %s discloses one of label and content", head.ID)
	}
	return out, nil
}

const alertType = "entente-alert+sd-jwt"
