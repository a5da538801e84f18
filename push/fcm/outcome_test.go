package fcm

import (
	"crypto/tls"
	"strings"
	"sync"
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
	retryResult = registry.ResultRetry
	brokenSetup = registry.ResultMisconfigured
)

func badRequestBody(details string) string {
	return `{"error":{"code":400,"message":"Request contains an invalid argument.","status":"INVALID_ARGUMENT"` + details + `}}`
}

const (
	fcmUnregistered = `{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"UNREGISTERED"}`
	fcmInvalid      = `{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"INVALID_ARGUMENT"}`
	tokenViolation  = `{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[{"field":"message.token","description":"Invalid registration token"}]}`
	dataViolation   = `{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[{"field":"message.data[0].value"}]}`
	tokenMessage    = `{"error":{"code":400,"message":"The registration token is not a valid FCM registration token","status":"INVALID_ARGUMENT","details":[` + fcmInvalid + `]}}`
)

// samples are answers for each row of the table.
var samples = map[string][]sendertest.Answer{
	"200 the message's name": {sendertest.Delivered(failOnce(200, ""))},
	"200": {
		sendertest.Retry(pushtest.Fault{Status: 200, Body: "<html>Welcome to the hotel"}, "fcm_unreadable_answer", 0),
		sendertest.Retry(pushtest.Fault{Status: 200, Body: "{}"}, "fcm_unreadable_answer", 0),
	},

	"400-428 a page of a proxy": {
		sendertest.Retry(pushtest.ProxyPages["nginx 401"], "fcm_unreadable_answer", 0),
		sendertest.Retry(pushtest.ProxyPages["nginx 403"], "fcm_unreadable_answer", 0),
		sendertest.Retry(pushtest.ProxyPages["Traefik 404"], "fcm_unreadable_answer", 0),
		sendertest.Retry(pushtest.ProxyPages["nginx 413"], "fcm_unreadable_answer", 0),
		sendertest.Retry(pushtest.Fault{Status: 404, Body: "<html>UNREGISTERED"}, "fcm_unreadable_answer", 0),
		sendertest.Retry(pushtest.Fault{Status: 400, Body: "<html>token"}, "fcm_unreadable_answer", 0),
	},

	"404 UNREGISTERED": {
		sendertest.Gone(failOnce(404, "UNREGISTERED"), "fcm_unregistered"),
		sendertest.Gone(pushtest.Fault{Status: 404, Body: `{"error":{"details":[{"@type":"x","fieldViolations":"y"},` + fcmUnregistered + `]}}`}, "fcm_unregistered"),
	},
	"400 INVALID_ARGUMENT, of the token": {
		// As documented:
		sendertest.Suspect(pushtest.Fault{Status: 400, Body: tokenMessage}, "fcm_invalid_token"),
		sendertest.Suspect(pushtest.Fault{Status: 400, Body: badRequestBody(`,"details":[` + fcmInvalid + `,` + tokenViolation + `]`)}, "fcm_invalid_token"),
	},
	"403 SENDER_ID_MISMATCH":     {sendertest.Suspect(failOnce(403, "SENDER_ID_MISMATCH"), "fcm_sender_id_mismatch")},
	"401 THIRD_PARTY_AUTH_ERROR": {sendertest.Suspect(failOnce(401, "THIRD_PARTY_AUTH_ERROR"), "fcm_third_party_auth")},
	"401 APNS_AUTH_ERROR":        {sendertest.Suspect(failOnce(401, "APNS_AUTH_ERROR"), "fcm_third_party_auth")},

	"401": {sendertest.Misconfigured(failOnce(401, ""), "fcm_unauthenticated")},
	"403": {sendertest.Misconfigured(failOnce(403, ""), "fcm_permission_denied")},
	"404 no FcmError": {
		sendertest.Misconfigured(failOnce(404, ""), "fcm_wrong_project"),
		sendertest.Misconfigured(pushtest.Fault{Status: 404, Body: "no such project"}, "fcm_wrong_project"),
	},

	"400 INVALID_ARGUMENT": {
		sendertest.Refused(pushtest.Fault{Status: 400, Body: badRequestBody(`,"details":[` + dataViolation + `]`)}, "fcm_invalid_argument"),
		sendertest.Refused(pushtest.Fault{Status: 400, Body: badRequestBody(`,"details":[` + dataViolation + `,` + fcmInvalid + `]`)}, "fcm_invalid_argument"),
		// If the message is too large:
		sendertest.Refused(pushtest.Fault{Status: 400, Body: badRequestBody("")}, "fcm_invalid_argument"),
	},
	"413": {sendertest.Refused(pushtest.Fault{Status: 413}, "fcm_too_large")},

	"429": {
		sendertest.Retry(failOnce(429, "QUOTA_EXCEEDED"), "fcm_quota_exceeded", time.Minute),
		sendertest.Retry(withHeader(failOnce(429, "QUOTA_EXCEEDED"), "Retry-After", "17"), "fcm_quota_exceeded", 17*time.Second),
	},
	"500-599": {
		sendertest.Retry(failOnce(503, "UNAVAILABLE"), "fcm_unavailable", 0),
		sendertest.Retry(withHeader(failOnce(503, "UNAVAILABLE"), "Retry-After", "2"), "fcm_unavailable", 2*time.Second),
		sendertest.Retry(withHeader(failOnce(503, "UNAVAILABLE"), "Retry-After", "172800"), "fcm_unavailable", 48*time.Hour),
		sendertest.Retry(failOnce(500, "INTERNAL"), "fcm_unavailable", 0),
		sendertest.Retry(pushtest.Fault{Status: 504}, "fcm_unavailable", 0),
	},

	"100-999": {
		sendertest.Retry(failOnce(404, "SOMETHING_NEW"), "fcm_unknown", 0),
		sendertest.Retry(pushtest.Fault{Status: 410, Body: "gone"}, "fcm_unknown", 0),
		sendertest.Retry(pushtest.Fault{Status: 400, Body: badRequestBody(`,"x":"` + strings.Repeat("x", maxAnswer) + `"`)}, "fcm_unknown", 0),
		sendertest.Retry(pushtest.Fault{Status: 407}, "fcm_unknown", 0),
		sendertest.Retry(withHeader(pushtest.Fault{Status: 307}, "Location", "/v1/projects/family-mail/messages:send"), "fcm_unknown", 0),
		sendertest.Retry(pushtest.Fault{Status: 204}, "fcm_unknown", 0),
	},
}

