package cli

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/nodeapi"
	"github.com/entente-hub/entente/api/serve"
	"github.com/entente-hub/entente/cli/setup"
	"github.com/entente-hub/entente/crypto/keys"
	hubserver "github.com/entente-hub/entente/hub/server"
	nodeserver "github.com/entente-hub/entente/node/server"
)

//go:embed demodata
var demoData embed.FS

func demoCommand() *cobra.Command {
	var d demo
	c := &cobra.Command{
		Use:   "demo",
		Short: "See a federation of four members at work, attacked and audited",
		Long: `Makes a federation of four members in a fresh folder, starts its hub and four
nodes on loopback, publishes three alerts, shows who got which part and why, suspends
an agreement while an alert is on its way, lets a fifth member in that catches up,
corrects an alert and takes it back until it is erased everywhere, attacks it three ways,
and verifies the audit log. It ends with exit code 0 only
if every one of these came out as it must.

With --serve everything stays up, and the output tells how to go on from another
terminal.`,
		Example: "  entente demo\n  entente demo --serve --dir trial",
		RunE: func(cmd *cobra.Command, _ []string) error {
			d.out, d.errOut = cmd.OutOrStdout(), cmd.ErrOrStderr()
			return d.run(cmd.Context())
		},
	}
	c.Flags().StringVar(&d.dir, "dir", "", "fresh folder for the federation (default: a temporary one, removed in the end)")
	c.Flags().StringVar(&d.dsn, "postgres", "", "connection string of an empty PostgreSQL database for the hub (default: SQLite)")
	c.Flags().BoolVar(&d.serve, "serve", false, "leave everything running until interrupted")
	return c
}

// demo is one run. Its steps fill it in.
type demo struct {
	dir, dsn    string
	serve       bool
	out, errOut io.Writer

	setup.Layout
	spec    setup.Spec
	hubCfg  hubserver.Config
	parts   *errgroup.Group
	nodeCfg map[alert.MemberID]nodeserver.Config
	nodes   map[alert.MemberID]*nodeserver.Client
	halts   map[alert.MemberID]func() // ends a node and waits for it
	alerts  []*demoAlert
	refused int // attacks that were refused as they must
	later   int // admissions after those of alerts
	handed  int // releases of these, notices too, and to who joined
}

// demoAlert is an alert of the demo and what must become of it, written down
// apart from the policy that decides it.
type demoAlert struct {
	title  string
	from   alert.MemberID
	file   string
	expect map[string]map[alert.MemberID]string // portion → member → release, then agreements or reasons

	draft    nodeapi.Draft
	sent     *nodeapi.Outgoing
	decided  *nodeapi.AudienceAnswer
	arrival  time.Duration // from publish to verified in the last inbox
	received map[alert.MemberID]*nodeapi.ReceivedAlert
}

func demoAlerts() []*demoAlert {
	const regional = "content regional-exchange"
	return []*demoAlert{
		{title: "XA: organised river crossings, in five portions", from: "XA", file: "xa-crossing",
			expect: map[string]map[alert.MemberID]string{
				"summary":   {"XB": "content regional-exchange xa-xb-smuggling", "XC": regional, "XD": regional},
				"transport": {"XB": "content regional-exchange xa-xb-smuggling", "XC": regional, "XD": "existence release-list"},
				"route":     {"XB": "content regional-exchange xa-xb-smuggling", "XC": regional, "XD": "none need-to-know"},
				"document":  {"XB": "content xa-xb-smuggling", "XC": "existence release-list agreement", "XD": "none clearance release-list agreement"},
				"phone": {"XB": "content xa-xb-smuggling", "XC": "existence tlp personal-data agreement",
					"XD": "existence release-list tlp personal-data agreement"},
			}},
		{title: "XC: a method of document fraud, and where it was seen", from: "XC", file: "xc-documents",
			expect: map[string]map[alert.MemberID]string{
				"method": {"XA": regional, "XB": regional, "XD": regional},
				"place":  {"XA": regional, "XB": regional, "XD": "none need-to-know release-list"},
			}},
		{title: "XD: an opportunity, seasonal labour", from: "XD", file: "xd-labour",
			expect: map[string]map[alert.MemberID]string{"offer": {"XA": regional, "XB": regional, "XC": regional}}},
	}
}

func (d *demo) run(ctx context.Context) (err error) {
	temporary := d.dir == ""
	if temporary {
		if d.dir, err = os.MkdirTemp("", "entente-demo-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(d.dir)) }()
	}
	d.spec, d.alerts = setup.Trial(), demoAlerts()
	d.spec.Postgres = d.dsn
	if d.Layout, err = setup.Make(ctx, filepath.Join(d.dir, "federation"), d.spec); err != nil {
		return err
	}
	d.say("A federation of %d members is in %s", len(d.spec.Members), string(d.Layout))
	running, stop := context.WithCancel(ctx)
	defer stop()
	g, running := errgroup.WithContext(running)
	err = d.start(running, g)
	for _, step := range []func(context.Context) error{d.publishAll, d.showInboxes, d.changeRules, d.endLife, d.attack, d.audit, d.stay} {
		if err == nil {
			err = step(running)
		}
	}
	for _, c := range d.nodes {
		c.Close()
	}
	stop()
	if stopped := g.Wait(); err == nil || errors.Is(err, context.Canceled) && ctx.Err() == nil {
		err = stopped // a part that failed explains why a step was cut short
	}
	if err == nil {
		d.say("Everything came out as it must.")
	}
	return err
}

func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.out, "\n"+format+"\n", args...) }

