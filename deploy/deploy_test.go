package deploy_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"go.yaml.in/yaml/v3"

	"github.com/entente-hub/entente/api/strictyaml"
	hubserver "github.com/entente-hub/entente/hub/server"
	nodeserver "github.com/entente-hub/entente/node/server"
)

func read(t *testing.T, file string) []byte {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// load reads a configuration as the command does: strictly.
func load(t *testing.T, file string, into interface{ Validate() error }) {
	t.Helper()
	raw := read(t, file)
	if _, err := strictyaml.ToJSON(raw); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	dec.KnownFields(true)
	if err := dec.Decode(into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	if err := into.Validate(); err != nil {
		t.Errorf("%s: %v", file, err)
	}
}

// TestConfigs: what an operator copies is what hub and node take.
func TestConfigs(t *testing.T) {
	for _, file := range []string{"hub/hub.yaml", "compose/hub.yaml"} {
		var cfg hubserver.Config
		load(t, file, &cfg)
		if cfg.PostgresFile == "" {
			t.Errorf("%s: hubs that share nothing are not replicas", file)
		}
	}
	var cfg nodeserver.Config
	load(t, "hub/node.yaml", &cfg)
	if len(cfg.Hub.URLs) != 2 {
		t.Errorf("a node knows %d hubs, not both", len(cfg.Hub.URLs))
	}
}

// TestConnectionStrings: they name all three members, and go to no other than the
// one that takes writes.
func TestConnectionStrings(t *testing.T) {
	script := regexp.MustCompile(`postgres://\S+connect_timeout=\d+`).FindString(string(read(t, "compose/secrets.sh")))
	for file, dsn := range map[string]string{
		"hub/postgres.dsn":   strings.TrimSpace(string(read(t, "hub/postgres.dsn"))),
		"compose/secrets.sh": strings.ReplaceAll(script, "$entente", "x"),
	} {
		// The certificate authority is the operator's, and not here.
		dsn = strings.ReplaceAll(dsn, "&sslrootcert=/etc/entente/postgres-ca.crt", "")
		c, err := pgx.ParseConfig(dsn)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		hosts := map[string]bool{c.Host: true}
		for _, f := range c.Fallbacks {
			hosts[f.Host] = true
		}
		if len(hosts) != 3 || !strings.Contains(dsn, "target_session_attrs=read-write") || c.ConnectTimeout == 0 {
			t.Errorf("%s: %v, %s", file, hosts, dsn)
		}
	}
}

// TestOneClusterEverywhere: what the members agree on is the same in the files that
// operators copy as in the one that the tests of failover run with.
func TestOneClusterEverywhere(t *testing.T) {
	var want map[string]any
	if err := yaml.Unmarshal(read(t, "patroni/dcs.yml"), &want); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"synchronous_mode", "synchronous_mode_strict"} {
		if want[name] != true {
			t.Errorf("%s is %v: a receipt would promise more than is so", name, want[name])
		}
	}
	for _, file := range []string{"patroni/patroni.yml", "compose/patroni.yml"} {
		var have struct {
			Bootstrap struct{ DCS map[string]any }
		}
		if err := yaml.Unmarshal(read(t, file), &have); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if diff := cmp.Diff(want, have.Bootstrap.DCS); diff != "" {
			t.Errorf("%s: dcs.yml (-), there (+):\n%s", file, diff)
		}
	}
}

// tool returns the path of a program, or skips the test, and says so.
func tool(t *testing.T, name string) string {
	t.Helper()
	for _, n := range []string{name, "/usr/sbin/" + name} {
		if path, err := exec.LookPath(n); err == nil {
			return path
		}
	}
	t.Skipf("NOT CHECKED: %s is not installed", name)
	return ""
}

// says runs a program, which must succeed, and returns what it says.
func says(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Errorf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// TestHAProxy: HAProxy takes both files.
func TestHAProxy(t *testing.T) {
	haproxy, dir := tool(t, "haproxy"), t.TempDir()
	ca := filepath.Join(dir, "ca.crt")
	writeAuthority(t, ca)
	for file, r := range map[string]*strings.Replacer{
		"haproxy/haproxy.cfg": strings.NewReplacer("/etc/haproxy/ca.crt", ca, "user haproxy", "", "group haproxy", "",
			"pg-1.hub.example:", "127.0.0.1:", "pg-2.hub.example:", "127.0.0.1:", "pg-3.hub.example:", "127.0.0.1:"),
		"local/haproxy.cfg.in": strings.NewReplacer("@@LISTEN@@", "127.0.0.1:1", "@@RUN@@", dir),
	} {
		copied := filepath.Join(dir, filepath.Base(file))
		if err := os.WriteFile(copied, []byte(r.Replace(string(read(t, file)))), 0o600); err != nil {
			t.Fatal(err)
		}
		if out := says(t, haproxy, "-c", "-f", copied); strings.Contains(out, "[WARNING]") {
			t.Errorf("%s: %s", file, out)
		}
	}
}

// writeAuthority writes a certificate that signs others.
func writeAuthority(t *testing.T, file string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// units are those of systemd, and the user of each.
var units = map[string]string{"entente-hub": "entente-hub", "entente-node": "entente-node", "etcd": "etcd", "patroni": "postgres"}

// TestUnits: systemd understands each unit, and each is held to what it needs.
func TestUnits(t *testing.T) {
	files, err := filepath.Glob("systemd/*.service")
	if err != nil || len(files) != len(units) {
		t.Fatalf("%v, %v", files, err)
	}
	for name, user := range units {
		unit := string(read(t, "systemd/"+name+".service"))
		for _, line := range []string{"User=" + user, "NoNewPrivileges=yes", "ProtectSystem=strict", "ProtectHome=yes",
			"CapabilityBoundingSet=", "LimitCORE=0", "Restart=always", "UMask=0077"} {
			if !strings.Contains(unit, "\n"+line+"\n") {
				t.Errorf("%s does not say %s", name, line)
			}
		}
	}
	analyze, dir := tool(t, "systemd-analyze"), t.TempDir()
	for name := range units {
		unit := read(t, "systemd/"+name+".service")
		// It looks whether the programs are there.
		unit = regexp.MustCompile(`(?m)^(ExecStart=)\S+`).ReplaceAll(unit, []byte("${1}/bin/true"))
		copied := filepath.Join(dir, name+".service")
		if err := os.WriteFile(copied, unit, 0o644); err != nil {
			t.Fatal(err)
		}
		if out := says(t, analyze, "verify", "--man=no", copied); strings.Contains(out, name+".service:") {
			t.Errorf("%s: %s", name, out)
		}
	}
}

// TestSecretsOfUnits: what a configuration looks for in the unit's own folder is what
// the unit puts there.
func TestSecretsOfUnits(t *testing.T) {
	for name, config := range map[string]string{"entente-hub": "hub/hub.yaml", "entente-node": "hub/node.yaml"} {
		unit, cfg := string(read(t, "systemd/"+name+".service")), string(read(t, config))
		wanted := regexp.MustCompile(`/run/`+name+`/(\S+)`).FindAllStringSubmatch(cfg, -1)
		given := regexp.MustCompile(`(?m)^LoadCredential=([^:]+):`).FindAllStringSubmatch(unit, -1)
		if len(wanted) == 0 || len(wanted) != len(given) {
			t.Errorf("%s: %v wanted, %v given", name, wanted, given)
		}
		for _, w := range wanted {
			if !strings.Contains(unit, "\nLoadCredential="+w[1]+":") || !strings.Contains(unit, "%d/"+w[1]) {
				t.Errorf("%s is not given %s", name, w[1])
			}
		}
	}
}

// TestCompose: the file means what it seems to, and every file that it mounts is
// there or is one that secrets.sh makes.
func TestCompose(t *testing.T) {
	raw := read(t, "compose/compose.yaml")
	var c struct {
		Services map[string]struct {
			Volumes []string
			User    string
		}
	}
	if err := yaml.Unmarshal(raw, &c); err != nil {
		t.Fatal(err)
	}
	if len(c.Services) != 8 {
		t.Errorf("%d services", len(c.Services))
	}
	for name, s := range c.Services {
		for _, v := range s.Volumes {
			from, _, _ := strings.Cut(v, ":")
			if !strings.HasPrefix(from, "./") || strings.HasPrefix(from, "./secrets/") {
				continue
			}
			if _, err := os.Stat(filepath.Join("compose", from)); err != nil {
				t.Errorf("%s mounts what is not there: %v", name, err)
			}
		}
	}
	compose, dir := tool(t, "docker-compose"), t.TempDir()
	// Version 1 of the program knows no name at the head, and wants the passwords' file.
	copied := filepath.Join(dir, "compose.yaml")
	raw = bytes.Replace(raw, []byte("\nname: entente\n"), []byte("\n"), 1)
	if err := os.WriteFile(copied, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "secrets"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "secrets", "patroni.env"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	says(t, compose, "-f", copied, "config", "--quiet")
}
