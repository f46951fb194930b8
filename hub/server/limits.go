package server

import (
	"errors"
	"fmt"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/serve"
	"github.com/entente-hub/entente/hub"
)

// Limits keeps one member, or a stranger, from using up what all need. Each hub counts
// for itself: with two replicas a member may do twice as much. A field that is
// left out, or 0, has its default; none can be switched off.
type Limits struct {
	// Publish is how many alerts a member may bring. Default: 250 a second, 1,000 at once.
	Publish Rate `yaml:"publish,omitempty"`
	// Query is how often a member may ask: previews, explanations, single alerts.
	// Default: 50 a second, 200 at once.
	Query Rate `yaml:"query,omitempty"`
	// Other is how many other requests a member may make, polls among them. Default:
	// 200 a second, 1,000 at once.
	Other Rate `yaml:"other,omitempty"`
	// Refused is how many of a member's requests may be refused as malformed or too
	// large, each of which is an entry in the audit log, before they are turned away
	// unjudged. Default: 20 a second, 500 at once.
	Refused Rate `yaml:"refused,omitempty"`
	// Bytes is how much a member may send in bodies, in bytes. Default: 16 MiB a second,
	// 128 MiB at once.
	Bytes Rate `yaml:"bytes,omitempty"`
	// NewConnections is how many connections an address (IPv6: a /64) may open. Default:
	// 100 a second, 1,000 at once.
	NewConnections Rate `yaml:"new_connections,omitempty"`
	// Connections is how many may be open at once. Default: 4,096.
	Connections int `yaml:"connections,omitempty"`
	// PerSource is how many of them may come from one address (IPv6: a /64). Where a
	// proxy stands in front, all come from its address: set it to Connections.
	// Default: 1,024.
	PerSource int `yaml:"connections_per_source,omitempty"`
	// PerMember is how many of them may be one member's. Default: 64.
	PerMember int `yaml:"connections_per_member,omitempty"`
	// UntakenBytes is how large answers may be together that a member has asked for and
	// does not take. Default: 64 MiB, of which a page of a feed takes up to 6.
	UntakenBytes int `yaml:"untaken_bytes_per_member,omitempty"`
	// LiveAlerts is how many alert versions a member may have at the hub that have not
	// ended. Default: 1,000,000.
	LiveAlerts int `yaml:"live_alerts_per_member,omitempty"`
	// LiveBytes is how many bytes those may have with all their content. Default: 4 GiB.
	LiveBytes int `yaml:"live_bytes_per_member,omitempty"`
	// Consents is for how many alerts a member may bring consents. Default: 100,000.
	Consents int `yaml:"consents_per_member,omitempty"`
	// Proposals is how many proposals of a member may wait for signatures. Default: 16.
	Proposals int `yaml:"proposals_per_member,omitempty"`
	// Handshakes is how many may be in their handshake; with one more, the one that
	// began first is cut off. Default: 512.
	Handshakes int `yaml:"handshakes,omitempty"`
	// HandshakeTimeout ends a handshake that takes longer, e.g. "10s", the default.
	HandshakeTimeout time.Duration `yaml:"handshake_timeout,omitempty"`
	// HeaderTimeout is for a request's header, from its first byte or, on a new
	// connection, from the handshake. Default: 15s.
	HeaderTimeout time.Duration `yaml:"header_timeout,omitempty"`
	// BodyTimeout is for its body, from the end of the header. Default: 30s.
	BodyTimeout time.Duration `yaml:"body_timeout,omitempty"`
	// WriteTimeout is for the answer, from when it is ready until it is taken. Default: 90s.
	WriteTimeout time.Duration `yaml:"write_timeout,omitempty"`
	// IdleTimeout is for the time between requests. Default: 120s.
	IdleTimeout time.Duration `yaml:"idle_timeout,omitempty"`
}

// Rate lets Burst through at once and PerSecond in the long run. Both are given, or
// neither.
type Rate struct {
	PerSecond float64 `yaml:"per_second"`
	Burst     int     `yaml:"burst"`
}

// defaultLimits suit a hub of two processors with some dozens of members.
func defaultLimits() Limits {
	t, q := serve.DefaultTimeouts(), hub.DefaultQuotas()
	return Limits{
		Publish: Rate{250, 1_000}, Query: Rate{50, 200}, Other: Rate{200, 1_000}, Refused: Rate{20, 500},
		Bytes: Rate{16 << 20, 128 << 20}, NewConnections: Rate{100, 1_000},
		Connections: 4_096, PerSource: 1_024, PerMember: 64, UntakenBytes: 64 << 20, Handshakes: 512,
		LiveAlerts: int(q.Alerts), LiveBytes: int(q.Bytes), Consents: int(q.Consents), Proposals: q.Proposals,
		HandshakeTimeout: 10 * time.Second, HeaderTimeout: t.Header, BodyTimeout: t.Body,
		WriteTimeout: t.Write, IdleTimeout: t.Idle,
	}
}

