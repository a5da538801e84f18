package fcm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"idlepush"
	"idlepush/codes"
	"idlepush/push/pushtest"
)

// found returns the steps as "verdict code", and fails the test if one has no sentence or holds a
// secret.
func found(t *testing.T, steps []idlepush.Step, secrets ...string) (got []string) {
	t.Helper()
	for _, s := range steps {
		if err := codes.Join(Codes).Check(s.Code, s.Params); err != nil {
			t.Error(err)
		}
		got = append(got, string(s.Verdict)+" "+string(s.Code))
	}
	for _, secret := range secrets {
		if strings.Contains(fmt.Sprint(steps), secret) {
			t.Errorf("the steps hold a secret: %v", steps)
		}
	}
	return got
}

func TestExamine(t *testing.T) {
	t.Parallel()
	t.Run("no credentials", func(t *testing.T) {
		if got := found(t, new(Transport).Examine(t.Context())); !slices.Equal(got, []string{"ok fcm_examined_unset"}) {
			t.Errorf("found %q", got)
		}
	})
	for name, c := range map[string]struct {
		spoil func(fcm *pushtest.FCM, sender *Transport)
		want  []string
	}{
		"good credentials": {func(*pushtest.FCM, *Transport) {}, []string{"ok fcm_examined_token", "ok fcm_examined"}},
		"a key that was withdrawn": {func(fcm *pushtest.FCM, _ *Transport) {
			fcm.FailGrant(pushtest.Fault{Status: 400, Reason: "invalid_grant"})
		}, []string{"wrong fcm_credentials"}},
		"no network": {func(_ *pushtest.FCM, sender *Transport) {
			sender.tokens.base = roundTripper(func(*http.Request) (*http.Response, error) { return nil, errors.New("no route") })
		}, []string{"wrong fcm_token_unavailable"}},
		"an endpoint that hangs": {func(fcm *pushtest.FCM, _ *Transport) { fcm.FailGrant(pushtest.Fault{Hang: true}) }, []string{"wrong fcm_token_unavailable"}},
		"another endpoint":       {func(_ *pushtest.FCM, sender *Transport) { sender.url = origin + "/v1/projects/another/messages:send" }, []string{"ok fcm_examined_token", "wrong fcm_wrong_project"}},
		"no role": {func(_ *pushtest.FCM, sender *Transport) {
			sender.base = answering(403, `{"error":{"code":403,"status":"PERMISSION_DENIED"}}`)
		},
			[]string{"ok fcm_examined_token", "wrong fcm_permission_denied"}},
		"a message that is taken": {func(_ *pushtest.FCM, sender *Transport) { sender.base = answering(200, `{"name":"x"}`) }, []string{"ok fcm_examined_token", "ok fcm_examined"}},
		"something else":          {func(_ *pushtest.FCM, sender *Transport) { sender.base = answering(200, "<html>") }, []string{"ok fcm_examined_token", "wrong fcm_unreadable_answer"}},
		"no network for the message": {func(_ *pushtest.FCM, sender *Transport) {
			sender.base = roundTripper(func(*http.Request) (*http.Response, error) { return nil, errors.New("no route") })
		}, []string{"ok fcm_examined_token", "wrong fcm_unreachable"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fcm, sender := service(t)
				c.spoil(fcm, sender)
				if got := found(t, sender.Examine(t.Context()), "of-no-device", "family-mail.iam"); !slices.Equal(got, c.want) {
					t.Errorf("found %q, want %q", got, c.want)
				}
				if sent := fcm.Messages(); len(sent) > 0 {
					t.Errorf("a phone got %v", sent)
				}
				fcm.TakeViolations()
			})
		})
	}
	t.Run("it ends with its context", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			fcm, sender := service(t)
			fcm.FailGrant(pushtest.Fault{Hang: true})
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if got := found(t, sender.Examine(ctx)); !slices.Equal(got, []string{"wrong fcm_interrupted"}) {
				t.Errorf("found %q", got)
			}
		})
	})
}

// answering answers every request alike.
func answering(status int, body string) roundTripper {
	return func(r *http.Request) (*http.Response, error) {
		io.Copy(io.Discard, r.Body)
		return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	}
}
