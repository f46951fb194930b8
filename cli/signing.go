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
}

func (f *nodeFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.config, "config", "node.yaml", "the node's configuration file")
	c.Flags().BoolVar(&f.asJSON, "json", false, "print JSON")
}

// asked is a node that is asked, in the name of its member.
type asked struct {
	*nodeserver.Client
	member alert.MemberID
}

func (f *nodeFlags) ask() (*asked, error) {
	cfg, err := loadNodeConfig(f.config)
	if err != nil {
		return nil, err
	}
	client, err := nodeserver.NewClient(cfg)
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

// officer opens the key of a policy officer.
func (f *keyFlags) officer() (keys.Signer, error) {
	return f.signer("a policy officer", func(owner string) bool { return owner != trust.AuthorityOwner })
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
	return n.Propose(ctx, raw)
}

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

// proposal finds an open proposal of a type by its digest, all of it: whoever signs
// says with the digest what is signed.
func (n *asked) proposal(ctx context.Context, t federation.StatementType, digest string) (*opened, error) {
	if err := wholeDigest(digest); err != nil {
		return nil, err
	}
	list, err := n.Proposals(ctx)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(list, func(p nodeapi.Proposed) bool { return p.Digest == digest })
	if at < 0 {
		return nil, problem.New(problem.NotFound, "no open proposal has the digest %s", digest)
	}
	p, err := readProposal(list[at])
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
	return n.Propose(ctx, raw)
}

// printState says what became of a statement that was brought.
func printState(w io.Writer, what string, s *hubapi.ProposalState, asJSON bool) error {
	if asJSON {
		return printJSON(w, s)
	}
	state := "in force"
	if !s.InForce {
		state = "proposed; still to sign: " + plain(strings.Join(s.Missing, ", "))
	}
	_, err := fmt.Fprintf(w, "%s\ndigest   %s\nstate    %s\n", what, plain(s.Digest), state)
	return err
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
