package apns

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"idlepush/push"
	"idlepush/push/pushtest"
	"idlepush/push/pushtest/sendertest"
	"idlepush/registry"
)

const (
	delivered   = registry.ResultDelivered
	retryResult = registry.ResultRetry
	refusal     = registry.ResultRefused
	brokenSetup = registry.ResultMisconfigured
)

// said is an answer of Apple, and what is to come of it.
type said struct {
	fault   pushtest.Fault
	result  registry.Result
	suspect bool
	code    string
	after   time.Duration // of At; 0: no At
}

// samples are, for each row of the table, answers that it decides. Those of ownTopic are for such a device, all others for one without.
var samples = map[string][]said{
	"200":                        {{status(200, ""), delivered, false, "", 0}},
	"400 BadDeviceToken":         {{status(400, "BadDeviceToken"), retryResult, true, "apns_bad_device_token", 0}},
	"400 DeviceTokenNotForTopic": {{status(400, "DeviceTokenNotForTopic"), retryResult, true, "apns_device_token_not_for_topic", 0}},
	"410 Unregistered later than the device registered": {{pushtest.Fault{Status: 410, Body: `{"reason":"Unregistered","timestamp":32503680000000}`}, registry.ResultGone, false, "apns_unregistered", 0}},
	"410 Unregistered": {
		{status(410, "Unregistered"), retryResult, true, "apns_unregistered", 0},
		{pushtest.Fault{Status: 410, Body: `{"reason":"Unregistered","timestamp":1}`}, retryResult, true, "apns_unregistered", 0},
	},
	"410 ExpiredToken later than the device registered": {{pushtest.Fault{Status: 410, Body: `{"reason":"ExpiredToken","timestamp":32503680000000}`}, registry.ResultGone, false, "apns_expired_token", 0}},
	"410 ExpiredToken": {
		{status(410, "ExpiredToken"), retryResult, true, "apns_expired_token", 0},
		{pushtest.Fault{Status: 410, Body: `{"reason":"ExpiredToken","timestamp":1}`}, retryResult, true, "apns_expired_token", 0},
	},
	"410": {
		{pushtest.Fault{Status: 410, Body: "gone"}, retryResult, true, "apns_unknown_gone", 0},
		{status(410, "SomethingNew"), retryResult, true, "apns_unknown_gone", 0},
	},
	"400 TopicDisallowed with a topic of the device's own":      {{status(400, "TopicDisallowed"), retryResult, true, "apns_topic_disallowed", 0}},
	"400 BadTopic with a topic of the device's own":             {{status(400, "BadTopic"), retryResult, true, "apns_bad_topic", 0}},
	"403 InvalidProviderToken with a topic of the device's own": {{status(403, "InvalidProviderToken"), retryResult, false, "apns_invalid_provider_token", 0}},
	"403 Forbidden with a topic of the device's own":            {{status(403, "Forbidden"), retryResult, false, "apns_forbidden", 0}},
	"400 TopicDisallowed":                                       {{status(400, "TopicDisallowed"), brokenSetup, false, "apns_topic_disallowed", 0}},
	"403 BadCertificate":                                        {{status(403, "BadCertificate"), brokenSetup, false, "apns_bad_certificate", 0}},
	"403 BadCertificateEnvironment":                             {{status(403, "BadCertificateEnvironment"), brokenSetup, false, "apns_bad_certificate_environment", 0}},
	"403 Forbidden":                                             {{status(403, "Forbidden"), brokenSetup, false, "apns_forbidden", 0}},
	"403 InvalidProviderToken":                                  {{status(403, "InvalidProviderToken"), brokenSetup, false, "apns_invalid_provider_token", 0}},
	"403 MissingProviderToken":                                  {{status(403, "MissingProviderToken"), brokenSetup, false, "apns_missing_provider_token", 0}},
	"403 ExpiredProviderToken":                                  {{status(403, "ExpiredProviderToken"), brokenSetup, false, "apns_expired_provider_token", 0}},
	"403 UnrelatedKeyIdInToken":                                 {{status(403, "UnrelatedKeyIdInToken"), brokenSetup, false, "apns_unrelated_key_id_in_token", 0}},
	"403 BadEnvironmentKeyIdInToken":                            {{status(403, "BadEnvironmentKeyIdInToken"), brokenSetup, false, "apns_bad_environment_key_in_token", 0}},
	"403 BadEnvironmentKeyInToken":                              {{status(403, "BadEnvironmentKeyInToken"), brokenSetup, false, "apns_bad_environment_key_in_token", 0}},
	"403 with a reason":                                         {{status(403, "SomethingNew"), brokenSetup, false, "apns_forbidden", 0}},
	"400 BadCollapseId":                                         {{status(400, "BadCollapseId"), refusal, false, "apns_bad_collapse_id", 0}},
	"400 BadExpirationDate":                                     {{status(400, "BadExpirationDate"), refusal, false, "apns_bad_expiration_date", 0}},
	"400 BadMessageId":                                          {{status(400, "BadMessageId"), refusal, false, "apns_bad_message_id", 0}},
	"400 BadPriority":                                           {{status(400, "BadPriority"), refusal, false, "apns_bad_priority", 0}},
	"400 BadTopic":                                              {{status(400, "BadTopic"), refusal, false, "apns_bad_topic", 0}},
	"400 DuplicateHeaders":                                      {{status(400, "DuplicateHeaders"), refusal, false, "apns_duplicate_headers", 0}},
	"400 InvalidPushType":                                       {{status(400, "InvalidPushType"), refusal, false, "apns_invalid_push_type", 0}},
	"400 MissingDeviceToken":                                    {{status(400, "MissingDeviceToken"), refusal, false, "apns_missing_device_token", 0}},
	"400 MissingTopic":                                          {{status(400, "MissingTopic"), refusal, false, "apns_missing_topic", 0}},
	"400 PayloadEmpty":                                          {{status(400, "PayloadEmpty"), refusal, false, "apns_payload_empty", 0}},
	"404 BadPath":                                               {{status(404, "BadPath"), refusal, false, "apns_bad_path", 0}},
	"405 MethodNotAllowed":                                      {{status(405, "MethodNotAllowed"), refusal, false, "apns_method_not_allowed", 0}},
	"413": {
		{status(413, "PayloadTooLarge"), refusal, false, "apns_payload_too_large", 0},
		{pushtest.Fault{Status: 413, Body: "<html>"}, refusal, false, "apns_payload_too_large", 0},
	},
	"400 IdleTimeout": {{status(400, "IdleTimeout"), retryResult, false, "apns_idle_timeout", 0}},
	"429 TooManyProviderTokenUpdates": {
		{status(429, "TooManyProviderTokenUpdates"), retryResult, false, "apns_too_many_provider_token_updates", 20 * time.Minute},
		{header(status(429, "TooManyProviderTokenUpdates"), "Retry-After", "1800"), retryResult, false, "apns_too_many_provider_token_updates", 30 * time.Minute},
	},
	"429": {
		{status(429, "TooManyRequests"), retryResult, false, "apns_too_many_requests", 0},
		{header(status(429, "TooManyRequests"), "Retry-After", "40"), retryResult, false, "apns_too_many_requests", 40 * time.Second},
		{pushtest.Fault{Status: 429, Body: "slow down"}, retryResult, false, "apns_too_many_requests", 0},
	},
	"500 InternalServerError": {{status(500, "InternalServerError"), retryResult, false, "apns_internal_server_error", 0}},
	"503 Shutdown": {
		{status(503, "Shutdown"), retryResult, false, "apns_shutdown", 0},
		{header(status(503, "Shutdown"), "Retry-After", "172800"), retryResult, false, "apns_shutdown", 48 * time.Hour},
	},
	"500-599": {
		{status(503, "ServiceUnavailable"), retryResult, false, "apns_service_unavailable", 0},
		{header(pushtest.Fault{Status: 502, Body: "<html>"}, "Retry-After", "7"), retryResult, false, "apns_service_unavailable", 7 * time.Second},
		{pushtest.Fault{Status: 503, Body: `{"reason":"ExpiredToken","timestamp":32503680000000}`}, retryResult, false, "apns_service_unavailable", 0},
	},
	"400 with a reason": {
		{status(400, "SomethingNew"), refusal, false, "apns_unknown_refusal", 0},
		{pushtest.Fault{Status: 400, Body: `{"reason":"Unregistered","timestamp":32503680000000}`}, refusal, false, "apns_unknown_refusal", 0},
	},
	"404-405 with a reason": {{status(404, "SomethingNew"), refusal, false, "apns_unknown_refusal", 0}},
	"100-999": {
		{pushtest.Fault{Status: 403, Body: "<html>"}, retryResult, false, "apns_unknown", 0},
		{pushtest.Fault{Status: 404, Body: "<html>"}, retryResult, false, "apns_unknown", 0},
		{header(pushtest.Fault{Status: 307}, "Location", "/3/device/0"), retryResult, false, "apns_unknown", 0},
		{pushtest.Fault{Status: 204}, retryResult, false, "apns_unknown", 0},
		{pushtest.Fault{Status: 400, Body: `{"reason":"BadTopic","x":"` + strings.Repeat("x", maxAnswer) + `"}`}, retryResult, false, "apns_unknown", 0},
	},
}

