package api

import (
	"net/http"
	"time"

	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/labstack/echo/v4"
)

func handleLive(c echo.Context) error {
	return c.JSON(http.StatusOK, map[string]string{"status": "ok"})
}

func (a *API) handleReady(c echo.Context) error {
	if err := a.Ready(c.Request().Context()); err != nil {
		return provider.Unavailable(5*time.Second, err)
	}
	return handleLive(c)
}
