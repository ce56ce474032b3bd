package api

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestAddressesOfASummaryAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := &summary{log: slog.New(slog.NewTextHandler(&log, nil))}
		for i := range 2 * maxAddresses {
			s.add(fmt.Sprint(i))
		}
		kept := func() int {
			s.mu.Lock()
			defer s.mu.Unlock()
			return len(s.addresses)
		}
		if got := kept(); got != maxAddresses {
			t.Errorf("%d addresses are kept, want %d", got, maxAddresses)
		}
		time.Sleep(summaryInterval)
		synctest.Wait()
		if want := fmt.Sprintf("requests=%d addresses=%d", 2*maxAddresses, maxAddresses); !strings.Contains(log.String(), want) {
			t.Errorf("log %q, want %q in it", log.String(), want)
		}
		if got := kept(); got != 0 {
			t.Errorf("%d addresses are kept after the line, want none", got)
		}
	})
}
