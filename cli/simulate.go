package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/strictjson"
	"github.com/entente-hub/entente/hub"
	hubserver "github.com/entente-hub/entente/hub/server"
	"github.com/entente-hub/entente/policies"
	"github.com/entente-hub/entente/policies/bundle"
	"github.com/entente-hub/entente/trust"
)

func policySimulateCommand() *cobra.Command {
	var config, bundleFile, registry, since string
	var agreements []string
	var asJSON bool
	c := &cobra.Command{
		Use:   "simulate --config hub.yaml [--bundle FILE] [--registry FILE] [--agreement FILE]... --since TIME",
		Short: "Replay past decisions under other rules, another registry or other agreements",
		Long: `Takes every alert that the hub has admitted since a time and decides each of its
portions twice: by what is in force now, and by what is in force but for the
candidate. It prints who would gain or lose what, by reason, originator and category,
and how many decisions fall otherwise today than they did then, candidate or not.

A candidate needs no signatures, and any that it has are not looked at: a bundle
(--bundle), a registry (--registry), either the signed statement as the authority has
sent it or its body alone, as JSON, terms of agreements in the form that entente
agreement propose takes (--agreement, several times). Nothing is changed; that a
simulation took place goes into the audit log.

--since is a date (2026-11-01), a time (2026-11-01T12:00:00Z) or a duration back from
now (720h). The command reads the hub's database, and can run beside the hub.`,
		Example: `  entente policy simulate --config hub/hub.yaml --bundle release-2.tar.gz --since 720h
  entente policy simulate --config hub/hub.yaml --agreement terms.yaml --since 2026-11-01 --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			from, err := parseSince(since, time.Now())
			if err != nil {
				return err
			}
			candidate, err := readCandidate(bundleFile, registry, agreements)
			if err != nil {
				return err
			}
			var cfg hubserver.Config
			if err := loadConfig(config, &cfg); err != nil {
				return err
			}
			report, err := simulate(cmd.Context(), cfg, candidate, from, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), report)
			}
			return printSimulation(cmd.OutOrStdout(), report)
		},
	}
	c.Flags().StringVar(&config, "config", "hub.yaml", "the hub's configuration file")
	c.Flags().StringVar(&bundleFile, "bundle", "", "policy bundle to suppose")
	c.Flags().StringVar(&registry, "registry", "", "file with a registry to suppose, JSON: a signed statement or its body")
	c.Flags().StringArrayVar(&agreements, "agreement", nil, "file with an agreement's terms to suppose; may be repeated")
	c.Flags().StringVar(&since, "since", "720h", "from when on decisions are replayed")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// parseSince reads a date, a time or a duration back from now.
func parseSince(s string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	t, err := dateOrTime(s)
	if err != nil {
		return time.Time{}, usage("--since %q: a date, an RFC 3339 time or a duration such as 720h", s)
	}
	return t, nil
}

// dateOrTime reads a date or an RFC 3339 time.
func dateOrTime(s string) (time.Time, error) {
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		return t, nil
	}
	return time.Parse(time.RFC3339, s)
}

func readCandidate(bundleFile, registry string, agreements []string) (c hub.Candidate, err error) {
	if bundleFile != "" {
		raw, err := readBundle(bundleFile)
		if err != nil {
			return c, err
		}
		b, err := bundle.Parse(raw)
		if err != nil {
			return c, bundleError(bundleFile, err)
		}
		if c.Engine, err = policies.Compile(b.Modules); err != nil {
			return c, bundleError(bundleFile, err)
		}
	}
	if registry != "" {
		raw, err := os.ReadFile(registry)
		if err != nil {
			return c, usage("%v", err)
		}
		body, err := parseRegistry(raw)
		if err != nil {
			return c, usage("%s: %v", registry, err)
		}
		c.Bodies = append(c.Bodies, body)
	}
	for _, file := range agreements {
		terms, err := loadTerms(file)
		if err != nil {
			return c, err
		}
		c.Bodies = append(c.Bodies, terms)
	}
	if c.Engine == nil && len(c.Bodies) == 0 {
		return c, usage("nothing to suppose: one of --bundle, --registry and --agreement is needed")
	}
	return c, nil
}

// parseRegistry reads a registry: its body, or the statement of it, whoever has signed
// that. A general JWS (RFC 7515 section 7.2.1) has a payload, which no registry has.
func parseRegistry(raw []byte) (*federation.Registry, error) {
	var members map[string]json.RawMessage
	if err := strictjson.Unmarshal(raw, &members); err != nil {
		return nil, err
	}
	if _, signed := members["payload"]; !signed {
		body := new(federation.Registry)
		return body, strictjson.Unmarshal(raw, body)
	}
	s, err := trust.Parse(bytes.TrimSpace(raw))
	if err != nil {
		return nil, err
	}
	body, ok := s.Body.(*federation.Registry)
	if !ok {
		return nil, fmt.Errorf("a signed statement of type %s, not of a registry", s.Type)
	}
	return body, nil
}

// simulate replays the decisions in a hub's database.
func simulate(ctx context.Context, cfg hubserver.Config, c hub.Candidate, since time.Time, progress io.Writer) (report hub.Simulation, err error) {
	authority, err := hubserver.ReadPublicKey(cfg.AuthorityKey)
	if err != nil {
		return report, err
	}
	engine, err := policies.Load()
	if err != nil {
		return report, err
	}
	st, err := hubserver.OpenStore(ctx, cfg)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	next := time.Now().Add(5 * time.Second)
	return hub.Simulate(ctx, hub.Deps{ID: cfg.ID, Store: st, Authority: authority, Engine: engine, Log: newLogger(progress, false)}, c, since,
		func(done, of int64) {
			if now := time.Now(); now.After(next) {
				next = now.Add(5 * time.Second)
				printf(progress, "%d of %d log entries\n", done, of)
			}
		})
}

func printSimulation(w io.Writer, s hub.Simulation) error {
	printf(w, "%d decisions on %d alerts since %s, %d distinct questions.\n", s.Decisions, s.Alerts, s.Since.Format(time.RFC3339), s.Labels)
	printf(w, "%d would fall otherwise under the candidate; %d fall otherwise today than they did then.\n", s.Affected, s.Drifted)
	if s.Erased > 0 {
		printf(w, "%d log entries of that time are erased by retention: what they said was not replayed.\n", s.Erased)
	}
	if len(s.Changes) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	var rows [][]string
	for _, c := range s.Changes {
		what, reason := "loses", c.Reason
		if c.Gain() {
			what = "gains"
		}
		if reason == "" {
			reason = "no member"
		}
		rows = append(rows, []string{string(c.Member), what, string(c.From) + " → " + string(c.To), string(c.Originator),
			string(c.Category), reason, strconv.FormatInt(c.Portions, 10)})
	}
	return table(w, []string{"MEMBER", "", "RELEASE", "ORIGINATOR", "CATEGORY", "REASON", "PORTIONS"}, rows)
}
