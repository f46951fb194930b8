package nodetest

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"net"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/hubapi"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/api/strictjson"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/crypto/pki"
	"github.com/entente-hub/entente/crypto/tlog"
	"github.com/entente-hub/entente/trust"
)

// Hub serves the hub's interface over mutual TLS and believes everything. What
// it holds and the hooks may be changed through Do only.
type Hub struct {
	F   *Federation
	URL string

	mu         sync.Mutex
	changed    chan struct{}                  // closed when something has changed
	Statements [][]byte                       // position n at index n-1
	Feeds      map[alert.MemberID][]feed.Item // handed over
	Log        []tlog.Hash                    // stored hashes
	Size       int64
	Published  []string // alerts taken, in order
	Batches    []int    // how many alerts came at once, by request
	Acks       []string
	Purges     []string // taken, in order
	Polls      int
	Negotiated

	Wait   bool                     // polls wait for news
	Down   bool                     // every answer is Unavailable
	Refuse func(token string) error // of Publish; nil accepts
	// of PublishAll, as a whole; nil takes it
	RefuseBatch func(tokens []string) error
	RefuseAck   func(jws string) error                       // of Acknowledge, and of Purged
	Held        func(*hubapi.HoldersReport)                  // changes a report
	Page        func(*feed.Page)                             // changes a page
	Head        func(*feed.Head)                             // changes a head before it is signed
	HeadKey     keys.Signer                                  // signs heads in place of the hub's
	Acked       int64                                        // what heads say that their recipient has acknowledged
	Erase       func(token string) string                    // what it has left of what was published
	Receipt     func(*feed.Receipt)                          // changes a receipt before it is signed
	ReceiptAs   func(receipt []byte) (token string, ok bool) // signs it in another way
}

// Serve starts a hub with the federation's statements.
func (f *Federation) Serve(tb testing.TB) *Hub {
	tb.Helper()
	h := &Hub{F: f, changed: make(chan struct{}), Statements: append([][]byte(nil), f.Statements...),
		Feeds: make(map[alert.MemberID][]feed.Item)}
	h.grow(3)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	f.must(err)
	srv := &http.Server{Handler: h.routes(), ReadHeaderTimeout: 10 * time.Second}
	conf := pki.ServerConfig(f.Certificate(pki.Identity{Kind: pki.Hub, ID: string(HubID)}), f.CA.Pool())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(tls.NewListener(ln, conf)) // always ErrServerClosed
	}()
	tb.Cleanup(func() {
		_ = srv.Close()
		<-done
	})
	h.URL = "https://" + ln.Addr().String()
	return h
}

// Do changes or reads the hub's state.
func (h *Hub) Do(change func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change()
	h.signal()
}

// patience is how long Until waits at most: far longer than anything takes.
const patience = time.Minute

// Until waits until the hub's state is such, and fails the test if it does not get to
// be within a minute. The words say what is awaited.
func (h *Hub) Until(awaited string, such func() bool) {
	h.F.tb.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	h.mu.Lock()
	defer h.mu.Unlock()
	for !such() {
		changed := h.changed
		h.mu.Unlock()
		select {
		case <-changed:
			h.mu.Lock()
		case <-late.C:
			h.mu.Lock()
			h.F.tb.Fatalf("in vain, for %v: %s (%d published, %d acknowledged, %d polls)", patience, awaited, len(h.Published), len(h.Acks), h.Polls)
		}
	}
}

func (h *Hub) signal() {
	close(h.changed)
	h.changed = make(chan struct{})
}

// Hand puts a delivery into a member's feed.
func (h *Hub) Hand(to alert.MemberID, d feed.Delivery) {
	h.Do(func() {
		items := h.Feeds[to]
		h.Feeds[to] = append(items, feed.Item{Seq: int64(len(items)) + 1, Digest: d.Digest(), Delivery: &d})
		h.grow(2)
	})
}

// grow appends entries to the log.
func (h *Hub) grow(n int) {
	var leaves [][]byte
	for i := range n {
		leaves = append(leaves, []byte(strconv.FormatInt(h.Size+int64(i), 10)))
	}
	stored, _, err := tlog.Append(h.Size, h, leaves)
	h.F.must(err)
	h.Log, h.Size = append(h.Log, stored...), h.Size+int64(n)
}

// Rewrite replaces the log by another of n entries.
func (h *Hub) Rewrite(n int) {
	h.Log, h.Size = nil, 0
	stored, _, err := tlog.Append(0, h, [][]byte{[]byte("another history")})
	h.F.must(err)
	h.Log, h.Size = stored, 1
	h.grow(n - 1)
}

// ReadHashes implements tlog.HashReader.
func (h *Hub) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var out []tlog.Hash
	for _, i := range indexes {
		out = append(out, h.Log[i])
	}
	return out, nil
}

