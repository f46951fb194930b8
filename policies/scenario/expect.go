package scenario

import (
	"regexp"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/feed"
)

// expected is what a member must get. What is nil or empty is not asked about.
type expected struct {
	kind    feed.Kind
	reason  string   // the first reason
	reasons []string // all of them
	binds   bool     // whether anything below is asked about

	onward     *bool
	emergency  *bool
	holdDays   *int
	purposes   []alert.Purpose
	agreements []federation.AgreementID // nil: not asked about
}

// short is an expectation on one line.
var short = regexp.MustCompile(`^(content|existence|none)(?: \(([a-z0-9][a-z0-9-]*)\))?$`)

// readExpected reads one cell of the table.
func readExpected(x *expected) reader {
	return func(n *yaml.Node) error {
		*x = expected{}
		if n.Kind != yaml.MappingNode {
			s, err := text(n)
			if err != nil {
				return err
			}
			m := short.FindStringSubmatch(s)
			if m == nil {
				return wrong(n, "%.60q is none of: content; none (code); existence (code)", s)
			}
			x.kind, x.reason = feed.Kind(m[1]), m[2]
		} else if err := x.object(n); err != nil {
			return err
		}
		return x.check(n)
	}
}

// object reads an expectation with its parts by name.
func (x *expected) object(n *yaml.Node) error {
	binds := func(r reader) reader {
		return func(n *yaml.Node) error { x.binds = true; return r(n) }
	}
	return object(n, keys{
		"release":    str(&x.kind),
		"reason":     code(&x.reason),
		"reasons":    listOf(&x.reasons, code),
		"onward":     binds(pointer(&x.onward, boolean)),
		"emergency":  binds(pointer(&x.emergency, boolean)),
		"hold_days":  binds(pointer(&x.holdDays, number)),
		"purposes":   binds(listOf(&x.purposes, purpose)),
		"agreements": binds(listOf(&x.agreements, word)),
	})
}

// codeRE is the form of a rule's reason code.
var codeRE = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`)

func code(to *string) reader {
	return func(n *yaml.Node) error {
		if err := str(to)(n); err != nil {
			return err
		}
		if !codeRE.MatchString(*to) {
			return wrong(n, "%.60q is not of the form of a reason code", *to)
		}
		return nil
	}
}

func purpose(to *alert.Purpose) reader {
	return func(n *yaml.Node) error {
		if err := str(to)(n); err != nil {
			return err
		}
		if !slices.Contains(alert.Purposes, *to) {
			return wrong(n, "%.60q is no purpose", *to)
		}
		return nil
	}
}

func pointer[T any](to **T, r func(*T) reader) reader {
	return func(n *yaml.Node) error {
		*to = new(T)
		return r(*to)(n)
	}
}

// check sees to it that a refusal says why, and that only content binds.
func (x *expected) check(n *yaml.Node) error {
	why := x.reason != "" || x.reasons != nil
	switch {
	case x.kind != feed.Content && x.kind != feed.Existence && x.kind != feed.None:
		return wrong(n, "release: content, existence or none is wanted")
	case x.reason != "" && x.reasons != nil:
		return wrong(n, "reason is the first and reasons are all of them: one of the two")
	case x.kind == feed.Content && why:
		return wrong(n, "content is released for want of a reason against it")
	case x.kind != feed.Content && (!why || x.reasons != nil && len(x.reasons) == 0):
		return wrong(n, "%s: the reason is missing, as in: %s (clearance)", x.kind, x.kind)
	case x.kind != feed.Content && x.binds:
		return wrong(n, "%s: only content comes with obligations", x.kind)
	case x.binds && x.purposes != nil && len(x.purposes) == 0:
		return wrong(n, "purposes: content is always for a purpose")
	}
	return nil
}
