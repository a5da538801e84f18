package push

import (
	"errors"
	"net/http"
	"strconv"
	"time"
)

// maxWait, 136 years, is the longest wait that RetryAfter returns. It fits into a time.Duration.
const maxWait = 1 << 32 * time.Second

// RetryAfter returns the time after which a service allows a retry: its Retry-After header (RFC
// 9110 section 10.2.3), in seconds or as a date. It returns zero if the header is absent or
// malformed.
func RetryAfter(h http.Header, now time.Time) time.Time {
	text := h.Get("Retry-After")
	at, err := http.ParseTime(text)
	// For a number that is too large, ParseUint returns the largest.
	if seconds, notSeconds := strconv.ParseUint(text, 10, 32); notSeconds == nil || errors.Is(notSeconds, strconv.ErrRange) {
		at, err = now.Add(time.Duration(seconds)*time.Second), nil
	}
	if err != nil {
		return time.Time{}
	}
	if latest := now.Add(maxWait); at.After(latest) {
		return latest
	}
	return at
}
