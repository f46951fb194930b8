package cli

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/nodeapi"
	"github.com/entente-hub/entente/api/strictjson"
	"github.com/entente-hub/entente/crypto/keys"
	nodeserver "github.com/entente-hub/entente/node/server"
	"github.com/entente-hub/entente/policies"
)

func draftCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "draft",
		Short: "Publish with two persons: one writes a draft, another releases it",
		Long: `A member's own rule, publishing.four_eyes in the node's configuration, says which alerts
take two persons: all, those that are classified, or none. Then an author adds the
alert as a draft, and a releaser, who is somebody else, reads it and lets it go. Both are
users of the node's directory with that role, named with --user, and show a token of
their own with --token-file.

A draft is known to its author and to the releasers who may read every portion of it,
by the rules by which they read what the node receives. For others it is not there. It
waits for 30 days, or until the first retention among its labels ends or, of a
publication, the delegation that it publishes; then it is erased. Who wrote and who
released an alert stays at the node: no other member learns it.`,
		Example: `  entente draft add --objects crossing.json --labels crossing.yaml --user ann --token-file ann.token --config nodes/XA/node.yaml
  entente draft list --user ben --token-file ben.token --config nodes/XA/node.yaml
  entente draft show 01954c7e-8f5e-7d3a-9c1b-2f4a6b8c0d1e --user ben --token-file ben.token --config nodes/XA/node.yaml`,
	}, draftAddCommand(), draftListCommand(), draftShowCommand(), draftReleaseCommand(), draftRejectCommand(),
		draftWithdrawCommand(), draftTokenCommand())
}

// actor is who asks about drafts.
type actor struct{ user, tokenFile string }

func (a *actor) flags(c *cobra.Command) {
	c.Flags().StringVar(&a.user, "user", "", "who acts, by its id in the node's directory of users")
	c.Flags().StringVar(&a.tokenFile, "token-file", "", "file with the user's own token; readable by its owner alone")
}

// drafts returns the node's drafts as the actor has them.
func (a *actor) drafts(c *nodeserver.Client) (*nodeserver.Drafts, error) {
	if a.user == "" || a.tokenFile == "" {
		return nil, usage("--user and --token-file are needed: drafts are written and released by somebody")
	}
	raw, err := keys.ReadSecretFile(a.tokenFile, 1<<10)
	if err != nil {
		return nil, usage("--token-file: %v", err)
	}
	token := strings.TrimSpace(string(raw))
	if b, err := base64.RawURLEncoding.Strict().DecodeString(token); err != nil || len(b) != userTokenSize {
		return nil, usage("--token-file: %s does not hold a token; entente draft token makes one", a.tokenFile)
	}
	return c.Drafts(a.user, token), nil
}

// draftAsk is a command about drafts.
type draftAsk struct {
	nodeFlags
	as actor
}

func (f *draftAsk) add(c *cobra.Command) *cobra.Command {
	f.nodeFlags.add(c)
	f.as.flags(c)
	return c
}

// with asks in the actor's name.
func (f *draftAsk) with(do func(*nodeserver.Drafts) error) error {
	client, err := nodeClient(f.config)
	if err != nil {
		return err
	}
	defer client.Close()
	drafts, err := f.as.drafts(client)
	if err != nil {
		return err
	}
	return do(drafts)
}

// show prints a draft.
func (f *draftAsk) show(w io.Writer, d *nodeapi.KeptDraft, err error) error {
	if err != nil {
		return err
	}
	if f.asJSON {
		return printJSON(w, d)
	}
	return printDraft(w, d)
}

// newDraft is what is to be added, as the command line says it.
type newDraft struct {
	objects, labels, supersedes, recall, mode, reason, feedback, purpose, publish string

	delegate delegateFlags
}

