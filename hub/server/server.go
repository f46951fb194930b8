package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/hubapi"
	"github.com/entente-hub/entente/api/serve"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/crypto/pki"
	"github.com/entente-hub/entente/hub"
	"github.com/entente-hub/entente/hub/store"
	"github.com/entente-hub/entente/hub/store/postgres"
	"github.com/entente-hub/entente/hub/store/sqlite"
	"github.com/entente-hub/entente/openapi"
	"github.com/entente-hub/entente/policies"
)

// maxBody leaves room for an alert of the largest size and its JSON around it.
const maxBody = alert.MaxBytes + 64<<10

// Events tells a caller of Run what it may want to know.
type Events struct {
	Ready  func(serve.Addresses) // called once the listeners accept connections
	Reload <-chan struct{}       // each receive makes the hub read Config.Statements again

	// Now is the hub's clock; nil: time.Now. No configuration sets it: it is for those who
	// try out what becomes of a hub whose clock is wrong.
	Now func() time.Time
}

// Run runs a hub until ctx ends.
func Run(ctx context.Context, cfg Config, log *slog.Logger, ev Events) (err error) {
	if err := cfg.Validate(); err != nil {
		return err
	}
	st, err := OpenStore(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	h, err := build(ctx, cfg, st, reg, log, ev.Now)
	if err != nil {
		return err
	}
	limits, limited := cfg.Limits.orDefault(), newLimited(reg)
	ln, err := listen(cfg, limits, limited)
	if err != nil {
		return err
	}
	reg.MustRegister(openConnections(ln))
	app, err := New(h, limits, limited, log)
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	// The core outlives the listener: requests under way end with an answer.
	coreCtx, stopCore := context.WithCancel(context.WithoutCancel(ctx))
	core := make(chan error, 1)
	defer func() { // before the store is closed
		stopCore()
		err = errors.Join(err, <-core)
	}()
	g, ctx := errgroup.WithContext(ctx)
	go func() {
		core <- h.Run(coreCtx)
		stopCore()
	}()
	g.Go(func() error {
		select {
		case <-coreCtx.Done(): // it could not begin; its own error comes above
			return errors.New("hub: the core has ended")
		case <-ctx.Done():
			h.Drain()
			return nil
		}
	})
	g.Go(func() error { return serve.Run(ctx, app, ln) })
	at := serve.Addresses{API: ln.Addr().String()}
	if cfg.OpsListen != "" {
		ops, err := net.Listen("tcp", cfg.OpsListen)
		if err != nil {
			g.Go(func() error { return err }) // ends the others, which close what they have
			return g.Wait()
		}
		at.Ops = ops.Addr().String()
		g.Go(func() error { return serve.Ops(ctx, ops, reg, h.Ready, log) })
	}
	g.Go(func() error {
		take(ctx, h, cfg.Statements, log)
		log.Info("hub is listening", "hub", string(cfg.ID), "address", at.API)
		if ev.Ready != nil {
			ev.Ready(at)
		}
		return reload(ctx, h, cfg.Statements, ev.Reload, log)
	})
	return g.Wait()
}

// New returns the hub's HTTP application. limited counts what is turned away.
func New(h *hub.Hub, limits Limits, limited *prometheus.CounterVec, log *slog.Logger) (*fiber.App, error) {
	spec, err := openapi.Hub()
	if err != nil {
		return nil, err
	}
	t := newThrottle(spec, limits.orDefault(), limited)
	app, err := serve.New(spec, maxBody, log, authenticate(h, t), serve.OnRefusal(recordRefusal(h, t)),
		serve.WithTimeouts(limits.orDefault().timeouts()))
	if err != nil {
		return nil, err
	}
	hubapi.RegisterHandlers(app, hubapi.NewStrictHandler(handlers{h, t}, nil))
	return app, nil
}

// OpenStore opens the database that the configuration names.
func OpenStore(ctx context.Context, cfg Config) (store.Store, error) {
	dsn := cfg.Postgres
	if cfg.PostgresFile != "" {
		raw, err := keys.ReadSecretFile(cfg.PostgresFile, 4096)
		if err != nil {
			return nil, fmt.Errorf("hub configuration: postgres_file: %w", err)
		}
		dsn = strings.TrimSpace(string(raw))
	}
	if dsn != "" {
		return postgres.Open(ctx, dsn, postgres.Options{})
	}
	return sqlite.Open(ctx, filepath.Join(cfg.DataDir, "hub.db"))
}

func build(ctx context.Context, cfg Config, st store.Store, reg prometheus.Registerer, log *slog.Logger, now func() time.Time) (*hub.Hub, error) {
	authority, err := ReadPublicKey(cfg.AuthorityKey)
	if err != nil {
		return nil, err
	}
	signer, err := openKey(cfg.Keys)
	if err != nil {
		return nil, err
	}
	engine, err := policies.Load()
	if err != nil {
		return nil, err
	}
	return hub.New(ctx, hub.Deps{ID: cfg.ID, Store: st, Signer: signer, Authority: authority,
		Engine: engine, Log: log, Metrics: hub.NewMetrics(reg), Quotas: cfg.Limits.orDefault().quotas(), Now: now})
}

func openKey(k Keys) (keys.Signer, error) {
	secret, err := keys.SecretFromFile(k.SecretFile)
	if err != nil {
		return nil, fmt.Errorf("hub configuration: keys.secret_file: %w", err)
	}
	ks, err := keys.OpenStore(k.Dir, secret)
	if err != nil {
		return nil, fmt.Errorf("hub configuration: keys.dir: %w", err)
	}
	return ks.Load(k.SigningKID)
}

// ReadPublicKey reads a file with a public key as a JWK.
func ReadPublicKey(file string) (keys.PublicKey, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return keys.PublicKey{}, err
	}
	k, err := keys.ParsePublicKey([]byte(strings.TrimSpace(string(raw))))
	if err != nil {
		return keys.PublicKey{}, fmt.Errorf("%s: %w", file, err)
	}
	return k, nil
}