// rows names the rows of the table as samples does.
func rows() (names []string) {
	for _, row := range table {
		name := fmt.Sprint(row.from)
		if row.to != row.from {
			name += fmt.Sprint("-", row.to)
		}
		for _, more := range []string{row.reason, string(row.when)} {
			if more != "" {
				name += " " + more
			}
		}
		names = append(names, name)
	}
	return names
}

func TestEveryRowOfTheTableHasItsOutcomeAfterOneRequest(t *testing.T) {
	sendertest.EveryRow(t, rows(), samples, func(t *testing.T, row int, c said) {
		synctest.Test(t, func(t *testing.T) {
			apns, sender := service(t)
			d := device(apns.Register(nil))
			if table[row].when == ownTopic {
				d, sender.topic = with(d, paramTopic, apns.Topic), "org.example.server"
			}
			want := registry.Outcome{Result: c.result, Suspect: c.suspect, Code: c.code}
			if c.after > 0 {
				want.At = time.Now().Add(c.after)
			}
			sendertest.Decided(t, &apns.Record, sender, d, c.fault, want, &table[row].outcome.Code)
		})
	})
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
				apns.Unregister(string(d.Address), d.Registered.Add(c.since))
				expect(t, sender.Send(t.Context(), d, message()), c.want, string(d.Address))
				// The other reason of 410 goes by the same rule.
				other := device(apns.Register(nil))
				apns.Fail(string(other.Address), pushtest.Fault{Status: 410,
					Body: fmt.Sprintf(`{"reason":"ExpiredToken","timestamp":%d}`, d.Registered.Add(c.since).UnixMilli())})
				want := c.want
				want.Code = "apns_expired_token"
				expect(t, sender.Send(t.Context(), other, message()), want, string(other.Address))
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
			if sender.Check(device(token)) == nil {
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
			if err := sender.Check(device(token)); err != nil {
				t.Errorf("a good token: %v", err)
			}
		}
	})
}

