package push

import (
	"errors"
	"net/http"
	"strconv"
	"time"
)

// farthest is the longest wait that is read, 136 years: what lies beyond cannot be told from it, and a time so far ahead
// can still be counted in nanoseconds.
const farthest = 1 << 32 * time.Second

// RetryAfter is when a service asks to be tried again: its Retry-After header (RFC 9110 section 10.2.3) in seconds or
// as a date, however far ahead. It is zero when there is none, or none that can be read.
func RetryAfter(h http.Header, now time.Time) time.Time {
	text := h.Get("Retry-After")
	at, err := http.ParseTime(text)
	// Of a number too large it gives the largest.
	if seconds, notSeconds := strconv.ParseUint(text, 10, 32); notSeconds == nil || errors.Is(notSeconds, strconv.ErrRange) {
		at, err = now.Add(time.Duration(seconds)*time.Second), nil
	}
	if err != nil {
		return time.Time{}
	}
	if latest := now.Add(farthest); at.After(latest) {
		return latest
	}
	return at
}
