package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/strictyaml"
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
	if _, err := strictyaml.ToJSON(raw); err != nil {
		return err // aliases, merge keys and a second document would say something else than the file seems to
	}
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	dec.KnownFields(true)
	if err := dec.Decode(c); err != nil {
		return err
	}
	c.Resolve(dir)
	return c.Validate()
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
	asJSON, err := strictyaml.ToJSON(raw)
	if err != nil {
		return alert.Plan{}, err
	}
	return alert.ParsePlan(asJSON)
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
