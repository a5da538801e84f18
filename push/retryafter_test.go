package push

import (
	"net/http"
	"testing"
	"time"
)

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"120":                           now.Add(2 * time.Minute),
		"0":                             now,
		"Sun, 01 Mar 2026 12:05:00 GMT": now.Add(5 * time.Minute),
		"Sun, 01 Mar 2026 11:00:00 GMT": now.Add(-time.Hour), // past: at once
		"259200":                        now.Add(3 * 24 * time.Hour),
		"4294967295":                    now.Add(maxWait - time.Second),
		"99999999999999999999":          now.Add(maxWait - time.Second),
		"Sun, 01 Mar 2099 12:00:00 GMT": time.Date(2099, 3, 1, 12, 0, 0, 0, time.UTC),
		"Sun, 01 Mar 9999 12:00:00 GMT": now.Add(maxWait),
		"-5":                            {},
		"soon":                          {},
		"":                              {},
	} {
		if got := RetryAfter(http.Header{"Retry-After": {text}}, now); !got.Equal(want) {
			t.Errorf("Retry-After %q: %v, want %v", text, got, want)
		}
	}
}
