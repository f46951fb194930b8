package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"

	"github.com/entente-hub/entente/api/alert"
)

// config is what every configuration can do.
type config interface {
	Resolve(dir string)
	Validate() error
}

// loadConfig reads a YAML configuration strictly: an unknown or repeated field, or
// a second document, is an error, so that a typo never drops a safeguard.
func loadConfig(file string, c config) error {
	raw, err := os.ReadFile(file)
	if err != nil {
		return usage("%v", err)
	}
	dir, err := filepath.Abs(filepath.Dir(file))
	if err != nil {
		return err
	}
	if err := parseConfig(raw, dir, c); err != nil {
		return usage("%s: %v", file, err)
	}
	return nil
}

// parseConfig reads the bytes of a configuration file in the folder dir.
func parseConfig(raw []byte, dir string, c config) error {
	if err := plainYAML(raw); err != nil {
		return err
	}
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	dec.KnownFields(true)
	if err := dec.Decode(c); err != nil {
		return err
	}
	c.Resolve(dir)
	return c.Validate()
}

// plainYAML refuses what would let a file say something else than it seems to:
// aliases, merge keys and a second document.
func plainYAML(raw []byte) error {
	var doc yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	if err := dec.Decode(&doc); err != nil {
		return err
	}
	if err := dec.Decode(new(any)); !errors.Is(err, io.EOF) {
		return errors.New("more than one document")
	}
	return yamlToJSON(new(bytes.Buffer), &doc, 0)
}

// loadPlan reads a label file: YAML or JSON that says how STIX objects become
// portions. It is read as strictly as what comes over the wire.
func loadPlan(file string) (alert.Plan, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return alert.Plan{}, usage("%v", err)
	}
	p, err := parsePlan(raw)
	if err != nil {
		return alert.Plan{}, usage("%s: %v", file, err)
	}
	return p, nil
}

// parsePlan reads the bytes of a label file.
func parsePlan(raw []byte) (alert.Plan, error) {
	var doc yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	if err := dec.Decode(&doc); err != nil {
		return alert.Plan{}, err
	}
	if err := dec.Decode(new(any)); !errors.Is(err, io.EOF) {
		return alert.Plan{}, errors.New("more than one document")
	}
	var b bytes.Buffer
	if err := yamlToJSON(&b, &doc, 0); err != nil {
		return alert.Plan{}, err
	}
	return alert.ParsePlan(b.Bytes())
}

// maxYAMLDepth bounds nesting, and with the refusal of aliases the size of the
// result.
const maxYAMLDepth = 32

// yamlToJSON writes a YAML node as JSON. Names come in their order and as often as
// they stand, so that the strict JSON reader sees repetitions; dates and other
// plain words stay text; aliases are refused.
func yamlToJSON(b *bytes.Buffer, n *yaml.Node, depth int) error {
	if depth > maxYAMLDepth {
		return fmt.Errorf("line %d: nested deeper than %d levels", n.Line, maxYAMLDepth)
	}
	switch n.Kind {
	case yaml.DocumentNode:
		return yamlToJSON(b, n.Content[0], depth)
	case yaml.MappingNode:
		return yamlList(b, n, '{', '}', depth)
	case yaml.SequenceNode:
		return yamlList(b, n, '[', ']', depth)
	case yaml.ScalarNode:
		return yamlScalar(b, n)
	}
	return fmt.Errorf("line %d: aliases are not taken", n.Line)
}

func yamlList(b *bytes.Buffer, n *yaml.Node, open, end byte, depth int) error {
	b.WriteByte(open)
	for i, c := range n.Content {
		isValue := n.Kind == yaml.MappingNode && i%2 == 1
		switch {
		case isValue:
			b.WriteByte(':')
		case i > 0:
			b.WriteByte(',')
		}
		if n.Kind == yaml.MappingNode && !isValue {
			if c.Kind != yaml.ScalarNode || c.ShortTag() != "!!str" {
				return fmt.Errorf("line %d: a name must be plain text", c.Line)
			}
			writeText(b, c.Value)
			continue
		}
		if err := yamlToJSON(b, c, depth+1); err != nil {
			return err
		}
	}
	b.WriteByte(end)
	return nil
}

func yamlScalar(b *bytes.Buffer, n *yaml.Node) error {
	switch n.ShortTag() {
	case "!!str", "!!timestamp":
		writeText(b, n.Value)
	case "!!bool", "!!int", "!!float", "!!null":
		var v any
		if err := n.Decode(&v); err != nil {
			return fmt.Errorf("line %d: %w", n.Line, err)
		}
		raw, err := json.Marshal(v)
		if err != nil {
			return fmt.Errorf("line %d: %w", n.Line, err)
		}
		b.Write(raw)
	default:
		return fmt.Errorf("line %d: %s values are not taken", n.Line, n.ShortTag())
	}
	return nil
}

func writeText(b *bytes.Buffer, s string) {
	raw, err := json.Marshal(s)
	if err != nil {
		panic("cli: text does not encode: " + err.Error())
	}
	b.Write(raw)
}

// loadObjects reads STIX objects: a bundle, one object, or an array of them.
func loadObjects(file string) ([]json.RawMessage, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, usage("%v", err)
	}
	objects, err := parseObjects(raw)
	if err != nil {
		return nil, usage("%s: %v", file, err)
	}
	return objects, nil
}

// parseObjects reads the bytes of a file of STIX objects.
func parseObjects(raw []byte) ([]json.RawMessage, error) {
	raw = bytes.TrimSpace(raw)
	if len(raw) > 0 && raw[0] == '[' {
		var list []json.RawMessage
		err := json.Unmarshal(raw, &list)
		return list, err
	}
	if _, err := alert.ParseObjectRef(raw); err == nil {
		return []json.RawMessage{raw}, nil // one object that is no bundle
	}
	return alert.ParseBundle(raw)
}
