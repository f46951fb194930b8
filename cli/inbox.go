package cli

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/nodeapi"
)

func inboxCommand() *cobra.Command {
	var config string
	var after int64
	var limit int
	var asJSON bool
	c := &cobra.Command{
		Use:   "inbox --config node.yaml",
		Short: "List what the node has received and verified",
		Long: `Lists received alerts, oldest first: each verified up to its originator's root,
with the banner that joins the markings of the portions held.`,
		Example: "  entente inbox --config nodes/XB/node.yaml",
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := nodeClient(config)
			if err != nil {
				return err
			}
			defer client.Close()
			if limit < 1 || limit > 500 || after < 0 {
				return usage("--limit lies between 1 and 500, --after is not negative")
			}
			list, err := client.Inbox(cmd.Context(), after, limit)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), list)
			}
			return printInbox(cmd.OutOrStdout(), list)
		},
	}
	c.Flags().StringVar(&config, "config", "node.yaml", "the node's configuration file")
	c.Flags().Int64Var(&after, "after", 0, "only those after this sequence number")
	c.Flags().IntVar(&limit, "limit", 100, "how many at most, up to 500")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func printInbox(w io.Writer, list []nodeapi.Received) error {
	var rows [][]string
	for _, a := range list {
		var parts []string
		for _, p := range a.Portions {
			parts = append(parts, p.Portion+":"+string(p.Release))
		}
		rows = append(rows, []string{strconv.FormatInt(a.Seq, 10), fmt.Sprintf("%s/%s/%d", a.Originator, a.Id, a.Version),
			a.ReceivedAt.Local().Format(time.DateTime), a.Banner, strings.Join(parts, " ")})
	}
	return table(w, []string{"SEQ", "ALERT", "RECEIVED", "BANNER", "PORTIONS"}, rows)
}

func showCommand() *cobra.Command {
	var config string
	var asJSON bool
	c := &cobra.Command{
		Use:   "show ORIGINATOR/ID/VERSION --config node.yaml",
		Short: "Show one received alert, as far as it was released",
		Long: `Shows a received alert: who signed it, each portion that was released with its
label, grading and obligations, and its STIX objects. It is verified again, up
to the originator's root, before it is shown.`,
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
			client, err := nodeClient(config)
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
	fmt.Fprintf(w, "%s\n\nalert      %s/%s/%d\nsigned by  %s\nissued     %s\nexpires    %s\nwithheld or decoy  %d places\n", s.Banner,
		s.Originator, s.Id, s.Version, a.SignedBy, s.IssuedAt.Format(time.RFC3339), s.Expires.Format(time.RFC3339), a.WithheldOrDecoy)
	for _, p := range a.Portions {
		fmt.Fprintf(w, "\nportion %s: %s\n", p.Portion, p.Release)
		if p.Notice != nil && *p.Notice != "" {
			fmt.Fprintf(w, "  notice   %s\n", *p.Notice)
		}
		if p.Label != nil {
			fmt.Fprintf(w, "  label    %s\n", p.Label.Canonical())
		}
		if p.Grading != nil {
			fmt.Fprintf(w, "  grading  %s: source %s, information %s\n", p.Grading.Scheme, p.Grading.Source, p.Grading.Information)
		}
		if o := p.Obligations; o != nil {
			fmt.Fprintf(w, "  binds    purposes %v, hold until %s, onward sharing %t\n", o.Purposes,
				time.Unix(o.HoldUntil, 0).UTC().Format(time.RFC3339), o.Onward)
		}
		if p.Objects != nil {
			for _, o := range *p.Objects {
				fmt.Fprintf(w, "  %s\n", o)
			}
		}
	}
	return nil
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
		{"revision", s.Revision},
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
