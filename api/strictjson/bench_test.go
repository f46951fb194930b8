package strictjson

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// BenchmarkUnmarshal reads a typed document of a label's size, and one that
// carries raw objects; Check reads the latter without a type.
func BenchmarkUnmarshal(b *testing.B) {
	typed := []byte(`{"id":"urn:example:policy:1","count":12,"on":true,"list":["border-check","prevention"],` +
		`"items":[{"name":"x","n":1},{"name":"y","n":2}],"sub":{"name":"z"},"map":{"k":{"n":3}},"level":"low","ratio":0.5}`)
	var raws []string
	for i := range 100 {
		raws = append(raws, fmt.Sprintf(`{"type":"identity","spec_version":"2.1","id":"identity--%08x-0000-4000-8000-000000000000",`+
			`"created":"2026-01-01T00:00:00.000Z","modified":"2026-01-01T00:00:00.000Z","name":"a vessel without a name \u00e9","labels":["a","b"]}`, i))
	}
	raw := []byte(`{"raws":[` + strings.Join(raws, ",") + `]}`)
	var into struct {
		Raws []json.RawMessage `json:"raws"`
	}
	for name, run := range map[string]struct {
		data []byte
		read func([]byte) error
	}{
		"typed": {typed, func(data []byte) error { var v sample; return Unmarshal(data, &v) }},
		"raw":   {raw, func(data []byte) error { return Unmarshal(data, &into) }},
		"check": {raw, Check},
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(run.data)))
			b.ReportAllocs()
			for b.Loop() {
				if err := run.read(run.data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
