package api

import (
	"encoding/base64"
	"encoding/binary"
	"strconv"
	"time"

	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/google/uuid"
)

// maxMilliseconds bounds the time in a forged cursor, so that every store can represent it. It is in the year 6429.
const maxMilliseconds = 1 << 47

// listPage returns the first limit records and the cursor of the next page, which is empty if there are no more records.
func listPage(records []provider.Provider, limit int) (page []provider.Provider, nextCursor string) {
	if len(records) <= limit {
		return records, ""
	}
	last := &records[limit-1]
	bytes := binary.BigEndian.AppendUint64(nil, uint64(last.CreatedAt.UnixMilli()))
	return records[:limit], base64.RawURLEncoding.EncodeToString(append(bytes, last.ID[:]...))
}

// parseListCursor returns the position in a cursor of listPage, nil without one. A forged cursor begins the page elsewhere in
// the same list, and shows nothing that the list does not have. The contract has checked the form.
func parseListCursor(cursor *string) *provider.Position {
	if cursor == nil {
		return nil
	}
	bytes, _ := base64.RawURLEncoding.DecodeString(*cursor)
	at := min(max(int64(binary.BigEndian.Uint64(bytes)), 0), maxMilliseconds)
	return &provider.Position{CreatedAt: time.UnixMilli(at).UTC(), ID: uuid.UUID(bytes[8:])}
}

// historyPage returns the first limit events and the cursor of the next page, which is empty if there are no more events.
func historyPage(events []provider.Event, limit int) (page []provider.Event, nextCursor string) {
	if len(events) <= limit {
		return events, ""
	}
	return events[:limit], strconv.FormatInt(events[limit-1].Version, 10)
}

// parseHistoryCursor returns the version in a cursor of historyPage, 0 without one. The contract has checked the form.
func parseHistoryCursor(cursor *string) int64 {
	if cursor == nil {
		return 0
	}
	version, _ := strconv.ParseInt(*cursor, 10, 64)
	return version
}
