package api

import "strings"

// parseIdempotencyKey returns the text of an Idempotency-Key header: that of a string in double quotes (RFC 9651, 3.3.3), as the IETF's
// draft of the header has it, or the header itself, as many clients send it. The contract has checked the form.
func parseIdempotencyKey(header string) string {
	quoted, ok := strings.CutPrefix(header, `"`)
	if !ok {
		return header
	}
	return unescape.Replace(strings.TrimSuffix(quoted, `"`))
}

var unescape = strings.NewReplacer(`\\`, `\`, `\"`, `"`)
