package client

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// maxResponse bounds how much of a response is read, in bytes, after decompression. The longest that the contract allows is a page
// of a history whose events each change all texts of a record from one value to another; JSON escapes a code point in up to 12
// bytes. The rest of an event takes less than 8 KiB.
const maxResponse = maxPageSize * (2*12*maxRecordText + 8<<10)

// maxText bounds each text of the server in an error, in characters.
const maxText = 300

// apiResponse is a response, read to its end.
type apiResponse struct {
	status    int
	header    http.Header
	requestID string
	at        time.Time // when it came
	body      []byte
}

// readResponse reads at most one byte more than maxResponse. With an error it returns the part before it.
func readResponse(response *http.Response, sentID string, now time.Time) (*apiResponse, error) {
	a := &apiResponse{status: response.StatusCode, header: response.Header, at: now}
	a.requestID = clean(response.Header.Get("X-Request-Id"), 100)
	if a.requestID == "" {
		a.requestID = sentID
	}
	var err error
	a.body, err = io.ReadAll(io.LimitReader(response.Body, maxResponse+1))
	return a, err
}

// problem says why the body is not JSON; empty if it is.
func (a *apiResponse) problem() string {
	media, _, err := mime.ParseMediaType(a.header.Get("Content-Type"))
	switch {
	case len(a.body) > maxResponse:
		return fmt.Sprintf("is larger than %d bytes", maxResponse)
	case len(a.body) == 0:
		return "is empty"
	case a.header.Get("Content-Encoding") != "":
		return "is compressed, which was not asked for"
	case err != nil:
		return "does not say that it is JSON"
	case media == "text/json" || strings.HasSuffix(media, "+json"):
		return "is JSON of another content type than application/json"
	case media == "text/html":
		return "is a web page instead of JSON"
	case media != "application/json":
		return "is of another content type than JSON"
	case !utf8.Valid(a.body) || !json.Valid(a.body):
		return "is not valid JSON"
	case string(bytes.TrimSpace(a.body)) == "null":
		return "is null"
	}
	return ""
}

// apiError returns the error of a response that is not a success.
func (a *apiResponse) apiError() *Error {
	var told struct {
		Message    string          `json:"message"`
		Code       string          `json:"code"`
		Errors     json.RawMessage `json:"errors"`
		RetryAfter json.RawMessage `json:"retryAfter"`
	}
	fault := a.problem()
	switch {
	case a.status == http.StatusNotModified:
		fault = "says that the record has not changed, which was not asked for"
	case a.status >= 300 && a.status < 400:
		fault = "is a redirect, which is not followed because the key would go along"
	case fault != "":
	case a.status < 300:
		fault = "has another status than the contract's for a success"
	case json.Unmarshal(a.body, &told) != nil || told.Message == "" || told.Code == "":
		fault = "is not an error as the contract describes it"
	}
	if fault != "" {
		return a.unexpected(fault)
	}
	e := &Error{
		StatusCode: a.status, Code: clean(told.Code, 60), Message: clean(told.Message, maxText), RequestID: a.requestID,
		RetryAfter: a.retryAfter(string(told.RetryAfter)), OutcomeUnknown: a.status >= 500,
	}
	if json.Unmarshal(told.Errors, &e.Fields) != nil {
		e.Fields = nil // the message is useful without them
	}
	return e
}

// unexpected returns the error of a response that breaks the contract. It says nothing of what is in the body.
func (a *apiResponse) unexpected(fault string) *Error {
	message := "the response " + fault
	if a.status >= 500 || isTransient(a.status) {
		message += "; something between this program and the API sent it; try again later"
	} else {
		message += "; check the base URL, and what stands between this program and the API"
	}
	return a.newError(message)
}

// newError returns an error with a text of this package. After a success that cannot be read, or an error of the server, the outcome
// is unknown; a request that was rejected or redirected had no effect.
func (a *apiResponse) newError(message string) *Error {
	return &Error{
		StatusCode: a.status, Message: message, RequestID: a.requestID,
		RetryAfter: a.retryAfter(""), OutcomeUnknown: a.status < 300 || a.status >= 500, foreign: true,
	}
}

// retryAfter returns the longer of the waits in the header and the body, 0 if there is none. A date in the header is compared with
// the server's clock, or with this machine's if the response has no Date.
func (a *apiResponse) retryAfter(body string) time.Duration {
	header := a.header.Get("Retry-After")
	if date, err := http.ParseTime(header); err == nil {
		now, err := http.ParseTime(a.header.Get("Date"))
		if err != nil {
			now = a.at
		}
		return max(seconds(body), date.Sub(now), 0)
	}
	return max(seconds(body), seconds(header))
}

// seconds reads a number of seconds, up to a day; 0 if there is none.
func seconds(text string) time.Duration {
	number, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || !(number > 0) {
		return 0
	}
	return time.Duration(min(number, 24*60*60) * float64(time.Second))
}

// clean returns a text of the server that fits into a line of a log: printable, and with at most so many characters.
func clean(text string, most int) string {
	text = strings.TrimSpace(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, " ")))
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:most]) + "…"
}