// start runs the hub and the nodes, and waits until each is listening.
func (d *demo) start(ctx context.Context, g *errgroup.Group) error {
	if err := loadConfig(d.HubConfig(), &d.hubCfg); err != nil {
		return err
	}
	up := make(chan struct{}, 1)
	g.Go(func() error {
		return named("hub", hubserver.Run(ctx, d.hubCfg, d.log(), hubserver.Events{Ready: func(serve.Addresses) { up <- struct{}{} }}))
	})
	if err := awaitUp(ctx, up, 1); err != nil {
		return err
	}
	if err := d.awaitReady(ctx, "the hub", d.hubCfg.OpsListen); err != nil {
		return err
	}
	d.parts, d.nodeCfg = g, make(map[alert.MemberID]nodeserver.Config)
	d.nodes, d.halts = make(map[alert.MemberID]*nodeserver.Client), make(map[alert.MemberID]func())
	for _, m := range d.spec.Members {
		if err := d.startNode(ctx, m.ID); err != nil {
			return err
		}
	}
	database := "SQLite"
	if d.dsn != "" {
		database = "PostgreSQL"
	}
	d.say("Running: a hub on %s at %s and the nodes of %d members, each with its own key, certificate, database and listener.",
		database, d.hubCfg.Listen, len(d.nodes))
	return nil
}

// startNode runs a member's node until the context ends or halts has been called for
// it, and waits until it is ready.
func (d *demo) startNode(ctx context.Context, m alert.MemberID) error {
	cfg, err := loadNodeConfig(d.NodeConfig(m))
	if err != nil {
		return err
	}
	d.nodeCfg[m] = cfg
	running, stop := context.WithCancel(ctx)
	up, ended := make(chan struct{}, 1), make(chan struct{})
	d.parts.Go(func() error {
		defer close(ended)
		return named("node "+string(m), nodeserver.Run(running, cfg, d.log(), func(serve.Addresses) { up <- struct{}{} }))
	})
	d.halts[m] = func() {
		stop()
		<-ended
	}
	if err := awaitUp(ctx, up, 1); err != nil {
		return err
	}
	if err := d.awaitReady(ctx, "the node of "+string(m), cfg.OpsListen); err != nil {
		return err
	}
	if old := d.nodes[m]; old != nil {
		old.Close()
	}
	d.nodes[m], err = nodeserver.NewClient(cfg)
	return err
}

// log tells what goes wrong in the parts.
func (d *demo) log() *slog.Logger {
	return slog.New(slog.NewTextHandler(d.errOut, &slog.HandlerOptions{Level: slog.LevelError}))
}

func named(what string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

func awaitUp(ctx context.Context, up <-chan struct{}, n int) error {
	for range n {
		select {
		case <-up:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// readyTimeout bounds how long a part may take to get ready.
const readyTimeout = 20 * time.Second

// awaitReady asks a part as an operator's tools would, until it has all that it
// needs.
func (d *demo) awaitReady(ctx context.Context, what, ops string) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	missing := "it does not answer"
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+ops+"/readyz", nil)
		if err != nil {
			return err
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
			if closeErr := resp.Body.Close(); err != nil || closeErr != nil {
				return errors.Join(err, closeErr)
			}
			if resp.StatusCode == http.StatusOK {
				return nil
			}
			missing = strings.TrimSpace(string(body))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fault("%s does not get ready: %s (a PostgreSQL database must be empty, or of this very federation)", what, missing)
		}
	}
}

// stay leaves everything running until the context ends.
func (d *demo) stay(ctx context.Context) error {
	if !d.serve {
		return nil
	}
	a := d.alerts[0]
	sample := filepath.Join(d.dir, a.file)
	for suffix, raw := range map[string][]byte{".bundle.json": demoFile(a.file + ".bundle.json"), ".labels.yaml": a.labels()} {
		if err := keys.WriteNewFile(sample+suffix, raw, 0o600); err != nil {
			return err
		}
	}
	d.say(`Still running; end it with Ctrl-C. From another terminal:

  entente preview --config %[1]s --objects %[3]s.bundle.json --labels %[3]s.labels.yaml
  entente publish --config %[1]s --objects %[3]s.bundle.json --labels %[3]s.labels.yaml
  entente inbox   --config %[2]s
  entente status  --config %[2]s
  entente audit verify --config %[4]s --node %[2]s`,
		d.NodeConfig("XA"), d.NodeConfig("XB"), sample, d.HubConfig())
	<-ctx.Done()
	return nil
}

// writtenRetention is the date of retention in the demo's label files.
const writtenRetention = "2027-02-28"

// labels returns the alert's label file, with its dates of retention moved to half
// a year from now, so that the demo runs in any year.
func (a *demoAlert) labels() []byte {
	until := time.Now().AddDate(0, 6, 0).Format(time.DateOnly)
	return bytes.ReplaceAll(demoFile(a.file+".labels.yaml"), []byte(writtenRetention), []byte(until))
}

func demoFile(name string) []byte {
	raw, err := demoData.ReadFile("demodata/" + name)
	if err != nil {
		panic("cli: " + err.Error()) // it is embedded in this binary
	}
	return raw
}
