package apns

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/registry"
)

func TestProviderToken(t *testing.T) {
	t.Run("one is used for 50 minutes, then renewed by Apple's rules", providerTokenLife)
	t.Run("a program that restarts has the same one", providerTokenRestart)
	t.Run("an expired one is renewed at once, but not within 20 minutes", providerTokenExpired)
	t.Run("many sends renew an expired one together", providerTokenMany)
	t.Run("one from the future is renewed when the clock is set back", providerTokenFuture)
}

func providerTokenLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		apns, sender := service(t)
		d := device(apns.Register(nil))
		var renewed []time.Time
		last := ""
		for range 180 { // three hours
			expect(t, sender.Send(t.Context(), d, message()), registry.Outcome{Result: delivered})
			if bearer := sender.provider.bearer; bearer != last {
				last, renewed = bearer, append(renewed, time.Now())
			}
			time.Sleep(time.Minute)
		}
		// The first one was not used for its whole lifetime.
		if len(renewed) < 4 || apns.Requests() != 180 {
			t.Fatalf("%d provider tokens and %d requests", len(renewed), apns.Requests())
		}
		for i, at := range renewed[2:] {
			if life := at.Sub(renewed[i+1]); life != 50*time.Minute {
				t.Errorf("a provider token was used for %v", life)
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
			again, err := newTransport(config(apns), first.production.HTTPClient.Transport.(*wire).base)
			if err != nil {
				t.Fatal(err)
			}
			expect(t, again.Send(t.Context(), d, message()), registry.Outcome{Result: delivered})
			if again.provider.bearer != first.provider.bearer {
				t.Fatal("it makes another one")
			}
		}
	})
}

func providerTokenExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		apns, sender := service(t)
		d := device(apns.Register(nil))
		expect(t, sender.Send(t.Context(), d, message()), registry.Outcome{Result: delivered})
		time.Sleep(21 * time.Minute)
		apns.Expire()
		expect(t, sender.Send(t.Context(), d, message()), registry.Outcome{Result: delivered})
		if n := apns.Requests(); n != 3 {
			t.Errorf("%d requests, want 3", n)
		}
		time.Sleep(19 * time.Minute)
		apns.Expire()
		expect(t, sender.Send(t.Context(), d, message()), registry.Outcome{Result: brokenSetup, Reason: idlepush.Reason{Code: "apns_expired_provider_token"}})
		if n := apns.Requests(); n != 4 {
			t.Errorf("%d requests, want 4", n)
		}
		time.Sleep(time.Minute)
		expect(t, sender.Send(t.Context(), d, message()), registry.Outcome{Result: delivered})
		provoked(t, apns, "made to expire")
	})
}

func providerTokenMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		apns, sender := service(t)
		d := device(apns.Register(nil))
		time.Sleep(30 * time.Minute)
		old := sender.provider.bearer
		expect(t, sender.Send(t.Context(), d, message()), registry.Outcome{Result: delivered})
		apns.Expire()
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() { expect(t, sender.Send(t.Context(), d, message()), registry.Outcome{Result: delivered}) })
		}
		wg.Wait()
		if sender.provider.bearer == old || len(apns.Messages()) != 51 {
			t.Errorf("renewed: %v, %d messages; violations: %v", sender.provider.bearer != old, len(apns.Messages()), apns.Violations())
		}
		provoked(t, apns, "made to expire")
	})
}

func providerTokenFuture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		apns, sender := service(t)
		d := device(apns.Register(nil))
		expect(t, sender.Send(t.Context(), d, message()), registry.Outcome{Result: delivered})
		// Pretend that a clock that was five hours fast has made it.
		sender.provider.issued = sender.provider.issued.Add(5 * time.Hour)
		apns.Expire()
		time.Sleep(time.Minute)
		expect(t, sender.Send(t.Context(), d, message()), registry.Outcome{Result: delivered})
		provoked(t, apns, "made to expire")
	})
}
