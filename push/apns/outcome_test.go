package apns

import (
	"crypto/tls"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
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

// samples are answers for each row of the table. Those of the condition ownTopic are for a device
// with a topic of its own, all others for one without.
var samples = map[string][]sendertest.Answer{
	"200":                        {sendertest.Delivered(failOnce(200, ""))},
	"400 BadDeviceToken":         {sendertest.Suspect(failOnce(400, "BadDeviceToken"), "apns_bad_device_token")},
	"400 DeviceTokenNotForTopic": {sendertest.Suspect(failOnce(400, "DeviceTokenNotForTopic"), "apns_device_token_not_for_topic")},
	"410 Unregistered later than the device registered": {sendertest.Gone(pushtest.Fault{Status: 410, Body: `{"reason":"Unregistered","timestamp":32503680000000}`}, "apns_unregistered")},
	"410 Unregistered": {
		sendertest.Suspect(failOnce(410, "Unregistered"), "apns_unregistered"),
		sendertest.Suspect(pushtest.Fault{Status: 410, Body: `{"reason":"Unregistered","timestamp":1}`}, "apns_unregistered"),
	},
	"410 ExpiredToken later than the device registered": {sendertest.Gone(pushtest.Fault{Status: 410, Body: `{"reason":"ExpiredToken","timestamp":32503680000000}`}, "apns_expired_token")},
	"410 ExpiredToken": {
		sendertest.Suspect(failOnce(410, "ExpiredToken"), "apns_expired_token"),
		sendertest.Suspect(pushtest.Fault{Status: 410, Body: `{"reason":"ExpiredToken","timestamp":1}`}, "apns_expired_token"),
	},
	"410 with a reason": {
		sendertest.Suspect(failOnce(410, "SomethingNew"), "apns_unknown_gone"),
	},
	"400 TopicDisallowed with a topic of the device's own":      {sendertest.Suspect(failOnce(400, "TopicDisallowed"), "apns_topic_disallowed")},
	"400 BadTopic with a topic of the device's own":             {sendertest.Suspect(failOnce(400, "BadTopic"), "apns_bad_topic")},
	"403 InvalidProviderToken with a topic of the device's own": {sendertest.Retry(failOnce(403, "InvalidProviderToken"), "apns_invalid_provider_token", 0)},
	"403 Forbidden with a topic of the device's own":            {sendertest.Retry(failOnce(403, "Forbidden"), "apns_forbidden", 0)},
	"400 TopicDisallowed":                                       {sendertest.Misconfigured(failOnce(400, "TopicDisallowed"), "apns_topic_disallowed")},
	"403 BadCertificate":                                        {sendertest.Misconfigured(failOnce(403, "BadCertificate"), "apns_bad_certificate")},
	"403 BadCertificateEnvironment":                             {sendertest.Misconfigured(failOnce(403, "BadCertificateEnvironment"), "apns_bad_certificate_environment")},
	"403 Forbidden":                                             {sendertest.Misconfigured(failOnce(403, "Forbidden"), "apns_forbidden")},
	"403 InvalidProviderToken":                                  {sendertest.Misconfigured(failOnce(403, "InvalidProviderToken"), "apns_invalid_provider_token")},
	"403 MissingProviderToken":                                  {sendertest.Misconfigured(failOnce(403, "MissingProviderToken"), "apns_missing_provider_token")},
	"403 ExpiredProviderToken":                                  {sendertest.Misconfigured(failOnce(403, "ExpiredProviderToken"), "apns_expired_provider_token")},
	"403 UnrelatedKeyIdInToken":                                 {sendertest.Misconfigured(failOnce(403, "UnrelatedKeyIdInToken"), "apns_unrelated_key_id_in_token")},
	"403 BadEnvironmentKeyIdInToken":                            {sendertest.Misconfigured(failOnce(403, "BadEnvironmentKeyIdInToken"), "apns_bad_environment_key_in_token")},
	"403 BadEnvironmentKeyInToken":                              {sendertest.Misconfigured(failOnce(403, "BadEnvironmentKeyInToken"), "apns_bad_environment_key_in_token")},
	"403 with a reason":                                         {sendertest.Misconfigured(failOnce(403, "SomethingNew"), "apns_forbidden")},
	"400 BadCollapseId":                                         {sendertest.Refused(failOnce(400, "BadCollapseId"), "apns_bad_collapse_id")},
	"400 BadExpirationDate":                                     {sendertest.Refused(failOnce(400, "BadExpirationDate"), "apns_bad_expiration_date")},
	"400 BadMessageId":                                          {sendertest.Refused(failOnce(400, "BadMessageId"), "apns_bad_message_id")},
	"400 BadPriority":                                           {sendertest.Refused(failOnce(400, "BadPriority"), "apns_bad_priority")},
	"400 BadTopic":                                              {sendertest.Refused(failOnce(400, "BadTopic"), "apns_bad_topic")},
	"400 DuplicateHeaders":                                      {sendertest.Refused(failOnce(400, "DuplicateHeaders"), "apns_duplicate_headers")},
	"400 InvalidPushType":                                       {sendertest.Refused(failOnce(400, "InvalidPushType"), "apns_invalid_push_type")},
	"400 MissingDeviceToken":                                    {sendertest.Refused(failOnce(400, "MissingDeviceToken"), "apns_missing_device_token")},
	"400 MissingTopic":                                          {sendertest.Refused(failOnce(400, "MissingTopic"), "apns_missing_topic")},
	"400 PayloadEmpty":                                          {sendertest.Refused(failOnce(400, "PayloadEmpty"), "apns_payload_empty")},
	"404 BadPath":                                               {sendertest.Refused(failOnce(404, "BadPath"), "apns_bad_path")},
	"405 MethodNotAllowed":                                      {sendertest.Refused(failOnce(405, "MethodNotAllowed"), "apns_method_not_allowed")},
	"413 with a reason": {
		sendertest.Refused(failOnce(413, "PayloadTooLarge"), "apns_payload_too_large"),
	},
	"400 IdleTimeout": {sendertest.Retry(failOnce(400, "IdleTimeout"), "apns_idle_timeout", 0)},
	"429 TooManyProviderTokenUpdates": {
		sendertest.Retry(failOnce(429, "TooManyProviderTokenUpdates"), "apns_too_many_provider_token_updates", 20*time.Minute),
		sendertest.Retry(withHeader(failOnce(429, "TooManyProviderTokenUpdates"), "Retry-After", "1800"), "apns_too_many_provider_token_updates", 30*time.Minute),
	},
	"429": {
		sendertest.Retry(failOnce(429, "TooManyRequests"), "apns_too_many_requests", 0),
		sendertest.Retry(withHeader(failOnce(429, "TooManyRequests"), "Retry-After", "40"), "apns_too_many_requests", 40*time.Second),
		sendertest.Retry(pushtest.Fault{Status: 429, Body: "slow down"}, "apns_too_many_requests", 0),
	},
	"500 InternalServerError": {sendertest.Retry(failOnce(500, "InternalServerError"), "apns_internal_server_error", 0)},
	"503 Shutdown": {
		sendertest.Retry(failOnce(503, "Shutdown"), "apns_shutdown", 0),
		sendertest.Retry(withHeader(failOnce(503, "Shutdown"), "Retry-After", "172800"), "apns_shutdown", 48*time.Hour),
	},
	"500-599": {
		sendertest.Retry(failOnce(503, "ServiceUnavailable"), "apns_service_unavailable", 0),
		sendertest.Retry(withHeader(pushtest.Fault{Status: 502, Body: "<html>"}, "Retry-After", "7"), "apns_service_unavailable", 7*time.Second),
		sendertest.Retry(pushtest.Fault{Status: 503, Body: `{"reason":"ExpiredToken","timestamp":32503680000000}`}, "apns_service_unavailable", 0),
	},
	"400 with a reason": {
		sendertest.Refused(failOnce(400, "SomethingNew"), "apns_unknown_refusal"),
		sendertest.Refused(pushtest.Fault{Status: 400, Body: `{"reason":"Unregistered","timestamp":32503680000000}`}, "apns_unknown_refusal"),
	},
	"404-405 with a reason": {sendertest.Refused(failOnce(404, "SomethingNew"), "apns_unknown_refusal")},
	"100-999": {
		sendertest.Retry(pushtest.Fault{Status: 403, Body: "<html>"}, "apns_unknown", 0),
		sendertest.Retry(pushtest.Fault{Status: 404, Body: "<html>"}, "apns_unknown", 0),
		sendertest.Retry(withHeader(pushtest.Fault{Status: 307}, "Location", "/3/device/0"), "apns_unknown", 0),
		sendertest.Retry(pushtest.Fault{Status: 410, Body: "gone"}, "apns_unknown", 0),
		sendertest.Retry(pushtest.Fault{Status: 413, Body: "<html>"}, "apns_unknown", 0),
		sendertest.Retry(pushtest.Fault{Status: 204}, "apns_unknown", 0),
		sendertest.Retry(pushtest.Fault{Status: 400, Body: `{"reason":"BadTopic","x":"` + strings.Repeat("x", maxAnswer) + `"}`}, "apns_unknown", 0),
	},
}

// rows returns the names of the rows of the table.
func rows() (names []string) {
	for _, row := range table {
		names = append(names, sendertest.RowName(row.from, row.to, row.reason, string(row.when)))
	}
	return names
}

func TestOutcome(t *testing.T) {
	t.Run("every row of the table has its outcome after one request", outcomeRows)
	t.Run("a phone is gone only if it has not registered since", outcomeGone)
	t.Run("a device whose token Apple does not know is kept", outcomeUnknown)
	t.Run("a malformed token is never part of a request", outcomeNoToken)
	t.Run("whatever breaks, the message is kept and sent again", outcomeBreaks)
	t.Run("if the clock seems to be wrong, the outcome says so", outcomeClock)
}

func outcomeRows(t *testing.T) {
	sendertest.EachRow(t, rows(), samples, func(t *testing.T, row int, a sendertest.Answer) {
		synctest.Test(t, func(t *testing.T) {
			apns, sender := service(t)
			d := device(apns.Register(nil))
			if table[row].when == ownTopic {
				d, sender.topic = withParam(d, paramTopic, apns.Topic), "org.example.server"
			}
			if table[row].wait > 0 { // no token from before is still valid
				if _, err := sender.provider.authorization(time.Now()); err != nil {
					t.Fatal(err)
				}
				time.Sleep(45 * time.Minute)
			}
			sendertest.CheckRow(t, &apns.Record, sender, d, a, &table[row].outcome.Code)
		})
	})
}

func outcomeGone(t *testing.T) {
	gone := registry.Outcome{Result: registry.ResultGone, Reason: idlepush.Reason{Code: "apns_unregistered"}}
	kept := registry.Outcome{Result: retryResult, Suspect: true, Reason: idlepush.Reason{Code: "apns_unregistered"}}
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
				// The same holds for the other reason of 410.
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

func outcomeUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, sender := service(t)
		token := strings.Repeat("0a", 32)
		expect(t, sender.Send(t.Context(), device(token), message()),
			registry.Outcome{Result: retryResult, Suspect: true, Reason: idlepush.Reason{Code: "apns_bad_device_token"}}, token)
	})
}

func outcomeNoToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		apns, sender := service(t)
		good := apns.Register(nil)
		for _, token := range []string{"", good[1:], good + "/../../x?y=1", good + "\n", "../" + good, strings.Repeat("a", 201), strings.Repeat("g", 64)} {
			if sender.Check(device(token)) == nil {
				t.Errorf("%q passes for a token", token)
			}
			got := sender.Send(t.Context(), device(token), message())
			want := registry.Outcome{Result: retryResult, Suspect: true, Reason: idlepush.Reason{Code: "apns_bad_device_token"}}
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

// breaks are the ways in which an exchange with APNs can fail.
var breaks = sendertest.Breaks("apns", map[string]sendertest.Break{
	"half of gone": {Fault: pushtest.Fault{Status: 410, Body: `{"reason":"Unregistered","timestamp":32503680000000}`, Half: true},
		Result: retryResult, Code: "apns_unreachable", Unknown: true},
	"GOAWAY":        {Fault: pushtest.Fault{Status: 503, Reason: "Shutdown", GoAway: true}, Result: retryResult, Code: "apns_shutdown"},
	"a proxy's 502": {Fault: pushtest.Fault{Status: 502, Body: pushtest.ErrorPage}, Result: retryResult, Code: "apns_service_unavailable"},
	"a proxy's 404": {Fault: pushtest.Fault{Status: 404, Body: pushtest.ErrorPage}, Result: retryResult, Code: "apns_unknown"},
})

func outcomeBreaks(t *testing.T) {
	sendertest.RunBreaks(t, breaks, func(t *testing.T) (*pushtest.Record[pushtest.APNsMessage], push.Sender, idlepush.Device) {
		apns, sender := service(t)
		return &apns.Record, sender, device(apns.Register(nil))
	})
}

func outcomeClock(t *testing.T) {
	for code, valid := range sendertest.WrongClocks {
		sendertest.ExpectClock(t, sendAtOtherClock(t, valid), code)
	}
}

func sendAtOtherClock(t *testing.T, valid time.Duration) registry.Outcome {
	t.Helper()
	url, roots := sendertest.ServeOtherClock(t, valid)
	apns, err := pushtest.NewAPNs("org.example.mail")
	if err != nil {
		t.Fatal(err)
	}
	settings := config(apns)
	settings.Endpoint = url
	base := dialer()
	base.TLSClientConfig = &tls.Config{RootCAs: roots}
	sender, err := newTransport(settings, base)
	if err != nil {
		t.Fatal(err)
	}
	return sender.Send(t.Context(), device(apns.Register(nil)), message())
}