func (f *newDraft) flags(c *cobra.Command) {
	c.Flags().StringVar(&f.objects, "objects", "", "file of STIX 2.1 objects: a bundle, an object or an array")
	c.Flags().StringVar(&f.labels, "labels", "", "label file, YAML or JSON: the portions, their labels and objects")
	c.Flags().StringVar(&f.supersedes, "supersedes", "", "id of the member's own alert of which this is the next version")
	c.Flags().StringVar(&f.recall, "recall", "", "id of the member's own alert that is recalled, in the place of --objects and --labels")
	c.Flags().StringVar(&f.mode, "mode", string(alert.Purge), "with --recall: purge or cease-use")
	c.Flags().StringVar(&f.reason, "reason", "", "with --recall: why, for its holders")
	c.Flags().StringVar(&f.feedback, "feedback", "", "file of feedback, JSON as POST /v1/feedback takes it, in the place of --objects and --labels")
	c.Flags().StringVar(&f.purpose, "purpose", "", "with --feedback and --publish: what the alert that it is about is read for")
	c.Flags().StringVar(&f.delegate.to, "delegate-to", "", "member that is to publish the alert as its own: see entente delegation")
	c.Flags().StringVar(&f.delegate.precedence, "precedence", string(alert.Routine), "with --delegate-to: flash, immediate, priority or routine")
	c.Flags().StringVar(&f.delegate.due, "due", "", "with --delegate-to: when it is to be published or refused, as 2027-03-01T12:00:00Z")
	c.Flags().StringVar(&f.publish, "publish", "", "delegation, ORIGINATOR/ID, that is published, with or without --labels")
	c.Flags().BoolVar(&f.delegate.checked, "checked", false, "with --delegate-to and --publish: every place in which the source is named was looked at")
}

// body reads the files.
func (f *newDraft) body() (b nodeapi.NewDraft, err error) {
	kinds := 0
	alone := f.objects != "" || f.labels != "" && f.publish == "" || f.supersedes != "" || f.delegate.to != ""
	for _, given := range []bool{alone, f.recall != "", f.feedback != "", f.publish != ""} {
		if given {
			kinds++
		}
	}
	switch {
	case kinds != 1:
		return b, usage("one of these is needed: --objects and --labels, --recall, --feedback, --publish")
	case (f.reason != "") != (f.recall != ""):
		return b, usage("--recall and --reason go together")
	case (f.purpose != "") != (f.feedback != "" || f.publish != ""):
		return b, usage("--purpose goes with --feedback and with --publish")
	case (f.delegate.due != "" || f.delegate.precedence != string(alert.Routine)) && f.delegate.to == "":
		return b, usage("--due and --precedence go with --delegate-to")
	case f.delegate.checked && f.delegate.to == "" && f.publish == "":
		return b, usage("--checked goes with --delegate-to and with --publish")
	case f.publish != "":
		b.Publication, err = f.publication()
		return b, err
	case f.recall != "":
		b.Supersedes, b.Recall = &f.recall, &nodeapi.DraftRecall{Mode: alert.RecallMode(f.mode), Reason: f.reason}
		return b, nil
	case f.feedback != "":
		raw, err := os.ReadFile(f.feedback)
		if err != nil {
			return b, usage("%v", err)
		}
		b.Feedback = new(nodeapi.FeedbackDraft)
		if err := strictjson.Unmarshal(raw, b.Feedback); err != nil {
			return b, usage("%s: %v", f.feedback, err)
		}
		return b, nil
	}
	d, err := readDraft(f.objects, f.labels)
	if err != nil {
		return b, err
	}
	if b.Objects, b.Plan = &d.Objects, &d.Plan; f.supersedes != "" {
		b.Supersedes = &f.supersedes
	}
	if f.delegate.to != "" {
		b.Delegate, err = f.delegate.body(time.Now())
	}
	return b, err
}

