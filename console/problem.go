package console

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/bearhug/bearhug/audience"
	"github.com/bearhug/bearhug/flow"
	"github.com/bearhug/bearhug/store"
)

// refused is an error that is told to who asked, in its own words.
type refused struct {
	status int
	cause  error
}

func (r *refused) Error() string { return r.cause.Error() }
func (r *refused) Unwrap() error { return r.cause }

// refusal tells an error to who asked: a request that cannot be done as it is.
func refusal(err error) error {
	if err == nil {
		return nil
	}
	return &refused{http.StatusUnprocessableEntity, err}
}

// notHere is how everything looks that is another organisation's, or nobody's.
const notHere = "there is no such organisation here, or it is not yours"

// problem makes an error of an operation a problem detail (RFC 9457).
func (c *Console) problem(ctx context.Context, id string, err error) error {
	var told huma.StatusError
	var own *refused
	var lines flow.Problems
	var parts audience.Problems
	switch {
	case errors.As(err, &told):
		return err // with its headers
	case errors.As(err, &lines):
		return detailed(lines)
	case errors.As(err, &parts):
		return huma.Error422UnprocessableEntity(parts.Error())
	case errors.Is(err, store.ErrNotFound):
		return huma.Error404NotFound("there is no such thing here")
	case errors.Is(err, store.ErrExists):
		return huma.Error409Conflict("one of that name is there already")
	case errors.Is(err, store.ErrMoved), errors.Is(err, store.ErrPersonStale), errors.Is(err, store.ErrAudienceStale):
		return huma.Error409Conflict("it was changed meanwhile, or is not in a state for this: read it again")
	case errors.Is(err, store.ErrPeopleImporting), errors.Is(err, store.ErrNoImport):
		return huma.Error409Conflict(err.Error())
	case errors.Is(err, store.ErrTooLong), errors.Is(err, store.ErrNoRoom):
		return huma.Error422UnprocessableEntity(err.Error())
	case errors.As(err, &own):
		return huma.NewError(own.status, own.Error())
	case errors.Is(err, context.Canceled):
		return huma.NewError(499, "the request was given up")
	case store.Severity(err) == slog.LevelDebug:
		return huma.ErrorWithHeaders(huma.Error503ServiceUnavailable("the database does not answer; try again in a few seconds"),
			http.Header{"Retry-After": {"5"}})
	}
	c.Log.Log(ctx, store.Severity(err), "operation failed", "operation", id, "cause", err)
	return huma.Error500InternalServerError("this failed on the server's side; its log says why")
}

// detailed tells each problem of a document with its place.
func detailed(lines flow.Problems) error {
	var list []error
	for _, p := range lines {
		list = append(list, &huma.ErrorDetail{Message: p.String(), Location: "body." + p.Path, Value: p.Line})
	}
	return huma.Error422UnprocessableEntity("the flow has problems", list...)
}

// refuse answers a request that reaches no operation.
func refuse(w http.ResponseWriter, status int, why string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	// A client that hung up reads nothing.
	_ = json.NewEncoder(w).Encode(&huma.ErrorModel{Status: status, Title: http.StatusText(status), Detail: why})
}
