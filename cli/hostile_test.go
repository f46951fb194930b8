package cli

import (
	"crypto/tls"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/hubapi"
	"github.com/entente-hub/entente/api/nodeapi"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/cli/setup"
	"github.com/entente-hub/entente/crypto/pki"
	"github.com/entente-hub/entente/policies"
	"github.com/entente-hub/entente/policies/bundle"
	"github.com/entente-hub/entente/trust"
)

// answers are what XA's node says, by method and path. A function answers a body.
type answers map[string]any

// scripted is a federation in which XA's node says what a test has it say: as it would
// pass on what a hub claims.
type scripted struct {
	setup.Layout
	config string // of XA's node
}

// script starts such a node. What it has no answer for is not found.
func script(t *testing.T, says answers) scripted {
	t.Helper()
	layout, err := setup.Make(t.Context(), filepath.Join(t.TempDir(), "fed"), setup.Trial())
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := loadNodeConfig(layout.NodeConfig("XA"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, []byte(strings.Repeat("A", 43)+"\n"), cfg.DataDir, "token")
	if err := os.Chmod(filepath.Join(cfg.DataDir, "token"), 0o600); err != nil {
		t.Fatal(err)
	}
	pair, err := pki.LoadPair(cfg.TLS.Cert, cfg.TLS.Key)
	if err != nil {
		t.Fatal(err)
	}
	pool, err := pki.LoadPool(cfg.TLS.CA)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &httptest.Server{Listener: tls.NewListener(listener, pki.ServerConfig(pair, pool)),
		Config: &http.Server{Handler: says, ErrorLog: log.New(io.Discard, "", 0)}}
	srv.Start()
	t.Cleanup(srv.Close)
	raw, err := os.ReadFile(layout.NodeConfig("XA"))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(raw), cfg.Listen, listener.Addr().String(), 1)
	return scripted{layout, write(t, []byte(text), layout.Node("XA"), "scripted.yaml")}
}

func (s answers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	out, ok := s[r.Method+" "+r.URL.Path]
	var err error
	if !ok {
		err = problem.New(problem.NotFound, "no such thing")
	}
	if f, is := out.(func(body []byte) (any, error)); is {
		body, _ := io.ReadAll(r.Body) // what is cut off does not parse
		out, err = f(body)
	}
	if e, is := out.(*problem.Error); is {
		err = e
	}
	switch {
	case err != nil:
		status, body := problem.Render(err, "id")
		w.Header().Set("Content-Type", problem.MediaType)
		w.WriteHeader(status)
		_, _ = w.Write(body)
	case out == nil:
		w.WriteHeader(http.StatusNoContent)
	default:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(out)
	}
}

var away = problem.New(problem.Unavailable, "the hub can not be reached")

// answersTo is what a hub says that has taken a statement: of which digest, and whether
// it is in force.
func answersTo(digest func(raw []byte) string, inForce bool) func([]byte) (any, error) {
	return func(raw []byte) (any, error) {
		return hubapi.ProposalState{Digest: digest(raw), InForce: inForce, Missing: []string{}}, nil
	}
}

func itsOwn(raw []byte) string {
	s, err := trust.Parse(raw)
	if err != nil {
		return err.Error()
	}
	return s.Digest
}

