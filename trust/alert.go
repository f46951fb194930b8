package trust

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/crypto/sdjwt"
)

// VerifiedAlert is an alert whose signature holds up to its originator's root,
// as far as it is disclosed.
type VerifiedAlert struct {
	alert.Alert
	KeyID        string // the node key that signed
	SignedDigest string // of the signed part, base64url; the same whatever is disclosed
	Hidden       int    // digests without a disclosure: withheld portions and decoys
}

// IssueAlert signs an alert: each portion is a concealed element whose label
// and content are concealed in turn; decoys fill up to a multiple of
// alert.DigestPad and the order tells nothing. The payload's SDAlg and
// Portions are set here.
func IssueAlert(ctx context.Context, signer keys.Signer, a alert.Alert) (string, error) {
	var portions []any
	for _, p := range a.Portions {
		head := map[string]any{
			"id":              string(p.ID),
			alert.LabelName:   sdjwt.Conceal{Value: json.RawMessage(p.Label.Canonical())},
			alert.ContentName: sdjwt.Conceal{Value: p.Content},
		}
		if p.Notice != "" {
			head["notice"] = p.Notice
		}
		portions = append(portions, sdjwt.Conceal{Value: head})
	}
	claims := map[string]any{
		"iss": string(a.Issuer), "sub": string(a.Subject), "ver": a.Version,
		"jti": a.JTI, "iat": a.IssuedAt, "exp": a.Expires,
		"portions": sdjwt.Padded{Elements: portions, Multiple: alert.DigestPad},
	}
	if a.Previous != "" {
		claims["prev"] = a.Previous
	}
	return sdjwt.Issue(ctx, signer, alert.Type, claims, sdjwt.Options{})
}

// VerifyAlert checks an alert's signature, form and key up to its originator's
// root, and reads what is disclosed. It does not judge whether the alert's
// times fit the reader's clock. Errors are of kind TooLarge, Malformed or
// BadSignature.
func (d *Directory) VerifyAlert(token string) (*VerifiedAlert, error) {
	if len(token) > alert.MaxBytes {
		return nil, problem.New(problem.TooLarge, "an alert has at most %d bytes", alert.MaxBytes)
	}
	parsed, err := sdjwt.Parse(token)
	if err != nil {
		return nil, problem.New(problem.Malformed, "%w", err)
	}
	payload, err := alert.ParsePayload(parsed.Payload)
	if err != nil {
		return nil, problem.New(problem.Malformed, "%w", err)
	}
	v, err := sdjwt.Verify(token, alert.Type, d.NodeKey(payload.Issuer, payload.IssuedAt))
	if err != nil {
		return nil, problem.New(problem.BadSignature, "%w", err)
	}
	portions, err := portionsOf(v.Disclosures)
	if err != nil {
		return nil, problem.New(problem.Malformed, "%w", err)
	}
	digest := sdjwt.SignedDigest(token)
	return &VerifiedAlert{
		Alert:        alert.Alert{Payload: payload, Portions: portions},
		KeyID:        v.KeyID,
		SignedDigest: base64.RawURLEncoding.EncodeToString(digest[:]),
		Hidden:       len(payload.Portions) - len(portions),
	}, nil
}

// portionsOf reads the disclosed portions, in the payload's order. A portion comes
// whole, or with neither label nor content.
func portionsOf(disclosures []sdjwt.Disclosure) ([]alert.Portion, error) {
	byPlace := make(map[int]alert.Portion)
	seen := make(map[alert.PortionID]bool)
	nested := 0
	for i, d := range disclosures {
		if d.Parent >= 0 {
			continue
		}
		place, err := strconv.Atoi(strings.TrimPrefix(d.Pointer, "/portions/"))
		if err != nil || !d.Element {
			return nil, problem.New(problem.Malformed, "a disclosure that is no portion")
		}
		p, err := alert.ParsePortion(d.Value)
		if err != nil {
			return nil, err
		}
		if seen[p.ID] {
			return nil, problem.New(problem.Malformed, "portion %s given twice", p.ID)
		}
		seen[p.ID] = true
		for _, c := range disclosures {
			if c.Parent != i {
				continue
			}
			if err := readNested(&p, c); err != nil {
				return nil, err
			}
			nested++
		}
		if (p.Label == nil) != (p.Content == nil) {
			return nil, problem.New(problem.Malformed, "portion %s has one of label and content", p.ID)
		}
		byPlace[place] = p
	}
	if len(byPlace)+nested != len(disclosures) {
		return nil, problem.New(problem.Malformed, "disclosures that belong to no portion's label or content")
	}
	var out []alert.Portion
	for _, place := range slices.Sorted(maps.Keys(byPlace)) {
		out = append(out, byPlace[place])
	}
	return out, nil
}

func readNested(p *alert.Portion, c sdjwt.Disclosure) error {
	switch {
	case c.Name == alert.LabelName && !c.Element && p.Label == nil:
		l, err := alert.ParseLabel(c.Value)
		if err != nil {
			return err
		}
		p.Label = &l
	case c.Name == alert.ContentName && !c.Element && p.Content == nil:
		content, err := alert.ParseContent(c.Value)
		if err != nil {
			return err
		}
		p.Content = content
	default:
		return problem.New(problem.Malformed, "portion %s conceals %.40q", p.ID, c.Name)
	}
	return nil
}

// ReduceAlert leaves of an alert only what the releases permit: all of a
// portion released as content, its existence alone where only that is
// released, nothing of any other. The signature stays.
func ReduceAlert(token string, releases map[alert.PortionID]feed.Kind) (string, error) {
	parsed, err := sdjwt.Parse(token)
	if err != nil {
		return "", err
	}
	kind := make(map[string]feed.Kind, len(parsed.Disclosures)) // by digest, of portion disclosures
	for _, d := range parsed.Disclosures {
		if d.Parent >= 0 {
			continue
		}
		p, err := alert.ParsePortion(d.Value)
		if err != nil {
			return "", err
		}
		kind[d.Digest] = releases[p.ID]
	}
	return sdjwt.Reduce(token, func(d sdjwt.Disclosure) bool {
		if d.Parent < 0 {
			return kind[d.Digest] == feed.Content || kind[d.Digest] == feed.Existence
		}
		return kind[parsed.Disclosures[d.Parent].Digest] == feed.Content
	})
}

// ReadPortions reads the portions of an alert that was verified before it was
// stored, without checking its signature again.
func ReadPortions(token string) ([]alert.Portion, error) {
	parsed, err := sdjwt.Parse(token)
	if err != nil {
		return nil, err
	}
	return portionsOf(parsed.Disclosures)
}
