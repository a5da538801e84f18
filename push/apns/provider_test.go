package apns

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/push/pushtest"
	"idlepush/registry"
)

func TestProviderToken(t *testing.T) {
	t.Run("one is used until it is 50 minutes old, then renewed by Apple's rules", providerTokenLife)
	t.Run("a program that restarts has the same one", providerTokenRestart)
	t.Run("a restart at any time makes no token that Apple refuses for good", providerTokenRestarts)
	t.Run("an expired or invalid one is renewed at once, but not within 20 minutes", providerTokenRefused)
	t.Run("many sends renew an expired one together", providerTokenMany)
	t.Run("with a wrong key, it is renewed every 20 minutes at most", providerTokenInvalid)
	t.Run("a wrong clock costs nothing once it is right", providerTokenClock)
	t.Run("a refused one is renewed by the clock as it is now", providerTokenRenew)
	t.Run("the token before is used again if a new one comes too soon", providerTokenBefore)
}

func providerTokenLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		apns, sender := service(t)
		d := device(apns.Register(nil))
		var renewed []time.Time
		last := ""
		for range 180 { // three hours
			expect(t, sender.Send(t.Context(), d, message()), registry.Outcome{Result: delivered})
			if bearer := sender.provider.current.bearer; bearer != last {
				last, renewed = bearer, append(renewed, time.Now())
			}
			time.Sleep(time.Minute)
		}
		if len(renewed) != 5 || apns.Requests() != 180 {
			t.Fatalf("%d provider tokens and %d requests", len(renewed), apns.Requests())
		}
		// The issue is that of the grid before, which is up to 20 minutes earlier.
		for i, want := range []time.Duration{50, 40, 40, 40} {
			if life := renewed[i+1].Sub(renewed[i]); life != want*time.Minute {
				t.Errorf("token %d was used for %v, want %v", i, life, want*time.Minute)
			}
		}
	})
}

func providerTokenRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		apns, first := service(t)
		d := device(apns.Register(nil))
		expect(t, first.Send(t.Context(), d, message()), registry.Outcome{Result: delivered})
		for range 10 {
			time.Sleep(time.Minute)
			again := restarted(t, apns, first)
			expect(t, again.Send(t.Context(), d, message()), registry.Outcome{Result: delivered})
			if again.provider.current.bearer != first.provider.current.bearer {
				t.Fatal("it makes another one")
			}
		}
	})
}

func providerTokenRestarts(t *testing.T) {
	for minute := range 61 {
		synctest.Test(t, func(t *testing.T) {
			apns, first := service(t)
			d := device(apns.Register(nil))
			time.Sleep(19*time.Minute + 30*time.Second)
			for range 1 + minute {
				expect(t, first.Send(t.Context(), d, message()), registry.Outcome{Result: delivered})
				time.Sleep(time.Minute)
			}
			again := restarted(t, apns, first)
			for range 60 {
				expect(t, again.Send(t.Context(), d, message()), registry.Outcome{Result: delivered})
				time.Sleep(time.Minute)
			}
			// Those were answered with the token before.
			if n := len(apns.TakeViolations()); n > 2 {
				t.Errorf("restarted after %d minutes: %d refused", minute, n)
			}
		})
	}
}

// restarted returns the transport of a program that was started again.
func restarted(t *testing.T, apns *pushtest.APNs, first *Transport) *Transport {
	t.Helper()
	again, err := newTransport(config(apns), first.production.HTTPClient.Transport.(*wire).base)
	if err != nil {
		t.Fatal(err)
	}
	return again
}

func providerTokenRefused(t *testing.T) {
	for _, reason := range []string{"ExpiredProviderToken", "InvalidProviderToken"} {
		t.Run(reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				apns, sender := service(t)
				d := device(apns.Register(nil))
				once := func() { apns.Fail(string(d.Address), pushtest.Fault{Status: 403, Reason: reason, Times: 1}) }
				send := func() registry.Outcome { return sender.Send(t.Context(), d, message()) }
				expect(t, send(), registry.Outcome{Result: delivered})
				time.Sleep(19 * time.Minute)
				once()
				if o := send(); o.Result != brokenSetup || apns.Requests() != 2 {
					t.Errorf("%+v after %d requests, want 2", o, apns.Requests())
				}
				time.Sleep(2 * time.Minute)
				once()
				expect(t, send(), registry.Outcome{Result: delivered})
				if n := apns.Requests(); n != 4 {
					t.Errorf("%d requests, want 4", n)
				}
			})
		})
	}
}

func providerTokenMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		apns, sender := service(t)
		d := device(apns.Register(nil))
		expect(t, sender.Send(t.Context(), d, message()), registry.Outcome{Result: delivered})
		old := sender.provider.current.bearer
		time.Sleep(30 * time.Minute)
		apns.Expire()
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() { expect(t, sender.Send(t.Context(), d, message()), registry.Outcome{Result: delivered}) })
		}
		wg.Wait()
		if sender.provider.current.bearer == old || len(apns.Messages()) != 51 {
			t.Errorf("renewed: %v, %d messages; violations: %v", sender.provider.current.bearer != old, len(apns.Messages()), apns.Violations())
		}
		provoked(t, apns, "made to expire")
	})
}

func providerTokenInvalid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		apns, sender := service(t)
		d := device(apns.Register(nil))
		apns.Fail("", pushtest.Fault{Status: 403, Reason: "InvalidProviderToken"})
		for range 120 {
			expect(t, sender.Send(t.Context(), d, message()), registry.Outcome{Result: brokenSetup, Reason: idlepush.Reason{Code: "apns_invalid_provider_token"}})
			time.Sleep(time.Minute)
		}
		if n := apns.Requests(); n > 120+6 {
			t.Errorf("%d requests in two hours", n)
		}
	})
}

func providerTokenClock(t *testing.T) {
	for name, wrong := range map[string]time.Duration{"ahead": 6 * time.Hour, "far ahead": 25 * time.Hour, "behind": -6 * time.Hour, "a little ahead": 5 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				apns, sender := service(t)
				d := device(apns.Register(nil))
				if _, err := sender.provider.authorization(time.Now().Add(wrong)); err != nil {
					t.Fatal(err)
				}
				expect(t, sender.Send(t.Context(), d, message()), registry.Outcome{Result: delivered})
				if n := apns.Requests(); n != 1 {
					t.Errorf("%d requests", n)
				}
			})
		})
	}
}

func providerTokenRenew(t *testing.T) {
	now := time.Date(2026, 11, 29, 8, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		issued, used time.Duration // before now
		want         bool
	}{
		"just used":                          {0, 0, false},
		"old, and just used":                 {40 * time.Minute, 0, false},
		"used for 19 minutes":                {19 * time.Minute, 19 * time.Minute, false},
		"used for 20 minutes":                {20 * time.Minute, 20 * time.Minute, true},
		"of a clock that was an hour behind": {time.Hour, time.Hour, true},
		"of a clock that was 6 h ahead":      {-6 * time.Hour, -6 * time.Hour, true},
		"of a clock that was 25 h ahead":     {-25 * time.Hour, -25 * time.Hour, true},
		"of a clock that was 5 minutes ahead, on the same line of the grid": {0, -5 * time.Minute, true},
		"of a clock that was 5 minutes ahead, on the next line":             {-time.Minute, -5 * time.Minute, true},
	} {
		t.Run(name, func(t *testing.T) {
			key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			p := &provider{key: key, current: providerToken{bearer: "refused", issued: now.Add(-c.issued), used: now.Add(-c.used)}}
			if got := p.renew("refused", now); got != c.want || got && p.current.issued.After(now) {
				t.Errorf("renewed: %v, issued %v; want %v", got, p.current.issued, c.want)
			}
		})
	}
}

func providerTokenBefore(t *testing.T) {
	at := func(minutes int) time.Time { return time.Date(2026, 11, 29, 8, minutes, 0, 0, time.UTC) }
	const tooSoon = "the refused one"
	for name, c := range map[string]struct {
		issued, before int // minutes past eight; before of 0: not known
		now            int
		want           int // 0: there is none
	}{
		"known":                       {60, 20, 70, 20},
		"known, and too old":          {100, 20, 110, 80},
		"not known":                   {60, 0, 61, 40},
		"not known, two are too old":  {60, 0, 99, 0},
		"not known, the later is too": {60, 0, 100, 0},
	} {
		t.Run(name, func(t *testing.T) {
			key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			p := &provider{key: key, current: providerToken{bearer: tooSoon, issued: at(c.issued)}}
			if c.before > 0 {
				p.before = at(c.before)
			}
			if ok := p.goBack(tooSoon, at(c.now)); ok != (c.want > 0) || ok && !p.current.issued.Equal(at(c.want)) {
				t.Errorf("%v, issued %v", ok, p.current.issued)
			}
			if p.goBack("another", at(c.now)) != true {
				t.Error("a send that was slower does not get the token that is there by now")
			}
		})
	}
}
