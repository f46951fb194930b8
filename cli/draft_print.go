package cli

import (
	"io"
	"strings"
	"time"

	"github.com/entente-hub/entente/api/nodeapi"
)

func printDrafts(w io.Writer, list []nodeapi.KeptDraft) error {
	var rows [][]string
	for _, d := range list {
		var portions []string
		for _, p := range d.Portions {
			portions = append(portions, p.Portion+":"+p.Label.Classification.String())
		}
		rows = append(rows, []string{d.Id, d.CreatedAt.Local().Format(time.DateTime), d.Author, string(d.State), given(d.EndedBy), strings.Join(portions, " ")})
	}
	return table(w, []string{"DRAFT", "WRITTEN", "AUTHOR", "STATE", "ENDED BY", "PORTIONS"}, rows)
}

func printDraft(w io.Writer, d *nodeapi.KeptDraft) error {
	printf(w, "draft    %s\nauthor   %s\nwritten  %s\nstate    %s\n", d.Id, d.Author, d.CreatedAt.Format(time.RFC3339), d.State)
	if d.EndedAt != nil {
		printf(w, "by       %s on %s\n", given(d.EndedBy), d.EndedAt.Format(time.RFC3339))
	}
	if d.Reason != nil {
		printf(w, "reason   %s\n", *d.Reason)
	}
	if d.Alert != nil {
		printf(w, "alert    %s version %d\n", *d.Alert, given(d.Version))
	} else {
		printf(w, "expires  %s\n", d.Expires.Format(time.RFC3339))
	}
	if err := printf(w, "digest   %s\n", d.Digest); err != nil || d.Content == nil {
		return err
	}
	return printContent(w, *d.Content)
}

// printChecked writes what the author has vouched for with --checked.
func printChecked(w io.Writer, checked *bool) {
	if given(checked) {
		printf(w, "checked  by its author: every place in which the source is named\n")
	}
}

// printContent writes all that is released with a draft, portion by portion.
func printContent(w io.Writer, d nodeapi.DraftContent) error {
	if d.Supersedes != nil {
		printf(w, "makes    version %d of %s\n", d.Version, *d.Supersedes)
	}
	if d.Re != nil {
		printf(w, "is       %s to %s/%s\n", d.Re.Act, d.Re.Originator, d.Re.Alert)
		if d.Re.Due != nil {
			printf(w, "asks     %s, by %s\n", given(d.Re.Precedence), d.Re.Due.Format(time.RFC3339))
		}
	}
	if d.Delegate != nil {
		printf(w, "asks     %s to publish it as its own, by these labels\n", d.Delegate.To)
		if d.Delegate.Precedence != nil {
			printf(w, "urgency  %s\n", *d.Delegate.Precedence)
		}
		if d.Delegate.Due != nil {
			printf(w, "due      %s\n", d.Delegate.Due.Format(time.RFC3339))
		}
		printChecked(w, d.Delegate.Checked)
	}
	if d.MadeOf != nil {
		printf(w, "is       delegated by %s, as %s/%s\n", d.MadeOf.Originator, d.MadeOf.Originator, d.MadeOf.Id)
		printChecked(w, d.MadeOf.Checked)
	}
	if d.Recall != nil || d.Plan == nil {
		r := given(d.Recall)
		return printf(w, "RECALL   %s\nbecause  %s\n", r.Mode, r.Reason)
	}
	portions, err := d.Plan.Split(given(d.Objects))
	if err != nil {
		return err
	}
	if d.Plan.ExpiresIn != "" {
		printf(w, "lifetime %s from its release\n", d.Plan.ExpiresIn)
	}
	for _, p := range portions {
		printf(w, "\nportion %s\n", p.ID)
		if p.Notice != "" {
			printf(w, "  notice   %s\n", p.Notice)
		}
		printf(w, "  label    %s\n", p.Label.Canonical())
		if g := p.Content.Grading; g != nil {
			printf(w, "  grading  %s: source %s, information %s\n", g.Scheme, g.Source, g.Information)
		}
		for _, o := range p.Content.Objects {
			printf(w, "  %s\n", o)
		}
	}
	return nil
}
