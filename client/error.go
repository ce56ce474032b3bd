package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// The kinds of an Error, for errors.Is.
var (
	ErrUnauthorized       = errors.New("unauthorized")        // 401: the key is missing, unknown, revoked or expired
	ErrForbidden          = errors.New("forbidden")           // 403: the key lacks a permission
	ErrNotFound           = errors.New("not found")           // 404: the customer has no such provider
	ErrPreconditionFailed = errors.New("precondition failed") // 412: the record has changed since the IfMatch
	ErrValidation         = errors.New("validation failed")   // 422: Error.Fields says what is wrong
	ErrRateLimited        = errors.New("rate limited")        // 429: Error.RetryAfter says how long to wait
	ErrUnavailable        = errors.New("unavailable")         // 502, 503, 504: try again
)

// Error is an answer that is not a success. It holds no value that was sent.
type Error struct {
	StatusCode int
	Code       string        // the contract's, such as NOT_FOUND; empty if the answer did not come from the API
	Message    string        // for a person
	Fields     []FieldError  // with ErrValidation: every fault of the request
	RequestID  string        // what the server calls the request; quote it when you ask for help
	RetryAfter time.Duration // how long the server asks to wait; 0 if it does not say
}

// Error returns the message with the status and the request's name.
func (e *Error) Error() string {
	text := fmt.Sprintf("%d", e.StatusCode)
	if e.Code != "" {
		text += " " + e.Code
	}
	text += ": " + e.Message
	for _, field := range e.Fields {
		if field.Message != "" && len(e.Fields) > 1 {
			text += " " + field.Message
		}
	}
	if e.RequestID != "" {
		text += " (request " + e.RequestID + ")"
	}
	return text
}

// Is reports whether the error is of the kind of target, one of the Err… values.
func (e *Error) Is(target error) bool {
	switch e.StatusCode {
	case http.StatusUnauthorized:
		return target == ErrUnauthorized
	case http.StatusForbidden:
		return target == ErrForbidden
	case http.StatusNotFound:
		return target == ErrNotFound
	case http.StatusPreconditionFailed:
		return target == ErrPreconditionFailed
	case http.StatusUnprocessableEntity:
		return target == ErrValidation
	case http.StatusTooManyRequests:
		return target == ErrRateLimited
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return target == ErrUnavailable
	}
	return false
}

func newError(response *http.Response, body []byte, isJSON bool) *Error {
	var told struct {
		Message    string       `json:"message"`
		Code       string       `json:"code"`
		Errors     []FieldError `json:"errors"`
		RetryAfter int          `json:"retryAfter"`
	}
	if !isJSON || json.Unmarshal(body, &told) != nil || told.Message == "" {
		return unexpected(response, "is not the API's JSON")
	}
	e := &Error{
		StatusCode: response.StatusCode, Code: told.Code, Message: told.Message, Fields: told.Errors,
		RequestID: response.Header.Get("X-Request-Id"), RetryAfter: retryAfter(response),
	}
	if told.RetryAfter > 0 {
		e.RetryAfter = time.Duration(told.RetryAfter) * time.Second
	}
	return e
}

func unexpected(response *http.Response, what string) *Error {
	return &Error{
		StatusCode: response.StatusCode, Message: "the answer " + what,
		RequestID: response.Header.Get("X-Request-Id"), RetryAfter: retryAfter(response),
	}
}

// retryAfter reads the header in seconds; a date in it is not used by this API.
func retryAfter(response *http.Response) time.Duration {
	seconds, err := strconv.Atoi(response.Header.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0
	}
	return time.Duration(seconds) * time.Second
}
