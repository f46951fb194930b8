package cli

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/hubapi"
	"github.com/entente-hub/entente/api/nodeapi"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/keys"
	nodeserver "github.com/entente-hub/entente/node/server"
	"github.com/entente-hub/entente/trust"
)

// nodeFlags are what every command that asks a node has in common.
type nodeFlags struct {
	config string
	asJSON bool
	as     reader // nobody, but for commands with addAs
}

func (f *nodeFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.config, "config", "node.yaml", "the node's configuration file")
	c.Flags().BoolVar(&f.asJSON, "json", false, "print JSON")
}

// addAs is add for a command that asks, where the node has a directory of users, in the
// name of one.
func (f *nodeFlags) addAs(c *cobra.Command) {
	f.add(c)
	f.as.flags(c)
}

// asked is a node that is asked, in the name of its member.
type asked struct {
	*nodeserver.Client
	member alert.MemberID
}

func (f *nodeFlags) ask() (*asked, error) {
	if err := f.as.whole(); err != nil {
		return nil, err
	}
	cfg, err := loadNodeConfig(f.config)
	if err != nil {
		return nil, err
	}
	client, err := f.as.of(nodeserver.NewClient(cfg))
	if err != nil {
		return nil, err
	}
	return &asked{client, cfg.Member}, nil
}

// with asks a node and closes the way to it.
func (f *nodeFlags) with(do func(*asked) error) error {
	node, err := f.ask()
	if err != nil {
		return err
	}
	defer node.Close()
	return do(node)
}

// keyFlags name a key of somebody who signs statements.
type keyFlags struct{ dir, secretFile, kid string }

func (f *keyFlags) add(c *cobra.Command, whose string) {
	c.Flags().StringVar(&f.dir, "keys", "", "folder of the key store of "+whose)
	c.Flags().StringVar(&f.secretFile, "secret-file", "", "file that opens the store; readable by its owner alone (default: the folder's name with .secret)")
	c.Flags().StringVar(&f.kid, "kid", "", "id of the key, or its owner; may be left out where only one in the store can sign this")
}

// signer opens the key: of those in the store whose owner may sign, the one that is
// named, or the only one.
func (f *keyFlags) signer(who string, may func(owner string) bool) (keys.Signer, error) {
	if f.dir == "" {
		return nil, usage("--keys is needed: the key store of %s", who)
	}
	file := f.secretFile
	if file == "" {
		file = strings.TrimRight(f.dir, "/") + ".secret"
	}
	secret, err := keys.SecretFromFile(file)
	if err != nil {
		return nil, fmt.Errorf("--secret-file: %w", err)
	}
	store, err := keys.OpenStore(f.dir, secret)
	if err != nil {
		return nil, fmt.Errorf("--keys: %w", err)
	}
	all, err := store.List()
	if err != nil {
		return nil, fmt.Errorf("--keys: %w", err)
	}
	var fit []string
	for _, kid := range all {
		owner, _, err := keys.SplitKeyID(kid)
		if err == nil && may(owner) && (f.kid == "" || f.kid == kid || f.kid == owner) {
			fit = append(fit, kid)
		}
	}
	if len(fit) != 1 {
		return nil, usage("%d keys in %s are of %s and fit --kid %q; it holds:\n  %s", len(fit), f.dir, who, f.kid, strings.Join(all, "\n  "))
	}
	signer, err := store.Load(fit[0])
	if err != nil {
		return nil, fmt.Errorf("--keys: %w", err)
	}
	return signer, nil
}

// root opens the member's root key.
func (f *keyFlags) root(m alert.MemberID) (keys.Signer, error) {
	return f.signer("the root of "+string(m), func(owner string) bool { return owner == string(m) })
}

// duty opens the key of one of the member's duty officers.
func (f *keyFlags) duty(m alert.MemberID) (keys.Signer, error) {
	return f.signer("a duty officer of "+string(m), func(owner string) bool { return strings.HasPrefix(owner, string(m)+".") })
}

// officer opens the key of a policy officer: of somebody who is neither the authority
// nor a member, whose root and node keys have the member's bare id for an owner.
func (f *keyFlags) officer() (keys.Signer, error) {
	if owner, _, _ := strings.Cut(f.kid, "/"); isMember(owner) {
		return nil, notAnOfficer(owner)
	}
	var members []string
	signer, err := f.signer("a policy officer", func(owner string) bool {
		if isMember(owner) {
			members = append(members, owner)
		}
		return !isMember(owner) && owner != trust.AuthorityOwner
	})
	if err != nil && len(members) > 0 {
		err = fmt.Errorf("%w\n%w", err, notAnOfficer(members[0]))
	}
	return signer, err
}

func isMember(owner string) bool {
	_, err := alert.ParseMemberID(owner)
	return err == nil
}

func notAnOfficer(owner string) error {
	return usage("the key of %s is that member's own, of its root or its node, and no policy officer's", owner)
}

// propose signs the successor of what is in force in a chain and brings it.
func (n *asked) propose(ctx context.Context, t federation.StatementType, body federation.Body, with keys.Signer) (*hubapi.ProposalState, error) {
	revision, digest, err := n.Chain(ctx, t, body.Subject())
	if err != nil {
		return nil, err
	}
	head := trust.Statement{Statement: federation.Statement{Revision: revision}, Digest: digest}
	raw, err := trust.Sign(ctx, t, body, head, time.Now(), with)
	if err != nil {
		return nil, err
	}
	return n.bring(ctx, raw)
}

