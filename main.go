// Command entente runs a hub or a national node of an Entente federation, and is
// the tool with which people publish, read and verify.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/entente-hub/entente/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Main(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
