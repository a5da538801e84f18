package push

import (
	"net/http"
	"strconv"
	"time"
)

// maxRetryAfter is the longest wait that a service is granted: an absurd answer must not hold a delivery until it expires.
const maxRetryAfter = 24 * time.Hour

// RetryAfter is when a service asks to be tried again: its Retry-After header (RFC 9110 section 10.2.3) in seconds or
// as a date, at most 24 h from now. It is zero when there is none, or none that can be read.
func RetryAfter(h http.Header, now time.Time) time.Time {
	text := h.Get("Retry-After")
	at, err := http.ParseTime(text)
	if seconds, notSeconds := strconv.ParseUint(text, 10, 32); notSeconds == nil {
		at, err = now.Add(time.Duration(seconds)*time.Second), nil
	}
	if err != nil {
		return time.Time{}
	}
	if latest := now.Add(maxRetryAfter); at.After(latest) {
		return latest
	}
	return at
}
