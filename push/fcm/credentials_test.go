package fcm

import (
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/oauth2"
)

func TestAccessTokenIsRenewedIfRefused(t *testing.T) {
	for name, c := range map[string]struct {
		fetched time.Duration // ago
		want    bool
	}{
		"just fetched": {0, false},
		"a minute old": {time.Minute, true},
		"fetched when the clock was a day behind": {24 * time.Hour, true},
		"fetched when the clock was 6 h ahead":    {-6 * time.Hour, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tokens := &tokens{lock: make(chan struct{}, 1), current: &oauth2.Token{AccessToken: "t"}, fetched: time.Now().Round(0).Add(-c.fetched)}
				if got := tokens.refused(t.Context(), "t"); got != c.want {
					t.Errorf("another one is got: %v, want %v", got, c.want)
				}
			})
		})
	}
}

func TestAccessTokenIsUsedOnlyInItsLife(t *testing.T) {
	now := time.Date(2026, 11, 29, 8, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		fetched time.Duration // before now
		want    bool
	}{
		"just fetched":   {0, true},
		"55 minutes old": {55 * time.Minute, true},
		"an hour old":    {time.Hour, false},
		"fetched when the clock was a day behind": {24 * time.Hour, false},
		"fetched when the clock was 6 h ahead":    {-6 * time.Hour, false},
		"fetched when the clock was 1 s ahead":    {-time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			fetched := now.Add(-c.fetched)
			tokens := &tokens{current: &oauth2.Token{AccessToken: "t", Expiry: fetched.Add(time.Hour)}, fetched: fetched}
			if got := tokens.valid(now); got != c.want {
				t.Errorf("valid: %v, want %v", got, c.want)
			}
		})
	}
}