func draftAddCommand() *cobra.Command {
	var f draftAsk
	var what newDraft
	c := &cobra.Command{
		Use:   "add --objects bundle.json --labels labels.yaml --user ann --token-file ann.token",
		Short: "Keep an alert as a draft until another releases it",
		Long: `Composes an alert as publish does and checks all that publish checks, the national egress
policy included, but signs and sends nothing: the draft waits at the node until a
releaser other than its author lets it go. Its author must be cleared for every portion.
It may be an alert of its own, the next version of one with --supersedes, a recall with
--recall, feedback, a delegation with --delegate-to, or the publication of one with
--publish: see entente delegation.

` + labelFileHelp(),
		Example: `  entente draft add --objects crossing.json --labels crossing.yaml --user ann --token-file ann.token --config nodes/XA/node.yaml
  entente draft add --recall 01954c7e-8f5e-7d3a-9c1b-2f4a6b8c0d1e --reason "The plate was misread." --user ann --token-file ann.token --config nodes/XA/node.yaml`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			body, err := what.body()
			if err != nil {
				return err
			}
			return f.with(func(drafts *nodeserver.Drafts) error {
				kept, err := drafts.Add(cmd.Context(), body, alert.Purpose(what.purpose))
				if err == nil && !f.asJSON {
					kept.Content = nil // its author has just written it
				}
				return f.show(cmd.OutOrStdout(), kept, misdrafted(err))
			})
		},
	}
	what.flags(c)
	return f.add(c)
}

func draftListCommand() *cobra.Command {
	var f draftAsk
	var state, before string
	var limit int
	c := &cobra.Command{
		Use:   "list --user ben --token-file ben.token",
		Short: "List the drafts that a user may know of, the latest first",
		Long: `Lists the user's own drafts and, for a releaser, those of others that it may read. A
list that is as long as --limit goes on with --before and the last id.`,
		Example: "  entente draft list --state all --user ben --token-file ben.token --config nodes/XA/node.yaml",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 || limit > 500 {
				return usage("--limit lies between 1 and 500")
			}
			wanted := nodeapi.ListDraftsParamsState(state)
			if !wanted.Valid() {
				return usage("--state: %q is none of pending, released, rejected, withdrawn, all", state)
			}
			return f.with(func(drafts *nodeserver.Drafts) error {
				list, err := drafts.List(cmd.Context(), wanted, before, limit)
				if err != nil {
					return err
				}
				if f.asJSON {
					return printJSON(cmd.OutOrStdout(), list)
				}
				return printDrafts(cmd.OutOrStdout(), list)
			})
		},
	}
	c.Flags().StringVar(&state, "state", string(nodeapi.ListDraftsParamsStatePending), "pending, released, rejected, withdrawn or all")
	c.Flags().StringVar(&before, "before", "", "only those before the draft with this id")
	c.Flags().IntVar(&limit, "limit", 100, "how many at most, up to 500")
	return f.add(c)
}

func draftShowCommand() *cobra.Command {
	var f draftAsk
	return f.add(&cobra.Command{
		Use:   "show DRAFT --user ben --token-file ben.token",
		Short: "Show a draft: who wrote it, what it says, and what became of it",
		Long: `Shows a draft with its digest and, while it is pending, each portion with its label,
grading and STIX objects. A draft that has ended says who ended it, and when; of a
released one it names the alert.`,
		Example: "  entente draft show 01954c7e-8f5e-7d3a-9c1b-2f4a6b8c0d1e --user ben --token-file ben.token --config nodes/XA/node.yaml",
		Args:    oneArg("the id of a draft"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.with(func(drafts *nodeserver.Drafts) error {
				d, err := drafts.Show(cmd.Context(), args[0])
				return f.show(cmd.OutOrStdout(), d, err)
			})
		},
	})
}

