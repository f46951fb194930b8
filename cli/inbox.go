package cli

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/nodeapi"
	nodeserver "github.com/entente-hub/entente/node/server"
)

func inboxCommand() *cobra.Command {
	var config string
	var after int64
	var limit int
	var asJSON bool
	var as reader
	var cursor string
	c := &cobra.Command{
		Use:   "inbox --config node.yaml",
		Short: "List what the node has received and verified",
		Long: `Lists received alerts, oldest first: each verified up to its originator's root,
with the banner that joins the markings of the portions held, the level by its
name in your member's own marking scheme.

Each version stands once, at the place of its latest delivery, and with the best of
each portion that its deliveries brought and the node still holds. One that is delivered again, because more of it may be released by then or
less, moves to its new place, with the one before beside it: "12 (was 3)". So with
--after and the last number that you have seen you miss nothing.

STANDING says whether a version is the last that is here (current), whether a later one
stands in its place (superseded by 2), or whether the originator has recalled the alert:
then the reason stands below. So does what has been erased, when and why.

Where the node has a directory of users, name one with --user and what is to be read
for with --purpose: what that user may not have is not there. Lists then go on from
--cursor, which stands with each alert in the place of the number.`,
		Example: "  entente inbox --config nodes/XB/node.yaml",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 || limit > 500 || after < 0 {
				return usage("--limit lies between 1 and 500, --after is not negative")
			}
			if as.user == "" && cursor != "" || as.user != "" && after != 0 {
				return usage("with --user a list goes on from --cursor, without from --after")
			}
			client, err := as.client(config)
			if err != nil {
				return err
			}
			defer client.Close()
			list, err := page(cmd.Context(), client, as, after, cursor, limit)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), list)
			}
			return printInbox(cmd.OutOrStdout(), list, as.user != "")
		},
	}
	c.Flags().StringVar(&config, "config", "node.yaml", "the node's configuration file")
	c.Flags().Int64Var(&after, "after", 0, "only those after this sequence number")
	c.Flags().StringVar(&cursor, "cursor", "", "only those after the alert with this cursor, with --user")
	c.Flags().IntVar(&limit, "limit", 100, "how many at most, up to 500")
	as.flags(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// page reads one page of the inbox, for a user or for nobody in particular.
func page(ctx context.Context, c *nodeserver.Client, as reader, after int64, cursor string, limit int) ([]nodeapi.Received, error) {
	if as.user != "" {
		return c.InboxFrom(ctx, cursor, limit)
	}
	return c.Inbox(ctx, after, limit)
}

// reader is in whose name the inbox is read, where the node has a directory of users.
type reader struct{ user, purpose string }

func (r *reader) flags(c *cobra.Command) {
	c.Flags().StringVar(&r.user, "user", "", "who reads, by its id in the node's directory of users")
	c.Flags().StringVar(&r.purpose, "purpose", "", "what it is read for, with --user")
}

// client returns a client that reads in the reader's name.
func (r *reader) client(config string) (*nodeserver.Client, error) {
	if err := r.whole(); err != nil {
		return nil, err
	}
	return r.of(nodeClient(config))
}

// whole refuses half a reader.
func (r *reader) whole() error {
	if (r.user == "") != (r.purpose == "") {
		return usage("--user and --purpose go together")
	}
	return nil
}

// of makes a client one that asks in the reader's name.
func (r *reader) of(c *nodeserver.Client, err error) (*nodeserver.Client, error) {
	if err != nil || r.user == "" {
		return c, err
	}
	return c.As(r.user, alert.Purpose(r.purpose)), nil
}

// printInbox writes a list. For a user alerts have cursors in the place of numbers.
func printInbox(w io.Writer, list []nodeapi.Received, byUser bool) error {
	var rows [][]string
	for _, a := range list {
		var parts []string
		for _, p := range a.Portions {
			part := p.Portion + ":" + string(p.Release)
			if p.Emergency != nil {
				part += "(emergency)"
			}
			if given(p.MarkingUnknown) {
				part += "(marked with " + unknownMarking + ")"
			}
			parts = append(parts, part)
		}
		if re := referring(a.Re); re != "" {
			parts = append(parts, "("+re+")")
		}
		if d := delegationOf(a.Delegate); d != "" {
			parts = append(parts, "("+d+")")
		}
		if len(parts) == 0 {
			parts = []string{"-"}
		}
		rows = append(rows, []string{place(a), fmt.Sprintf("%s/%s/%d", a.Originator, a.Id, a.Version),
			a.ReceivedAt.Local().Format(time.DateTime), standingOf(a), a.Banner, strings.Join(parts, " ")})
		for _, line := range lifeOf(a) {
			rows = append(rows, []string{"", "", "", "", "", indent + string(line)})
		}
	}
	seq := "SEQ"
	if byUser {
		seq = "CURSOR"
	}
	return table(w, []string{seq, "ALERT", "RECEIVED", "STANDING", "BANNER", "PORTIONS"}, rows)
}

// place is where an alert stands in the inbox, and where it stood before; for a
// user, who is told no numbers, the cursor.
func place(a nodeapi.Received) string {
	if a.Cursor != nil {
		return *a.Cursor
	}
	if a.PreviousSeq == nil {
		return strconv.FormatInt(a.Seq, 10)
	}
	return fmt.Sprintf("%d (was %d)", a.Seq, *a.PreviousSeq)
}

func showCommand() *cobra.Command {
	var config string
	var asJSON bool
	var as reader
	c := &cobra.Command{
		Use:   "show ORIGINATOR/ID/VERSION --config node.yaml",
		Short: "Show one received alert, as far as it was released",
		Long: `Shows a received alert with the best of each portion that its deliveries brought and
the node still holds: who signed it, each portion that was released with its level, label, grading and obligations, and its STIX
objects. The level is told by its name in your member's own marking scheme, with
what the originator wrote and in which scheme: a level for which yours has no name
goes by the federation's, and is said to be without equivalent. A portion that came
by an emergency release is marked, with the threat and when it ends. All is verified
again, up to the originator's root, before it is shown.

An alert that has been recalled is marked, with the reason, and one that a later version has
superseded; what has been erased of it is named, and when and why. entente diff tells what
the later version has changed.`,
		Example: "  entente show XA/01954c7e-8f5e-7d3a-9c1b-2f4a6b8c0d1e/1 --config nodes/XB/node.yaml",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage("name one alert as ORIGINATOR/ID/VERSION; entente inbox lists them")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			originator, id, version, err := parseName(args[0])
			if err != nil {
				return err
			}
			client, err := as.client(config)
			if err != nil {
				return err
			}
			defer client.Close()
			a, err := client.Show(cmd.Context(), originator, id, version)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), a)
			}
			return printAlert(cmd.OutOrStdout(), a)
		},
	}
	c.Flags().StringVar(&config, "config", "node.yaml", "the node's configuration file")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	as.flags(c)
	return c
}