// waits signs a statement with one key, as it waits for others.
func waits(t *testing.T, body federation.Body, kind federation.StatementType, store, owner string) nodeapi.Proposed {
	t.Helper()
	k := keyFlags{dir: store, kid: owner}
	signer, err := k.signer("a test", func(string) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	raw, err := trust.Sign(t.Context(), kind, body, trust.Statement{}, time.Now(), signer)
	if err != nil {
		t.Fatal(err)
	}
	subject, name, revision := body.Subject(), string(kind), int64(1)
	return nodeapi.Proposed{Digest: itsOwn(raw), By: "XA", At: time.Now(), Statement: raw, Subject: &subject, Type: &name, Revision: &revision,
		Signers: &[]string{signer.Public().KeyID()}, Missing: &[]string{"another"}}
}

// agreement is one in force.
func agreement(t *testing.T) nodeapi.Agreement {
	t.Helper()
	terms, err := parseTerms([]byte(termsExample))
	if err != nil {
		t.Fatal(err)
	}
	return nodeapi.Agreement{Id: "xa-xb-smuggling", Version: 1, State: nodeapi.InForce, Digest: federation.Digest([]byte("a")), Terms: *terms}
}

// What the hub answers about another statement than the one that was brought is not
// said as a fact, nor that something is in force which the node does not show.
func TestTheHubsWordIsNotTaken(t *testing.T) {
	says := answers{"GET /v1/agreements": nodeapi.AgreementList{Agreements: []nodeapi.Agreement{}}, "GET /v1/chain": nodeapi.ChainHead{}}
	fed := script(t, says)
	file := write(t, []byte(termsExample), t.TempDir(), "terms.yaml")
	propose := []string{"agreement", "propose", "--terms", file, "--config", fed.config, "--keys", filepath.Join(fed.Node("XA"), "root")}

	another := federation.Digest([]byte("another"))
	says["POST /v1/statements"] = answersTo(func([]byte) string { return another }, false)
	if out, errs := entente(t, exitRefused, propose...); out != "" || !strings.Contains(errs, "the hub answers about "+another) {
		t.Error(out, errs)
	}
	says["POST /v1/statements"] = answersTo(itsOwn, true)
	if out, _ := entente(t, exitOK, propose...); strings.Contains(out, "in force") || !strings.Contains(out, notTakenIn) {
		t.Error(out)
	}
	if out, _ := entente(t, exitOK, append(propose, "--json")...); !strings.Contains(out, `"in_force": false`) || strings.Contains(out, `"state"`) ||
		!strings.Contains(out, `"id": "xa-xb-smuggling"`) || !strings.Contains(out, `"retention_days": 365`) {
		t.Error(out)
	}
}

// A suspension, its end, and the end of an emergency are told when the node shows them.
func TestWhatTheNodeDoesNotShowIsNotSaid(t *testing.T) {
	const id = "01954c7e-8f5e-7d3a-9c1b-2f4a6b8c0d1e"
	stands := agreement(t)
	lasts := nodeapi.Emergency{Originator: "XA", Alert: id, Number: 1, InForce: true, Until: time.Now().Add(time.Hour),
		Members: []string{"XD"}, Compartments: []string{"tf-river"}}
	says := answers{"GET /v1/agreements": nodeapi.AgreementList{Agreements: []nodeapi.Agreement{stands}}, "GET /v1/chain": nodeapi.ChainHead{},
		"POST /v1/statements":                           answersTo(itsOwn, true),
		"PUT /v1/agreements/xa-xb-smuggling/suspension": nil, "DELETE /v1/emergencies/" + id: nil,
		"GET /v1/emergencies": nodeapi.EmergencyList{Emergencies: []nodeapi.Emergency{lasts}}}
	fed := script(t, says)
	root := filepath.Join(fed.Node("XA"), "root")
	for _, args := range [][]string{{"agreement", "suspend", "xa-xb-smuggling"}, {"agreement", "suspend", "xa-xb-smuggling", "--keys", root},
		{"emergency", "end", id}} {
		if out, errs := entente(t, exitUnavailable, append(args, "--config", fed.config)...); out != "" || !strings.Contains(errs, "NOT") {
			t.Error(args, out, errs)
		}
	}
	stands.State, stands.SuspendedBy = nodeapi.Suspended, &[]nodeapi.SuspendedBy{{Party: "XA"}}
	says["GET /v1/agreements"] = nodeapi.AgreementList{Agreements: []nodeapi.Agreement{stands}}
	lasts.Over, lasts.InForce = true, false
	says["GET /v1/emergencies"] = nodeapi.EmergencyList{Emergencies: []nodeapi.Emergency{lasts}}
	entente(t, exitOK, "agreement", "suspend", "xa-xb-smuggling", "--config", fed.config)
	entente(t, exitOK, "emergency", "end", id, "--config", fed.config)
	if _, errs := entente(t, exitUnavailable, "agreement", "resume", "xa-xb-smuggling", "--config", fed.config, "--keys", root); !strings.Contains(errs, "still suspends") {
		t.Error(errs)
	}
}

// Without the hub, lists hold what the node has verified, and say what they lack.
func TestListsWithoutTheHub(t *testing.T) {
	one := agreement(t)
	says := answers{"GET /v1/agreements": nodeapi.AgreementList{Agreements: []nodeapi.Agreement{one}}, "GET /v1/proposals": away,
		"GET /v1/emergencies": nodeapi.EmergencyList{Emergencies: []nodeapi.Emergency{{Originator: "XA", Alert: "id", Members: []string{}, Compartments: []string{}}}},
		"GET /v1/policies":    nodeapi.PolicyHistory{Policies: []nodeapi.PolicyChange{{Name: "release", InForce: true, Signers: []string{}}}}}
	fed := script(t, says)
	for want, args := range map[string][]string{"xa-xb-smuggling": {"agreement", "list"}, "xa-xb-smuggling,": {"agreement", "show", "xa-xb-smuggling"},
		one.Digest: {"agreement", "show", one.Digest}, "XA/id": {"emergency", "list"}, "in force": {"policy", "history"}} {
		if out, errs := entente(t, exitOK, append(args, "--config", fed.config)...); !strings.Contains(out, want) || !strings.Contains(errs, "proposals are left out") {
			t.Error(args, out, errs)
		}
	}
	entente(t, exitUnavailable, "agreement", "show", federation.Digest([]byte("b")), "--config", fed.config)
	if out, _ := entente(t, exitOK, "agreement", "list", "--json", "--config", fed.config); !strings.Contains(out, `"proposals": null`) {
		t.Error(out)
	}
	says["GET /v1/proposals"] = problem.New(problem.BadSignature, "no")
	entente(t, exitRefused, "agreement", "list", "--config", fed.config)
}

// Who declares or signs an emergency sees its number, and whose place it takes; one
// whose number another has, or that would not count, is not signed.
func TestEmergencySaysWhatItReplaces(t *testing.T) {
	const id = "01954c7e-8f5e-7d3a-9c1b-2f4a6b8c0d1e"
	was := nodeapi.Emergency{Originator: "XA", Alert: id, Number: 1, InForce: true, Members: []string{"XC", "XD"}, Compartments: []string{"tf-river"},
		Digest: federation.Digest([]byte("was")), Until: time.Now().Add(time.Hour)}
	before := func(e ...nodeapi.Emergency) nodeapi.EmergencyList {
		return nodeapi.EmergencyList{Emergencies: append([]nodeapi.Emergency{}, e...)}
	}
	says := answers{"GET /v1/chain": nodeapi.ChainHead{}, "GET /v1/emergencies/" + id: nodeapi.EmergencyNumber{Number: 2},
		"GET /v1/emergencies": before(was), "POST /v1/statements": answersTo(itsOwn, false)}
	fed := script(t, says)
	duty := func(n string) string { return filepath.Join(fed.Node("XA"), "duty-"+n) }
	out, _ := entente(t, exitOK, "emergency", "declare", id, "--to", "XD", "--compartment", "tf-river", "--threat", "t", "--duty", "d", "--config", fed.config, "--keys", duty("1"))
	replaced := []string{"TAKES THE PLACE of number 1", "names XC, XD", "NAMED NO LONGER: XC,"}
	for _, want := range append(replaced, "number 2") {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	e := &federation.Emergency{Originator: "XA", Alert: id, Number: 2, Threat: "t", Duty: "d", Members: []alert.MemberID{"XD"},
		Compartments: []alert.TaskForceID{"tf-river"}, ValidFrom: time.Now().Unix(), ValidUntil: time.Now().Unix() + 3600}
	p := waits(t, e, federation.TypeEmergency, duty("1"), "")
	says["GET /v1/proposals"] = nodeapi.ProposedList{Proposals: []nodeapi.Proposed{p}}
	sign := []string{"emergency", "sign", p.Digest, "--config", fed.config, "--keys", duty("2")}
	out, _ = entente(t, exitOK, sign...)
	for _, want := range append(replaced, "number                 2") {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if out, _ = entente(t, exitOK, append(sign, "--json")...); !strings.Contains(out, `"threat": "t"`) || !strings.Contains(out, `"replaces": {`) {
		t.Error(out)
	}
	for _, number := range []int{2, 3} {
		was.Number = number
		says["GET /v1/emergencies"] = before(was)
		if _, errs := entente(t, exitRefused, sign...); !strings.Contains(errs, was.Digest) || !strings.Contains(errs, "XC, XD") {
			t.Error(errs)
		}
	}
	says["GET /v1/emergencies"] = before()
	if out, _ = entente(t, exitOK, sign...); !strings.Contains(out, "takes the place of none") {
		t.Error(out)
	}
}

// A second officer sees all that an activation does, and signs none of other rules.
func TestActivationShowsWhatIsSigned(t *testing.T) {
	modules := policies.Embedded()
	const other = "release/active/active.rego"
	modules[other] = strings.Replace(modules[other], "code: suspended", "code: resting", 1)
	raw, err := bundle.Pack(modules, 7)
	if err != nil {
		t.Fatal(err)
	}
	b, err := bundle.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	carried, err := policies.Load()
	if err != nil {
		t.Fatal(err)
	}
	says := answers{"GET /v1/chain": nodeapi.ChainHead{}, "POST /v1/statements": answersTo(itsOwn, false),
		"GET /v1/bundles/" + b.Digest: hubapi.SignedBundle{Bundle: raw},
		"GET /v1/policies":            nodeapi.PolicyHistory{Policies: []nodeapi.PolicyChange{{Name: "release", Bundle: 6, BundleDigest: carried.Digest(), InForce: true, Signers: []string{}}}}}
	fed := script(t, says)
	store := filepath.Join(fed.Authority(), "keys")
	sign := func(code int, name string, more ...string) (string, string) {
		p := waits(t, &federation.Policy{Name: name, Digest: b.Digest, Bundle: 7}, federation.TypePolicy, store, "officer-1")
		says["GET /v1/proposals"] = nodeapi.ProposedList{Proposals: []nodeapi.Proposed{p}}
		return entente(t, code, append([]string{"policy", "activate", "--sign", p.Digest, "--config", fed.config, "--keys", store, "--kid", "officer-2"}, more...)...)
	}
	out, _ := sign(exitOK, "release")
	for _, want := range []string{"policy               release", "bundle               7", b.Digest, "bundle 6, rules " + carried.Digest(),
		"new codes            release/resting\n", "codes gone           release/suspended\n", "modules that differ  " + other, "signed by officer-1/"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if out, _ = sign(exitOK, "release", "--json"); !strings.Contains(out, `"gone": [`) || !strings.Contains(out, `"replaces": {`) {
		t.Error(out)
	}
	if _, errs := sign(exitRefused, "other"); !strings.Contains(errs, "rules named other") {
		t.Error(errs)
	}
}

// The keys of a member are no policy officer's.
func TestMembersAreNoPolicyOfficers(t *testing.T) {
	fed := script(t, nil)
	dir := t.TempDir()
	unsigned, signed := filepath.Join(dir, "a.tar.gz"), filepath.Join(dir, "b.tar.gz")
	entente(t, exitOK, "policy", "build", "--embedded", "--revision", "1", "--out", unsigned)
	for _, store := range []string{"root", "keys"} {
		for _, kid := range []string{"", "XA"} {
			if _, errs := entente(t, exitUsage, "policy", "sign", unsigned, "--keys", filepath.Join(fed.Node("XA"), store), "--kid", kid, "--out", signed); !strings.Contains(errs, "the key of XA is that member's own") {
				t.Error(errs)
			}
		}
	}
	if _, err := os.Stat(signed); err == nil {
		t.Error("it was signed")
	}
	k := keyFlags{dir: filepath.Join(fed.Authority(), "keys"), kid: "officer-1"}
	if s, err := k.officer(); err != nil || !strings.HasPrefix(s.Public().KeyID(), "officer-1/") {
		t.Error(err)
	}
}
