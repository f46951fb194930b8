package setup

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"path/filepath"
	"text/template"

	"github.com/entente-hub/entente/api/alert"
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
	addrs, err := FreeAddresses(2 + 2*len(m.spec.Members))
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
		if err := m.writeNodeConfig(member.ID, next(), next()); err != nil {
			return err
		}
	}
	return nil
}

func (m *maker) writeNodeConfig(member alert.MemberID, listen, ops string) error {
	return write(m.NodeConfig(member), nodeConfig, configValues{ID: string(member), Listen: listen, Ops: ops,
		KID: m.nodes[member].Public().KeyID(), Hub: string(m.spec.Hub), HubAddr: m.hubAddr})
}

func write(file string, t *template.Template, v configValues) error {
	var b bytes.Buffer
	if err := t.Execute(&b, v); err != nil {
		return err
	}
	return keys.WriteNewFile(file, b.Bytes(), 0o600)
}

// FreeAddresses finds n loopback ports that nobody listens on, below those that
// systems give out by themselves (RFC 6335 section 6 calls 49152 and above
// dynamic; Linux begins at 32768): none of them goes to somebody who asks for any
// port while it is not in use here. Another who looks for one like this may still
// take it; starting then fails with a clear error.
func FreeAddresses(n int) ([]string, error) {
	const lowest, highest = 10000, 32767
	var out []string
	for misses := 0; len(out) < n; {
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", lowest+rand.IntN(highest-lowest+1)))
		if err != nil {
			if misses++; misses > 1000 {
				return nil, fmt.Errorf("finding a free port: %w", err)
			}
			continue
		}
		defer ln.Close() // all at once in the end, so that no port comes twice
		out = append(out, ln.Addr().String())
	}
	return out, nil
}
