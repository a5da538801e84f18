package web

import (
	"errors"
	"testing"
	"time"

	"idlepush/registry"
)

func TestLimitsClock(t *testing.T) {
	t.Parallel()
	t.Run("a clock that was wrong locks nobody out once it is right", limiterClock)
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
		fresh := newLimits(registry.Logins{})
		kept, paid := fresh.users, time.Time{}
		for range 2 * kept.burst {
			paid, _ = kept.spend(paid, now.Add(wrong))
		}
		for i := range 3 * kept.burst {
			var wait time.Duration
			if paid, wait = kept.spend(paid, now.Add(time.Duration(i)*kept.every)); wait > kept.every || wait > 0 && i > 0 {
				t.Errorf("users, %s: %d tries after the clock was right, one has to wait %v", name, i, wait)
			}
		}
		for what, l := range map[string]*limiter{
			"addresses": fresh.addresses, "browsers": fresh.browsers, "strangers": fresh.strangers, "logins": fresh.logins, "pushes": fresh.pushes,
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