// breaks are the ways in which an exchange can go wrong, and what is to come of each.
var breaks = map[string]sendertest.Break{
	"no answer":                 {Fault: pushtest.Fault{Hang: true}, Result: retryResult, Code: "apns_timeout", Unknown: true},
	"no answer, but accepted":   {Fault: pushtest.Fault{Hang: true, Accepted: true}, Result: retryResult, Code: "apns_timeout", Unknown: true, Reached: 1},
	"connection lost":           {Fault: pushtest.Fault{Drop: true}, Result: retryResult, Code: "apns_unreachable", Unknown: true},
	"answer lost":               {Fault: pushtest.Fault{Drop: true, Accepted: true}, Result: retryResult, Code: "apns_unreachable", Unknown: true, Reached: 1},
	"half of the success":       {Fault: pushtest.Fault{Status: 200, Half: true}, Result: retryResult, Code: "apns_unreachable", Unknown: true, Reached: 1},
	"half of what is an outage": {Fault: pushtest.Fault{Status: 503, Body: pushtest.ErrorPage, Half: true}, Result: retryResult, Code: "apns_unreachable", Unknown: true},
	"half of what is gone":      {Fault: pushtest.Fault{Status: 410, Body: `{"reason":"Unregistered","timestamp":32503680000000}`, Half: true}, Result: retryResult, Code: "apns_unreachable", Unknown: true},
	"GOAWAY":                    {Fault: pushtest.Fault{Status: 503, Reason: "Shutdown", GoAway: true}, Result: retryResult, Code: "apns_shutdown"},
	"an outage's page":          {Fault: pushtest.Fault{Status: 502, Body: pushtest.ErrorPage}, Result: retryResult, Code: "apns_service_unavailable"},
	"a page that was not found": {Fault: pushtest.Fault{Status: 404, Body: pushtest.ErrorPage}, Result: retryResult, Code: "apns_unknown"},
}

// TestWhateverBreaksTheMessageIsKeptAndSentAgain: an answer that is not whole is none, for its status may belong to something in between.
func TestWhateverBreaksTheMessageIsKeptAndSentAgain(t *testing.T) {
	sendertest.KeptAndSentAgain(t, breaks, func(t *testing.T) (*pushtest.Record[pushtest.APNsMessage], push.Sender, registry.Device) {
		apns, sender := service(t)
		return &apns.Record, sender, device(apns.Register(nil))
	})
}
