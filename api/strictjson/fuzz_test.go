package strictjson

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzUnmarshal holds Unmarshal to encoding/json: it may accept less, never
// more and never something else; and what it has read, written and read again,
// is the same.
func FuzzUnmarshal(f *testing.F) {
	for _, tt := range refused {
		f.Add([]byte(tt.in))
	}
	f.Add([]byte(`{"deep":"d","id":"a","count":1,"ratio":0.5,"on":true,"list":["x"],"items":[{"n":1}],"sub":{},"map":{"k":{}},"raw":[1],"level":"low","pair":[1,2],"bytes":"AA==","any":{"a":1},"-":"d"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var got sample
		err := Unmarshal(data, &got)
		if (err == nil) != accepts(data, &got) {
			t.Fatalf("%v; the oracle says otherwise", err)
		}
		if err != nil {
			return
		}
		var want sample
		dec := json.NewDecoder(bytes.NewReader(data))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&want); err != nil {
			t.Fatalf("encoding/json refuses what was accepted: %v", err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("encoding/json reads it otherwise:\n%s", diff)
		}
		if err := Check(data); err != nil {
			t.Fatalf("Check refuses what Unmarshal accepts: %v", err)
		}
		again, err := json.Marshal(generic(t, data))
		if err != nil {
			t.Fatal(err)
		}
		var second sample
		if err := Unmarshal(again, &second); err != nil {
			t.Fatalf("rewritten as %s: %v", again, err)
		}
		got.Raw, got.Raws, second.Raw, second.Raws = nil, nil, nil, nil // their spelling may differ
		if diff := cmp.Diff(got, second); diff != "" {
			t.Fatalf("rewritten as %s:\n%s", again, diff)
		}
	})
}

// generic reads without a type; duplicate names would get lost in it.
func generic(t *testing.T, data []byte) any {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func FuzzCheck(f *testing.F) {
	for _, tt := range refused {
		f.Add([]byte(tt.in))
	}
	for _, in := range grammar {
		f.Add([]byte(in))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		err := Check(data)
		if err == nil && !json.Valid(data) {
			t.Fatal("accepted, and not JSON")
		}
		if (err == nil) != accepts(data, nil) {
			t.Fatalf("%v; the oracle says otherwise", err)
		}
	})
}
