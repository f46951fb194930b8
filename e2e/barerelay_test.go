package e2e_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/cli/setup"
	"github.com/entente-hub/entente/crypto/pki"
	hubserver "github.com/entente-hub/entente/hub/server"
	nodeserver "github.com/entente-hub/entente/node/server"
)

// bareRelay is what remains of a hub without policy, signatures and audit: it
// stores what it gets and hands it to whoever polls.
type bareRelay struct {
	write, read *sql.DB
	mu          sync.Mutex
	news        chan struct{} // closed when something has come
	done        <-chan struct{}
}

type bareMessage struct {
	Seq  int64  `json:"seq"`
	Body string `json:"body"`
}

const bareWait = 25 * time.Second // as long as a node asks a hub to wait

// openBare opens an SQLite file that is as durable as the product's.
func openBare(b *testing.B, dir string, connections int) *sql.DB {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "bare.db")+
		"?_txlock=immediate&_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
	if err != nil {
		b.Fatal(err)
	}
	db.SetMaxOpenConns(connections)
	if _, err := db.Exec("CREATE TABLE IF NOT EXISTS messages (seq INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT"); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() }) // nothing is left to be lost
	return db
}

func (r *bareRelay) publish(c *fiber.Ctx) error {
	res, err := r.write.Exec("INSERT INTO messages (body) VALUES (?)", bytes.Clone(c.Body()))
	if err != nil {
		return err
	}
	seq, err := res.LastInsertId()
	if err != nil {
		return err
	}
	r.mu.Lock()
	close(r.news)
	r.news = make(chan struct{})
	r.mu.Unlock()
	return c.SendString(strconv.FormatInt(seq, 10))
}

func (r *bareRelay) poll(c *fiber.Ctx) error {
	after := c.QueryInt("after")
	deadline := time.After(bareWait)
	for {
		r.mu.Lock()
		news := r.news
		r.mu.Unlock()
		list, err := r.after(after)
		if err != nil {
			return err
		}
		if len(list) > 0 {
			return c.JSON(list)
		}
		select {
		case <-news:
		case <-deadline:
			return c.JSON(list)
		case <-r.done:
			return c.JSON(list)
		}
	}
}

func (r *bareRelay) after(seq int) ([]bareMessage, error) {
	rows, err := r.read.Query("SELECT seq, body FROM messages WHERE seq > ? ORDER BY seq LIMIT 32", seq)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	list := []bareMessage{}
	for rows.Next() {
		var m bareMessage
		if err := rows.Scan(&m.Seq, &m.Body); err != nil {
			return nil, err
		}
		list = append(list, m)
	}
	return list, rows.Err()
}

// runBareRelay runs the relay and its subscribers with the federation's own
// certificates.
func runBareRelay(b *testing.B, l setup.Layout, members []alert.MemberID, body []byte, rec *recorder) (publish func() string, stop func()) {
	ctx, cancel := context.WithCancel(b.Context())
	dir := b.TempDir()
	r := &bareRelay{write: openBare(b, dir, 1), read: openBare(b, dir, 4), news: make(chan struct{}), done: ctx.Done()}
	cfg := readConfig[hubserver.Config](b, l.HubConfig())
	cert, err := pki.LoadPair(cfg.TLS.Cert, cfg.TLS.Key)
	if err != nil {
		b.Fatal(err)
	}
	pool, err := pki.LoadPool(cfg.TLS.CA)
	if err != nil {
		b.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Post("/publish", r.publish)
	app.Get("/feed", r.poll)
	var parts sync.WaitGroup
	parts.Go(func() {
		if err := app.Listener(tls.NewListener(ln, pki.ServerConfig(cert, pool))); err != nil {
			b.Error(err)
		}
	})
	url := "https://" + ln.Addr().String()
	for _, m := range members {
		client, db := bareClient(b, l, m), openBare(b, b.TempDir(), 1)
		parts.Go(func() {
			defer client.CloseIdleConnections()
			if err := bareFollow(ctx, client, url, db, rec); err != nil && ctx.Err() == nil {
				b.Error(err)
			}
		})
	}
	own, outbox := bareClient(b, l, publisher), openBare(b, b.TempDir(), 1)
	publish = func() string {
		if _, err := outbox.Exec("INSERT INTO messages (body) VALUES (?)", body); err != nil {
			b.Error(err)
		}
		seq, err := answerTo(own.Post(url+"/publish", "application/octet-stream", bytes.NewReader(body)))
		if err != nil {
			b.Error(err)
		}
		return string(seq)
	}
	return publish, func() {
		own.CloseIdleConnections()
		cancel()
		if err := app.ShutdownWithTimeout(10 * time.Second); err != nil {
			b.Error(err)
		}
		parts.Wait()
	}
}

func bareClient(b *testing.B, l setup.Layout, m alert.MemberID) *http.Client {
	cfg := readConfig[nodeserver.Config](b, l.NodeConfig(m))
	cert, err := pki.LoadPair(cfg.TLS.Cert, cfg.TLS.Key)
	if err != nil {
		b.Fatal(err)
	}
	pool, err := pki.LoadPool(cfg.TLS.CA)
	if err != nil {
		b.Fatal(err)
	}
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig: pki.ClientConfig(cert, pool, pki.Identity{Kind: pki.Hub, ID: string(cfg.Hub.ID)})}}
}

// bareFollow polls, and stores each page in one transaction.
func bareFollow(ctx context.Context, c *http.Client, url string, db *sql.DB, rec *recorder) error {
	for after := int64(0); ctx.Err() == nil; {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/feed?after=%d", url, after), nil)
		if err != nil {
			return err
		}
		body, err := answerTo(c.Do(req))
		if err != nil {
			return err
		}
		var list []bareMessage
		if err := json.Unmarshal(body, &list); err != nil {
			return err
		}
		if after, err = bareStore(db, after, list); err != nil {
			return err
		}
		for _, m := range list {
			rec.arrived(strconv.FormatInt(m.Seq, 10))
		}
	}
	return nil
}

func bareStore(db *sql.DB, after int64, list []bareMessage) (int64, error) {
	if len(list) == 0 {
		return after, nil
	}
	tx, err := db.Begin()
	if err != nil {
		return 0, err
	}
	for _, m := range list {
		if _, err := tx.Exec("INSERT INTO messages (seq, body) VALUES (?, ?)", m.Seq, []byte(m.Body)); err != nil {
			return 0, err
		}
		after = m.Seq
	}
	return after, tx.Commit()
}

func answerTo(resp *http.Response, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, body)
	}
	return body, err
}
