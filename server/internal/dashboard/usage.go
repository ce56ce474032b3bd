package dashboard

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/carecycle/provider-api/server/internal/apikey"
	"github.com/carecycle/provider-api/server/internal/usage"
)

// span is a stretch of time that the page shows.
type span struct {
	Name, Text string
	resolution usage.Resolution
	periods    int
	format     string // of a period's time
}

var spans = []span{
	{"hour", "Last hour", usage.Minute, 60, "15:04"},
	{"day", "Last day", usage.Hour, 24, "15:04"},
	{"month", "Last month", usage.Day, 31, "2 Jan"},
}

// usagePage is how much the keys of an organization are used.
type usagePage struct {
	Spans      []span
	Span       span
	Key        string // the ID of the only key that is shown, or ""
	Keys       []apikey.Key
	Operation  string   // the only one that is shown, or ""
	Operations []string // of the contract
	Total      usage.Counts
	Periods    []period
	Lines      []usageLine // by key and operation, the most requests first
	Others     int         // how many more lines there are
	Plots      []plot
}

// maxUsageLines bounds the keys of the page, and with them its size.
const maxUsageLines = 100

// period is a period's counts.
type period struct {
	Text string // its time
	usage.Counts
}

// usageLine is what one key did with one operation.
type usageLine struct {
	Key       apikey.Key // only its ID, if the key is gone
	Operation string
	Peak      int64 // requests in the minute with most, over all operations; of the last hour only
	usage.Counts
}

// Succeeded returns how many requests were neither rejected nor failed.
func (p period) Succeeded() int64 { return p.Requests - p.Rejected - p.Limited - p.Failed }

func (d *Dashboard) showUsage(r *request) error {
	content := usagePage{Spans: spans, Span: spans[0], Key: r.FormValue("key"), Operation: r.FormValue("operation"), Operations: d.operations()}
	for _, s := range spans {
		if s.Name == r.FormValue("span") {
			content.Span = s
		}
	}
	lines, err := r.keys()
	if err != nil {
		return err
	}
	keys := map[string]apikey.Key{}
	for _, line := range lines {
		keys[line.ID] = line.Key
		if line.Works && len(content.Keys) < maxUsageLines {
			content.Keys = append(content.Keys, line.Key)
		}
	}
	if err := r.countUsage(&content, keys); err != nil {
		return err
	}
	content.Plots = []plot{requestsPlot(content.Periods), latencyPlot(content.Periods)}
	return r.render(http.StatusOK, "usage.html", "Usage", content)
}

// operations returns the operations of the contract, in the order of their names.
func (d *Dashboard) operations() (names []string) {
	for _, path := range d.API.Contract.Paths.Map() {
		for _, operation := range path.Operations() {
			names = append(names, operation.OperationID)
		}
	}
	slices.Sort(names)
	return names
}

// countUsage fills the page with the counts of the store.
func (r *request) countUsage(page *usagePage, keys map[string]apikey.Key) error {
	now, err := r.dashboard.Store.Now(r.Context())
	if err != nil {
		return err
	}
	resolution := page.Span.resolution
	first := resolution.Start(now).Add(-time.Duration(page.Span.periods-1) * resolution.Length())
	for i := range page.Span.periods {
		page.Periods = append(page.Periods, period{Text: first.Add(time.Duration(i) * resolution.Length()).Format(page.Span.format)})
	}
	type place struct{ key, operation string }
	sums, byMinute := map[place]*usage.Counts{}, minutes{}
	err = r.dashboard.Store.Usage(r.Context(), r.organization.Organization, resolution, first, func(row usage.Row) {
		i := int(row.At.Sub(first) / resolution.Length())
		if page.Key != "" && row.Key != page.Key || i < 0 || i >= len(page.Periods) {
			return
		}
		if resolution == usage.Minute {
			byMinute.add(row)
		}
		if page.Operation != "" && row.Operation != page.Operation {
			return
		}
		page.Total.Add(row.Counts)
		page.Periods[i].Add(row.Counts)
		at := place{row.Key, row.Operation}
		if sums[at] == nil {
			sums[at] = new(usage.Counts)
		}
		sums[at].Add(row.Counts)
	})
	if err != nil {
		return err
	}
	busiest := byMinute.busiest()
	for at, counts := range sums {
		key, found := keys[at.key]
		if !found {
			key = apikey.Key{ID: at.key}
		}
		page.Lines = append(page.Lines, usageLine{key, at.operation, busiest[at.key], *counts})
	}
	page.sortLines()
	return nil
}

// minutes are the requests of each key in each minute.
type minutes map[minute]int64

type minute struct {
	key string
	at  time.Time
}

func (m minutes) add(row usage.Row) { m[minute{row.Key, row.At}] += row.Requests }

// busiest returns the requests of each key in its busiest minute.
func (m minutes) busiest() map[string]int64 {
	most := map[string]int64{}
	for at, requests := range m {
		most[at.key] = max(most[at.key], requests)
	}
	return most
}

// sortLines puts the lines with the most requests first, and leaves out what would make the page too large.
func (p *usagePage) sortLines() {
	slices.SortFunc(p.Lines, func(a, b usageLine) int {
		return cmp.Or(cmp.Compare(b.Requests, a.Requests), cmp.Compare(a.Key.ID, b.Key.ID), cmp.Compare(a.Operation, b.Operation))
	})
	if p.Others = len(p.Lines) - maxUsageLines; p.Others > 0 {
		p.Lines = p.Lines[:maxUsageLines]
	}
}