func (h *Hub) checkpoint() string {
	root, err := tlog.Root(h.Size, h)
	h.F.must(err)
	note, err := tlog.SignCheckpoint(context.Background(), h.F.HubKey, "entente/"+string(HubID), h.Size, root)
	h.F.must(err)
	return string(note)
}

func (h *Hub) sign(key keys.Signer, typ string, v any) string {
	payload, err := json.Marshal(v)
	h.F.must(err)
	jws, err := keys.Sign(context.Background(), key, typ, payload)
	h.F.must(err)
	return jws
}

func (h *Hub) routes() http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, f func(m alert.MemberID, r *http.Request) (any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			id, err := pki.PeerIdentity(*r.TLS)
			var out any
			if err == nil {
				h.mu.Lock()
				if h.Down {
					err = problem.New(problem.Unavailable, "away")
				} else {
					out, err = f(alert.MemberID(id.ID), r)
					if r.Method != http.MethodGet {
						h.signal()
					}
				}
				h.mu.Unlock()
			}
			answer(w, out, err)
		})
	}
	handle("POST /v1/alerts", h.publish)
	handle("POST /v1/alerts/batch", h.publishAll)
	handle("POST /v1/audience", func(alert.MemberID, *http.Request) (any, error) {
		return hubapi.AudienceAnswer{Revision: "r", Policy: "p", Portions: []hubapi.PortionAudience{{Portion: "main",
			Members: []hubapi.MemberDecision{{Member: "XB", Release: hubapi.MemberDecisionReleaseContent}}}}}, nil
	})
	handle("GET /v1/feed", h.poll)
	handle("POST /v1/feed/acks", h.acknowledge)
	handle("POST /v1/feed/purges", h.purged)
	handle("GET /v1/published", h.published)
	handle("GET /v1/holders/{id}", h.holders)
	handle("GET /v1/statements", h.statements)
	handle("POST /v1/statements", func(_ alert.MemberID, r *http.Request) (any, error) {
		var raw json.RawMessage
		err := json.NewDecoder(r.Body).Decode(&raw)
		h.Statements = append(h.Statements, raw)
		return nil, err
	})
	handle("GET /v1/log/checkpoint", func(alert.MemberID, *http.Request) (any, error) {
		return hubapi.Checkpoint{Checkpoint: h.checkpoint()}, nil
	})
	handle("GET /v1/log/consistency", h.consistency)
	h.negotiation(handle)
	return mux
}

func answer(w http.ResponseWriter, out any, err error) {
	if err != nil {
		status, body := problem.Render(err, "id")
		w.Header().Set("Content-Type", problem.MediaType)
		w.WriteHeader(status)
		_, _ = w.Write(body) // a reader that has gone is the test's affair
		return
	}
	if out == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(out) // as above
}

func (h *Hub) publish(m alert.MemberID, r *http.Request) (any, error) {
	var in hubapi.SignedAlert
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		return nil, problem.New(problem.Malformed, "%w", err)
	}
	receipt, err := h.accept(m, in.Alert)
	return hubapi.SignedReceipt{Receipt: receipt}, err
}

// publishAll takes alerts one after the other, as long as it can say of each that it is
// taken or refused.
func (h *Hub) publishAll(m alert.MemberID, r *http.Request) (any, error) {
	var in hubapi.SignedAlerts
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		return nil, problem.New(problem.Malformed, "%w", err)
	}
	h.Batches = append(h.Batches, len(in.Alerts))
	if h.RefuseBatch != nil {
		if err := h.RefuseBatch(in.Alerts); err != nil {
			return nil, err
		}
	}
	var out hubapi.PublishResults
	for _, token := range in.Alerts {
		receipt, err := h.accept(m, token)
		switch kind := problem.KindOf(err); {
		case err == nil:
			out.Results = append(out.Results, hubapi.PublishResult{Receipt: &receipt})
			continue
		case kind == problem.Unavailable || kind == problem.Internal || kind == problem.RateLimited:
			if len(out.Results) == 0 {
				return nil, err
			}
			return out, nil
		}
		why := problem.Describe(err, "")
		out.Results = append(out.Results, hubapi.PublishResult{Problem: &why})
	}
	return out, nil
}

// accept takes one alert, and returns its receipt.
func (h *Hub) accept(m alert.MemberID, token string) (string, error) {
	if h.Refuse != nil {
		if err := h.Refuse(token); err != nil {
			return "", err
		}
	}
	dir, err := trust.New(h.F.Authority.Public()).With(h.F.Now(), h.F.Statements...)
	if err != nil {
		return "", err
	}
	a, err := dir.VerifyAlert(token)
	if err != nil {
		return "", err
	}
	if err := h.follows(token, a); err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(token))
	receipt := feed.Receipt{Issuer: HubID, Originator: m, Alert: a.Subject, Version: a.Version,
		Digest: base64.RawURLEncoding.EncodeToString(sum[:]), AcceptedAt: h.F.Now().Unix(), LogIndex: 1}
	if h.Receipt != nil {
		h.Receipt(&receipt)
	}
	if h.ReceiptAs != nil {
		payload, err := json.Marshal(receipt)
		if err != nil {
			return "", err
		}
		if signed, ok := h.ReceiptAs(payload); ok {
			return signed, nil
		}
	}
	return h.sign(h.F.HubKey, feed.ReceiptType, receipt), nil
}

