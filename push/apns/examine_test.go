package apns

import (
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

func TestExamine(t *testing.T) {
	t.Parallel()
	t.Run("no key", func(t *testing.T) {
		if got := found(t, new(Transport).Examine(t.Context())); !slices.Equal(got, []string{"ok apns_examined_unset"}) {
			t.Errorf("found %q", got)
		}
	})
	for name, c := range map[string]struct {
		spoil func(a *apple, sender *Transport)
		want  []string
	}{
		"a good key":           {func(*apple, *Transport) {}, []string{"ok apns_examined production", "ok apns_examined sandbox"}},
		"another team's":       {func(_ *apple, sender *Transport) { sender.provider.teamID = "OTHERTEAM0" }, []string{"wrong apns_invalid_provider_token production", "wrong apns_invalid_provider_token sandbox"}},
		"one environment down": {func(a *apple, _ *Transport) { a.down["api.sandbox.push.apple.com"] = true }, []string{"ok apns_examined production", "wrong apns_unreachable sandbox"}},
		"a key for production": {func(a *apple, _ *Transport) {
			a.hosts["api.sandbox.push.apple.com"] = answering(403, `{"reason":"BadEnvironmentKeyInToken"}`)
		}, []string{"ok apns_examined production", "look apns_bad_environment_key_in_token sandbox"}},
		"a key for neither": {func(a *apple, _ *Transport) {
			for host := range a.hosts {
				a.hosts[host] = answering(403, `{"reason":"BadEnvironmentKeyInToken"}`)
			}
		}, []string{"wrong apns_bad_environment_key_in_token production", "wrong apns_bad_environment_key_in_token sandbox"}},
		"something that takes everything": {func(a *apple, _ *Transport) {
			for host := range a.hosts {
				a.hosts[host] = answering(200, "")
			}
		}, []string{"wrong apns_unknown production", "wrong apns_unknown sandbox"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, sender := both(t)
				c.spoil(a, sender)
				if got := found(t, sender.Examine(t.Context())); !slices.Equal(got, c.want) {
					t.Errorf("found %q, want %q", got, c.want)
				}
				for _, apns := range []*pushtest.APNs{a.production, a.sandbox} {
					if v := apns.TakeViolations(); len(v) > 0 && name != "another team's" {
						t.Errorf("Apple would have refused it: %q", v)
					}
					if sent := apns.Messages(); len(sent) > 0 {
						t.Errorf("a phone got %v", sent)
					}
				}
			})
		})
	}
	t.Run("an endpoint of one's own is asked once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			apns, sender := service(t)
			if got := found(t, sender.Examine(t.Context())); !slices.Equal(got, []string{"ok apns_examined production"}) || apns.Requests() != 1 {
				t.Errorf("found %q by %d requests", got, apns.Requests())
			}
		})
	})
}

// found returns the steps as "verdict code environment", with the code of what failed, and fails
// the test if one has no sentence.
func found(t *testing.T, steps []idlepush.Step) (got []string) {
	t.Helper()
	for _, s := range steps {
		if err := codes.Join(Codes).Check(s.Code, s.Params); err != nil {
			t.Error(err)
		}
		text := string(s.Verdict) + " " + string(s.Code)
		if cause := s.Params[codes.Cause]; cause != "" {
			text = string(s.Verdict) + " " + cause
		}
		if e := s.Params["environment"]; e != "" {
			text += " " + e
		}
		got = append(got, text)
	}
	return got
}

// answering answers every request alike.
func answering(status int, body string) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		io.Copy(io.Discard, r.Body)
		return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	})
}
