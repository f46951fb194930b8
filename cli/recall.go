package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/nodeapi"
	"github.com/entente-hub/entente/api/problem"
	nodeserver "github.com/entente-hub/entente/node/server"
)

// receiptWait is how long a recall waits for the hub's receipt, as publish does where it
// is not told.
const receiptWait = 10 * time.Second

func recallCommand() *cobra.Command {
	var f nodeFlags
	var mode, reason string
	var wait time.Duration
	c := &cobra.Command{
		Use:   "recall ALERT --mode purge|cease-use --reason TEXT",
		Short: "Take back an alert of your member's own, for good",
		Long: `Signs the last version of an alert of your member's own. It has no content but the mode
and the reason, and reaches everybody who was handed over anything of the alert, and
nobody else: nobody else learns that there was such an alert.

  --mode purge      every node that holds any version of it erases what was disclosed to
                    it, and says so with a signed receipt; so does the hub erase it, and
                    your own node once the hub has taken the recall. What stays is what
                    was signed, without content, and the audit log.
  --mode cease-use  nobody is to use it any more: nodes keep what they hold until its
                    time ends, lest the grounds of what was done with it be lost, and show
                    it to nobody.

The reason is read by all who had the alert, so say nothing in it that they may not know.
A recall can not be taken back, and no version follows it: publish a new alert instead. The
command asks nothing before it acts.

With --wait it then follows those who hold the alert until all have erased it, or, with
cease-use, have acknowledged the recall, and tells on standard error how far that has come.
If the time runs out first it ends with exit code 4: the recall stands all the same, and
entente holders tells who is late.`,
		Example: `  entente recall 01954c7e-8f5e-7d3a-9c1b-2f4a6b8c0d1e --mode purge --reason "the source was mistaken" --config nodes/XA/node.yaml
  entente recall 01954c7e-8f5e-7d3a-9c1b-2f4a6b8c0d1e --mode cease-use --reason "under review" --wait 5m --config nodes/XA/node.yaml`,
		Args: oneArg("the id of an alert"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, r, err := recallOf(args[0], mode, reason)
			if err != nil {
				return err
			}
			if wait < 0 {
				return usage("--wait is not negative")
			}
			return f.with(func(node *asked) error {
				out, err := node.Recall(cmd.Context(), id, r)
				if err != nil {
					return err
				}
				if out, err = awaitRecall(cmd.Context(), node.Client, out); err != nil {
					return err
				}
				if err := printOutgoing(cmd.OutOrStdout(), out, f.asJSON); err != nil {
					return err
				}
				if out.State == nodeapi.Queued {
					return problem.New(problem.Unavailable, "no receipt from the hub within %s; the recall is safe in the node's outbox and will be sent", receiptWait)
				}
				if wait == 0 {
					return nil
				}
				return follower{node.Client, id, r.Mode, cmd.ErrOrStderr(), followEvery}.follow(cmd.Context(), wait)
			})
		},
	}
	f.addAs(c)
	c.Flags().StringVar(&mode, "mode", "", "purge or cease-use; needed")
	c.Flags().StringVar(&reason, "reason", "", "why, for all who had the alert; needed")
	c.Flags().DurationVar(&wait, "wait", 0, "how long to follow those who hold it; 0: not at all")
	return c
}

// awaitRecall is awaitReceipt for a recall. Where the hub refuses a version that waited
// before it the node puts the recall in the place of that: so its number may change.
func awaitRecall(ctx context.Context, c *nodeserver.Client, sent *nodeapi.Outgoing) (*nodeapi.Outgoing, error) {
	out, err := awaitReceipt(ctx, c, sent, receiptWait)
	if problem.KindOf(err) != problem.NotFound {
		return out, err
	}
	list, err := c.Outbox(ctx, 500)
	if err != nil {
		return nil, err
	}
	for _, o := range list {
		if o.Id == sent.Id && o.Recall != nil {
			return awaitReceipt(ctx, c, &o, receiptWait)
		}
	}
	return nil, problem.New(problem.NotFound, "the recall is not in the node's outbox any more")
}

// recallOf reads what is to be recalled, and how.
func recallOf(name, mode, reason string) (alert.ID, alert.Recall, error) {
	r := alert.Recall{Mode: alert.RecallMode(mode), Reason: reason}
	id, err := alert.ParseID(name)
	switch {
	case err != nil:
		return "", r, usage("%v", err)
	case mode == "":
		return "", r, usage("--mode is needed: %s (all erase it) or %s (all keep it and nobody uses it)", alert.Purge, alert.CeaseUse)
	case reason == "":
		return "", r, usage("--reason is needed: those who had the alert read it")
	}
	if err := r.Validate(); err != nil {
		return "", r, usage("%v", err)
	}
	return id, r, nil
}

// followEvery is how long it takes at first until the hub is asked again, through the node,
// who has erased an alert. Each question leaves an entry in the audit log, so it takes
// twice as long each time, up to slowest times as long.
const (
	followEvery = time.Second
	slowest     = 32
)

// holders is what follower asks.
type holders interface {
	Holders(ctx context.Context, id alert.ID) (*nodeapi.HolderList, error)
}

// follower watches a recall reach those who hold the alert.
type follower struct {
	node  holders
	id    alert.ID
	mode  alert.RecallMode
	out   io.Writer
	every time.Duration
}

// follow asks until all have done what the recall wants of them or the time is over.
// That the hub can not be reached is told, and ends nothing.
func (f follower) follow(ctx context.Context, wait time.Duration) error {
	timed, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	pause := f.every
	for told := ""; ; {
		list, err := f.node.Holders(timed, f.id)
		now, done := "", false
		switch {
		case timed.Err() != nil: // below
		case err == nil:
			now, done = f.progress(list)
		case problem.KindOf(err) == problem.Unavailable:
			now = message(err)
		default:
			return err
		}
		if now != "" && now != told {
			printf(f.out, "%s\n", now)
			told = now
		}
		if done {
			return nil
		}
		select {
		case <-time.After(pause):
			pause = min(2*pause, slowest*f.every)
		case <-timed.Done():
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return problem.New(problem.Unavailable, "after %s: %s; the recall stands, and entente holders %s tells how it goes on", wait, orUnknown(told), f.id)
		}
	}
}

func orUnknown(s string) string {
	if s == "" {
		return "it is not known who has it"
	}
	return s
}

// progress says in a line how far a recall has come, and whether all is done.
func (f follower) progress(list *nodeapi.HolderList) (line string, done bool) {
	did := "have erased it"
	if f.mode == alert.CeaseUse {
		did = "have acknowledged the recall"
	}
	var missing []string
	for _, h := range list.Members {
		if f.mode == alert.Purge && len(h.Held) > 0 || f.mode == alert.CeaseUse && !(h.Told && h.Acknowledged) {
			missing = append(missing, h.Member)
		}
	}
	line = fmt.Sprintf("%d of %d members %s", len(list.Members)-len(missing), len(list.Members), did)
	if len(missing) > 0 {
		line += "; waiting for " + strings.Join(missing, ", ")
	}
	return line, len(missing) == 0
}