func listen(cfg Config, limits Limits, limited *prometheus.CounterVec) (*serve.Gate, error) {
	cert, err := pki.LoadPair(cfg.TLS.Cert, cfg.TLS.Key)
	if err != nil {
		return nil, err
	}
	pool, err := pki.LoadPool(cfg.TLS.CA)
	if err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, err
	}
	peer := func(cs tls.ConnectionState) string {
		id, _ := pki.PeerIdentity(cs) // the handshake has seen that there is one
		return string(id.Kind) + ":" + id.ID
	}
	return serve.NewGate(ln, pki.ServerConfig(cert, pool), limits.gate(), peer,
		func(b serve.Bound) { limited.WithLabelValues(string(b)).Inc() }), nil
}

// TakeStatements brings every statement in a folder into force. The error names
// the files that were refused; the others are in force.
func TakeStatements(ctx context.Context, h *hub.Hub, dir string) error {
	if dir == "" {
		return nil
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return err
	}
	var raws [][]byte
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		raws = append(raws, bytes.TrimSpace(raw))
	}
	refused := h.TakeStatements(ctx, raws)
	var errs []error
	for i, f := range files {
		if err := refused[i]; err != nil {
			errs = append(errs, fmt.Errorf("statement %s: %w", filepath.Base(f), err))
		}
	}
	return errors.Join(errs...)
}

func reload(ctx context.Context, h *hub.Hub, dir string, again <-chan struct{}, log *slog.Logger) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case _, open := <-again:
			if !open {
				again = nil
				continue
			}
			take(ctx, h, dir, log)
		}
	}
}

// take reads the folder of statements. A statement that is refused must not keep
// the hub from working with those that are in force; /readyz tells if that is not
// enough.
func take(ctx context.Context, h *hub.Hub, dir string, log *slog.Logger) {
	if err := TakeStatements(ctx, h, dir); err != nil {
		log.Error("statements were refused; those in force stay", "error", err.Error())
		return
	}
	log.Info("statements are in force", "folder", dir)
}
