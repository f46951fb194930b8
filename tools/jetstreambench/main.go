// Command jetstreambench relays messages through NATS JetStream with sync_interval
// always, which flushes each before it is acknowledged: one server, one stream in
// files, and so many durable consumers that acknowledge each message. It is what
// BenchmarkLatency in e2e runs beside the product, and a module of its own, so that
// the product does not depend on what it is compared with.
//
//	cd tools/jetstreambench && go run . -subscribers 50 -messages 200 -every 50ms -size 4096
//
// It prints a JSON object: how many milliseconds after each message should have been
// published the last consumer had it, sorted. Clients and server talk plain TCP over
// loopback within one process; nothing is signed, decided or stored by the consumers.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// warmUp messages are sent before the measured ones, one at a time.
const warmUp = 5

// patience is how long one message may take to reach all.
const patience = time.Minute

type options struct {
	subscribers, messages, size int
	every                       time.Duration // 0: each when the one before has arrived everywhere
}

func main() {
	var o options
	flag.IntVar(&o.subscribers, "subscribers", 50, "durable consumers")
	flag.IntVar(&o.messages, "messages", 200, "messages measured")
	flag.IntVar(&o.size, "size", 4096, "bytes a message")
	flag.DurationVar(&o.every, "every", time.Second/20, "from one message to the next; 0: when the one before has arrived everywhere")
	flag.Parse()
	ms, err := run(context.Background(), o)
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(map[string]any{"milliseconds": ms})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (ms []float64, err error) {
	if o.subscribers < 1 || o.messages < 1 || o.size < 1 || o.every < 0 {
		return nil, errors.New("subscribers, messages and size must be at least 1, every not below 0")
	}
	dir, err := os.MkdirTemp("", "jetstreambench")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	srv, err := server.NewServer(&server.Options{ServerName: "bench", Host: "127.0.0.1", Port: server.RANDOM_PORT,
		JetStream: true, StoreDir: dir, SyncAlways: true, NoLog: true, NoSigs: true})
	if err != nil {
		return nil, err
	}
	srv.Start()
	defer srv.WaitForShutdown()
	defer srv.Shutdown()
	if !srv.ReadyForConnections(patience) {
		return nil, errors.New("the server does not come up")
	}
	conn, js, err := connect(srv.ClientURL())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "ALERTS", Subjects: []string{"alerts"}, Storage: jetstream.FileStorage}); err != nil {
		return nil, err
	}
	rec := &recorder{subscribers: o.subscribers, seen: make(map[int]int), last: make(map[int]time.Time), complete: make(chan int, o.messages+warmUp)}
	for i := range o.subscribers {
		stop, err := subscribe(ctx, srv.ClientURL(), i, rec)
		if err != nil {
			return nil, err
		}
		defer stop()
	}
	return measure(ctx, o, js, rec)
}

func connect(url string) (*nats.Conn, jetstream.JetStream, error) {
	conn, err := nats.Connect(url)
	if err != nil {
		return nil, nil, err
	}
	js, err := jetstream.New(conn)
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	return conn, js, nil
}

// subscribe follows the stream over a connection of its own.
func subscribe(ctx context.Context, url string, i int, rec *recorder) (stop func(), err error) {
	conn, js, err := connect(url)
	if err != nil {
		return nil, err
	}
	consumer, err := js.CreateConsumer(ctx, "ALERTS", jetstream.ConsumerConfig{Durable: "X" + strconv.Itoa(i),
		AckPolicy: jetstream.AckExplicitPolicy, DeliverPolicy: jetstream.DeliverAllPolicy})
	if err != nil {
		conn.Close()
		return nil, err
	}
	following, err := consumer.Consume(func(m jetstream.Msg) {
		n, err := strconv.Atoi(m.Headers().Get("N"))
		if err == nil {
			err = m.Ack()
		}
		rec.arrived(n, err)
	})
	if err != nil {
		conn.Close()
		return nil, err
	}
	return func() { following.Stop(); conn.Close() }, nil
}

// measure publishes and returns, sorted, how long each message took to reach all.
// Lateness counts: who waits for a busy publisher waits as well.
func measure(ctx context.Context, o options, js jetstream.JetStream, rec *recorder) ([]float64, error) {
	body := make([]byte, o.size)
	for i := range body {
		body[i] = byte('a' + i%26)
	}
	publish := func(n int) error {
		_, err := js.PublishMsg(ctx, &nats.Msg{Subject: "alerts", Header: nats.Header{"N": {strconv.Itoa(n)}}, Data: body})
		return err
	}
	for n := range warmUp {
		if err := errors.Join(publish(-1-n), rec.await()); err != nil {
			return nil, err
		}
	}
	due := make([]time.Time, o.messages)
	start := time.Now()
	for n := range due {
		due[n] = time.Now()
		if o.every > 0 {
			due[n] = start.Add(time.Duration(n) * o.every)
			<-time.After(time.Until(due[n]))
		}
		if err := publish(n); err != nil {
			return nil, err
		}
		if o.every == 0 {
			if err := rec.await(); err != nil {
				return nil, err
			}
		}
	}
	for range due {
		if o.every > 0 {
			if err := rec.await(); err != nil {
				return nil, err
			}
		}
	}
	return rec.since(due), nil
}

// recorder notes when each message has reached how many.
type recorder struct {
	subscribers int
	mu          sync.Mutex
	seen        map[int]int
	last        map[int]time.Time
	err         error
	complete    chan int // messages that have reached all
}

func (r *recorder) arrived(n int, err error) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = errors.Join(r.err, err)
	r.last[n] = now
	if r.seen[n]++; r.seen[n] == r.subscribers {
		r.complete <- n
	}
}

func (r *recorder) await() error {
	select {
	case <-r.complete:
	case <-time.After(patience):
		return errors.New("a message has not reached all within a minute")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

func (r *recorder) since(due []time.Time) []float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []float64
	for n, at := range due {
		out = append(out, float64(r.last[n].Sub(at))/float64(time.Millisecond))
	}
	slices.Sort(out)
	return out
}