func (h *Hub) poll(m alert.MemberID, r *http.Request) (any, error) {
	after := number(r, "after")
	h.Polls++
	h.signal()
	deadline := time.NewTimer(time.Duration(number(r, "wait")) * time.Second)
	defer deadline.Stop()
	for waiting := h.Wait; waiting && int64(len(h.Feeds[m])) <= after; {
		changed := h.changed
		h.mu.Unlock()
		select {
		case <-changed:
		case <-deadline.C:
			waiting = false
		case <-r.Context().Done():
			waiting = false
		}
		h.mu.Lock()
	}
	if after > int64(len(h.Feeds[m])) {
		return nil, problem.New(problem.CursorUnknown, "the feed ends before")
	}
	return h.page(m, after, number(r, "limit")), nil
}

func (h *Hub) page(m alert.MemberID, after, limit int64) feed.Page {
	chain := feed.ChainStart(m)
	var page feed.Page
	for _, i := range h.Feeds[m] {
		if i.Seq > after+limit {
			break
		}
		chain = feed.Next(chain, i.Seq, i.Digest)
		if i.Seq > after {
			page.Items = append(page.Items, i)
		}
	}
	head := feed.Head{Issuer: HubID, Recipient: m, Seq: after + int64(len(page.Items)), Chain: chain,
		IssuedAt: h.F.Now().Unix(), Checkpoint: h.checkpoint(), Acked: h.Acked}
	if h.Head != nil {
		h.Head(&head)
	}
	key := h.F.HubKey
	if h.HeadKey != nil {
		key = h.HeadKey
	}
	page.Head = h.sign(key, feed.HeadType, head)
	if h.Page != nil {
		h.Page(&page)
	}
	return page
}

func (h *Hub) acknowledge(m alert.MemberID, r *http.Request) (any, error) {
	var in hubapi.Acks
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		return nil, problem.New(problem.Malformed, "%w", err)
	}
	for _, jws := range in.Acks {
		if h.RefuseAck != nil {
			if err := h.RefuseAck(jws); err != nil {
				return nil, err
			}
		}
		payload, _, err := keys.Verify(jws, feed.AckType, func(string) (keys.PublicKey, error) { return h.F.Node[m].Public(), nil })
		if err != nil {
			return nil, problem.New(problem.BadSignature, "%w", err)
		}
		a, err := feed.Parse[feed.Ack](payload)
		if err != nil {
			return nil, problem.New(problem.Malformed, "%w", err)
		}
		chain := feed.ChainStart(m)
		for _, i := range h.Feeds[m][:a.Seq] {
			chain = feed.Next(chain, i.Seq, i.Digest)
		}
		if a.Chain != chain || a.Issuer != m || a.Hub != HubID {
			return nil, problem.New(problem.NotFound, "no such item")
		}
		h.Acks = append(h.Acks, jws)
	}
	return nil, nil
}

func (h *Hub) statements(_ alert.MemberID, r *http.Request) (any, error) {
	page := hubapi.StatementPage{Statements: []hubapi.PlacedStatement{}}
	for i := number(r, "after"); i < int64(len(h.Statements)) && int64(len(page.Statements)) < number(r, "limit"); i++ {
		page.Statements = append(page.Statements, hubapi.PlacedStatement{Position: i + 1, Statement: h.Statements[i]})
	}
	return page, nil
}

func (h *Hub) consistency(_ alert.MemberID, r *http.Request) (any, error) {
	older, newer := number(r, "old"), number(r, "new")
	path, err := tlog.ConsistencyProof(newer, older, h)
	if err != nil {
		return nil, problem.New(problem.Malformed, "%w", err)
	}
	proof := hubapi.Proof{Hashes: []string{}}
	for _, hash := range path {
		proof.Hashes = append(proof.Hashes, base64.StdEncoding.EncodeToString(hash[:]))
	}
	return proof, nil
}

func number(r *http.Request, name string) int64 {
	n, err := strconv.ParseInt(r.URL.Query().Get(name), 10, 64)
	if err != nil {
		return 0 // left out
	}
	return n
}

// DecodePage reads a page as a node's client does.
func DecodePage(body []byte) (page feed.Page, err error) {
	err = strictjson.Unmarshal(body, &page)
	return page, err
}
