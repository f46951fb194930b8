package server

import "github.com/getkin/kin-openapi/openapi3"

// ClassOf is throttle.classOf with the default limits.
func ClassOf(spec *openapi3.T, method, path string) string {
	return string(newThrottle(spec, defaultLimits(), newLimited(nil)).classOf(method, path))
}
