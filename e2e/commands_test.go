package e2e_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.yaml.in/yaml/v3"

	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/pki"
	"github.com/entente-hub/entente/node/hubclient"
	nodeserver "github.com/entente-hub/entente/node/server"
)

// command is a command of scripts. Only ask may be negated.
type command = func(ts *testscript.TestScript, neg bool, args []string)

var commands = map[string]command{
	"exits":    args(2, cmdExits),
	"await":    args(1, cmdAwait),
	"arrive":   args(2, cmdArrive),
	"refused":  args(1, cmdRefused),
	"get":      args(1, cmdGet),
	"setenv":   args(3, cmdSetenv),
	"append":   args(2, cmdAppend),
	"replace":  args(2, cmdReplace),
	"mode":     args(2, cmdMode),
	"ask":      cmdAsk,
	"body":     args(3, cmdBody),
	"send":     args(3, cmdSend),
	"flip":     args(2, cmdFlip),
	"empty":    args(2, cmdEmpty),
	"truncate": args(1, cmdTruncate),
	"restore":  args(2, cmdRestore),
	"count":    args(3, cmdCount),
	"unready":  args(2, cmdUnready),
	"offline":  args(1, cmdOffline),
	"spoil":    args(2, cmdSpoil),
	"hup":      args(0, cmdHup),
	"says":     args(2, cmdSays),
	"type":     args(2, cmdType),
}

// args wants at least n arguments.
func args(n int, run func(ts *testscript.TestScript, args []string)) command {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) < n {
			ts.Fatalf("not negated, and %d arguments or more", n)
		}
		run(ts, args)
	}
}

// exits CODE PROGRAM ARGS…: the program ends with exactly that code.
func cmdExits(ts *testscript.TestScript, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// poll asks until done says yes.
func poll(ts *testscript.TestScript, what string, done func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := done(ctx)
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			ts.Fatalf("%s: %v", what, err)
		}
	}
}

// await CONFIG: waits until the part with that configuration is ready.
func cmdAwait(ts *testscript.TestScript, args []string) {
	var cfg struct {
		Ops string `yaml:"ops_listen"`
	}
	ts.Check(yaml.Unmarshal([]byte(ts.ReadFile(args[0])), &cfg))
	client := http.Client{Timeout: 5 * time.Second}
	defer client.CloseIdleConnections()
	poll(ts, args[0]+" is not ready", func(context.Context) error {
		resp, err := client.Get("http://" + cfg.Ops + "/readyz")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			body, _ := io.ReadAll(resp.Body)
			return fmt.Errorf("%s", body)
		}
		return nil
	})
}

func nodeConfig(ts *testscript.TestScript, file string) nodeserver.Config {
	var cfg nodeserver.Config
	ts.Check(yaml.Unmarshal([]byte(ts.ReadFile(file)), &cfg))
	cfg.Resolve(filepath.Dir(ts.MkAbs(file)))
	return cfg
}

// arrive NODE N: waits until the node's inbox holds N alerts, and holds it to that.
func cmdArrive(ts *testscript.TestScript, args []string) {
	want, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	client, err := nodeserver.NewClient(nodeConfig(ts, args[0]))
	ts.Check(err)
	defer client.Close()
	poll(ts, args[0], func(ctx context.Context) error {
		s, err := client.Status(ctx)
		if err == nil && s.Inbox > want {
			ts.Fatalf("%d alerts have arrived, not %d", s.Inbox, want)
		}
		if err == nil && s.Inbox < want {
			err = fmt.Errorf("%d alerts have arrived, not %d", s.Inbox, want)
		}
		return err
	})
}

// refused NODE: waits until the node has refused a page of its feed.
func cmdRefused(ts *testscript.TestScript, args []string) {
	cfg := nodeConfig(ts, args[0])
	poll(ts, args[0]+" has refused no page", func(context.Context) error {
		resp, err := http.Get("http://" + cfg.OpsListen + "/metrics")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(body)) {
			if name, n, ok := strings.Cut(strings.TrimSpace(line), " "); ok && strings.Contains(name, "refused_pages") && n != "0" && name[0] != '#' {
				return nil
			}
		}
		return errors.New("refused_pages is 0")
	})
}

