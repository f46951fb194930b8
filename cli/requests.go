package cli

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/nodeapi"
)

func requestCommand() *cobra.Command {
	var f feedbackFlags
	var text, precedence, due string
	c := &cobra.Command{
		Use:   "request ORIGINATOR/ID --text TEXT --config node.yaml",
		Short: "Ask an alert's originator for information, with a deadline",
		Long: `Sends a request for information about an alert: one whose content you hold, or of which
you know no more than that it exists. Of a hit the request names nothing but the alert
and the portion that was shown to exist.

The precedence sets the deadline, unless --due does: flash and immediate 8 hours,
priority 3 days, routine 7 days. entente requests shows at both ends how requests stand.
On an alert of your member's own name in --to who is asked.

` + feedbackNotes,
		Example: `  entente request XA/01954c7e-8f5e-7d3a-9c1b-2f4a6b8c0d1e --precedence immediate --text "Which vehicle?" --config nodes/XB/node.yaml`,
		Args:    oneArg("an alert, ORIGINATOR/ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if text == "" {
				return usage("--text is needed")
			}
			d, err := f.draft(args[0], alert.Request, text)
			if err != nil {
				return err
			}
			if d.Precedence, d.Due, err = urgency(precedence, due, time.Now()); err != nil {
				return err
			}
			return f.send(cmd, d)
		},
	}
	f.add(c)
	c.Flags().StringVar(&text, "text", "", "what is asked")
	c.Flags().StringVar(&precedence, "precedence", string(alert.Routine), "flash, immediate, priority or routine")
	c.Flags().StringVar(&due, "due", "", "when the answer is due: as 2027-03-01T12:00:00Z, or from now, as 36h")
	return c
}

// urgency reads a precedence and a deadline, nil where none is given.
func urgency(precedence, due string, now time.Time) (*alert.Precedence, *time.Time, error) {
	p := alert.Precedence(precedence)
	if p.Deadline() == 0 {
		return nil, nil, usage("--precedence %q: one of %v", precedence, alert.Precedences())
	}
	if due == "" {
		return &p, nil, nil
	}
	if d, err := time.ParseDuration(due); err == nil {
		at := now.Add(d)
		return &p, &at, nil
	}
	at, err := time.Parse(time.RFC3339, due)
	if err != nil {
		return nil, nil, usage("--due %q is neither of the form 2027-03-01T12:00:00Z nor a time from now, as 36h", due)
	}
	return &p, &at, nil
}

func answerCommand() *cobra.Command {
	var f feedbackFlags
	var text string
	c := &cobra.Command{
		Use:   "answer ORIGINATOR/ID --text TEXT --config node.yaml",
		Short: "Answer a request for information",
		Long: `Answers a request that asks your member, to the one who asks. A request can be answered
more than once, and beyond its deadline. Where the alert that is asked about is marked
more strictly than the request, the answer needs a label of its own: see --label.

` + feedbackNotes,
		Example: `  entente answer XB/01954c7e-8f5e-7d3a-9c1b-2f4a6b8c0d1e --text "A grey van." --config nodes/XA/node.yaml`,
		Args:    oneArg("a request, ORIGINATOR/ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if text == "" && f.objects == "" {
				return usage("--text or --objects is needed")
			}
			d, err := f.draft(args[0], alert.Answer, text)
			if err != nil {
				return err
			}
			return f.send(cmd, d)
		},
	}
	f.add(c)
	c.Flags().StringVar(&text, "text", "", "the answer")
	return c
}

func refuseCommand() *cobra.Command {
	var f feedbackFlags
	var reason string
	c := &cobra.Command{
		Use:   "refuse ORIGINATOR/ID --reason TEXT --config node.yaml",
		Short: "Refuse a request for information, with a reason",
		Long: `Tells who asks that there will be no answer, and why. An answer may follow all the same.

` + feedbackNotes,
		Example: `  entente refuse XB/01954c7e-8f5e-7d3a-9c1b-2f4a6b8c0d1e --reason "The inquiry is under seal." --config nodes/XA/node.yaml`,
		Args:    oneArg("a request, ORIGINATOR/ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if reason == "" {
				return usage("--reason is needed")
			}
			d, err := f.draft(args[0], alert.Declined, reason)
			if err != nil {
				return err
			}
			return f.send(cmd, d)
		},
	}
	f.add(c)
	c.Flags().StringVar(&reason, "reason", "", "why there is no answer")
	return c
}

func requestsCommand() *cobra.Command {
	var f nodeFlags
	var late bool
	var limit int
	c := &cobra.Command{
		Use:   "requests --config node.yaml",
		Short: "List requests for information: which wait, and which are late",
		Long: `Lists the requests that your member has made and those that ask it, until they expire:
the late ones first, then by their deadline. A request that asks several members stands
once for each. It is open, answered or refused, or late: beyond its deadline without
either. Both sides tell so from the same signed deadline. An alert that is not here is
marked: nothing shows that it exists.

Where the node has a directory of users, name one with --user and --purpose: it finds
what it may read.`,
		Example: "  entente requests --late --config nodes/XA/node.yaml",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 || limit > 500 {
				return usage("--limit lies between 1 and 500")
			}
			var state nodeapi.RequestState
			if late {
				state = nodeapi.RequestLate
			}
			return f.with(func(node *asked) error {
				list, err := node.Requests(cmd.Context(), state, limit)
				if err != nil {
					return err
				}
				if f.asJSON {
					return printJSON(cmd.OutOrStdout(), list)
				}
				return table(cmd.OutOrStdout(), []string{"STATE", "DUE", "PRECEDENCE", "REQUEST", "WITH", "ABOUT", "ANSWERS"}, requestRows(list))
			})
		},
	}
	f.addAs(c)
	c.Flags().BoolVar(&late, "late", false, "only those beyond their deadline")
	c.Flags().IntVar(&limit, "limit", 100, "how many at most, up to 500")
	return c
}

// requestRows writes a request a row.
func requestRows(list []nodeapi.Request) [][]string {
	var rows [][]string
	for _, r := range list {
		state, about, with := string(r.State), r.Re.Originator+"/"+r.Re.Alert, "from "+r.Party
		if r.State == nodeapi.RequestLate {
			state = "LATE"
		}
		if !r.Known {
			about += " (not known here)"
		}
		if r.Own {
			with = "to " + r.Party
		}
		var answers []string
		for _, a := range r.Answers {
			answers = append(answers, string(a.Act)+" "+a.Originator+"/"+a.Id)
		}
		rows = append(rows, []string{state, given(r.Re.Due).UTC().Format(time.RFC3339), string(given(r.Re.Precedence)),
			r.Originator + "/" + r.Id, with, about, strings.Join(answers, ", ")})
	}
	return rows
}