func parseName(s string) (alert.MemberID, alert.ID, int, error) {
	parts := strings.Split(s, "/")
	if len(parts) != 3 {
		return "", "", 0, usage("%q is not ORIGINATOR/ID/VERSION", s)
	}
	originator, err := alert.ParseMemberID(parts[0])
	if err != nil {
		return "", "", 0, usage("%v", err)
	}
	id, err := alert.ParseID(parts[1])
	if err != nil {
		return "", "", 0, usage("%v", err)
	}
	version, err := strconv.ParseInt(parts[2], 10, 32)
	if err != nil || version < 1 {
		return "", "", 0, usage("version %q", parts[2])
	}
	return originator, id, int(version), nil
}

func printAlert(w io.Writer, a *nodeapi.ReceivedAlert) error {
	s := a.Summary
	printf(w, "%s\n\nalert      %s/%s/%d\nitem       %s\nsigned by  %s\nissued     %s\nexpires    %s\nwithheld or decoy  %d places\n", s.Banner,
		s.Originator, s.Id, s.Version, place(s), a.SignedBy, s.IssuedAt.Format(time.RFC3339), s.Expires.Format(time.RFC3339), a.WithheldOrDecoy)
	if re := referring(s.Re); re != "" {
		printf(w, "feedback   %s\n", re)
	}
	if d := delegationOf(s.Delegate); d != "" {
		printf(w, "delegation %s\n", d)
	}
	if standing := standingOf(s); standing != current {
		printf(w, "standing   %s\n", standing)
	}
	for _, line := range lifeOf(s) {
		printf(w, "           %s\n", line)
	}
	for _, p := range a.Portions {
		printPortion(w, p)
	}
	return nil
}

