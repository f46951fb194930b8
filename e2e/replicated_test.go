package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

var failoverFlag = flag.Int("failover", 0, "rounds of TestFailover; 0: it is left out, as one takes about five minutes")

// deployLocal is where the scripts lie that start the replicated set-up.
const deployLocal = "../deploy/local"

// cluster is PostgreSQL under Patroni on etcd, as deploy/local/up starts it.
type cluster struct {
	t   testing.TB
	dir string
	// members are the addresses of each member's Patroni and PostgreSQL.
	patroni, postgres map[string]string
}

// newCluster starts a cluster that ends with the test, or with this process. Where
// a package is missing the test is skipped.
func newCluster(t testing.TB) *cluster {
	t.Helper()
	for _, tool := range []string{"patroni", "patronictl", "etcd", "etcdctl", "/usr/sbin/haproxy", "setpriv", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("NOT TESTED REPLICATED: %v; %s/up says which packages it takes", err, deployLocal)
		}
	}
	dir, err := os.MkdirTemp("", "repl") // short: it holds unix sockets
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{t: t, dir: dir, patroni: make(map[string]string), postgres: make(map[string]string)}
	t.Cleanup(func() {
		c.script("down", dir)
		if t.Failed() {
			for _, log := range []string{"patroni-1", "patroni-2", "patroni-3"} {
				t.Logf("the end of the log of %s:\n%s", log, tail(filepath.Join(dir, "log", log)))
			}
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	c.script("up", "--while", strconv.Itoa(os.Getpid()), dir)
	raw, err := os.ReadFile(filepath.Join(dir, "members"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		var name, rest, pg string
		if _, err := fmt.Sscan(line, &name, &rest, &pg); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		c.patroni[name], c.postgres[name] = rest, pg
	}
	return c
}

// script runs one of the scripts. They bound their own time; three minutes are more
// than any of them takes.
func (c *cluster) script(name string, args ...string) {
	c.t.Helper()
	c.run(3*time.Minute, filepath.Join(deployLocal, name), args...)
}

// run runs a command to its end and returns what it says on standard output. It may
// leave processes behind that hold its standard error, which is therefore a file.
func (c *cluster) run(limit time.Duration, name string, args ...string) []byte {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	errs, err := os.CreateTemp("", "stderr")
	if err != nil {
		c.t.Fatal(err)
	}
	defer os.Remove(errs.Name())
	defer errs.Close()
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = &out, errs
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		c.t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, &out, tail(errs.Name()))
	}
	return out.Bytes()
}

// dsn is a connection string that up has written: "dsn" or "dsn.haproxy".
func (c *cluster) dsn(file string) string {
	c.t.Helper()
	raw, err := os.ReadFile(filepath.Join(c.dir, file))
	if err != nil {
		c.t.Fatal(err)
	}
	return strings.TrimSpace(string(raw))
}

// roles returns who is what as Patroni's members say: a state such as "running" or
// "streaming" and a role such as "leader" or "sync_standby", by member.
func (c *cluster) roles() map[string][2]string {
	client := http.Client{Timeout: 3 * time.Second}
	defer client.CloseIdleConnections()
	for _, addr := range c.patroni {
		resp, err := client.Get("http://" + addr + "/cluster")
		if err != nil {
			continue
		}
		var view struct {
			Members []struct{ Name, Role, State string }
		}
		err = json.NewDecoder(resp.Body).Decode(&view)
		resp.Body.Close()
		if err != nil {
			continue
		}
		out := make(map[string][2]string)
		for _, m := range view.Members {
			out[m.Name] = [2]string{m.Role, m.State}
		}
		return out
	}
	return nil
}

// member returns who has a role, or "".
func (c *cluster) member(role string) string {
	for name, is := range c.roles() {
		if is[0] == role {
			return name
		}
	}
	return ""
}

// need is member for a role that must be taken.
func (c *cluster) need(role string) (name string) {
	c.t.Helper()
	eventually(c.t, time.Minute, "a "+role, func() (bool, string) {
		name = c.member(role)
		return name != "", fmt.Sprint(c.roles())
	})
	return name
}

// succeeded waits until another member leads than the one that did.
func (c *cluster) succeeded(by string) {
	c.t.Helper()
	eventually(c.t, 2*time.Minute, "another leader than "+by, func() (bool, string) {
		for name, is := range c.roles() {
			if is[0] == "leader" && is[1] == "running" && name != by {
				return true, ""
			}
		}
		return false, fmt.Sprint(c.roles())
	})
}

// whole waits until all members run, one leads, and one follows it synchronously.
func (c *cluster) whole() {
	c.t.Helper()
	eventually(c.t, 2*time.Minute, "a whole cluster", func() (bool, string) {
		roles, up, leads, follows := c.roles(), 0, 0, 0
		for _, is := range roles {
			if is[1] == "running" || is[1] == "streaming" {
				up++
			}
			switch is[0] {
			case "leader":
				leads++
			case "sync_standby":
				follows++
			}
		}
		return up == len(c.patroni) && leads == 1 && follows == 1, fmt.Sprint(roles)
	})
}

// process returns the number of a process that up has recorded.
func (c *cluster) process(name string) int {
	c.t.Helper()
	return c.firstNumber(filepath.Join(c.dir, "pids", name))
}

// server returns the number of a member's PostgreSQL server.
func (c *cluster) server(member string) int {
	c.t.Helper()
	return c.firstNumber(filepath.Join(c.dir, member, "data", "postmaster.pid"))
}

func (c *cluster) firstNumber(file string) int {
	c.t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		c.t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.Fields(string(raw) + " none")[0])
	if err != nil || n <= 1 {
		c.t.Fatalf("%s: %q", file, raw)
	}
	return n
}

// patroniOf is the name of a member's Patroni.
func patroniOf(member string) string { return "patroni-" + strings.TrimPrefix(member, "pg-") }

// kill ends processes with SIGKILL, all at once.
func (c *cluster) kill(numbers ...int) {
	c.t.Helper()
	for _, n := range numbers {
		if err := syscall.Kill(n, syscall.SIGKILL); err != nil {
			c.t.Fatalf("killing %d: %v", n, err)
		}
	}
}

// etcdLeader is the name of etcd's member that leads.
func (c *cluster) etcdLeader() string {
	c.t.Helper()
	endpoints := strings.TrimSpace(c.dsn("etcd"))
	out := c.run(20*time.Second, "env", "ETCDCTL_API=3", "etcdctl", "--endpoints", endpoints, "endpoint", "status", "-w", "json")
	var list []struct {
		Endpoint string
		Status   struct {
			Header struct {
				Member uint64 `json:"member_id"`
			} `json:"header"`
			Leader uint64 `json:"leader"`
		}
	}
	if err := json.Unmarshal(out, &list); err != nil {
		c.t.Fatalf("%v\n%s", err, out)
	}
	for _, e := range list {
		if e.Status.Leader == e.Status.Header.Member {
			for i, addr := range strings.Split(endpoints, ",") {
				if addr == e.Endpoint {
					return fmt.Sprintf("etcd-%d", i+1)
				}
			}
		}
	}
	c.t.Fatalf("etcd has no leader: %s", out)
	return ""
}
