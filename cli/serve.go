package cli

import (
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	hubserver "github.com/entente-hub/entente/hub/server"
	nodeserver "github.com/entente-hub/entente/node/server"
)

func hubCommand() *cobra.Command {
	var file string
	var jsonLogs bool
	c := &cobra.Command{
		Use:   "hub --config hub.yaml",
		Short: "Run a hub",
		Long: `Runs a hub until it is interrupted. Any number of hubs may share one PostgreSQL
database. On SIGHUP it reads its folder of statements again.

"entente init" writes a configuration file. It is YAML, with these fields:

` + fieldHelp(hubserver.Config{}, hubFields),
		Example: "  entente hub --config federation/hub/hub.yaml",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var cfg hubserver.Config
			if err := loadConfig(file, &cfg); err != nil {
				return err
			}
			hup := make(chan os.Signal, 1)
			signal.Notify(hup, syscall.SIGHUP)
			defer signal.Stop(hup)
			reload := make(chan struct{})
			ctx := cmd.Context()
			go func() {
				for {
					select {
					case <-hup:
					case <-ctx.Done():
						return
					}
					select {
					case reload <- struct{}{}:
					case <-ctx.Done():
						return
					}
				}
			}()
			return hubserver.Run(ctx, cfg, newLogger(cmd.ErrOrStderr(), jsonLogs), hubserver.Events{Reload: reload})
		},
	}
	c.Flags().StringVar(&file, "config", "hub.yaml", "configuration file")
	c.Flags().BoolVar(&jsonLogs, "log-json", false, "write logs as JSON lines")
	return c
}

func nodeCommand() *cobra.Command {
	var file string
	var jsonLogs bool
	c := &cobra.Command{
		Use:   "node --config node.yaml",
		Short: "Run a member's node",
		Long: `Runs a national node until it is interrupted: it sends what is in its outbox,
follows its feed, verifies everything up to the originators' roots, and serves
the commands publish, preview, inbox, show and status on loopback.

"entente init" writes a configuration file. It is YAML, with these fields:

` + fieldHelp(nodeserver.Config{}, nodeFields),
		Example: "  entente node --config federation/nodes/XA/node.yaml",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadNodeConfig(file)
			if err != nil {
				return err
			}
			return nodeserver.Run(cmd.Context(), cfg, newLogger(cmd.ErrOrStderr(), jsonLogs), nil)
		},
	}
	c.Flags().StringVar(&file, "config", "node.yaml", "configuration file")
	c.Flags().BoolVar(&jsonLogs, "log-json", false, "write logs as JSON lines")
	return c
}

func loadNodeConfig(file string) (nodeserver.Config, error) {
	var cfg nodeserver.Config
	return cfg, loadConfig(file, &cfg)
}