// rows returns the names of the rows of the table.
func rows() (names []string) {
	for _, row := range table {
		names = append(names, sendertest.RowName(row.from, row.to, string(row.says)))
	}
	return names
}

func TestOutcome(t *testing.T) {
	t.Run("every row of the table has its outcome after one request", outcomeRows)
	t.Run("an unknown token makes the device suspect, and a removed one is gone", outcomeUnknown)
	t.Run("the token endpoint's answer decides between a retry and a misconfiguration", outcomeGrant)
	t.Run("whatever breaks, the message is kept and sent again", outcomeBreaks)
	t.Run("if the clock seems to be wrong, the outcome says so", outcomeClock)
}

func outcomeRows(t *testing.T) {
	sendertest.EachRow(t, rows(), samples, func(t *testing.T, row int, a sendertest.Answer) {
		synctest.Test(t, func(t *testing.T) {
			fcm, sender := service(t)
			d := device(fcm.Register(nil))
			sendertest.CheckRow(t, &fcm.Record, sender, d, a, &table[row].outcome.Code)
		})
	})
}

func outcomeUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fcm, sender := service(t)
		token := fcm.Register(nil)
		fcm.Unregister(token)
		expect(t, sender.Send(t.Context(), device(token), message()), registry.Outcome{Result: registry.ResultGone, Reason: idlepush.Reason{Code: "fcm_unregistered"}}, token)
		expect(t, sender.Send(t.Context(), device("not-a-token"), message()),
			registry.Outcome{Result: retryResult, Suspect: true, Reason: idlepush.Reason{Code: "fcm_invalid_token"}}, "not-a-token")
		sent := fcm.Requests()
		for _, text := range []string{"", "a b", "ü", strings.Repeat("a", 5000)} {
			if sender.Check(device(text)) == nil || sender.Check(device(token)) != nil {
				t.Errorf("%.20q passes for a token, or a real one does not", text)
			}
			expect(t, sender.Send(t.Context(), device(text), message()), registry.Outcome{Result: retryResult, Suspect: true, Reason: idlepush.Reason{Code: "fcm_invalid_token"}})
		}
		if fcm.Requests() != sent {
			t.Error("sent to what is no token")
		}
	})
}

