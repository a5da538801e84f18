package web

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestLimitsClock(t *testing.T) {
	t.Parallel()
	t.Run("a clock that was wrong locks nobody out once it is right", limiterClock)
	t.Run("no client is remembered by a time from the future", knownClientsClock)
}

// wrongClocks are by how much the clock was ahead.
var wrongClocks = map[string]time.Duration{
	"a second ahead": time.Second, "6 h ahead": 6 * time.Hour, "25 h ahead": 25 * time.Hour, "a year ahead": 365 * 24 * time.Hour,
	"6 h behind": -6 * time.Hour, "a year behind": -365 * 24 * time.Hour,
}

func limiterClock(t *testing.T) {
	t.Parallel()
	// Without the monotonic reading, by which all is well anyway.
	now := time.Date(2026, 11, 29, 8, 0, 0, 0, time.UTC)
	for name, wrong := range wrongClocks {
		for what, l := range map[string]*limiter{
			"addresses": newLimits().addresses, "names": newLimits().names, "logins": newLimits().logins, "pushes": newLimits().pushes,
		} {
			for range 2 * l.burst {
				l.take("key", now.Add(wrong))
			}
			if p, ok := errors.AsType[*Problem](l.take("key", now)); ok {
				if after, err := time.ParseDuration(p.header.Get("Retry-After") + "s"); err != nil || after > l.every {
					t.Errorf("%s, %s: to come again after %v, %v", what, name, after, err)
				}
			}
			for i := range l.burst {
				if err := l.take("key", now.Add(time.Duration(i+1)*l.every)); err != nil {
					t.Errorf("%s, %s: refused %v after the clock was right: %v", what, name, time.Duration(i+1)*l.every, err)
				}
			}
		}
	}
}

func knownClientsClock(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 29, 8, 0, 0, 0, time.UTC)
	const known = 90 * 24 * time.Hour
	for name, wrong := range wrongClocks {
		k := knownClients{seen: make(map[string]time.Time)}
		for i := range maxBuckets {
			k.add(fmt.Sprint(i), "Anna", now.Add(wrong))
		}
		// A client that comes again is remembered from now on, and a new one has a place.
		for _, address := range []string{"0", "one more"} {
			k.add(address, "Anna", now)
			if wrong > -known && wrong < 0 && address == "one more" {
				continue // the places are taken by right
			}
			if !k.has(address, "Anna", now) || !k.has(address, "Anna", now.Add(known-1)) || k.has(address, "Anna", now.Add(known)) {
				t.Errorf("%s: %s is not remembered for 90 days", name, address)
			}
		}
		if wrong > 0 && k.has("1", "Anna", now) {
			t.Errorf("%s: a time from the future is believed", name)
		}
	}
}
