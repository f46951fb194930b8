// Package openapi holds the specifications of the hub's and the node's
// interfaces. They come first: api/hubapi and api/nodeapi are generated from
// them, and every request is validated against them.
package openapi

import (
	"embed"
	"fmt"
	"net/url"
	"path"

	"github.com/getkin/kin-openapi/openapi3"
)

//go:generate go -C .. tool -modfile=tools/go.mod oapi-codegen -config openapi/hub.codegen.yaml openapi/hub.yaml
//go:generate go -C .. tool -modfile=tools/go.mod oapi-codegen -config openapi/node.codegen.yaml openapi/node.yaml

//go:embed hub.yaml node.yaml
var files embed.FS

// Hub returns the hub's specification, validated.
func Hub() (*openapi3.T, error) { return load("hub.yaml") }

// Node returns the specification of the node's local interface, validated.
func Node() (*openapi3.T, error) { return load("node.yaml") }

func load(name string) (*openapi3.T, error) {
	loader := openapi3.NewLoader()
	loader.IsExternalRefsAllowed = true
	loader.ReadFromURIFunc = func(_ *openapi3.Loader, u *url.URL) ([]byte, error) {
		return files.ReadFile(path.Base(u.Path)) // nothing outside the binary is ever read
	}
	doc, err := loader.LoadFromURI(&url.URL{Path: name})
	if err != nil {
		return nil, fmt.Errorf("openapi: %s: %w", name, err)
	}
	if err := doc.Validate(loader.Context); err != nil {
		return nil, fmt.Errorf("openapi: %s: %w", name, err)
	}
	return doc, nil
}
