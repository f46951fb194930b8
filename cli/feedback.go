package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/nodeapi"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/api/strictjson"
	"github.com/entente-hub/entente/api/strictyaml"
)

// feedbackNotes explains to whom feedback goes and how it is labelled.
const feedbackNotes = `Feedback is an alert that refers to another: your node signs it, and the hub releases
it to the other's originator, or to those in --to who may have any of that alert.
Without --label it gets the strictest of the labels of all portions that you hold:
the highest level, all compartments and categories, the purposes that all have. Of a
mere hit nothing is known: it is restricted, and of the category that the notice
names. A label file for --label holds one label, without lists of members:

  marked_as: XA-NfD
  categories: [smuggling]
  purposes: [investigation]
  personal_data: none

Where the node has a directory of users, name who speaks with --user and --purpose:
the name stays at the node.`

func feedbackCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "feedback",
		Short: "Acknowledge, sight and comment on alerts",
		Long: `Says something about an alert to its originator: that somebody has read it, that what
it describes was seen, or a comment. To ask a question with a deadline see entente
request.

` + feedbackNotes,
		Example: `  entente feedback ack XA/01954c7e-8f5e-7d3a-9c1b-2f4a6b8c0d1e --config nodes/XB/node.yaml
  entente feedback sighting XA/01954c7e-8f5e-7d3a-9c1b-2f4a6b8c0d1e --last-seen 2027-03-01T04:10:00Z --where XB --config nodes/XB/node.yaml`,
	}, ackCommand(), sightingCommand(), commentCommand())
}

// feedbackFlags are what commands that give feedback have in common.
type feedbackFlags struct {
	nodeFlags
	objects, label string
	about, to      []string
	wait           time.Duration
}

func (f *feedbackFlags) add(c *cobra.Command) {
	f.addAs(c)
	c.Flags().StringVar(&f.objects, "objects", "", "file of STIX 2.1 objects that go with it: a bundle, an object or an array")
	c.Flags().StringVar(&f.label, "label", "", "file with the label, YAML or JSON (default: the strictest of what is held)")
	c.Flags().StringSliceVar(&f.about, "about", nil, "ids of the STIX objects that the text is about, separated by commas")
	c.Flags().StringSliceVar(&f.to, "to", nil, "members that it goes to, separated by commas (default: the originator)")
	c.Flags().DurationVar(&f.wait, "wait", 10*time.Second, "how long to wait for the hub's receipt; 0: not at all")
}

// draft begins a draft on the alert that is named.
func (f *feedbackFlags) draft(name string, act alert.Act, text string) (d nodeapi.FeedbackDraft, err error) {
	originator, id, err := parseAlert(name)
	if err != nil {
		return d, err
	}
	d = nodeapi.FeedbackDraft{Originator: string(originator), Alert: string(id), Act: act, Text: ifGiven(text)}
	if err := alert.CheckText("text", text); err != nil {
		return d, usage("%v", err)
	}
	for _, m := range f.to {
		if _, err := alert.ParseMemberID(m); err != nil {
			return d, usage("--to: %v", err)
		}
	}
	if len(f.to) > 0 {
		d.To = &f.to
	}
	if len(f.about) > 0 {
		d.About = &f.about
	}
	if f.objects != "" {
		objects, err := loadObjects(f.objects)
		if err != nil {
			return d, err
		}
		d.Objects = &objects
	}
	if f.label != "" {
		label, err := loadLabel(f.label)
		if err != nil {
			return d, err
		}
		d.Label = &label
	}
	return d, nil
}

// ifGiven returns nil for what is not given.
func ifGiven(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// parseAlert reads ORIGINATOR/ID, with or without a version, which feedback has no use for.
func parseAlert(name string) (alert.MemberID, alert.ID, error) {
	if strings.Count(name, "/") == 1 {
		name += "/1"
	}
	originator, id, _, err := parseName(name)
	if err != nil {
		return "", "", usage("%q is not ORIGINATOR/ID: entente inbox lists alerts, entente requests requests", name)
	}
	return originator, id, nil
}

// loadLabel reads a file with one label, as strictly as what comes over the wire.
func loadLabel(file string) (json.RawMessage, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, usage("%v", err)
	}
	asJSON, err := strictyaml.ToJSON(raw)
	if err == nil {
		err = strictjson.Unmarshal(asJSON, new(alert.Label))
	}
	if err != nil {
		return nil, usage("%s: %v", file, err)
	}
	return asJSON, nil
}

// send gives the feedback and waits for the hub's receipt.
func (f *feedbackFlags) send(cmd *cobra.Command, d nodeapi.FeedbackDraft) error {
	return f.with(func(node *asked) error {
		out, err := node.Feedback(cmd.Context(), d)
		if err != nil {
			return misdrafted(err)
		}
		return f.receipt(cmd.Context(), cmd, node, out)
	})
}

func (f *feedbackFlags) receipt(ctx context.Context, cmd *cobra.Command, node *asked, out *nodeapi.Outgoing) (err error) {
	if f.wait > 0 {
		if out, err = awaitReceipt(ctx, node.Client, out, f.wait); err != nil {
			return err
		}
	}
	if err := printOutgoing(cmd.OutOrStdout(), out, f.asJSON); err != nil {
		return err
	}
	if f.wait > 0 && out.State == nodeapi.Queued {
		return problem.New(problem.Unavailable, "no receipt from the hub within %s; it is safe in the node's outbox and will be sent: do not say it again", f.wait)
	}
	return nil
}

