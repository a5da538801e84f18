package apns

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"idlepush/push/pushtest"
	"idlepush/registry"
)

const (
	delivered   = registry.ResultDelivered
	retryResult = registry.ResultRetry
	refusal     = registry.ResultRefused
	brokenSetup = registry.ResultMisconfigured
)

var answers = []struct {
	name    string // empty: status and reason say it
	fault   pushtest.Fault
	result  registry.Result
	suspect bool
	code    string
	after   time.Duration // of At; 0: no At
}{
	{name: "accepted", fault: status(200, ""), result: delivered},

	{fault: status(400, "BadDeviceToken"), result: retryResult, suspect: true, code: "apns_bad_device_token"},
	{fault: status(400, "DeviceTokenNotForTopic"), result: retryResult, suspect: true, code: "apns_device_token_not_for_topic"},

	{fault: status(400, "BadCollapseId"), result: refusal, code: "apns_bad_collapse_id"},
	{fault: status(400, "BadExpirationDate"), result: refusal, code: "apns_bad_expiration_date"},
	{fault: status(400, "BadMessageId"), result: refusal, code: "apns_bad_message_id"},
	{fault: status(400, "BadPriority"), result: refusal, code: "apns_bad_priority"},
	{fault: status(400, "BadTopic"), result: refusal, code: "apns_bad_topic"},
	{fault: status(400, "DuplicateHeaders"), result: refusal, code: "apns_duplicate_headers"},
	{fault: status(400, "InvalidPushType"), result: refusal, code: "apns_invalid_push_type"},
	{fault: status(400, "MissingDeviceToken"), result: refusal, code: "apns_missing_device_token"},
	{fault: status(400, "MissingTopic"), result: refusal, code: "apns_missing_topic"},
	{fault: status(400, "PayloadEmpty"), result: refusal, code: "apns_payload_empty"},
	{fault: status(404, "BadPath"), result: refusal, code: "apns_bad_path"},
	{fault: status(405, "MethodNotAllowed"), result: refusal, code: "apns_method_not_allowed"},
	{fault: status(413, "PayloadTooLarge"), result: refusal, code: "apns_payload_too_large"},
	{name: "413 of a proxy", fault: pushtest.Fault{Status: 413, Body: "<html>"}, result: refusal, code: "apns_payload_too_large"},
	{fault: status(400, "SomethingNew"), result: refusal, code: "apns_unknown_refusal"},

	{fault: status(400, "TopicDisallowed"), result: brokenSetup, code: "apns_topic_disallowed"},
	{fault: status(403, "BadCertificate"), result: brokenSetup, code: "apns_bad_certificate"},
	{fault: status(403, "BadCertificateEnvironment"), result: brokenSetup, code: "apns_bad_certificate_environment"},
	{fault: status(403, "Forbidden"), result: brokenSetup, code: "apns_forbidden"},
	{fault: status(403, "InvalidProviderToken"), result: brokenSetup, code: "apns_invalid_provider_token"},
	{fault: status(403, "MissingProviderToken"), result: brokenSetup, code: "apns_missing_provider_token"},
	{fault: status(403, "UnrelatedKeyIdInToken"), result: brokenSetup, code: "apns_unrelated_key_id_in_token"},
	{fault: status(403, "BadEnvironmentKeyIdInToken"), result: brokenSetup, code: "apns_bad_environment_key_in_token"},
	{fault: status(403, "BadEnvironmentKeyInToken"), result: brokenSetup, code: "apns_bad_environment_key_in_token"},
	{fault: status(403, "ExpiredProviderToken"), result: brokenSetup, code: "apns_expired_provider_token"}, // a fresh one: not renewed
	{fault: status(403, "SomethingNew"), result: brokenSetup, code: "apns_forbidden"},
	{name: "403 of a proxy", fault: pushtest.Fault{Status: 403, Body: "<html>"}, result: retryResult, code: "apns_unknown"},

	{fault: status(429, "TooManyProviderTokenUpdates"), result: retryResult, code: "apns_too_many_provider_token_updates", after: 20 * time.Minute},
	{fault: status(429, "TooManyRequests"), result: retryResult, code: "apns_too_many_requests"},
	{name: "429 with Retry-After", fault: with(status(429, "TooManyRequests"), "Retry-After", "40"), result: retryResult, code: "apns_too_many_requests", after: 40 * time.Second},
	{name: "429 of a proxy", fault: pushtest.Fault{Status: 429, Body: "slow down"}, result: retryResult, code: "apns_too_many_requests"},
	{fault: status(400, "IdleTimeout"), result: retryResult, code: "apns_idle_timeout"},
	{fault: status(500, "InternalServerError"), result: retryResult, code: "apns_internal_server_error"},
	{fault: status(503, "ServiceUnavailable"), result: retryResult, code: "apns_service_unavailable"},
	{fault: status(503, "Shutdown"), result: retryResult, code: "apns_shutdown"},
	{name: "503 with Retry-After", fault: with(status(503, "Shutdown"), "Retry-After", "900"), result: retryResult, code: "apns_shutdown", after: 15 * time.Minute},
	{name: "502 that is no JSON", fault: with(pushtest.Fault{Status: 502, Body: "<html>"}, "Retry-After", "7"), result: retryResult, code: "apns_service_unavailable", after: 7 * time.Second},
	{name: "an endless answer", fault: pushtest.Fault{Status: 400, Body: `{"reason":"BadTopic","x":"` + strings.Repeat("x", maxAnswer) + `"}`}, result: retryResult, code: "apns_unknown"},

	{name: "410 ExpiredToken without time", fault: status(410, "ExpiredToken"), result: retryResult, suspect: true, code: "apns_expired_token"},
	{name: "503 ExpiredToken with a time", fault: pushtest.Fault{Status: 503, Body: `{"reason":"ExpiredToken","timestamp":32503680000000}`},
		result: retryResult, code: "apns_service_unavailable"},
	{name: "400 Unregistered with a time", fault: pushtest.Fault{Status: 400, Body: `{"reason":"Unregistered","timestamp":32503680000000}`},
		result: refusal, code: "apns_unknown_refusal"},
	{name: "410 Unregistered without time", fault: status(410, "Unregistered"), result: retryResult, suspect: true, code: "apns_unregistered"},
	{name: "410 of a proxy", fault: pushtest.Fault{Status: 410, Body: "gone"}, result: retryResult, suspect: true, code: "apns_unknown_gone"},
	{name: "redirect", fault: with(pushtest.Fault{Status: 307}, "Location", "/3/device/0"), result: retryResult, code: "apns_unknown"},
	{name: "404 of a web server", fault: pushtest.Fault{Status: 404, Body: "<html>"}, result: retryResult, code: "apns_unknown"},
	{name: "stream broken", fault: pushtest.Fault{Drop: true}, result: retryResult, code: "apns_unreachable"},
	{name: "answer lost", fault: pushtest.Fault{Drop: true, Accepted: true}, result: retryResult, code: "apns_unreachable"},
}

