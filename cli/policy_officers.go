package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/api/strictjson"
	hubserver "github.com/entente-hub/entente/hub/server"
	"github.com/entente-hub/entente/trust"
)

// readOfficers reads who the policy officers are: from files of their keys, or as
// the federation's statements say that a hub is configured with.
func readOfficers(files []string, config string) (officerKeys, error) {
	if config != "" {
		return officersOf(config)
	}
	officers := make(officerKeys)
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			return nil, usage("%v", err)
		}
		jwks, err := readJWKs(raw)
		if err != nil {
			return nil, usage("%s: %w", file, err)
		}
		if err := officers.add(jwks...); err != nil {
			return nil, usage("%s: %w", file, err)
		}
	}
	return officers, nil
}

// readJWKs reads a JWK, or a JWK set (RFC 7517 section 5) of one key or more.
func readJWKs(raw []byte) ([]json.RawMessage, error) {
	var members map[string]json.RawMessage
	if err := strictjson.Unmarshal(raw, &members); err != nil {
		return nil, err
	}
	if _, isSet := members["keys"]; !isSet {
		return []json.RawMessage{bytes.TrimSpace(raw)}, nil
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := strictjson.Unmarshal(raw, &set); err != nil {
		return nil, err
	}
	if len(set.Keys) == 0 {
		return nil, errors.New("a JWK set without keys")
	}
	return set.Keys, nil
}

// officersOf reads the registry that stands among the statements of a hub's folder,
// verified up to the authority's key.
func officersOf(config string) (officerKeys, error) {
	var cfg hubserver.Config
	if err := loadConfig(config, &cfg); err != nil {
		return nil, err
	}
	if cfg.Statements == "" {
		return nil, usage("%s names no folder of statements; use --officers", config)
	}
	authority, err := hubserver.ReadPublicKey(cfg.AuthorityKey)
	if err != nil {
		return nil, err
	}
	directory, err := readDirectory(trust.New(authority), cfg.Statements, time.Now())
	if err != nil {
		return nil, err
	}
	if !directory.Ready() {
		return nil, usage("no registry is among the statements in %s", cfg.Statements)
	}
	officers := make(officerKeys)
	return officers, officers.add(directory.Registry().PolicyOfficers.Keys...)
}

// readDirectory takes in every statement of a folder. Files stand in no order that
// means anything, so it goes through them until none is left; those of which one
// does not verify, whichever, are an error.
func readDirectory(d *trust.Directory, dir string, now time.Time) (*trust.Directory, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, err
	}
	for len(files) > 0 {
		var left []string
		var refused []error
		for _, file := range files {
			raw, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			next, err := d.With(now, bytes.TrimSpace(raw))
			if err == nil {
				d = next
				continue
			}
			left = append(left, file)
			if d.Ready() || problem.KindOf(err) != problem.Unavailable { // that is: no registry yet
				refused = append(refused, fmt.Errorf("statement %s: %w", filepath.Base(file), err))
			}
		}
		if len(left) == len(files) && len(refused) > 0 {
			return nil, errors.Join(refused...)
		}
		if len(left) == len(files) {
			return d, nil // there is no registry
		}
		files = left
	}
	return d, nil
}
