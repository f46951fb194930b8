package cli

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/hubapi"
	"github.com/entente-hub/entente/api/nodeapi"
	"github.com/entente-hub/entente/api/problem"
	nodeserver "github.com/entente-hub/entente/node/server"
)

// draftFlags are what publish and preview have in common.
type draftFlags struct {
	config, objects, labels string
	asJSON                  bool
}

func (f *draftFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.config, "config", "node.yaml", "the node's configuration file")
	c.Flags().StringVar(&f.objects, "objects", "", "file of STIX 2.1 objects: a bundle, an object or an array")
	c.Flags().StringVar(&f.labels, "labels", "", "label file, YAML or JSON: the portions, their labels and objects")
	c.Flags().BoolVar(&f.asJSON, "json", false, "print JSON")
}

// load reads both files and connects to the node.
func (f *draftFlags) load() (*nodeserver.Client, nodeapi.Draft, error) {
	d, err := readDraft(f.objects, f.labels)
	if err != nil {
		return nil, d, err
	}
	client, err := nodeClient(f.config)
	return client, d, err
}

// readDraft reads a file of objects and a label file.
func readDraft(objectFile, labelFile string) (d nodeapi.Draft, err error) {
	if objectFile == "" || labelFile == "" {
		return d, usage("--objects and --labels are needed")
	}
	if d.Objects, err = loadObjects(objectFile); err != nil {
		return d, err
	}
	if d.Plan, err = loadPlan(labelFile); err != nil {
		return d, err
	}
	if _, err := d.Plan.Split(d.Objects); err != nil {
		return d, usage("%s and %s: %v", objectFile, labelFile, err)
	}
	return d, nil
}

// misdrafted marks the answer that a draft is malformed as a slip in its files: some,
// such as the name of a level, only the node can see.
func misdrafted(err error) error {
	if problem.KindOf(err) == problem.Malformed {
		return slip{err}
	}
	return err
}

// slip is what the caller can mend in a file, in the words of whoever found it.
type slip struct{ error }

func (s slip) Unwrap() error { return s.error }

// Is reports that it is one of errUsage.
func (s slip) Is(target error) bool { return target == errUsage }

func nodeClient(config string) (*nodeserver.Client, error) {
	cfg, err := loadNodeConfig(config)
	if err != nil {
		return nil, err
	}
	return nodeserver.NewClient(cfg)
}

func publishCommand() *cobra.Command {
	var f draftFlags
	var supersede string
	var wait time.Duration
	c := &cobra.Command{
		Use:   "publish --config node.yaml --objects bundle.json --labels labels.yaml",
		Short: "Sign an alert and send it to those who may have it",
		Long: `Composes an alert from STIX objects and a label file, lets the national egress
policy judge it, signs it and puts it into the node's outbox: from then on it
is sent however often the hub or the network fail. With --wait the command stays
until the hub's receipt is there. If the time runs out first, it ends with exit
code 4: the alert stays in the outbox and is sent as soon as the hub takes it.
Do not publish it again. With --wait 0 to have it queued is all that is asked,
and exit code 0.

With --supersede it is the next version of an alert of your member's own, whole: whoever
had an earlier version is told, gets what this one releases, and erases what it does
not release to it any more. The command then says who loses and who gains what, where the
hub can be asked. To take an alert back altogether there is entente recall.

` + labelFileHelp(),
		Example: "  entente publish --config nodes/XA/node.yaml --objects crossing.json --labels crossing.yaml",
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, draft, err := f.load()
			if err != nil {
				return err
			}
			defer client.Close()
			return publish(cmd, client, draft, supersede, wait, f.asJSON)
		},
	}
	f.add(c)
	c.Flags().StringVar(&supersede, "supersede", "", "the alert of which this is the next version")
	c.Flags().DurationVar(&wait, "wait", 10*time.Second, "how long to wait for the hub's receipt; 0: not at all")
	return c
}

// publish publishes a draft, as the next version of supersede unless that is "".
func publish(cmd *cobra.Command, client *nodeserver.Client, draft nodeapi.Draft, supersede string, wait time.Duration, asJSON bool) error {
	ctx, w := cmd.Context(), cmd.OutOrStdout()
	changes := func(io.Writer) error { return nil }
	if supersede != "" {
		if _, err := alert.ParseID(supersede); err != nil {
			return usage("--supersede: %v", err)
		}
		if draft.Supersedes = &supersede; !asJSON {
			changes = whatChanges(ctx, client, draft)
		}
	}
	out, err := client.Publish(ctx, draft)
	if err != nil {
		return misdrafted(err)
	}
	if wait > 0 {
		if out, err = awaitReceipt(ctx, client, out, wait); err != nil {
			return err
		}
	}
	if err := printOutgoing(w, out, asJSON); err != nil {
		return err
	}
	if err := changes(w); err != nil {
		return err
	}
	if wait > 0 && out.State == nodeapi.Queued {
		return problem.New(problem.Unavailable, "no receipt from the hub within %s; the alert is safe in the node's outbox "+
			"and will be sent: do not publish it again; entente status tells when the outbox is empty", wait)
	}
	return nil
}

