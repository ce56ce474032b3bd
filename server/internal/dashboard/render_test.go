package dashboard_test

import (
	"strings"
	"testing"
	"time"

	"github.com/carecycle/provider-api/server/internal/dashboard"
)

func TestAge(t *testing.T) {
	now := time.Date(2026, 6, 17, 19, 7, 23, 0, time.UTC)
	for _, tt := range []struct {
		age  time.Duration
		want string
	}{
		{-time.Second, ">just now<"},
		{59 * time.Second, ">just now<"},
		{time.Minute, ">1 minute ago<"},
		{59 * time.Minute, ">59 minutes ago<"},
		{time.Hour, ">1 hour ago<"},
		{47 * time.Hour, ">1 day ago<"},
		{29 * 24 * time.Hour, ">29 days ago<"},
		{30 * 24 * time.Hour, ">18 May 2026<"},
	} {
		if got := string(dashboard.FormatAge(now.Add(-tt.age), now)); !strings.Contains(got, tt.want) {
			t.Errorf("%v: got %s, want %s", tt.age, got, tt.want)
		}
	}
	if got := dashboard.FormatAge(time.Time{}, now); got != "never" {
		t.Errorf("the zero time: got %s", got)
	}
}