// bring hands a signed statement over and says what became of it, as far as the hub's
// answer bears it: the digest is what the command itself makes of the bytes, and in
// force is only what the node then shows. Errors are the node's; BadSignature where the
// hub answers about another statement.
func (n *asked) bring(ctx context.Context, raw []byte) (*hubapi.ProposalState, error) {
	s, err := trust.Parse(raw)
	if err != nil {
		return nil, err
	}
	state, err := n.Propose(ctx, raw)
	if err != nil {
		return nil, err
	}
	if state.Digest != s.Digest {
		return nil, problem.New(problem.BadSignature, "signed and handed over was statement %s, but the hub answers about %s: do not trust what it says of either",
			s.Digest, state.Digest)
	}
	if !state.InForce {
		return state, nil
	}
	state.InForce, err = n.shows(ctx, s)
	return state, err
}

// shows reports whether the node has verified that a statement is in force, or was and
// has a successor by now.
func (n *asked) shows(ctx context.Context, s trust.Statement) (bool, error) {
	revision, digest, err := n.Chain(ctx, s.Statement.Type, s.Statement.Subject)
	return digest == s.Digest || revision > s.Revision, err
}

// notTakenIn is said where the hub has brought into force what the node does not show.
const notTakenIn = "the hub says that all have signed; the node has not verified it yet"

// opened is a proposal as the command itself reads it: from the very bytes that
// would be signed.
type opened struct {
	nodeapi.Proposed
	trust.Statement
}

// readProposal reads a proposal of the node's list. It refuses one that the node could not
// verify, or that says something else than its digest.
func readProposal(p nodeapi.Proposed) (*opened, error) {
	if p.Fault != nil {
		return nil, problem.New(problem.BadSignature, "proposal %s does not verify: %s", p.Digest, *p.Fault)
	}
	s, err := trust.Parse(p.Statement)
	if err != nil {
		return nil, err
	}
	if s.Digest != p.Digest {
		return nil, problem.New(problem.BadSignature, "proposal %s is another statement than its digest says", p.Digest)
	}
	return &opened{p, s}, nil
}

// bodyOf returns what a proposal says, which is of the type that its Type names.
func bodyOf[B federation.Body](p *opened) (body B, err error) {
	body, ok := p.Body.(B)
	if !ok {
		err = problem.New(problem.Internal, "proposal %s is none of type %T", p.Proposed.Digest, body)
	}
	return body, err
}

// find returns an open proposal by its digest, unread.
func (n *asked) find(ctx context.Context, digest string) (nodeapi.Proposed, error) {
	if err := wholeDigest(digest); err != nil {
		return nodeapi.Proposed{}, err
	}
	list, err := n.Proposals(ctx)
	if err != nil {
		return nodeapi.Proposed{}, err
	}
	at := slices.IndexFunc(list, func(p nodeapi.Proposed) bool { return p.Digest == digest })
	if at < 0 {
		return nodeapi.Proposed{}, problem.New(problem.NotFound, "no open proposal has the digest %s", digest)
	}
	return list[at], nil
}

// proposal finds an open proposal of a type by its digest, all of it: whoever signs
// says with the digest what is signed.
func (n *asked) proposal(ctx context.Context, t federation.StatementType, digest string) (*opened, error) {
	found, err := n.find(ctx, digest)
	if err != nil {
		return nil, err
	}
	p, err := readProposal(found)
	if err != nil {
		return nil, err
	}
	if p.Statement.Type != t {
		return nil, usage("%s is the digest of a statement of type %s, not %s", digest, p.Statement.Type, t)
	}
	return p, nil
}

// wholeDigest refuses what is not a whole digest: a prefix is not consent to
// anything.
func wholeDigest(s string) error {
	if !isDigest(s) {
		return usage("%q is not a whole digest, 43 characters of base64url: what is signed is named in full", s)
	}
	return nil
}

func isDigest(s string) bool {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return err == nil && len(b) == 32
}

// countersign adds a signature to a proposal and brings it.
func (n *asked) countersign(ctx context.Context, p *opened, with keys.Signer) (*hubapi.ProposalState, error) {
	raw, err := keys.Countersign(ctx, p.Raw, with)
	if errors.Is(err, keys.ErrDuplicate) {
		return nil, problem.New(problem.Conflict, "%s has signed already", with.Public().KeyID())
	} else if err != nil {
		return nil, err
	}
	return n.bring(ctx, raw)
}

// printState says what became of a statement that was brought.
func printState(w io.Writer, what string, s *hubapi.ProposalState, asJSON bool) error {
	if asJSON {
		return printJSON(w, s)
	}
	state := "in force"
	switch {
	case !s.InForce && len(s.Missing) == 0:
		state = notTakenIn
	case !s.InForce:
		state = "proposed; still to sign: " + strings.Join(s.Missing, ", ")
	}
	return printf(w, "%s\ndigest   %s\nstate    %s\n", what, s.Digest, state)
}

// oneArg wants one argument.
func oneArg(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return usage("%s wants %s; see %s --help", cmd.CommandPath(), what, cmd.CommandPath())
		}
		return nil
	}
}

// group makes a command that only has commands below it.
func group(c *cobra.Command, below ...*cobra.Command) *cobra.Command {
	c.Args = cobra.ArbitraryArgs
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return usage("unknown command %q; see %s --help", args[0], cmd.CommandPath())
		}
		return cmd.Help()
	}
	c.AddCommand(below...)
	return c
}

// day is how dates are written for people.
func day(unix int64) string { return moment(time.Unix(unix, 0)) }

// moment writes a time in UTC, a bare date where it is the first moment of that day.
func moment(t time.Time) string {
	t = t.UTC()
	if t.Truncate(24 * time.Hour).Equal(t) {
		return t.Format(time.DateOnly)
	}
	return t.Format(time.RFC3339)
}