// fields names each field for messages, with where it lies.
func (l *Limits) fields() (rates map[string]*Rate, counts map[string]*int, times map[string]*time.Duration) {
	return map[string]*Rate{"publish": &l.Publish, "query": &l.Query, "other": &l.Other, "refused": &l.Refused,
			"bytes": &l.Bytes, "new_connections": &l.NewConnections},
		map[string]*int{"connections": &l.Connections, "connections_per_source": &l.PerSource,
			"connections_per_member": &l.PerMember, "handshakes": &l.Handshakes,
			"untaken_bytes_per_member": &l.UntakenBytes, "live_alerts_per_member": &l.LiveAlerts,
			"live_bytes_per_member": &l.LiveBytes, "consents_per_member": &l.Consents, "proposals_per_member": &l.Proposals},
		map[string]*time.Duration{"handshake_timeout": &l.HandshakeTimeout, "header_timeout": &l.HeaderTimeout,
			"body_timeout": &l.BodyTimeout, "write_timeout": &l.WriteTimeout, "idle_timeout": &l.IdleTimeout}
}

// orDefault fills in what was left out.
func (l Limits) orDefault() Limits {
	d := defaultLimits()
	rates, counts, times := l.fields()
	otherRates, otherCounts, otherTimes := d.fields()
	for name, r := range rates {
		if *r == (Rate{}) {
			*r = *otherRates[name]
		}
	}
	for name, n := range counts {
		if *n == 0 {
			*n = *otherCounts[name]
		}
	}
	for name, t := range times {
		if *t == 0 {
			*t = *otherTimes[name]
		}
	}
	return l
}

// validate refuses what would turn everybody away, or nobody.
func (l Limits) validate() error {
	rates, counts, times := l.fields()
	for name, r := range rates {
		if *r != (Rate{}) && !(r.PerSecond >= minRate && r.PerSecond <= maxRate && r.Burst >= 1 && r.Burst <= maxRate) {
			return fmt.Errorf("hub configuration: limits.%s: per_second must be from %v to %v and burst from 1 to as much", name, minRate, int64(maxRate))
		}
	}
	for name, n := range counts {
		most := maxCount
		if name == "live_bytes_per_member" {
			most = maxBytes
		}
		if *n < 0 || *n > most {
			return fmt.Errorf("hub configuration: limits.%s is not from 1 to %d", name, most)
		}
	}
	for name, t := range times {
		if *t < 0 || *t > time.Hour || *t > 0 && *t < time.Millisecond {
			return fmt.Errorf("hub configuration: limits.%s is not from 1ms to 1h", name)
		}
	}
	if l.Bytes != (Rate{}) && l.Bytes.Burst < maxBody {
		return fmt.Errorf("hub configuration: limits.bytes.burst is less than one request may have, %d", maxBody)
	}
	if l.UntakenBytes != 0 && l.UntakenBytes < minTaken {
		return fmt.Errorf("hub configuration: limits.untaken_bytes_per_member is less than %d", minTaken)
	}
	if l.LiveBytes != 0 && l.LiveBytes < alert.MaxBytes {
		return fmt.Errorf("hub configuration: limits.live_bytes_per_member is less than one alert may have, %d", alert.MaxBytes)
	}
	if all := l.orDefault(); all.PerMember > all.Connections || all.PerSource > all.Connections || all.Handshakes > all.Connections {
		return errors.New("hub configuration: limits: more connections of one sort than of all")
	}
	return nil
}

const (
	minRate  = 0.01
	maxRate  = 1 << 40
	maxCount = 1 << 30
	maxBytes = 1 << 50
	minTaken = 16 << 20 // below, one page with large alerts might never go out
)

func (l Limits) quotas() hub.Quotas {
	return hub.Quotas{Alerts: int64(l.LiveAlerts), Bytes: int64(l.LiveBytes), Consents: int64(l.Consents), Proposals: l.Proposals}
}

func (r Rate) served() serve.Rate { return serve.Rate{PerSecond: r.PerSecond, Burst: r.Burst} }

func (l Limits) gate() serve.GateLimits {
	return serve.GateLimits{Connections: l.Connections, PerSource: l.PerSource, PerPeer: l.PerMember, Handshakes: l.Handshakes,
		NewPerSource: l.NewConnections.served(), Handshake: l.HandshakeTimeout, Untaken: int64(l.UntakenBytes)}
}

func (l Limits) timeouts() serve.Timeouts {
	return serve.Timeouts{Header: l.HeaderTimeout, Body: l.BodyTimeout, Write: l.WriteTimeout, Idle: l.IdleTimeout}
}
