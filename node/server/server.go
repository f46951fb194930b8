package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"github.com/entente-hub/entente/api/nodeapi"
	"github.com/entente-hub/entente/api/serve"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/crypto/pki"
	"github.com/entente-hub/entente/node"
	"github.com/entente-hub/entente/node/hubclient"
	"github.com/entente-hub/entente/node/store"
	"github.com/entente-hub/entente/node/store/sqlite"
	"github.com/entente-hub/entente/openapi"
)

// maxBody bounds a draft: an alert of the largest size, spelt out at length.
const maxBody = 4 << 20

// databaseFile is the database's name in the data directory.
const databaseFile = "node.db"

// Option changes what no configuration can.
type Option func(*node.Config)

// WithClock gives a node another clock than time.Now: it is for those who try out what
// becomes of a node whose clock is wrong.
func WithClock(now func() time.Time) Option { return func(c *node.Config) { c.Now = now } }

// Run runs a node until ctx ends. ready, if not nil, is called with the
// listeners' addresses once they accept connections.
func Run(ctx context.Context, cfg Config, log *slog.Logger, ready func(serve.Addresses), opts ...Option) (err error) {
	if err := cfg.Validate(); err != nil {
		return err
	}
	cert, pool, err := loadTLS(cfg.TLS)
	if err != nil {
		return err
	}
	token, err := openToken(cfg.DataDir)
	if err != nil {
		return err
	}
	st, err := sqlite.Open(ctx, filepath.Join(cfg.DataDir, databaseFile))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	var hub node.Hub = node.Offline{}
	if !cfg.Hub.Offline {
		client, err := hubclient.New(hubclient.Config{URLs: cfg.Hub.URLs, Hub: cfg.Hub.ID, Certificate: cert, Pool: pool})
		if err != nil {
			return err
		}
		defer client.Close()
		hub = client
	}
	n, err := build(ctx, cfg, st, hub, log, opts...)
	if err != nil {
		return err
	}
	carried, err := newImports(n, pool, cfg.DataDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, carried.close()) }()
	app, err := newApp(n, token, carried, log)
	if err != nil {
		return err
	}
	limited := newLimited()
	ln, err := listen(cfg, cert, pool, limited)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return n.Run(ctx) })
	g.Go(func() error { return serve.Run(ctx, app, ln) })
	at := serve.Addresses{API: ln.Addr().String()}
	if cfg.OpsListen != "" {
		ops, err := net.Listen("tcp", cfg.OpsListen)
		if err != nil {
			g.Go(func() error { return err }) // ends the others, which close what they have
			return g.Wait()
		}
		at.Ops = ops.Addr().String()
		g.Go(func() error { return serve.Ops(ctx, ops, metrics(n, limited, log), n.Ready, log, cfg.notes()...) })
	}
	log.Info("node is listening", "member", string(cfg.Member), "address", at.API)
	if ready != nil {
		ready(at)
	}
	return g.Wait()
}

func build(ctx context.Context, cfg Config, st store.Store, hub node.Hub, log *slog.Logger, opts ...Option) (*node.Node, error) {
	authority, err := readPublicKey(cfg.AuthorityKey)
	if err != nil {
		return nil, err
	}
	secret, err := keys.SecretFromFile(cfg.Keys.SecretFile)
	if err != nil {
		return nil, fmt.Errorf("node configuration: keys.secret_file: %w", err)
	}
	ks, err := keys.OpenStore(cfg.Keys.Dir, secret)
	if err != nil {
		return nil, fmt.Errorf("node configuration: keys.dir: %w", err)
	}
	signer, err := ks.Load(cfg.Keys.SigningKID)
	if err != nil {
		return nil, fmt.Errorf("node configuration: keys.signing_kid: %w", err)
	}
	rules, err := loadEgress(cfg.Egress)
	if err != nil {
		return nil, fmt.Errorf("node configuration: egress: %w", err)
	}
	users, people, err := loadIngress(cfg.Ingress)
	if err != nil {
		return nil, fmt.Errorf("node configuration: ingress: %w", err)
	}
	if err := checkPairs(cfg.Publishing.FourEyes, people); err != nil {
		return nil, fmt.Errorf("node configuration: publishing: %w", err)
	}
	c := node.Config{Member: cfg.Member, HubID: cfg.Hub.ID, Authority: authority,
		Signer: keys.Batch(signer), Store: st, Hub: hub, Egress: rules, Ingress: users,
		People: people, FourEyes: cfg.Publishing.FourEyes, Log: log}
	for _, change := range opts {
		change(&c)
	}
	return node.New(ctx, c)
}

// newApp returns the local interface's HTTP application.
func newApp(n *node.Node, token string, carried *imports, log *slog.Logger) (*fiber.App, error) {
	spec, err := openapi.Node()
	if err != nil {
		return nil, err
	}
	app, err := serve.New(spec, maxBody, log, authenticate(n.Member, token))
	if err != nil {
		return nil, err
	}
	nodeapi.RegisterHandlers(app, nodeapi.NewStrictHandler(handlers{n, newPlaces(token), carried}, nil))
	return app, nil
}

func loadTLS(t TLS) (tls.Certificate, *x509.CertPool, error) {
	cert, err := pki.LoadPair(t.Cert, t.Key)
	if err != nil {
		return tls.Certificate{}, nil, fmt.Errorf("node configuration: tls: %w", err)
	}
	pool, err := pki.LoadPool(t.CA)
	if err != nil {
		return tls.Certificate{}, nil, fmt.Errorf("node configuration: tls.ca: %w", err)
	}
	return cert, pool, nil
}

// readPublicKey reads a file with a public key as a JWK.
func readPublicKey(file string) (keys.PublicKey, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return keys.PublicKey{}, fmt.Errorf("node configuration: authority_key: %w", err)
	}
	k, err := keys.ParsePublicKey(raw)
	if err != nil {
		return keys.PublicKey{}, fmt.Errorf("node configuration: authority_key: %s: %w", file, err)
	}
	return k, nil
}

// metrics returns the node's figures; each scrape reads them anew.
func metrics(n *node.Node, limited *prometheus.CounterVec, log *slog.Logger) *prometheus.Registry {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		limited, &collector{node: n, log: log})
	return reg
}
