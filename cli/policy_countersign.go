package cli

import (
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/hubapi"
	"github.com/entente-hub/entente/api/nodeapi"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/hub"
	"github.com/entente-hub/entente/policies"
	"github.com/entente-hub/entente/policies/bundle"
)

// signActivation signs a proposed activation as a further officer, once the hub's
// bundle was seen to be the one that the proposal names.
func (n *asked) signActivation(cmd *cobra.Command, digest string, k *keyFlags, asJSON bool) error {
	p, err := n.proposal(cmd.Context(), federation.TypePolicy, digest)
	if err != nil {
		return err
	}
	named, err := bodyOf[*federation.Policy](p)
	if err != nil {
		return err
	}
	if named.Name != hub.PolicyName {
		return problem.New(problem.Conflict, "the proposal is on rules named %s; a hub decides by those named %s alone", named.Name, hub.PolicyName)
	}
	_, b, err := n.bundleOf(cmd.Context(), named.Digest)
	if err != nil {
		return err
	}
	if b.Revision != named.Bundle {
		return problem.New(problem.BadSignature, "the hub's bundle of these rules is number %d, the proposal names number %d", b.Revision, named.Bundle)
	}
	change, err := n.changeTo(cmd.Context(), named, b)
	if err != nil {
		return err
	}
	signer, err := k.officer()
	if err != nil {
		return err
	}
	w := cmd.OutOrStdout()
	if !asJSON {
		if err := change.print(w, p); err != nil {
			return err
		}
	}
	state, err := n.countersign(cmd.Context(), p, signer)
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(w, activatedJSON{state, change})
	}
	return printState(w, "signed by "+signer.Public().KeyID(), state, false)
}

// activatedJSON is what is said for programs of an activation that was signed.
type activatedJSON struct {
	*hubapi.ProposalState
	Activation policyChange `json:"activation"`
}

// policyChange is what an activation does, as the command itself has read the bundles.
type policyChange struct {
	Policy   *federation.Policy    `json:"policy"`
	Modules  int                   `json:"modules"`
	Replaces *nodeapi.PolicyChange `json:"replaces"` // null: no rules are in force yet
	// Rules is how the rules differ, null where those in force are not to be had.
	Rules *rulesChange `json:"rules"`
}

// rulesChange is how rules differ: codes with what they are of, "release/onward".
type rulesChange struct {
	New     []string `json:"new"`
	Gone    []string `json:"gone"`
	Modules []string `json:"modules"` // that are new, gone or of other content
}

// changeTo finds out what a bundle changes. Its rules must compile.
func (n *asked) changeTo(ctx context.Context, named *federation.Policy, b *bundle.Bundle) (policyChange, error) {
	c := policyChange{Policy: named, Modules: len(b.Modules)}
	if _, err := policies.Compile(b.Modules); errors.Is(err, policies.ErrTooLong) {
		return c, problem.New(problem.Unavailable, "the rules of bundle %d: %w", b.Revision, err)
	} else if err != nil {
		return c, problem.New(problem.Conflict, "the rules of bundle %d do not compile: %w", b.Revision, err)
	}
	was, err := n.policyInForce(ctx)
	if problem.KindOf(err) == problem.NotFound {
		return c, nil
	}
	if err != nil {
		return c, err
	}
	c.Replaces = &was
	before, err := n.rulesOf(ctx, was.BundleDigest)
	if problem.KindOf(err) == problem.NotFound {
		return c, nil
	}
	if err != nil {
		return c, err
	}
	c.Rules, err = compare(before, b.Modules)
	return c, err
}

// rulesOf returns the modules of a digest: the hub's, or those that the program carries.
func (n *asked) rulesOf(ctx context.Context, digest string) (map[string]string, error) {
	carried, err := policies.Load()
	if err != nil {
		return nil, err
	}
	if carried.Digest() == digest {
		return policies.Embedded(), nil
	}
	_, b, err := n.bundleOf(ctx, digest)
	if err != nil {
		return nil, err
	}
	return b.Modules, nil
}

// compare says how rules differ from those before.
func compare(before, now map[string]string) (*rulesChange, error) {
	had, err := codes(before)
	if err != nil {
		return nil, err
	}
	has, err := codes(now)
	if err != nil {
		return nil, err
	}
	out := &rulesChange{New: without(has, had), Gone: without(had, has), Modules: []string{}}
	all := maps.Clone(before)
	maps.Copy(all, now)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		old, was := before[name]
		if text, is := now[name]; was != is || text != old {
			out.Modules = append(out.Modules, name)
		}
	}
	return out, nil
}

func codes(modules map[string]string) ([]string, error) {
	e, err := policies.Compile(modules)
	if errors.Is(err, policies.ErrTooLong) {
		return nil, problem.New(problem.Unavailable, "%w", err)
	} else if err != nil {
		return nil, err
	}
	var out []string
	for _, r := range e.Rules() {
		out = append(out, "release/"+r.Code)
	}
	for _, r := range e.AdmissionRules() {
		out = append(out, "admission/"+r.Code)
	}
	return out, nil
}

// without returns what is in list and not in other, never nil.
func without(list, other []string) []string {
	return slices.DeleteFunc(append([]string{}, list...), func(s string) bool { return slices.Contains(other, s) })
}

// print writes all that is signed, and what it does.
func (c policyChange) print(w io.Writer, p *opened) error {
	rows := [][]string{{"policy", c.Policy.Name}, {"bundle", strconv.FormatInt(c.Policy.Bundle, 10)}, {"rules", c.Policy.Digest},
		{"modules", strconv.Itoa(c.Modules)}}
	if c.Replaces == nil {
		rows = append(rows, []string{"replaces", "none: no rules are in force yet"})
	} else {
		rows = append(rows, []string{"replaces", "bundle " + strconv.FormatInt(c.Replaces.Bundle, 10) + ", rules " + c.Replaces.BundleDigest})
	}
	switch {
	case c.Rules != nil:
		rows = append(rows, []string{"new codes", orNone(c.Rules.New)}, []string{"codes gone", orNone(c.Rules.Gone)},
			[]string{"modules that differ", orNone(c.Rules.Modules)})
	case c.Replaces != nil:
		rows = append(rows, []string{"new codes", "not known: the hub has no bundle of the rules in force"})
	}
	if err := table(w, nil, rows); err != nil {
		return err
	}
	return printSigners(w, p)
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