// grants are answers of the token endpoint, with the outcome of a send.
var grants = map[string]struct {
	fault pushtest.Fault
	want  registry.Outcome
}{
	"key revoked":       {failOnce(400, "invalid_grant"), registry.Outcome{Result: brokenSetup, Reason: idlepush.Reason{Code: "fcm_credentials"}}},
	"account unknown":   {failOnce(401, "invalid_client"), registry.Outcome{Result: brokenSetup, Reason: idlepush.Reason{Code: "fcm_credentials"}}},
	"scope not granted": {failOnce(403, "access_denied"), registry.Outcome{Result: brokenSetup, Reason: idlepush.Reason{Code: "fcm_credentials"}}},
	"down":              {failOnce(503, ""), registry.Outcome{Result: retryResult, Reason: idlepush.Reason{Code: "fcm_token_unavailable"}}},
	"internal":          {failOnce(500, "internal_failure"), registry.Outcome{Result: retryResult, Reason: idlepush.Reason{Code: "fcm_token_unavailable"}}},
	"too many":          {failOnce(429, "rate_limited"), registry.Outcome{Result: retryResult, Reason: idlepush.Reason{Code: "fcm_token_unavailable"}}},
	"proxy in between":  {failOnce(403, ""), registry.Outcome{Result: retryResult, Reason: idlepush.Reason{Code: "fcm_token_unavailable"}}},
	"redirect":          {withHeader(failOnce(302, ""), "Location", "/token"), registry.Outcome{Result: retryResult, Reason: idlepush.Reason{Code: "fcm_token_unavailable"}}},
	"connection lost":   {pushtest.Fault{Drop: true, Times: 1}, registry.Outcome{Result: retryResult, Reason: idlepush.Reason{Code: "fcm_token_unavailable"}}},
	"no answer":         {pushtest.Fault{Hang: true, Times: 1}, registry.Outcome{Result: retryResult, Reason: idlepush.Reason{Code: "fcm_token_unavailable"}}},
	"half of one":       {pushtest.Fault{Status: 400, Reason: "invalid_grant", Half: true, Times: 1}, registry.Outcome{Result: retryResult, Reason: idlepush.Reason{Code: "fcm_token_unavailable"}}},
	"a page":            {pushtest.Fault{Status: 403, Body: pushtest.ErrorPage, Times: 1}, registry.Outcome{Result: retryResult, Reason: idlepush.Reason{Code: "fcm_token_unavailable"}}},
}

func outcomeGrant(t *testing.T) {
	for name, c := range grants {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fcm, sender := service(t)
				token := fcm.Register(nil)
				fcm.FailGrant(c.fault)
				expect(t, sender.Send(t.Context(), device(token), message()), c.want, token)
				if n := fcm.Requests(); n != 0 {
					t.Errorf("%d messages without an access token", n)
				}
				expect(t, sender.Send(t.Context(), device(token), message()), registry.Outcome{Result: registry.ResultDelivered}, token)
			})
		})
	}
}

func TestAccessToken(t *testing.T) {
	t.Run("one that is refused is renewed at once, but not twice in a minute", accessTokenRefused)
	t.Run("many sends renew a revoked one together", accessTokenRevoked)
	t.Run("a complaint about a third party's key renews nothing", accessTokenThirdParty)
	t.Run("one is used until it expires", accessTokenLife)
}

func accessTokenRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fcm, sender := service(t)
		token := fcm.Register(nil)
		delivered := registry.Outcome{Result: registry.ResultDelivered}
		expect(t, sender.Send(t.Context(), device(token), message()), delivered)
		time.Sleep(time.Minute)
		fcm.Revoke()
		expect(t, sender.Send(t.Context(), device(token), message()), delivered)
		if fcm.Grants() != 2 || fcm.Requests() != 3 {
			t.Errorf("%d access tokens and %d requests, want 2 and 3", fcm.Grants(), fcm.Requests())
		}
		// One that is younger than a minute is not renewed: a new one would be refused too.
		time.Sleep(time.Minute - time.Second)
		fcm.Revoke()
		expect(t, sender.Send(t.Context(), device(token), message()), registry.Outcome{Result: brokenSetup, Reason: idlepush.Reason{Code: "fcm_unauthenticated"}})
		if fcm.Grants() != 2 || fcm.Requests() != 4 {
			t.Errorf("%d access tokens and %d requests, want 2 and 4", fcm.Grants(), fcm.Requests())
		}
		provoked(t, fcm, "the access token is missing, unknown or expired")
	})
}

