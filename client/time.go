package client

import "time"

// CreatedTime returns when the record was created, in UTC. It reports false if the API does not say, or not in the form
// that its contract describes; CreatedAt has the text.
func (p Provider) CreatedTime() (t time.Time, ok bool) { return parseTime(p.CreatedAt) }

// UpdatedTime returns when the record last changed, in UTC. It reports false if the API does not say, or not in the
// form that its contract describes; UpdatedAt has the text.
func (p Provider) UpdatedTime() (t time.Time, ok bool) { return parseTime(p.UpdatedAt) }

// Time returns when the change was made, in UTC. It reports false if the API does not say so in the form that its contract
// describes; At has the text.
func (e HistoryEntry) Time() (t time.Time, ok bool) { return parseTime(&e.At) }

func parseTime(text *string) (time.Time, bool) {
	if text == nil {
		return time.Time{}, false
	}
	t, err := time.Parse(time.RFC3339, *text)
	if err != nil {
		return time.Time{}, false
	}
	return t.UTC(), true
}
