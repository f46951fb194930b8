// Package serve is what every listener here has in common: a Fiber application
// whose requests are validated against the OpenAPI document before any handler
// sees them, whose JSON is read strictly, and whose errors all leave as problem
// details through one place.
package serve

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/recover"
	fibermiddleware "github.com/oapi-codegen/fiber-middleware"

	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/api/strictjson"
)

// Timeouts of a listener. The write timeout outlasts the longest long-poll.
const (
	readTimeout     = 30 * time.Second
	writeTimeout    = 90 * time.Second
	idleTimeout     = 120 * time.Second
	shutdownTimeout = 10 * time.Second
)

// Authenticate judges who is calling before anything else is looked at. An error
// should be of kind Unauthenticated or Forbidden.
type Authenticate func(c *fiber.Ctx) error

// New returns an application that serves what spec describes and nothing else.
// Request bodies are at most maxBody bytes. Handlers are registered by the
// caller, behind authentication and validation.
func New(spec *openapi3.T, maxBody int, log *slog.Logger, auth Authenticate) (*fiber.App, error) {
	doc := *spec
	doc.Servers = nil // the address is the listener's affair
	router, err := gorillamux.NewRouter(&doc)
	if err != nil {
		return nil, fmt.Errorf("serve: %w", err)
	}
	app := fiber.New(fiber.Config{
		BodyLimit:             maxBody,
		ReadTimeout:           readTimeout,
		WriteTimeout:          writeTimeout,
		IdleTimeout:           idleTimeout,
		Immutable:             true, // strings from a request outlive it in this program
		DisableStartupMessage: true,
		ServerHeader:          "",
		JSONDecoder:           strictjson.Unmarshal,
		ErrorHandler:          func(c *fiber.Ctx, err error) error { return fail(c, log, err) },
	})
	app.Use(recover.New())
	app.Use(headers)
	app.Use(func(c *fiber.Ctx) error {
		if err := auth(c); err != nil {
			return err
		}
		return c.Next()
	})
	app.Use(func(c *fiber.Ctx) error { return validate(c, router) })
	return app, nil
}

func headers(c *fiber.Ctx) error {
	c.Set(fiber.HeaderCacheControl, "no-store")
	c.Set(fiber.HeaderXContentTypeOptions, "nosniff")
	return c.Next()
}

// validate holds a request against the specification. The message names the
// place and the rule; values are left out of it.
func validate(c *fiber.Ctx, router routers.Router) error {
	if len(c.Body()) > 0 {
		if err := strictjson.Check(c.Body()); err != nil {
			return problem.New(problem.Malformed, "%w", err)
		}
	}
	err := fibermiddleware.ValidateRequestFromContext(c, router, &fibermiddleware.Options{
		Options: openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc}, // done by Authenticate
	})
	switch {
	case err == nil:
		return c.Next()
	case err.Error() == reason(routers.ErrPathNotFound), err.Error() == reason(routers.ErrMethodNotAllowed):
		return problem.New(problem.NotFound, "no such operation")
	}
	return problem.New(problem.Malformed, "%s", strings.TrimPrefix(err.Error(), "error in openapi3filter.RequestError: "))
}

// reason is how the middleware words a routing error.
func reason(err error) string {
	var re *routers.RouteError
	if errors.As(err, &re) {
		return re.Reason
	}
	return err.Error()
}

// fail is the one place where an error becomes a response, and where it is
// logged: once, with the id that the caller sees.
func fail(c *fiber.Ctx, log *slog.Logger, err error) error {
	var fe *fiber.Error
	if errors.As(err, &fe) {
		err = fromFiber(fe)
	}
	id := newID()
	status, body := problem.Render(err, id)
	level := slog.LevelInfo
	if status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	log.Log(c.UserContext(), level, "refused", "method", c.Method(), "path", c.Route().Path,
		"status", status, "problem", string(problem.KindOf(err)), "error_id", id, "error", err.Error())
	c.Status(status)
	c.Set(fiber.HeaderContentType, problem.MediaType)
	return c.Send(body)
}

func fromFiber(fe *fiber.Error) error {
	switch fe.Code {
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		return problem.New(problem.NotFound, "no such operation")
	case http.StatusRequestEntityTooLarge:
		return problem.New(problem.TooLarge, "the body is larger than this operation takes")
	case http.StatusInternalServerError:
		return problem.Wrap(problem.Internal, fe, "")
	}
	return problem.New(problem.Malformed, "%s", fe.Message)
}

func newID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // crypto/rand.Read never fails since Go 1.24
	return hex.EncodeToString(b[:])
}

// Run serves on ln until ctx ends, then stops taking connections and waits a
// bounded time for requests under way.
func Run(ctx context.Context, app *fiber.App, ln net.Listener) error {
	failed := make(chan error, 1)
	go func() { failed <- app.Listener(ln) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	if err := app.ShutdownWithTimeout(shutdownTimeout); err != nil {
		return fmt.Errorf("serve: shutting down: %w", err)
	}
	return <-failed
}
