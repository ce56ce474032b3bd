package command

import (
	"strings"
	"testing"
)

func TestForwarding(t *testing.T) {
	for _, tt := range []struct{ connection, address, want string }{
		{"", "127.0.0.1:8080", ""},
		{"192.0.2.1 50000 192.0.2.2 22", "127.0.0.1:8080", "ssh -N -L 8080:127.0.0.1:8080 HOST"},
		{"192.0.2.1 50000 192.0.2.2 22", "[::1]:8080", "ssh -N -L 8080:[::1]:8080 HOST"},
	} {
		t.Setenv("SSH_CONNECTION", tt.connection)
		if got := forwarding(tt.address); !strings.HasSuffix(got, tt.want) || (got == "") != (tt.want == "") {
			t.Errorf("%q, %s: got %q, want %q at its end", tt.connection, tt.address, got, tt.want)
		}
	}
}