// lookup follows a dotted path into JSON, without rounding numbers.
func lookup(ts *testscript.TestScript, raw, path string) string {
	dec := json.NewDecoder(strings.NewReader(raw))
	dec.UseNumber()
	var v any
	ts.Check(dec.Decode(&v))
	for _, step := range strings.Split(path, ".") {
		switch in := v.(type) {
		case map[string]any:
			v = in[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i >= len(in) {
				ts.Fatalf("%s: no element %s", path, step)
			}
			v = in[i]
		default:
			v = nil
		}
		if v == nil {
			ts.Fatalf("%s: nothing at %s in %s", path, step, raw)
		}
	}
	return fmt.Sprint(v)
}

// get PATH: puts what stands at a path of the last JSON on standard output.
func cmdGet(ts *testscript.TestScript, args []string) {
	fmt.Fprintln(ts.Stdout(), lookup(ts, ts.ReadFile("stdout"), args[0]))
}

// setenv NAME FILE PATH: sets a variable from a JSON file.
func cmdSetenv(ts *testscript.TestScript, args []string) {
	ts.Setenv(args[0], lookup(ts, ts.ReadFile(args[1]), args[2]))
}

// append FILE LINE: adds a line to a file.
func cmdAppend(ts *testscript.TestScript, args []string) {
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(ts.ReadFile(args[0])+args[1]+"\n"), 0o600))
}

// replace FROM TO: puts a file's content in another's place, which must be there
// and keeps its mode.
func cmdReplace(ts *testscript.TestScript, args []string) {
	f, err := os.OpenFile(ts.MkAbs(args[1]), os.O_WRONLY|os.O_TRUNC, 0)
	ts.Check(err)
	_, err = f.WriteString(ts.ReadFile(args[0]))
	ts.Check(errors.Join(err, f.Close()))
}

// mode OCTAL FILE: the file has exactly that mode.
func cmdMode(ts *testscript.TestScript, args []string) {
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := fmt.Sprintf("%o", info.Mode().Perm()); got != args[0] {
		ts.Fatalf("%s has mode %s", args[1], got)
	}
}

// ask NODE PATH FILE: asks the hub with a node's certificate, and writes status,
// headers but the date, and body to a file. Negated: there is no answer.
func cmdAsk(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("ask NODE PATH FILE")
	}
	cfg := nodeConfig(ts, args[0])
	cert, err := pki.LoadPair(cfg.TLS.Cert, cfg.TLS.Key)
	ts.Check(err)
	pool, err := pki.LoadPool(cfg.TLS.CA)
	ts.Check(err)
	client := http.Client{Timeout: time.Minute, Transport: &http.Transport{
		TLSClientConfig: pki.ClientConfig(cert, pool, pki.Identity{Kind: pki.Hub, ID: string(cfg.Hub.ID)})}}
	defer client.CloseIdleConnections()
	resp, err := client.Get(cfg.Hub.URLs[0] + args[1])
	if neg {
		if err == nil {
			resp.Body.Close()
			ts.Fatalf("there is an answer: %s", resp.Status)
		}
		return
	}
	ts.Check(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	ts.Check(err)
	resp.Header.Del("Date")
	var b bytes.Buffer
	fmt.Fprintln(&b, resp.Status)
	ts.Check(resp.Header.Write(&b)) // sorted
	fmt.Fprintf(&b, "\n%s", body)
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), b.Bytes(), 0o600))
}

// body ANSWER PATH FILE: writes what stands at a path of an answer's JSON to a file.
func cmdBody(ts *testscript.TestScript, args []string) {
	_, body, _ := strings.Cut(ts.ReadFile(args[0]), "\n\n")
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(lookup(ts, body, args[1])), 0o600))
}