// pollEvery is how often a waiting command asks its own node.
const pollEvery = 50 * time.Millisecond

// awaitReceipt asks until the alert has left the queue or the time is over. Then
// the alert is returned as queued, without an error: whether that will do is the
// caller's to say.
func awaitReceipt(ctx context.Context, c *nodeserver.Client, out *nodeapi.Outgoing, wait time.Duration) (*nodeapi.Outgoing, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for out.State == nodeapi.Queued {
		select {
		case <-ctx.Done():
			return out, nil
		case <-tick.C:
		}
		next, err := c.Outgoing(ctx, alert.ID(out.Id), int(out.Version))
		if ctx.Err() != nil {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		out = next
	}
	return out, nil
}

func printOutgoing(w io.Writer, out *nodeapi.Outgoing, asJSON bool) error {
	if asJSON {
		if err := printJSON(w, out); err != nil {
			return err
		}
	} else {
		printf(w, "alert    %s version %d\nstate    %s\ndigest   %s\n", out.Id, out.Version, out.State, out.Digest)
		if out.Recall != nil {
			printf(w, "%s\n", recalled(*out.Recall))
		}
		if out.LastError != nil && *out.LastError != "" {
			printf(w, "error    %s\n", *out.LastError)
		}
	}
	if !asJSON && out.ReleasedBy != nil {
		printf(w, "author   %s\nreleaser %s\n", given(out.Author), *out.ReleasedBy)
	}
	if out.State != nodeapi.Refused {
		return nil
	}
	e := &problem.Error{Kind: problem.NotAdmitted, Detail: "the hub refused the alert"}
	if out.Problem != nil {
		e.Detail += ": " + *out.Problem
	}
	if out.Codes != nil {
		e.Codes = *out.Codes
	}
	return e
}

func previewCommand() *cobra.Command {
	var f draftFlags
	c := &cobra.Command{
		Use:   "preview --config node.yaml --objects bundle.json --labels labels.yaml",
		Short: "See who would get what of an alert, and why, before it is published",
		Long: `Asks the hub's live policy who would get which portion of a draft, after the
national egress policy has judged it. Nothing is sent but the labels; nothing is
stored but the hub's audit entry of having been asked.

` + labelFileHelp(),
		Example: "  entente preview --config nodes/XA/node.yaml --objects crossing.json --labels crossing.yaml",
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, draft, err := f.load()
			if err != nil {
				return err
			}
			defer client.Close()
			answer, err := client.Preview(cmd.Context(), draft)
			if err != nil {
				return misdrafted(err)
			}
			if f.asJSON {
				return printJSON(cmd.OutOrStdout(), answer)
			}
			if err := printAudience(cmd.OutOrStdout(), answer); err != nil {
				return err
			}
			return printReasons(cmd.OutOrStdout(), answer)
		},
	}
	f.add(c)
	return c
}

// printAudience writes portions × members as a table, with the agreement that
// permits or the reason that refuses.
func printAudience(w io.Writer, a *nodeapi.AudienceAnswer) error {
	if len(a.Portions) == 0 {
		return nil
	}
	header := []string{"PORTION"}
	for _, m := range a.Portions[0].Members {
		header = append(header, m.Member)
	}
	var rows [][]string
	for _, p := range a.Portions {
		releases, reasons := []string{p.Portion}, []string{""}
		for _, m := range p.Members {
			releases = append(releases, string(m.Release))
			reasons = append(reasons, "  "+strings.Join(why(m), " "))
		}
		rows = append(rows, releases, reasons)
	}
	return table(w, header, rows)
}

// printReasons says in words what the table's second lines name: each agreement's
// title and version, and the message of each reason that somebody is refused for.
func printReasons(w io.Writer, a *nodeapi.AudienceAnswer) error {
	words := make(map[string]string)
	for _, p := range a.Portions {
		for _, m := range p.Members {
			for _, c := range value(m.Agreements) {
				words[c.Id] = fmt.Sprintf("%s, version %d", c.Title, c.Version)
			}
			if codes := value(m.Codes); len(codes) > 0 && m.Message != nil {
				words[codes[0]] = *m.Message
			}
			if why := why(m); len(why) == 1 && why[0] == onMembership {
				words[onMembership] = "Unclassified and without personal data: no agreement is needed."
			}
		}
	}
	var rows [][]string
	for _, name := range slices.Sorted(maps.Keys(words)) {
		rows = append(rows, []string{name, words[name]})
	}
	if len(rows) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	return table(w, nil, rows)
}

// onMembership stands where content rests on no agreement.
const onMembership = "membership"

// why names the agreements that permit, or the reasons that refuse. Content
// without an agreement rests on membership alone.
func why(m hubapi.MemberDecision) []string {
	var out []string
	for _, a := range value(m.Agreements) {
		out = append(out, a.Id)
	}
	out = append(out, value(m.Codes)...)
	if len(out) == 0 && string(m.Release) == string(feed.Content) {
		return []string{onMembership}
	}
	return out
}
