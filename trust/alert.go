package trust

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"

	"github.com/entente-hub/entente/api/alert"
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
// Portions are set here. An alert of a form that VerifyAlert would refuse is not
// issued; whose the signer's key is only a Directory can tell. Errors are
// *problem.Error, of kind TooLarge or Malformed, or the signer's.
func IssueAlert(ctx context.Context, signer keys.Signer, a alert.Alert) (string, error) {
	return issueAlert(ctx, signer, a, sdjwt.Options{})
}

func issueAlert(ctx context.Context, signer keys.Signer, a alert.Alert, opts sdjwt.Options) (string, error) {
	portions, err := conceal(a.Portions)
	if err != nil {
		return "", err
	}
	if err := a.CheckDelegation(); err != nil {
		return "", malformed(err)
	}
	claims := map[string]any{
		"iss": string(a.Issuer), "sub": string(a.Subject), "ver": a.Version,
		"jti": a.JTI, "iat": a.IssuedAt, "exp": a.Expires,
		"portions": sdjwt.Padded{Elements: portions, Multiple: alert.DigestPad},
	}
	if a.Previous != "" {
		claims["prev"] = a.Previous
	}
	if a.Recall != nil {
		claims["recall"] = *a.Recall
		if len(a.Portions) == 0 { // whose absence is no secret; with any it is refused below
			claims["portions"] = []any{}
		}
	}
	if a.Re != nil {
		claims["re"] = *a.Re
	}
	if a.Delegate != nil {
		claims["delegate"] = *a.Delegate
	}
	payload, disclosures, err := sdjwt.Prepare(claims, opts)
	if err != nil {
		return "", malformed(err)
	}
	if _, err := alert.ParsePayload(payload); err != nil {
		return "", malformed(err)
	}
	jws, err := keys.Sign(ctx, signer, alert.Type, payload)
	if err != nil {
		return "", err
	}
	token := sdjwt.Assemble(jws, disclosures)
	if len(token) > alert.MaxBytes {
		return "", tooLarge()
	}
	if _, err := ReadPortions(token); err != nil {
		return "", err
	}
	return token, nil
}

// conceal marks what is concealed of each portion.
func conceal(portions []alert.Portion) ([]any, error) {
	var out []any
	for _, p := range portions {
		if p.Label == nil || p.Content == nil {
			return nil, problem.New(problem.Malformed, "portion %s lacks its label or content", p.ID)
		}
		label := *p.Label
		if err := label.Normalize(); err != nil {
			return nil, problem.New(problem.Malformed, "portion %s: %w", p.ID, err)
		}
		// Not as a struct: encoding/json would change the objects' white space.
		objects := make([]any, len(p.Content.Objects))
		for i, o := range p.Content.Objects {
			objects[i] = o
		}
		content := map[string]any{"objects": objects}
		if p.Content.Grading != nil {
			content["grading"] = *p.Content.Grading
		}
		if p.Content.Publish != nil {
			publish := *p.Content.Publish
			if err := publish.Normalize(); err != nil {
				return nil, problem.New(problem.Malformed, "portion %s: publish: %w", p.ID, err)
			}
			content["publish"] = json.RawMessage(publish.Canonical())
		}
		head := map[string]any{
			"id":              string(p.ID),
			alert.LabelName:   sdjwt.Conceal{Value: json.RawMessage(label.Canonical())},
			alert.ContentName: sdjwt.Conceal{Value: content},
		}
		if p.Notice != "" {
			head["notice"] = p.Notice
		}
		out = append(out, sdjwt.Conceal{Value: head})
	}
	return out, nil
}

func malformed(err error) error {
	if errors.Is(err, sdjwt.ErrTooLarge) {
		return problem.New(problem.TooLarge, "%w", err)
	}
	return problem.New(problem.Malformed, "%w", err)
}

// tooLarge wraps sdjwt's error, whose limit is the same.
func tooLarge() error {
	return problem.New(problem.TooLarge, "%w: an alert has at most %d bytes", sdjwt.ErrTooLarge, alert.MaxBytes)
}

// VerifyAlert checks an alert's signature, form and key up to its originator's
// root, and reads what is disclosed. It does not judge whether the alert's
// times fit the reader's clock. Errors are of kind TooLarge, Malformed or
// BadSignature.
func (d *Directory) VerifyAlert(token string) (*VerifiedAlert, error) {
	if len(token) > alert.MaxBytes {
		return nil, tooLarge()
	}
	parsed, err := sdjwt.Parse(token)
	if err != nil {
		return nil, malformed(err)
	}
	payload, err := alert.ParsePayload(parsed.Payload)
	if err != nil {
		return nil, problem.New(problem.Malformed, "%w", err)
	}
	v, err := parsed.Verify(alert.Type, d.NodeKey(payload.Issuer, payload.IssuedAt))
	if err != nil {
		return nil, problem.New(problem.BadSignature, "%w", err)
	}
	portions, err := portionsOf(v.Disclosures)
	if err != nil {
		return nil, problem.New(problem.Malformed, "%w", err)
	}
	a := alert.Alert{Payload: payload, Portions: portions}
	if err := a.CheckDelegation(); err != nil {
		return nil, problem.New(problem.Malformed, "%w", err)
	}
	digest := sdjwt.SignedDigest(token)
	return &VerifiedAlert{
		Alert:        a,
		KeyID:        v.KeyID,
		SignedDigest: base64.RawURLEncoding.EncodeToString(digest[:]),
		Hidden:       len(payload.Portions) - len(portions),
	}, nil
}