// send NODE SHOWN KIND: publishes the alert in the JSON of entente show over a node's
// connection, past the node, and wants a problem of that kind; "": a receipt.
func cmdSend(ts *testscript.TestScript, args []string) {
	cfg := nodeConfig(ts, args[0])
	cert, err := pki.LoadPair(cfg.TLS.Cert, cfg.TLS.Key)
	ts.Check(err)
	pool, err := pki.LoadPool(cfg.TLS.CA)
	ts.Check(err)
	client, err := hubclient.New(hubclient.Config{URLs: cfg.Hub.URLs, Hub: cfg.Hub.ID, Certificate: cert, Pool: pool})
	ts.Check(err)
	defer client.Close()
	_, err = client.Publish(context.Background(), lookup(ts, ts.ReadFile(args[1]), "alert"))
	got := problem.Kind("")
	if err != nil {
		got = problem.KindOf(err)
	}
	if got != problem.Kind(args[2]) {
		ts.Fatalf("answered with %q, want %q: %v", got, args[2], err)
	}
}

// change runs one statement on an SQLite file, which must change n rows.
func change(ts *testscript.TestScript, file string, n int64, stmt string, values ...any) {
	db, err := sql.Open("sqlite", "file:"+ts.MkAbs(file))
	ts.Check(err)
	res, err := db.Exec(stmt, values...)
	ts.Check(err)
	changed, err := res.RowsAffected()
	ts.Check(errors.Join(err, db.Close()))
	if changed != n {
		ts.Fatalf("%d rows changed, not %d", changed, n)
	}
}

// flip DATABASE KIND: changes one byte of the first entry of a kind in the hub's
// audit log: a digit of its time, so that it still reads as an entry.
func cmdFlip(ts *testscript.TestScript, args []string) {
	change(ts, args[0], 1, `UPDATE log_entries SET leaf = CAST(replace(CAST(leaf AS TEXT), substr(CAST(leaf AS TEXT), 1, 53),
		substr(CAST(leaf AS TEXT), 1, 52) || (9 - substr(CAST(leaf AS TEXT), 53, 1))) AS BLOB)
		WHERE idx = (SELECT min(idx) FROM log_entries WHERE CAST(leaf AS TEXT) LIKE ?)`, `{"v":1,"salt":"%","at":%"kind":"`+args[1]+`"%`)
}

// empty DATABASE KIND: erases what the first entry of a kind says, as the hub does where the
// registry says so.
func cmdEmpty(ts *testscript.TestScript, args []string) {
	change(ts, args[0], 1, `UPDATE log_entries SET leaf = x'' WHERE idx =
		(SELECT min(idx) FROM log_entries WHERE CAST(leaf AS TEXT) LIKE ?)`, `{"v":1,"salt":"%","at":%"kind":"`+args[1]+`"%`)
}

// truncate DATABASE: takes the last entry of the hub's log away, and sets its head
// back, as if it had never been.
func cmdTruncate(ts *testscript.TestScript, args []string) {
	change(ts, args[0], 1, `UPDATE log_head SET size = size - 1`)
	change(ts, args[0], 1, `DELETE FROM log_entries WHERE idx = (SELECT max(idx) FROM log_entries)`)
}

// restore FROM TO: puts a database back, and removes what SQLite keeps beside it.
func cmdRestore(ts *testscript.TestScript, args []string) {
	to := ts.MkAbs(args[1])
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(to + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			ts.Fatalf("%v", err)
		}
	}
	ts.Check(os.WriteFile(to, []byte(ts.ReadFile(args[0])), 0o600))
}

// count DATABASE TABLE N: the table has that many rows.
func cmdCount(ts *testscript.TestScript, args []string) {
	db, err := sql.Open("sqlite", "file:"+ts.MkAbs(args[0]))
	ts.Check(err)
	defer db.Close()
	var got string
	ts.Check(db.QueryRow("SELECT count(*) FROM " + args[1]).Scan(&got))
	if got != args[2] {
		ts.Fatalf("%s rows in %s", got, args[1])
	}
}