func printPortion(w io.Writer, p nodeapi.HeldPortion) {
	printf(w, "\nportion %s: %s\n", p.Portion, p.Release)
	if p.Notice != nil && *p.Notice != "" {
		printf(w, "  notice   %s\n", *p.Notice)
	}
	if p.ShownAs != nil {
		printf(w, "  marked   %s\n", marked(p))
	}
	if p.Label != nil {
		printf(w, "  label    %s\n", p.Label.Canonical())
	}
	if p.Grading != nil {
		printf(w, "  grading  %s: source %s, information %s\n", p.Grading.Scheme, p.Grading.Source, p.Grading.Information)
	}
	if e := p.Emergency; e != nil {
		printf(w, "  EMERGENCY release until %s\n           threat: %s\n           duty: %s\n", e.Until.Format(time.RFC3339),
			e.Threat, e.Duty)
	}
	if o := p.Obligations; o != nil {
		printf(w, "  binds    purposes %v, hold until %s, onward sharing %t\n", o.Purposes,
			time.Unix(o.HoldUntil, 0).UTC().Format(time.RFC3339), o.Onward)
	}
	if p.Objects != nil {
		for _, o := range *p.Objects {
			printf(w, "  %s\n", o)
		}
	}
}

// marked says the level of a portion in the reader's scheme, and as its originator
// wrote it: "SECRET XB (XA-GEHEIM, urn:entente:policy:xa:1)".
func marked(p nodeapi.HeldPortion) string {
	without := ""
	if given(p.WithoutEquivalent) {
		without = ", without equivalent in " + given(p.ShownIn)
	}
	unknown := ""
	if given(p.MarkingUnknown) {
		unknown = ": the originator wrote " + unknownMarking
	}
	return fmt.Sprintf("%s%s (%s, %s%s)", given(p.ShownAs), without, given(p.MarkedAs), given(p.MarkedIn), unknown)
}

// unknownMarking is what the originator wrote for a level where its scheme has no such
// name, or has it for another level: what it wrote is not repeated.
const unknownMarking = "what is not a name of that scheme"

// given returns what an optional field holds, the zero value where it is left out.
func given[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

func statusCommand() *cobra.Command {
	var config string
	var asJSON bool
	c := &cobra.Command{
		Use:     "status --config node.yaml",
		Short:   "See how a node does: its hub, outbox and inbox",
		Long:    "Prints whether the node follows its feed, what waits in the outbox, and the last thing that went wrong.",
		Example: "  entente status --config nodes/XA/node.yaml --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := nodeClient(config)
			if err != nil {
				return err
			}
			defer client.Close()
			s, err := client.Status(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), s)
			}
			return printStatus(cmd.OutOrStdout(), s)
		},
	}
	c.Flags().StringVar(&config, "config", "node.yaml", "the node's configuration file")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func printStatus(w io.Writer, s *nodeapi.Status) error {
	rows := [][]string{
		{"member", s.Member}, {"hub", s.Hub}, {"following", strconv.FormatBool(s.Following)},
		{"cursor", strconv.FormatInt(s.Cursor, 10)}, {"inbox", strconv.FormatInt(s.Inbox, 10)},
		{"outbox", fmt.Sprintf("%d queued, %d accepted, %d refused", s.Outbox.Queued, s.Outbox.Accepted, s.Outbox.Refused)},
		{"requests", fmt.Sprintf("%d open and %d late to others, %d open and %d late from others", s.Requests.AskingOpen,
			s.Requests.AskingLate, s.Requests.AskedOpen, s.Requests.AskedLate)},
		{"revision", s.Revision},
	}
	if given(s.Offline) {
		rows[2] = []string{"network", "none: entente export and entente import carry what there is"}
	}
	if s.LastContact != nil {
		rows = append(rows, []string{"last contact", s.LastContact.Format(time.RFC3339)})
	}
	if s.LastError != nil && *s.LastError != "" {
		rows = append(rows, []string{"last error", *s.LastError})
	}
	for _, a := range s.Alarms {
		rows = append(rows, []string{"ALARM", a.At.Format(time.RFC3339) + " " + a.Kind + ": " + a.Detail})
	}
	return table(w, nil, rows)
}
