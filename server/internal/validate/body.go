package validate

import (
	"bytes"
	"errors"
	"mime"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"
)

// MaxBody is the size of the largest body that is read, in bytes. The largest one that the contract allows is
// smaller even with every character escaped.
const MaxBody = 64 << 10

// readBody replaces what the buffer holds with the body.
func (o *Operation) readBody(c echo.Context, buffer *bytes.Buffer) error {
	request := c.Request()
	if err := o.checkMediaType(request.Header); err != nil {
		return err
	}
	if request.ContentLength > MaxBody {
		return &http.MaxBytesError{Limit: MaxBody}
	}
	buffer.Reset()
	_, err := buffer.ReadFrom(http.MaxBytesReader(c.Response(), request.Body, MaxBody))
	var tooLarge *http.MaxBytesError
	var network net.Error
	switch {
	case err == nil:
		request.Body = http.NoBody
		return nil
	case errors.As(err, &tooLarge):
		return err
	case errors.As(err, &network) && network.Timeout():
		return errBodyTimeout
	}
	return errTruncatedBody
}

func (o *Operation) checkMediaType(header http.Header) error {
	if encoding := strings.Join(header.Values("Content-Encoding"), ","); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return errContentEncoding
	}
	types := header.Values("Content-Type")
	if len(types) == 1 && types[0] == "application/json" {
		return nil
	}
	media, parameters, err := mime.ParseMediaType(header.Get("Content-Type"))
	charset, declared := parameters["charset"]
	utf8 := !declared || strings.EqualFold(charset, "utf-8") || strings.EqualFold(charset, "utf8")
	if err != nil || !utf8 || len(types) != 1 || !slices.Contains(o.mediaTypes, media) {
		return errContentType(o.mediaTypes)
	}
	return nil
}

// Unread reports whether a request has a body that has not been read to its end.
func Unread(request *http.Request) bool {
	return request.Body != http.NoBody && request.ContentLength != 0
}