func ackCommand() *cobra.Command {
	var f feedbackFlags
	var text string
	c := &cobra.Command{
		Use:   "ack ORIGINATOR/ID --config node.yaml",
		Short: "Acknowledge an alert: somebody has read it and taken note",
		Long: `Tells an alert's originator that somebody has read it, with a remark if you like. That
your node holds it the originator knows without this: nodes acknowledge what they
receive by themselves.

` + feedbackNotes,
		Example: "  entente feedback ack XA/01954c7e-8f5e-7d3a-9c1b-2f4a6b8c0d1e --config nodes/XB/node.yaml",
		Args:    oneArg("an alert, ORIGINATOR/ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := f.draft(args[0], alert.Acknowledgement, text)
			if err != nil {
				return err
			}
			return f.send(cmd, d)
		},
	}
	f.add(c)
	c.Flags().StringVar(&text, "text", "", "a remark")
	return c
}

func commentCommand() *cobra.Command {
	var f feedbackFlags
	var text string
	c := &cobra.Command{
		Use:   "comment ORIGINATOR/ID --text TEXT --config node.yaml",
		Short: "Comment on an alert",
		Long: `Sends a comment to an alert's originator, as a STIX note. On an alert of your member's
own it goes to those in --to, and on a request of its own to those who are asked.

` + feedbackNotes,
		Example: `  entente feedback comment XA/01954c7e-8f5e-7d3a-9c1b-2f4a6b8c0d1e --text "The plate is a forgery." --config nodes/XB/node.yaml`,
		Args:    oneArg("an alert, ORIGINATOR/ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if text == "" {
				return usage("--text is needed")
			}
			d, err := f.draft(args[0], alert.Comment, text)
			if err != nil {
				return err
			}
			return f.send(cmd, d)
		},
	}
	f.add(c)
	c.Flags().StringVar(&text, "text", "", "the comment")
	return c
}

func sightingCommand() *cobra.Command {
	var f feedbackFlags
	var text, of, first, last, count string
	var where []string
	c := &cobra.Command{
		Use:   "sighting ORIGINATOR/ID --config node.yaml",
		Short: "Tell that what an alert describes was seen",
		Long: `Sends a STIX 2.1 sighting to an alert's originator: of which object, how often, from
when to when, and where. --of can be left out where the alert holds one object only that
can be sighted. A sighting of your own in --objects is sent as it is.

` + feedbackNotes,
		Example: "  entente feedback sighting XA/01954c7e-8f5e-7d3a-9c1b-2f4a6b8c0d1e --count 2 --last-seen 2027-03-01T04:10:00Z --where XB --config nodes/XB/node.yaml",
		Args:    oneArg("an alert, ORIGINATOR/ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := f.draft(args[0], alert.Sighting, text)
			if err != nil {
				return err
			}
			if d.Sighting, err = sightingOf(of, count, first, last, where); err != nil {
				return err
			}
			return f.send(cmd, d)
		},
	}
	f.add(c)
	c.Flags().StringVar(&text, "text", "", "what is to be said of it")
	c.Flags().StringVar(&of, "of", "", "id of the STIX object that was seen")
	c.Flags().StringVar(&count, "count", "", "how often it was seen; 0: it was looked for, and not seen")
	c.Flags().StringVar(&first, "first-seen", "", "when it was first seen, as 2027-03-01T04:10:00Z")
	c.Flags().StringVar(&last, "last-seen", "", "when it was last seen")
	c.Flags().StringSliceVar(&where, "where", nil, "where, or who has seen it: countries (ISO 3166-1 alpha-2), or ids of STIX locations and identities")
	return c
}

// sightingOf reads what was seen, nil where nothing is said of it.
func sightingOf(of, count, first, last string, where []string) (*nodeapi.SightingDraft, error) {
	if of == "" && count == "" && first == "" && last == "" && len(where) == 0 {
		return nil, nil
	}
	s := &nodeapi.SightingDraft{Of: ifGiven(of)}
	if count != "" {
		n, err := strconv.ParseUint(count, 10, 31)
		if err != nil {
			return nil, usage("--count %q is no number", count)
		}
		times := int(n)
		s.Count = &times
	}
	for _, at := range []struct {
		flag, text string
		into       **time.Time
	}{{"--first-seen", first, &s.FirstSeen}, {"--last-seen", last, &s.LastSeen}} {
		if at.text == "" {
			continue
		}
		t, err := time.Parse(time.RFC3339, at.text)
		if err != nil {
			return nil, usage("%s %q is not of the form 2027-03-01T04:10:00Z", at.flag, at.text)
		}
		*at.into = &t
	}
	if len(where) > 0 {
		s.Where = &where
	}
	return s, nil
}

// referring says in one line what an alert refers to, "" if it refers to none:
// "request about XA/01954c7e-8f5e-7d3a-9c1b-2f4a6b8c0d1e, flash, due 2027-03-01T12:00:00Z".
func referring(re *nodeapi.AlertReference) string {
	if re == nil {
		return ""
	}
	preposition := "on"
	switch re.Act {
	case alert.Request:
		preposition = "about"
	case alert.Answer:
		preposition = "to"
	case alert.Declined, alert.Acknowledgement:
		preposition = "of"
	case alert.Sighting:
		preposition = "for"
	}
	text := fmt.Sprintf("%s %s %s/%s", re.Act, preposition, re.Originator, re.Alert)
	if re.Precedence != nil && re.Due != nil {
		text += fmt.Sprintf(", %s, due %s", *re.Precedence, re.Due.UTC().Format(time.RFC3339))
	}
	if re.Published != nil {
		text += ", published as " + *re.Published
	}
	return text
}