func accessTokenRevoked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fcm, sender := service(t)
		token := fcm.Register(nil)
		expect(t, sender.Send(t.Context(), device(token), message()), registry.Outcome{Result: registry.ResultDelivered})
		time.Sleep(10 * time.Minute)
		fcm.Revoke()
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				expect(t, sender.Send(t.Context(), device(token), message()), registry.Outcome{Result: registry.ResultDelivered}, token)
			})
		}
		wg.Wait()
		if n := fcm.Grants(); n != 2 {
			t.Errorf("%d access tokens, want 2", n)
		}
		provoked(t, fcm, "the access token is missing, unknown or expired")
	})
}

func accessTokenThirdParty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fcm, sender := service(t)
		token := fcm.Register(nil)
		expect(t, sender.Send(t.Context(), device(token), message()), registry.Outcome{Result: registry.ResultDelivered})
		time.Sleep(10 * time.Minute)
		fcm.Fail(token, failOnce(401, "THIRD_PARTY_AUTH_ERROR"))
		expect(t, sender.Send(t.Context(), device(token), message()), registry.Outcome{Result: retryResult, Suspect: true, Reason: idlepush.Reason{Code: "fcm_third_party_auth"}})
		if fcm.Grants() != 1 || fcm.Requests() != 2 {
			t.Errorf("%d access tokens and %d requests, want 1 and 2", fcm.Grants(), fcm.Requests())
		}
	})
}

func accessTokenLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fcm, sender := service(t)
		token := fcm.Register(nil)
		for range 3 {
			for range 5 {
				expect(t, sender.Send(t.Context(), device(token), message()), registry.Outcome{Result: registry.ResultDelivered})
				time.Sleep(13 * time.Minute)
			}
		}
		// 15 sends over 195 minutes: a new one after each hour.
		if fcm.Grants() != 3 || fcm.Requests() != 15 {
			t.Errorf("%d access tokens and %d requests, want 3 and 15", fcm.Grants(), fcm.Requests())
		}
	})
}

// breaks are the ways in which an exchange with FCM can fail.
var breaks = sendertest.Breaks("fcm", map[string]sendertest.Break{
	"half of gone":  {Fault: pushtest.Fault{Status: 404, Reason: "UNREGISTERED", Half: true}, Result: retryResult, Code: "fcm_unreachable", Unknown: true},
	"GOAWAY":        {Fault: pushtest.Fault{Status: 503, Reason: "UNAVAILABLE", GoAway: true}, Result: retryResult, Code: "fcm_unavailable"},
	"a proxy's 502": {Fault: pushtest.Fault{Status: 502, Body: pushtest.ErrorPage}, Result: retryResult, Code: "fcm_unavailable"},
	"a proxy's 404": {Fault: pushtest.Fault{Status: 404, Body: pushtest.ErrorPage}, Result: retryResult, Code: "fcm_unreadable_answer"},
})

func outcomeBreaks(t *testing.T) {
	sendertest.RunBreaks(t, breaks, func(t *testing.T) (*pushtest.Record[pushtest.FCMMessage], push.Sender, idlepush.Device) {
		fcm, sender := service(t)
		return &fcm.Record, sender, device(fcm.Register(nil))
	})
}

func outcomeClock(t *testing.T) {
	for code, valid := range sendertest.WrongClocks {
		sendertest.ExpectClock(t, sendAtOtherClock(t, valid), code)
	}
}

// The service that grants access tokens is asked first.
func sendAtOtherClock(t *testing.T, valid time.Duration) registry.Outcome {
	t.Helper()
	url, roots := sendertest.ServeOtherClock(t, valid)
	fcm, err := pushtest.NewFCM("family-mail")
	if err != nil {
		t.Fatal(err)
	}
	account, err := parse(fcm.Credentials(url))
	if err != nil {
		t.Fatal(err)
	}
	base := dialer()
	base.TLSClientConfig = &tls.Config{RootCAs: roots}
	sender, err := newTransport(account, url+"/v1", base)
	if err != nil {
		t.Fatal(err)
	}
	return sender.Send(t.Context(), device("token"), message())
}
