package api

import (
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// setETag sets the strong entity tag of a record's version, such as "7" with its quotes. The header's name is spelled as in
// RFC 9110, because some clients compare names by case; Header.Set would write Etag.
func setETag(header http.Header, version int64) {
	header["ETag"] = []string{`"` + strconv.FormatInt(version, 10) + `"`}
}

var (
	entityTag = regexp.MustCompile(`(?:W/)?"[^"]*"`)

	// ownTag matches the entity tag of a version, as setETag writes it or as a proxy that compresses responses rewrites it:
	// nginx weakens the tag, Apache and others add a suffix. The tag names the version of the record, whatever the encoding of
	// a response, so both still name it.
	ownTag = regexp.MustCompile(`^(?:W/)?"([1-9][0-9]{0,18})(?:[-;]{1,2}[a-z]{1,8})?"$`)
)

// parseTags returns the versions that a header lists: of its entity tags, those that setETag can have written.
func parseTags(header string) []int64 {
	versions := []int64{}
	for _, tag := range entityTag.FindAllString(header, -1) {
		if match := ownTag.FindStringSubmatch(tag); match != nil {
			if version, err := strconv.ParseInt(match[1], 10, 64); err == nil {
				versions = append(versions, version)
			}
		}
	}
	return versions
}

// parseIfMatch returns the versions that an If-Match header lists: nil if it is absent or *. The contract has checked the
// form.
//
// Errors: errUnknownETag, if the header lists tags and none is this server's.
func parseIfMatch(header *string) ([]int64, error) {
	if header == nil || strings.TrimSpace(*header) == "*" {
		return nil, nil
	}
	versions := parseTags(*header)
	if len(versions) == 0 {
		return nil, errUnknownETag
	}
	return versions, nil
}

// etagMatches reports whether an If-None-Match header lists the version, or is *.
func etagMatches(header *string, version int64) bool {
	if header == nil {
		return false
	}
	return strings.TrimSpace(*header) == "*" || slices.Contains(parseTags(*header), version)
}
