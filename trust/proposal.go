package trust

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/keys"
)

// Propose verifies a statement as Verify does, but for the signatures that are
// not there yet: each that is must be by a key that may sign it. It returns whose
// are still missing, in words and sorted; none: Verify passes too. Errors are those
// of Verify.
func (d *Directory) Propose(now time.Time, raw []byte) (s Statement, missing []string, err error) {
	s, held, err := d.read(raw)
	if err != nil || held {
		return s, nil, err
	}
	if missing, err = d.judge(now, s, func([]string) error { return nil }); err != nil {
		return Statement{}, nil, err
	}
	return s, missing, nil
}

// Parse reads what a statement says, whoever has signed it: only to learn whose
// signatures it needs, or what it is that is to be signed. Errors are of kind
// Malformed or TooLarge.
func Parse(raw []byte) (Statement, error) {
	payload, err := peek(raw)
	if err != nil {
		return Statement{}, err
	}
	st, body, err := federation.ParseStatement(payload)
	if err != nil {
		return Statement{}, problem.New(problem.Malformed, "statement: %w", err)
	}
	return Statement{Statement: st, Body: body, Digest: federation.Digest(payload), Raw: bytes.Clone(raw)}, nil
}

// read reads a statement. One that is held, byte for byte, was judged by what stood
// before it and is not judged again.
func (d *Directory) read(raw []byte) (s Statement, held bool, err error) {
	if s, err = Parse(raw); err != nil {
		return Statement{}, false, err
	}
	bytesTaken, ok := d.taken[s.Digest]
	return s, ok && bytesTaken == sha256.Sum256(raw), nil
}

// judge checks a statement, and returns whose signatures are missing; enough says
// whether those that are there suffice. Consents, emergencies and legal holds are not shown
// to everybody: whoever may not sign one is to learn from a refusal nothing of what has
// been signed, and so is refused before anything else is looked at.
func (d *Directory) judge(now time.Time, s Statement, enough func(missing []string) error) (missing []string, err error) {
	if s.Type != federation.TypeRegistry && d.registry == nil {
		return nil, problem.New(problem.Unavailable, "no registry yet")
	}
	signed := func() error {
		if missing, err = d.missing(s); err != nil {
			return err
		}
		return enough(missing)
	}
	fits := func() error {
		if err := d.follows(s); err != nil {
			return err
		}
		return d.refers(s)
	}
	order := []func() error{fits, signed}
	switch s.Type {
	case federation.TypeConsent, federation.TypeEmergency, federation.TypeLegalHold:
		order = []func() error{signed, fits}
	}
	for _, check := range order {
		if err := check(); err != nil {
			return nil, err
		}
	}
	return missing, checkDated(now, s)
}

// checkDated comes last: only a statement that is genuine may make its reader wait.
func checkDated(now time.Time, s Statement) error {
	if time.Unix(s.IssuedAt, 0).After(now.Add(alert.MaxSkew)) {
		return problem.New(problem.NotYetValid, "%s %q is dated in the future", s.Type, s.Subject)
	}
	return nil
}

// missing checks that every signature is by a key that may sign such a statement,
// and returns whose are still needed. One signature by anybody else spoils the
// whole: a statement says exactly who stands behind it.
func (d *Directory) missing(s Statement) ([]string, error) {
	permitted, needed, quorum := d.signers(s)
	_, kids, err := keys.VerifyGeneral(s.Raw, federation.StatementJWSType, func(kid string) (keys.PublicKey, error) {
		if k, ok := permitted(kid); ok {
			return k, nil
		}
		return keys.PublicKey{}, fmt.Errorf("%w: %.100q may not sign a %s statement", keys.ErrKeyUnknown, kid, s.Type)
	})
	if err != nil {
		return nil, problem.New(problem.BadSignature, "%s %q: %w", s.Type, s.Subject, err)
	}
	owners := make(map[string]bool)
	for _, kid := range kids {
		owner, _, err := keys.SplitKeyID(kid)
		if err != nil {
			return nil, problem.New(problem.BadSignature, "%s %q: %w", s.Type, s.Subject, err)
		}
		owners[owner] = true
	}
	missing := slices.DeleteFunc(needed, func(owner string) bool { return owners[owner] })
	slices.Sort(missing)
	missing = slices.Compact(missing)
	if n := quorum - len(owners); n > 0 {
		missing = append(missing, atLeast(n, s))
	}
	return missing, nil
}

// atLeast says that any n more of those who may sign a statement must.
func atLeast(n int, s Statement) string {
	who := "policy officer"
	switch b := s.Body.(type) {
	case *federation.Emergency:
		who = "duty officer of " + string(b.Originator)
	case *federation.LegalHold:
		who = "auditor"
	}
	if n == 1 {
		return "1 more " + who
	}
	return fmt.Sprintf("%d more, each a %s", n, who)
}

// Signers returns the ids of the keys under whose names a statement is signed, in
// ascending order. It verifies nothing. The error is of kind Malformed.
func Signers(raw []byte) ([]string, error) {
	kids, err := keys.Signers(raw)
	if err != nil {
		return nil, problem.New(problem.Malformed, "%w", err)
	}
	return kids, nil
}

// Merge joins the signatures of two statements that say the very same: each
// key's once. It verifies none of them. Errors are *problem.Error of kind
// Malformed, TooLarge, or Conflict if they do not say the same.
func Merge(a, b []byte) ([]byte, error) {
	pa, err := peek(a)
	if err != nil {
		return nil, err
	}
	pb, err := peek(b)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(pa, pb) {
		return nil, problem.New(problem.Conflict, "two statements that do not say the same")
	}
	raw, err := keys.Merge(a, b)
	if err != nil {
		return nil, problem.New(problem.Malformed, "%w", err)
	}
	if len(raw) > federation.MaxStatement {
		return nil, problem.New(problem.TooLarge, "a statement has at most %d bytes", federation.MaxStatement)
	}
	return raw, nil
}

// Peek returns what a statement says, whoever has signed it.
func Peek[T federation.Body](raw []byte) (T, error) {
	var none T
	payload, err := peek(raw)
	if err != nil {
		return none, err
	}
	_, body, err := federation.ParseStatement(payload)
	if err != nil {
		return none, problem.New(problem.Malformed, "statement: %w", err)
	}
	b, ok := body.(T)
	if !ok {
		return none, problem.New(problem.Malformed, "a statement of another type: %T", body)
	}
	return b, nil
}

// Sign makes the successor of head, or the first statement of a chain where head is
// the zero Statement, and signs it. Errors are of kind Malformed, or Unavailable
// where a key store does not answer.
func Sign(ctx context.Context, t federation.StatementType, body federation.Body, head Statement, now time.Time, signers ...keys.Signer) ([]byte, error) {
	payload, err := federation.NewStatement(t, body, head.Revision+1, head.Digest, now.Unix())
	if err != nil {
		return nil, problem.New(problem.Malformed, "%s: %w", t, err)
	}
	raw, err := keys.SignGeneral(ctx, signers, federation.StatementJWSType, payload)
	if errors.Is(err, keys.ErrUnavailable) || ctx.Err() != nil {
		return nil, problem.Wrap(problem.Unavailable, err, "the statement can not be signed now")
	} else if err != nil {
		return nil, problem.New(problem.Malformed, "%s: %w", t, err)
	}
	return raw, nil
}