func TestEveryAnswerBecomesItsOutcomeAfterOneRequest(t *testing.T) {
	for _, c := range answers {
		if c.name == "" {
			c.name = fmt.Sprint(c.fault.Status, " ", c.fault.Reason)
		}
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				apns, sender := service(t)
				token := apns.Register(nil)
				apns.Fail(token, c.fault)
				want := registry.Outcome{Result: c.result, Suspect: c.suspect, Code: c.code}
				if c.after > 0 {
					want.At = time.Now().Add(c.after)
				}
				expect(t, sender.Send(t.Context(), device(token), message()), want, token)
				if n := apns.Requests(); n != 1 {
					t.Errorf("%d requests, want 1", n)
				}
				if v := apns.Violations(); len(v) > 0 {
					t.Error(v)
				}
			})
		})
	}
}

func TestAPhoneIsGoneOnlyIfItHasNotRegisteredSince(t *testing.T) {
	gone := registry.Outcome{Result: registry.ResultGone, Code: "apns_unregistered"}
	kept := registry.Outcome{Result: retryResult, Suspect: true, Code: "apns_unregistered"}
	for name, c := range map[string]struct {
		since time.Duration // of Apple's time, after the registration
		want  registry.Outcome
	}{
		"removed after it registered":     {time.Minute, gone},
		"registered after it was removed": {-time.Minute, kept},
		"at the same moment":              {0, kept},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				apns, sender := service(t)
				d := device(apns.Register(nil))
				apns.Unregister(string(d.Token), d.Registered.Add(c.since))
				expect(t, sender.Send(t.Context(), d, message()), c.want, string(d.Token))
				// The other reason of 410 goes by the same rule.
				other := device(apns.Register(nil))
				apns.Fail(string(other.Token), pushtest.Fault{Status: 410,
					Body: fmt.Sprintf(`{"reason":"ExpiredToken","timestamp":%d}`, d.Registered.Add(c.since).UnixMilli())})
				want := c.want
				want.Code = "apns_expired_token"
				expect(t, sender.Send(t.Context(), other, message()), want, string(other.Token))
			})
		})
	}
}

func TestATokenThatAppleDoesNotKnowIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, sender := service(t)
		token := strings.Repeat("0a", 32)
		expect(t, sender.Send(t.Context(), device(token), message()),
			registry.Outcome{Result: retryResult, Suspect: true, Code: "apns_bad_device_token"}, token)
	})
}

func TestATokenThatIsNoTokenNeverBecomesPartOfARequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		apns, sender := service(t)
		good := apns.Register(nil)
		for _, token := range []string{"", good[1:], good + "/../../x?y=1", good + "\n", "../" + good, strings.Repeat("a", 201), strings.Repeat("g", 64)} {
			if CheckToken(token) == nil {
				t.Errorf("%q passes for a token", token)
			}
			got := sender.Send(t.Context(), device(token), message())
			want := registry.Outcome{Result: retryResult, Suspect: true, Code: "apns_bad_device_token"}
			if token == "" {
				expect(t, got, want)
			} else {
				expect(t, got, want, token)
			}
		}
		if n := apns.Requests(); n != 0 {
			t.Errorf("%d requests", n)
		}
		for _, token := range []string{good, strings.ToUpper(good), strings.Repeat("a", 200)} {
			if err := CheckToken(token); err != nil {
				t.Errorf("a good token: %v", err)
			}
		}
	})
}
