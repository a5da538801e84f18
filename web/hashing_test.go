package web

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

func TestHashing(t *testing.T) {
	t.Parallel()
	t.Run("ten requests wait until a password can be hashed, and known browsers not behind them", hashingWaits)
	t.Run("every route that hashes a password waits", hashingInRoutes)
}

// hashingHeld takes all places of those who hash.
func hashingHeld(l *limits) (free func()) {
	for _, w := range []*waiting{&l.trusted, &l.others} {
		for range cap(w.slots) {
			w.slots <- struct{}{}
		}
	}
	return func() {
		for range cap(l.others.slots) {
			<-l.others.slots
		}
	}
}

func hashingWaits(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	mark, err := h.store.Logins.Remember(h.anna.id, "")
	fatal(t, err)
	synctest.Test(t, func(t *testing.T) {
		l := newLimits(h.store.Logins)
		free := hashingHeld(l)
		enter := func(ctx context.Context, known bool) (string, error) {
			c := caller{address: rand.Text()}
			if known {
				c.mark = mark
			}
			done, err := l.allowPassword(ctx, c, "Anna")
			if err == nil {
				defer done()
			}
			if p, ok := errors.AsType[*Problem](err); ok {
				return fmt.Sprint(p.Status, " after ", p.header.Get("Retry-After")), nil
			}
			return "", err
		}
		gone, leave := context.WithCancel(t.Context())
		var waiting sync.WaitGroup
		var left, served atomic.Int64
		for i := range 10 {
			ctx := t.Context()
			if i < 4 {
				ctx = gone
			}
			waiting.Go(func() {
				switch answer, err := enter(ctx, false); {
				case errors.Is(err, context.Canceled):
					left.Add(1)
				case err == nil && answer == "":
					served.Add(1)
				}
			})
		}
		synctest.Wait()
		if answer, err := enter(t.Context(), false); err != nil || answer != "503 after 2" {
			t.Errorf("the eleventh gets %q, %v", answer, err)
		}
		leave()
		synctest.Wait()
		if left.Load() != 4 || served.Load() != 0 {
			t.Errorf("%d have left and %d are served", left.Load(), served.Load())
		}
		<-l.trusted.slots
		if answer, err := enter(t.Context(), true); err != nil || answer != "" {
			t.Errorf("a known browser waits behind strangers: %q, %v", answer, err)
		}
		free()
		waiting.Wait()
		if served.Load() != 6 || len(l.others.slots) != 0 || l.others.count.Load() != 0 {
			t.Errorf("%d of 6 were served; %d places are taken, %d wait", served.Load(), len(l.others.slots), l.others.count.Load())
		}
	})
}

// Whoever sends a password waits for a place, in each of the routes.
func hashingInRoutes(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	code := h.call(h.anna.full, "POST", "/invites", object{"for": "person"}, 201).body["code"].(string)
	device := h.call(h.anna.full, "POST", "/invites", object{"for": "device"}, 201).body["code"].(string)
	link := h.link(h.anna.full)
	l := h.server.limits
	hashingHeld(l)
	l.trusted.count.Store(maxWaiting)
	l.others.count.Store(maxWaiting)
	new := object{"name": "Carla", "password": password}
	for _, a := range []answer{
		h.call("", "POST", "/login", object{"name": "Anna", "password": password}, 503),
		h.call("", "POST", "/setup", new.with("token", "x"), 503),
		h.call("", "POST", "/invites/accept", new.with("code", code), 503),
		h.call(h.anna.full, "PATCH", "/me", object{"password": password, "current_password": password}, 503),
		h.call(h.anna.full, "POST", "/users", new, 503),
		h.call("", "POST", "/invites/accept", object{"code": link, "password": password}, 503),
	} {
		if a.body["code"] != "busy" || a.header.Get("Retry-After") != "2" {
			t.Errorf("%v, %s", a.header, a.raw)
		}
	}
	h.call(h.anna.full, "PATCH", "/users/"+h.ben.id, object{"name": "Benno"}, 200)
	h.call("", "POST", "/invites/accept", object{}.with("code", device), 201)
}
