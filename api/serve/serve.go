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
	"math"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/recover"
	fibermiddleware "github.com/oapi-codegen/fiber-middleware"
	"github.com/valyala/fasthttp"

	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/api/strictjson"
)

const (
	shutdownTimeout = 10 * time.Second
	// workerIdle is for how long a goroutine waits for a further connection.
	workerIdle = 2 * time.Second
)

// MaxHeader is how large the line and the header of a request may be together, in bytes.
const MaxHeader = 4 << 10

// Timeouts bound how long a caller may take over each part of an exchange. None is
// renewed by a byte that arrives.
type Timeouts struct {
	Header time.Duration // from a request's first byte, on a new connection from its handshake, to the end of the header
	Body   time.Duration // from there to the end of the body
	Write  time.Duration // from when the answer is ready until it is taken
	Idle   time.Duration // between requests
}

// DefaultTimeouts suit callers with slow lines.
func DefaultTimeouts() Timeouts {
	return Timeouts{Header: 15 * time.Second, Body: 30 * time.Second, Write: 90 * time.Second, Idle: 120 * time.Second}
}

// WithTimeouts replaces DefaultTimeouts. All must be positive.
func WithTimeouts(t Timeouts) Option { return func(e *edge) { e.timeouts = t } }

// Authenticate judges who is calling before anything else is looked at. An error
// should be of kind Unauthenticated or Forbidden.
type Authenticate func(c *fiber.Ctx) error

// Option changes what New returns.
type Option func(*edge)

// OnRefusal names who is told of a request that was refused here, as malformed or
// too large, before any handler saw it. record returns what the caller is
// answered: the refusal, or the fault that kept it from being recorded. It must
// judge for itself who is calling: a body may be too large to get as far as
// Authenticate.
func OnRefusal(record func(c *fiber.Ctx, refusal error) error) Option {
	return func(e *edge) { e.record = record }
}

// edge is what stands between the wire and the handlers.
type edge struct {
	log      *slog.Logger
	router   routers.Router
	record   func(c *fiber.Ctx, refusal error) error
	timeouts Timeouts
}

// New returns an application that serves what spec describes and nothing else.
// Request bodies are at most maxBody bytes. Handlers are registered by the
// caller, behind authentication and validation.
func New(spec *openapi3.T, maxBody int, log *slog.Logger, auth Authenticate, options ...Option) (*fiber.App, error) {
	doc := *spec
	doc.Servers = nil // the address is the listener's affair
	router, err := gorillamux.NewRouter(&doc)
	if err != nil {
		return nil, fmt.Errorf("serve: %w", err)
	}
	e := &edge{log: log, router: router, timeouts: DefaultTimeouts(), record: func(_ *fiber.Ctx, refusal error) error { return refusal }}
	for _, o := range options {
		o(e)
	}
	app := fiber.New(fiber.Config{
		BodyLimit:             maxBody,
		ReadBufferSize:        MaxHeader,
		ReadTimeout:           e.timeouts.Header,
		WriteTimeout:          e.timeouts.Write,
		IdleTimeout:           e.timeouts.Idle,
		Immutable:             true, // strings from a request outlive it in this program
		DisableStartupMessage: true,
		ServerHeader:          "",

		DisablePreParseMultipartForm: true, // it would put parts of a body into files
		JSONDecoder:                  strictjson.Unmarshal,
		ErrorHandler:                 e.fail,
	})
	e.harden(app)
	app.Use(recover.New())
	app.Use(headers)
	app.Use(untakenAnswers)
	app.Use(func(c *fiber.Ctx) error {
		if err := auth(c); err != nil {
			return err
		}
		return c.Next()
	})
	app.Use(func(c *fiber.Ctx) error {
		if err := e.validate(c); problem.KindOf(err) == problem.NotFound {
			return err
		} else if err != nil {
			return e.record(c, err)
		}
		return c.Next()
	})
	return app, nil
}

// harden sets what Fiber's own configuration does not reach.
func (e *edge) harden(app *fiber.App) {
	s := app.Server()
	s.MaxIdleWorkerDuration = workerIdle
	s.SecureErrorLogMessage = true // what was sent is for nobody's log
	s.HeaderReceived = func(*fasthttp.RequestHeader) fasthttp.RequestConfig {
		return fasthttp.RequestConfig{ReadTimeout: e.timeouts.Body}
	}
	handle := s.Handler
	s.Handler = func(c *fasthttp.RequestCtx) {
		if slices.Contains(fiber.DefaultMethods, string(c.Method())) {
			handle(c)
			return
		}
		// Fiber would answer by itself, in plain text.
		own := app.AcquireCtx(c)
		defer app.ReleaseCtx(own)
		_ = e.fail(own, problem.New(problem.NotFound, "no such operation")) // it writes to memory
	}
}

