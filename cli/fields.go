package cli

import (
	"fmt"
	"reflect"
	"strings"
)

// field is one line of a configuration file.
type field struct {
	name     string // as in the file; nested names are joined by dots
	optional bool
}

// fieldsOf lists the fields of a configuration in their order, by their yaml tags.
func fieldsOf(t reflect.Type, prefix string) []field {
	var out []field
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if f.Type.Kind() == reflect.Struct {
			out = append(out, fieldsOf(f.Type, prefix+name+".")...)
			continue
		}
		out = append(out, field{prefix + name, options == "omitempty"})
	}
	return out
}

// fieldHelp describes a configuration's fields, one a line.
func fieldHelp(config any, says map[string]string) string {
	var b strings.Builder
	fields := fieldsOf(reflect.TypeOf(config), "")
	width := 0
	for _, f := range fields {
		width = max(width, len(f.name))
	}
	for _, f := range fields {
		line := says[f.name]
		if f.optional {
			line += " (optional)"
		}
		fmt.Fprintf(&b, "  %-*s %s\n", width, f.name, line)
	}
	b.WriteString("\nRelative paths are taken from the file's own folder; an unknown field is an error.")
	return b.String()
}

// hubFields says in a line each what the fields of a hub's configuration are.
var hubFields = map[string]string{
	"id":                                "the hub's id, as the registry lists it",
	"data_dir":                          "existing folder of the embedded database",
	"postgres":                          "connection string of a PostgreSQL database, instead of the embedded one",
	"postgres_file":                     "file with that string, if it has a password; readable by its owner alone",
	"listen":                            "address for the members' nodes, host:port",
	"ops_listen":                        "loopback address of /healthz, /readyz and /metrics",
	"tls.cert":                          "PEM file of the hub's certificate",
	"tls.key":                           "PEM file of its key; readable by its owner alone",
	"tls.ca":                            "PEM file of the authorities of members' certificates",
	"keys.dir":                          "folder of the key store",
	"keys.secret_file":                  "file that opens the store; readable by its owner alone",
	"keys.signing_kid":                  "id of the key that signs receipts and checkpoints",
	"authority_key":                     "file with the federation authority's public key, a JWK",
	"statements":                        "folder of signed statements, read at the start and on SIGHUP",
	"limits.publish.per_second":         "alerts that a member may bring, in the long run (250); with the next line",
	"limits.publish.burst":              "the same, at once (1000)",
	"limits.query.per_second":           "previews, explanations and single alerts of a member (50)",
	"limits.query.burst":                "the same, at once (200)",
	"limits.other.per_second":           "other requests of a member, polls among them (200)",
	"limits.other.burst":                "the same, at once (1000)",
	"limits.refused.per_second":         "malformed requests of a member that are judged and logged (20)",
	"limits.refused.burst":              "the same, at once (500)",
	"limits.bytes.per_second":           "bytes that a member may send in bodies (16777216)",
	"limits.bytes.burst":                "the same, at once (134217728)",
	"limits.new_connections.per_second": "connections that one address may open (100)",
	"limits.new_connections.burst":      "the same, at once (1000)",
	"limits.connections":                "connections open at once (4096)",
	"limits.connections_per_source":     "of them from one address (1024)",
	"limits.connections_per_member":     "of them one member's (64)",
	"limits.untaken_bytes_per_member":   "bytes of answers that a member does not take (67108864)",
	"limits.live_alerts_per_member":     "alert versions of a member that have not ended (1000000)",
	"limits.live_bytes_per_member":      "bytes of these (4294967296)",
	"limits.consents_per_member":        "consents that a member may bring (100000)",
	"limits.proposals_per_member":       "its statements that wait for further signatures (16)",
	"limits.handshakes":                 "connections in their TLS handshake (512)",
	"limits.handshake_timeout":          "for a TLS handshake (10s)",
	"limits.header_timeout":             "for a request's header (15s)",
	"limits.body_timeout":               "for its body (30s)",
	"limits.write_timeout":              "for an answer to be taken (90s)",
	"limits.idle_timeout":               "between requests (120s)",
}

// nodeFields says in a line each what the fields of a node's configuration are.
var nodeFields = map[string]string{
	"member":               "the member's id, as the registry lists it",
	"data_dir":             "existing folder of the database and the local interface's token",
	"listen":               "loopback address of the local interface, host:port",
	"ops_listen":           "loopback address of /healthz, /readyz and /metrics",
	"hub.id":               "the hub's id, as the registry lists it",
	"hub.urls":             "https://host:port of each replica of the hub, tried in turn",
	"hub.offline":          "true: there is no network to the hub; entente export and entente import carry what there is",
	"tls.cert":             "PEM file of the member's certificate",
	"tls.key":              "PEM file of its key; readable by its owner alone",
	"tls.ca":               "PEM file of the authorities of the federation's certificates",
	"keys.dir":             "folder of the key store",
	"keys.secret_file":     "file that opens the store; readable by its owner alone",
	"keys.signing_kid":     "id of the key that signs alerts",
	"authority_key":        "file with the federation authority's public key, a JWK",
	"egress.module":        "file of the member's own rules in Rego on what may leave it",
	"egress.data":          "what the rules find as data.egress, e.g. max_classification: restricted",
	"ingress.directory":    "YAML file of the member's own agencies and users, who then read by name",
	"ingress.module":       "file of the member's own rules in Rego on what its users may read",
	"publishing.four_eyes": "which alerts take two persons of the directory: all, classified or none",
}
