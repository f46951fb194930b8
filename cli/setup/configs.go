package setup

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"path/filepath"
	"text/template"

	"github.com/entente-hub/entente/crypto/keys"
)

var hubConfig = template.Must(template.New("hub").Parse(`# A hub of the Entente federation. Paths are relative to this file.
id: {{.ID}}
data_dir: data
{{- if .Postgres}}
postgres_file: postgres.dsn
{{- end}}
listen: {{.Listen}}
ops_listen: {{.Ops}}
tls: { cert: tls.crt, key: tls.key, ca: ../authority/ca.crt }
keys: { dir: keys, secret_file: keys.secret, signing_kid: {{.KID}} }
authority_key: ../authority/authority.jwk
statements: ../statements
`))

var nodeConfig = template.Must(template.New("node").Parse(`# The node of member {{.ID}}. Paths are relative to this file.
member: {{.ID}}
data_dir: data
listen: {{.Listen}}
ops_listen: {{.Ops}}
hub: { id: {{.Hub}}, urls: ["https://{{.HubAddr}}"] }
tls: { cert: tls.crt, key: tls.key, ca: ../../authority/ca.crt }
keys: { dir: keys, secret_file: keys.secret, signing_kid: {{.KID}} }
authority_key: ../../authority/authority.jwk
`))

type configValues struct {
	ID, Listen, Ops, KID, Hub, HubAddr string
	Postgres                           bool
}

// writeConfigs gives every part a free loopback address and writes its
// configuration file.
func (m *maker) writeConfigs(context.Context) error {
	addrs, err := freeAddresses(2 + 2*len(m.spec.Members))
	if err != nil {
		return err
	}
	next := func() string { a := addrs[0]; addrs = addrs[1:]; return a }
	m.hubAddr = next()
	v := configValues{ID: string(m.spec.Hub), Listen: m.hubAddr, Ops: next(), KID: m.hub.Public().KeyID(), Postgres: m.spec.Postgres != ""}
	if err := write(m.HubConfig(), hubConfig, v); err != nil {
		return err
	}
	if v.Postgres {
		if err := keys.WriteNewFile(filepath.Join(m.Hub(), "postgres.dsn"), []byte(m.spec.Postgres+"\n"), 0o600); err != nil {
			return err
		}
	}
	for _, member := range m.spec.Members {
		v := configValues{ID: string(member.ID), Listen: next(), Ops: next(), KID: m.nodes[member.ID].Public().KeyID(),
			Hub: string(m.spec.Hub), HubAddr: m.hubAddr}
		if err := write(m.NodeConfig(member.ID), nodeConfig, v); err != nil {
			return err
		}
	}
	return nil
}

func write(file string, t *template.Template, v configValues) error {
	var b bytes.Buffer
	if err := t.Execute(&b, v); err != nil {
		return err
	}
	return keys.WriteNewFile(file, b.Bytes(), 0o600)
}

// freeAddresses finds loopback ports that nobody listens on. Somebody else may
// take one before it is used; starting then fails with a clear error.
func freeAddresses(n int) ([]string, error) {
	var out []string
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("finding a free port: %w", err)
		}
		defer ln.Close() // all at once in the end, so that no port comes twice
		out = append(out, ln.Addr().String())
	}
	return out, nil
}