func headers(c *fiber.Ctx) error {
	setHeaders(c)
	return c.Next()
}

func setHeaders(c *fiber.Ctx) {
	c.Set(fiber.HeaderCacheControl, "no-store")
	c.Set(fiber.HeaderXContentTypeOptions, "nosniff")
}

// validate holds a request against the specification. The message names the
// place and the rule; values are left out of it.
func (e *edge) validate(c *fiber.Ctx) error {
	if len(c.Request().Header.ContentEncoding()) > 0 {
		// Fiber would unpack the body, however large it becomes.
		return problem.New(problem.Malformed, "bodies are taken as they are, without a content encoding")
	}
	if body := c.Request().Body(); len(body) > 0 {
		if c.Method() == http.MethodGet {
			return problem.New(problem.Malformed, "this operation takes no body")
		}
		if err := strictjson.Check(body); err != nil {
			return problem.New(problem.Malformed, "%w", err)
		}
	}
	err := fibermiddleware.ValidateRequestFromContext(c, e.router, &fibermiddleware.Options{
		Options: openapi3filter.Options{MultiError: true,
			AuthenticationFunc: openapi3filter.NoopAuthenticationFunc}, // done by Authenticate
		MultiErrorHandler: refusalOf,
	})
	var p *problem.Error
	switch {
	case err == nil, errors.As(err, &p):
		return err
	case err.Error() == reason(routers.ErrPathNotFound), err.Error() == reason(routers.ErrMethodNotAllowed):
		return problem.New(problem.NotFound, "no such operation")
	}
	return problem.New(problem.Malformed, "%s", firstLine(err))
}

// refusalOf makes a problem of the first thing that is wrong with a request. Text
// in a body that is longer than its limit is too large rather than malformed.
func refusalOf(all openapi3.MultiError) error {
	kind := problem.Malformed
	var re *openapi3filter.RequestError
	var se *openapi3.SchemaError
	if errors.As(all, &re) && re.RequestBody != nil && errors.As(re.Err, &se) && se.SchemaField == "maxLength" {
		kind = problem.TooLarge
	}
	return problem.New(kind, "%s", firstLine(all[0]))
}

// firstLine of a message names the place and the rule; the value comes after it.
func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
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
func (e *edge) fail(c *fiber.Ctx, err error) error {
	var fe *fiber.Error
	if errors.As(err, &fe) {
		if err = fromFiber(fe); fe.Code == http.StatusBadRequest || fe.Code == http.StatusRequestEntityTooLarge {
			err = e.record(c, err)
		}
	}
	id := newID()
	status, body := problem.Render(err, id)
	level := slog.LevelInfo
	if status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	e.log.Log(c.UserContext(), level, "refused", "method", c.Method(), "path", c.Path(),
		"status", status, "problem", string(problem.KindOf(err)), "error_id", id, "error", err.Error())
	setHeaders(c) // not every error has come by headers
	c.Status(status)
	c.Set(fiber.HeaderContentType, problem.MediaType)
	if status == http.StatusTooManyRequests {
		c.Set(fiber.HeaderRetryAfter, retryAfter(err))
	}
	return c.Send(body)
}

// retryAfter is for how long a caller should pause, in whole seconds (RFC 9110
// section 10.2.3): one where the error does not say.
func retryAfter(err error) string {
	var p *problem.Error
	wait := time.Duration(0)
	if errors.As(err, &p) {
		wait = p.RetryAfter
	}
	return strconv.Itoa(max(int(math.Ceil(wait.Seconds())), 1))
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
	// Who has not ended by then is cut off, which is no fault: a caller can hold a
	// connection open for as long as it likes.
	err := app.ShutdownWithTimeout(shutdownTimeout)
	if errors.Is(err, context.DeadlineExceeded) {
		err = nil
	}
	// A listener that was only about to serve would not have noticed.
	if cerr := ln.Close(); cerr != nil && !errors.Is(cerr, net.ErrClosed) {
		err = errors.Join(err, cerr)
	}
	if err != nil {
		return fmt.Errorf("serve: shutting down: %w", err)
	}
	return <-failed
}
