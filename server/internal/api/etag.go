package api

import (
	"regexp"
	"strconv"
	"strings"
)

// etagOf returns the strong entity tag of a record's version, such as "7" with its quotes.
func etagOf(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

var entityTag = regexp.MustCompile(`(W/)?"[^"]*"`)

// parseIfMatch returns the versions that an If-Match header names: nil if it is absent or *, and none if it has only tags
// that this server never sent. Weak tags never match (RFC 9110, 13.1.1). The contract has checked the form.
func parseIfMatch(header *string) []int64 {
	if header == nil || strings.TrimSpace(*header) == "*" {
		return nil
	}
	versions := []int64{}
	for _, tag := range entityTag.FindAllString(*header, -1) {
		version, err := strconv.ParseInt(strings.Trim(tag, `"`), 10, 64)
		if err == nil && etagOf(version) == tag {
			versions = append(versions, version)
		}
	}
	return versions
}

// etagMatches reports whether an If-None-Match header names the version, or is *. Weak tags match too (RFC 9110, 13.1.2).
func etagMatches(header *string, version int64) bool {
	if header == nil {
		return false
	}
	if strings.TrimSpace(*header) == "*" {
		return true
	}
	for _, tag := range entityTag.FindAllString(*header, -1) {
		if strings.TrimPrefix(tag, "W/") == etagOf(version) {
			return true
		}
	}
	return false
}