// keyUse is how many requests a key sent in the last hour.
type keyUse struct {
	Last, Busiest int64 // in the last minute that is over, and in the busiest one
	Limited       int64 // over the limit, in the hour
}

func (r *request) useOf(key string) (use keyUse, err error) {
	now, err := r.dashboard.Store.Now(r.Context())
	if err != nil {
		return use, err
	}
	byMinute, last := minutes{}, usage.Minute.Start(now).Add(-time.Minute)
	err = r.dashboard.Store.Usage(r.Context(), r.organization.Organization, usage.Minute, last.Add(-58*time.Minute), func(row usage.Row) {
		if row.Key == key {
			byMinute.add(row)
			use.Limited += row.Limited
		}
	})
	use.Last, use.Busiest = byMinute[minute{key, last}], byMinute.busiest()[key]
	return use, err
}

// percentile returns the bound of the bucket that holds the p-th of a hundred requests, as text.
func percentile(c usage.Counts, p int64) string {
	i, ok := percentileBucket(c, p)
	switch {
	case !ok:
		return "–"
	case i == len(usage.LatencyBounds):
		return "> " + milliseconds(usage.LatencyBounds[i-1])
	}
	return "≤ " + milliseconds(usage.LatencyBounds[i])
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }

func percentileBucket(c usage.Counts, p int64) (int, bool) {
	var total, seen int64
	for _, n := range c.Latency {
		total += n
	}
	for i, n := range c.Latency {
		if seen += n; total > 0 && seen*100 >= total*p {
			return i, true
		}
	}
	return 0, false
}

// plot is a bar chart. Everything in it is drawn on the server; the table behind it has the same numbers.
type plot struct {
	Title         string
	Width, Height int
	Bars          []bar
	Marks         []mark // of the vertical axis
	Times         []mark // of the horizontal one; Y is how far to the right
	Legend        []string
	Empty         bool
}

// bar is one rectangle. Class names its colour in the style sheet.
type bar struct {
	X, Y, Width, Height float64
	Class, Text         string
}

// mark is a text next to an axis.
type mark struct {
	Y    float64
	Text string
}

const (
	plotWidth  = 720
	plotHeight = 160 // without the times
	plotMargin = 56  // at the left, for the marks
)

// stacked is the heights of the parts of one bar, and its label.
type stacked struct {
	at    string    // the time
	parts []float64 // in the order of the classes, the lowest first
	text  string
}

func newPlot(title string, classes []string, bars []stacked, top float64, marks []mark) plot {
	p := plot{Title: title, Width: plotWidth, Height: plotHeight + 20, Legend: classes, Empty: true}
	for _, m := range marks {
		p.Marks = append(p.Marks, mark{plotHeight - m.Y/top*(plotHeight-10), m.Text})
	}
	slot := float64(plotWidth-plotMargin) / float64(len(bars))
	for i, b := range bars {
		y := float64(plotHeight)
		if every := max(1, len(bars)/6); i%every == every/2 {
			p.Times = append(p.Times, mark{plotMargin + slot*(float64(i)+0.5), b.at})
		}
		for part, value := range b.parts {
			height := value / top * (plotHeight - 10)
			if height <= 0 {
				continue
			}
			p.Empty = false
			y -= height
			p.Bars = append(p.Bars, bar{plotMargin + slot*float64(i) + slot*0.1, y, slot * 0.8, height, classes[part], b.text})
		}
	}
	return p
}

// requestsPlot shows how many requests there were, and how many failed.
func requestsPlot(periods []period) plot {
	var most int64
	bars := make([]stacked, len(periods))
	for i, p := range periods {
		most = max(most, p.Requests)
		bars[i] = stacked{
			p.Text, []float64{float64(p.Succeeded()), float64(p.Rejected), float64(p.Limited), float64(p.Failed)},
			fmt.Sprintf("%s: %d requests, %d rejected, %d over the limit, %d failed", p.Text, p.Requests, p.Rejected, p.Limited, p.Failed),
		}
	}
	top := roundUp(most)
	marks := []mark{{float64(top), fmt.Sprint(top)}}
	if top%2 == 0 {
		marks = append(marks, mark{float64(top) / 2, fmt.Sprint(top / 2)})
	}
	return newPlot("Requests", []string{"succeeded", "rejected", "limited", "failed"}, bars, float64(top), marks)
}

// roundUp returns 1, 2 or 5 times a power of ten that is not below n.
func roundUp(n int64) int64 {
	for power := int64(1); ; power *= 10 {
		for _, factor := range []int64{1, 2, 5} {
			if factor*power >= n {
				return factor * power
			}
		}
	}
}

// latencyPlot shows the 95th percentile of the time that responses took. Its resolution is that of the histogram.
func latencyPlot(periods []period) plot {
	bars := make([]stacked, len(periods))
	for i, p := range periods {
		bars[i] = stacked{at: p.Text, text: p.Text + ": p95 " + percentile(p.Counts, 95)}
		if bucket, ok := percentileBucket(p.Counts, 95); ok {
			bars[i].parts = []float64{float64(bucket + 1)}
		}
	}
	var marks []mark
	for i, bound := range usage.LatencyBounds {
		marks = append(marks, mark{float64(i + 1), milliseconds(bound)})
	}
	return newPlot("Latency (p95)", []string{"latency"}, bars, float64(len(usage.LatencyBounds)+1), marks)
}
