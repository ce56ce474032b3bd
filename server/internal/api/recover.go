package api

import (
	"fmt"
	"net/http"
	"runtime"

	"github.com/carecycle/provider-api/server/internal/panictrace"
	"github.com/labstack/echo/v4"
)

// recoverPanics turns a panic into an error that says where it happened. The error holds the panic's value only if the
// runtime raised it.
func recoverPanics(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			switch value := recover().(type) {
			case nil:
			case runtime.Error:
				err = &panicked{value.Error(), panictrace.New()}
			default:
				if value == http.ErrAbortHandler {
					panic(value)
				}
				err = &panicked{fmt.Sprintf("%T", value), panictrace.New()}
			}
		}()
		return next(c)
	}
}

type panicked struct{ what, trace string }

func (p *panicked) Error() string { return "panic: " + p.what + "\n" + p.trace }
