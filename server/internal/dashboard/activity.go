package dashboard

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/carecycle/provider-api/server/internal/audit"
	"github.com/carecycle/provider-api/server/internal/provider"
)

// activityPage lists the changes in an organization, the latest first, without their values.
type activityPage struct {
	Key    string // the ID of the only key or person that is shown, or ""
	Name   string // of it
	Events []activityLine
	More   string // the path of the next page, or ""
}

// activityLine is an event of a record.
type activityLine struct {
	provider.ActivityEvent
	Who        string
	Properties string // those that changed
}

// maxActivityReads bounds the queries to the store for one page. Each query reads a bounded number of events.
const maxActivityReads = 5

func (d *Dashboard) showActivity(r *request) error {
	content := activityPage{Key: r.FormValue("key")}
	query := provider.ActivityQuery{Organization: r.organization.Organization, KeyID: content.Key, Cursor: r.FormValue("cursor"), Limit: pageSize}
	names := map[string]string{}
	var read audit.Entry
	for range maxActivityReads {
		page, err := d.Store.Activity(r.Context(), query)
		if errors.Is(err, provider.ErrInvalidCursor) {
			return errPageNotFound
		}
		if err != nil {
			return err
		}
		for _, event := range page.Events {
			line, err := r.activityLine(names, event)
			if err != nil {
				return err
			}
			content.Events = append(content.Events, line)
			read.Records = append(read.Records, event.ProviderID)
		}
		query.Cursor = page.Next
		if query.Limit -= len(page.Events); query.Limit <= 0 || page.Next == "" {
			break
		}
	}
	if query.Cursor != "" {
		content.More = r.path("activity") + "?" + url.Values{"key": {content.Key}, "cursor": {query.Cursor}}.Encode()
	}
	var err error
	if content.Key != "" {
		if content.Name, err = r.who(names, &content.Key); err != nil {
			return err
		}
	}
	read.Count = len(read.Records)
	if err := r.record("dashboard activity", read); err != nil {
		return err
	}
	return r.render(http.StatusOK, "activity.html", "Activity", content)
}

func (r *request) activityLine(names map[string]string, event provider.ActivityEvent) (activityLine, error) {
	line := activityLine{ActivityEvent: event}
	var by *string
	if event.By.KeyID != "" {
		by = &event.By.KeyID
	}
	var properties []string
	for _, change := range event.Changes {
		properties = append(properties, label(change.Field))
	}
	line.Properties = strings.Join(properties, ", ")
	var err error
	line.Who, err = r.who(names, by)
	return line, err
}
