package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/netguard"
	"idlepush/promise"
	"idlepush/registry/registrytest"
)

func TestAlive(t *testing.T) {
	t.Parallel()
	t.Run("it is called while all is well, once when something breaks, and at once when that is over", aliveCalls)
	t.Run("an address that does not answer costs one line, and what is broken is told once it does", aliveFails)
	t.Run("it is called by POST, without names, and redirects are not followed", aliveRequests)
	t.Run("only hosts that pushes may go to are called", aliveGuarded)
}

// aliveCalled is what a deadMan called, and when.
type aliveCalled struct {
	after  time.Duration
	broken string
}

// watchAlive runs a deadMan in a bubble. at changes what is broken; answer is for each call.
func watchAlive(t *testing.T, log *slog.Logger, until time.Duration, broken func(after time.Duration) []promise.Broken, answer func(after time.Duration) error) (calls []aliveCalled) {
	t.Helper()
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), until)
	defer cancel()
	d := &deadMan{log: log,
		broken: func(now time.Time) []promise.Broken { return broken(now.Sub(began)) },
		call: func(_ context.Context, broken string) error {
			calls = append(calls, aliveCalled{time.Since(began), broken})
			return answer(time.Since(began))
		}}
	d.run(ctx)
	return calls
}

func lostMailbox() promise.Broken {
	return promise.Broken{Reason: idlepush.Reason{Code: "mailbox_down"}.With("account", registrytest.SecretMarker), Account: "a"}
}

func aliveCalls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log, lines := registrytest.NewLog(t)
		calls := watchAlive(t, log, 11*time.Minute, func(after time.Duration) []promise.Broken {
			switch {
			case after > 9*time.Minute+10*time.Second:
				return nil
			case after > 6*time.Minute:
				return []promise.Broken{lostMailbox(), lostMailbox(), {Reason: idlepush.Reason{Code: "store_down"}}}
			case after > 2*time.Minute:
				return []promise.Broken{lostMailbox()}
			}
			return nil
		}, func(time.Duration) error { return nil })
		want := []aliveCalled{{time.Minute, ""}, {2 * time.Minute, ""}, {2*time.Minute + aliveLook, "mailbox_down 1"},
			{6*time.Minute + aliveLook, "mailbox_down 2, store_down 1"}, {9*time.Minute + aliveLook, ""}, {10*time.Minute + aliveLook, ""}}
		if !slices.Equal(calls, want) {
			t.Errorf("the calls were %v, want %v", calls, want)
		}
		if n := strings.Count(lines.String(), "\n"); n != 2 || !strings.Contains(lines.String(), `broken="mailbox_down 1"`) || !strings.Contains(lines.String(), "all is well again") {
			t.Errorf("the log has %d lines: %s", n, lines.String())
		}
	})
}

func aliveFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log, lines := registrytest.NewLog(t)
		calls := watchAlive(t, log, 6*time.Minute, func(after time.Duration) []promise.Broken {
			if after > 2*time.Minute {
				return []promise.Broken{lostMailbox()}
			}
			return nil
		}, func(after time.Duration) error {
			if after > 4*time.Minute {
				return nil
			}
			return errors.New("it answers 500")
		})
		want := []aliveCalled{{time.Minute, ""}, {2 * time.Minute, ""}}
		for after := 2*time.Minute + aliveLook; after < 5*time.Minute; after += aliveEvery {
			want = append(want, aliveCalled{after, "mailbox_down 1"})
		}
		if !slices.Equal(calls, want) {
			t.Errorf("the calls were %v, want %v", calls, want)
		}
		if n := strings.Count(lines.String(), "alive-url does not answer"); n != 1 || !strings.Contains(lines.String(), "alive-url answers again") {
			t.Errorf("the log says %d times that it does not answer: %s", n, lines.String())
		}
	})
}

func aliveRequests(t *testing.T) {
	t.Parallel()
	var got []string
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = append(got, r.Method+" "+r.RequestURI+" "+string(body))
		if strings.HasPrefix(r.URL.Path, "/moved") {
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		}
	}))
	defer service.Close()
	permit := netguard.At(service.Listener.Addr()).Permit
	call := aliveCall(service.URL+"/secret/id?rid=1", permit, nil)
	if err := errors.Join(call(t.Context(), ""), call(t.Context(), "mailbox_down 1")); err != nil {
		t.Error(err)
	}
	if err := aliveCall(service.URL+"/moved", permit, nil)(t.Context(), ""); err == nil || err.Error() != "it answers 302" {
		t.Errorf("a redirect: %v", err)
	}
	if want := []string{"POST /secret/id?rid=1 ", "POST /secret/id/fail?rid=1 mailbox_down 1", "POST /moved "}; !slices.Equal(got, want) {
		t.Errorf("the requests were %q, want %q", got, want)
	}
}

func aliveGuarded(t *testing.T) {
	t.Parallel()
	service := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was called") }))
	defer service.Close()
	err := aliveCall(service.URL+"/"+registrytest.SecretMarker, netguard.Allowed(nil).Permit, nil)(t.Context(), "")
	if _, forbidden := errors.AsType[*netguard.ForbiddenError](err); !forbidden || strings.Contains(err.Error(), registrytest.SecretMarker) || !strings.Contains(err.Error(), "to allow-push") {
		t.Errorf("a private address: %v", err)
	}
}
