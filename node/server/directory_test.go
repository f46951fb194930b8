package server_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/node/nodetest"
	"github.com/entente-hub/entente/node/server"
)

const ownIngress = `package entente.ingress

# METADATA
# title: Names
# custom: {code: own, message: Not by that name., order: 1}
others := {user | some user in input.directory.users; user != "dan"}

answer := {"permitted": input.directory.users - others, "refused": {"own": others}}
`

// TestOwnIngressModule: a member's own rules take the place of the embedded ones.
func TestOwnIngressModule(t *testing.T) {
	f := nodetest.New(t)
	hub := f.Serve(t)
	hub.Do(func() { hub.Wait = true })
	cfg := withDirectory(t, install(t, f, hub))
	cfg.Ingress.Module = filepath.Join(cfg.DataDir, "ingress.rego")
	must(t, os.WriteFile(cfg.Ingress.Module, []byte(ownIngress), 0o600))
	d := &desk{Federation: f, t: t, hub: hub, cfg: start(t, cfg), until: time.Now().Add(time.Hour)}
	d.c = client(t, d.cfg)
	id, token := d.issue(open)
	d.hand(token, feed.Content)
	if got := d.reads("dan"); !slices.Equal(got, []string{string(id) + " p0:content"}) {
		t.Error(got)
	}
	if got := d.reads("ann"); len(got) != 0 {
		t.Error(got)
	}
}

// TestDirectoryIsStrict: a node does not start on a directory or on rules that do
// not say what they seem to.
func TestDirectoryIsStrict(t *testing.T) {
	f := nodetest.New(t)
	hub := f.Serve(t)
	write := func(change func(string) string) func(*server.Config) {
		return func(c *server.Config) { must(t, os.WriteFile(c.Ingress.Directory, []byte(change(directory)), 0o600)) }
	}
	swap := func(old, new string) func(*server.Config) {
		return write(func(s string) string {
			if strings.Count(s, old) == 0 {
				t.Fatalf("%q is not there", old)
			}
			return strings.Replace(s, old, new, 1)
		})
	}
	for name, change := range map[string]func(*server.Config){
		"no file":         func(c *server.Config) { c.Ingress.Directory += "x" },
		"empty":           write(func(string) string { return "" }),
		"misspelt":        swap("suspended:", "suspend:"),
		"twice":           swap("suspended: true", "suspended: true, suspended: false"),
		"null":            swap("suspended: true", "suspended: ~"),
		"a word":          swap("suspended: true", "suspended: yes"),
		"alias":           swap("[investigation], tlp_red", "&p [investigation], task_forces: *p, tlp_red"),
		"two documents":   write(func(s string) string { return s + "---\n" + s }),
		"unknown agency":  swap("agency: coast-guard", "agency: navy"),
		"unknown purpose": swap("[investigation, prevention]", "[investigation, prevent]"),
		"no module":       func(c *server.Config) { c.Ingress.Module = "missing.rego" },
		"empty module": func(c *server.Config) {
			c.Ingress.Module = filepath.Join(c.DataDir, "ingress.rego")
			must(t, os.WriteFile(c.Ingress.Module, nil, 0o600))
		},
		"module without directory": func(c *server.Config) { c.Ingress = server.Ingress{Module: c.Ingress.Directory} },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := withDirectory(t, install(t, f, hub))
			change(&cfg)
			limited, cancel := context.WithTimeout(ctx, 30*time.Second)
			defer cancel()
			err := server.Run(limited, cfg, slog.New(slog.DiscardHandler), nil)
			if err == nil || !strings.Contains(err.Error(), "ingress") {
				t.Errorf("it ran, or does not say what is wrong: %v", err)
			}
		})
	}
}