func draftReleaseCommand() *cobra.Command {
	var f draftAsk
	var digest string
	c := &cobra.Command{
		Use:   "release DRAFT --digest DIGEST --user ben --token-file ben.token",
		Short: "Let a draft of another's go",
		Long: `Releases a draft that somebody else has written. --digest is what entente draft show
printed: what is released is what was read. The alert is composed anew and checked again,
by the egress policy too, signed, and put into the node's outbox, once: after a failure
the same command can be given again.`,
		Example: "  entente draft release 01954c7e-8f5e-7d3a-9c1b-2f4a6b8c0d1e --digest NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs --user ben --token-file ben.token --config nodes/XA/node.yaml",
		Args:    oneArg("the id of a draft"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !isDigest(digest) {
				return usage("--digest is needed: the digest that entente draft show prints")
			}
			return f.with(func(drafts *nodeserver.Drafts) error {
				out, err := drafts.Release(cmd.Context(), args[0], digest)
				if err != nil {
					return err
				}
				return printOutgoing(cmd.OutOrStdout(), out, f.asJSON)
			})
		},
	}
	c.Flags().StringVar(&digest, "digest", "", "digest of the draft as it was read")
	return f.add(c)
}

func draftRejectCommand() *cobra.Command {
	var f draftAsk
	var reason string
	c := &cobra.Command{
		Use:   "reject DRAFT --reason TEXT --user ben --token-file ben.token",
		Short: "Reject a draft of another's",
		Long: `Ends a draft that somebody else has written. What it says is erased at once; who wrote
and who rejected it, and why, can be read until the draft's time is over.`,
		Example: `  entente draft reject 01954c7e-8f5e-7d3a-9c1b-2f4a6b8c0d1e --reason "The source is not graded." --user ben --token-file ben.token --config nodes/XA/node.yaml`,
		Args:    oneArg("the id of a draft"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if reason == "" {
				return usage("--reason is needed: the author must learn why")
			}
			return f.with(func(drafts *nodeserver.Drafts) error {
				d, err := drafts.Reject(cmd.Context(), args[0], reason)
				return f.show(cmd.OutOrStdout(), d, err)
			})
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why, for its author")
	return f.add(c)
}

func draftWithdrawCommand() *cobra.Command {
	var f draftAsk
	return f.add(&cobra.Command{
		Use:     "withdraw DRAFT --user ann --token-file ann.token",
		Short:   "Withdraw a draft of one's own",
		Long:    "Ends a draft by its author. What it says is erased at once. To change a draft, withdraw it and add another.",
		Example: "  entente draft withdraw 01954c7e-8f5e-7d3a-9c1b-2f4a6b8c0d1e --user ann --token-file ann.token --config nodes/XA/node.yaml",
		Args:    oneArg("the id of a draft"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.with(func(drafts *nodeserver.Drafts) error {
				d, err := drafts.Withdraw(cmd.Context(), args[0])
				return f.show(cmd.OutOrStdout(), d, err)
			})
		},
	})
}

// userTokenSize is the size of a user's token in bytes, of chance.
const userTokenSize = 32

func draftTokenCommand() *cobra.Command {
	var out string
	var asJSON bool
	c := &cobra.Command{
		Use:   "token --out ann.token",
		Short: "Make a user's own token",
		Long: `Writes a new token to a file that its owner alone can read, and prints its digest, which
goes into the directory of users as token_sha256. The directory does not hold the token:
each user makes its own, and hands over the digest.`,
		Example: "  entente draft token --out ann.token",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if out == "" {
				return usage("--out is needed: a file that is not there yet")
			}
			digest, err := newUserToken(out)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), map[string]string{"token_sha256": digest})
			}
			return printf(cmd.OutOrStdout(), "token_sha256  %s\n", digest)
		},
	}
	c.Flags().StringVar(&out, "out", "", "file to write, which must not exist")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// newUserToken makes a token and returns its digest.
func newUserToken(file string) (digest string, err error) {
	var b [userTokenSize]byte
	_, _ = rand.Read(b[:]) // crypto/rand.Read never fails since Go 1.24
	token := base64.RawURLEncoding.EncodeToString(b[:])
	if err := keys.WriteNewFile(file, []byte(token+"\n"), 0o600); errors.Is(err, keys.ErrExists) {
		return "", usage("%s exists already", file)
	} else if err != nil {
		return "", err
	}
	return policies.TokenDigest(token), nil
}
