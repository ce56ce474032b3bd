package command

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/alecthomas/kong"
)

// logLevels is the enum of --log-level.
const logLevels = "debug,info,warn,error"

// logLevel serves the level of the log, and sets it if the request is a PUT.
func logLevel(level *slog.LevelVar, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			wanted, before := r.FormValue("level"), level.Level()
			if !slices.Contains(strings.Split(logLevels, ","), wanted) || level.UnmarshalText([]byte(wanted)) != nil {
				http.Error(w, "level must be one of "+logLevels, http.StatusBadRequest)
				return
			}
			log.Warn("the log level was changed", "from", before, "to", level.Level())
		}
		fmt.Fprintln(w, strings.ToLower(level.Level().String()))
	})
}

// accessLog is the value of --access-log: which successful requests are logged.
type accessLog string

// UnmarshalText checks a flag's value.
func (a *accessLog) UnmarshalText(text []byte) error {
	*a = accessLog(text)
	if _, err := a.oneOf(); err != nil {
		return errors.New("it must be all, errors, or 1/N for one of N successful requests, such as 1/100")
	}
	return nil
}

// oneOf returns how many successful requests there are for each that is logged, and 0 if none is.
func (a accessLog) oneOf() (uint64, error) {
	switch a {
	case "all":
		return 1, nil
	case "errors":
		return 0, nil
	}
	number, found := strings.CutPrefix(string(a), "1/")
	n, err := strconv.ParseUint(number, 10, 32)
	if !found || n == 0 {
		err = strconv.ErrSyntax
	}
	return n, err
}

// sampler returns a function that reports whether the next successful request is logged.
func (a accessLog) sampler() func() bool {
	n, _ := a.oneOf()
	if n == 0 {
		return func() bool { return false }
	}
	var requests atomic.Uint64
	return func() bool { return (requests.Add(1)-1)%n == 0 }
}

// changedSettings returns the flags of a command that do not have their default, but for those of the database, whose URL can hold
// a password.
func changedSettings(flags []*kong.Flag) (settings []any) {
	for _, flag := range flags {
		if !flag.Target.IsValid() || flag.Target.IsZero() || strings.HasPrefix(flag.Name, "database") {
			continue
		}
		text := fmt.Sprint(flag.Target.Interface())
		if flag.Target.Kind() == reflect.Slice {
			text = strings.ReplaceAll(strings.Trim(text, "[]"), " ", ",")
		}
		if text != flag.Default {
			settings = append(settings, slog.String(flag.Name, text))
		}
	}
	return settings
}
