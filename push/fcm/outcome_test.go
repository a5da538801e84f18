package fcm

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"idlepush/push/pushtest"
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
	fcmInvalid     = `{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"INVALID_ARGUMENT"}`
	tokenViolation = `{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[{"field":"message.token","description":"Invalid registration token"}]}`
	dataViolation  = `{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[{"field":"message.data[0].value"}]}`
	tokenMessage   = `{"error":{"code":400,"message":"The registration token is not a valid FCM registration token","status":"INVALID_ARGUMENT","details":[` + fcmInvalid + `]}}`
)

func TestEveryAnswerBecomesItsOutcomeAfterOneRequest(t *testing.T) {
	for name, c := range map[string]struct {
		fault   pushtest.Fault
		result  registry.Result
		suspect bool
		code    string
		after   time.Duration // of At; 0: no At
	}{
		"accepted": {fault: status(200, ""), result: registry.ResultDelivered},

		"unregistered":            {fault: status(404, "UNREGISTERED"), result: registry.ResultGone, code: "fcm_unregistered"},
		"404 without FcmError":    {fault: status(404, ""), result: brokenSetup, code: "fcm_wrong_project"},
		"404 of a web server":     {fault: pushtest.Fault{Status: 404, Body: "<html>UNREGISTERED"}, result: brokenSetup, code: "fcm_wrong_project"},
		"404 with another code":   {fault: status(404, "SOMETHING_NEW"), result: retryResult, code: "fcm_unknown"},
		"gone without FCM's word": {fault: pushtest.Fault{Status: 410, Body: "gone"}, result: retryResult, code: "fcm_unknown"},

		"sender id mismatch": {fault: status(403, "SENDER_ID_MISMATCH"), result: retryResult, suspect: true, code: "fcm_sender_id_mismatch"},
		"permission denied":  {fault: status(403, ""), result: brokenSetup, code: "fcm_permission_denied"},
		"unauthenticated":    {fault: status(401, ""), result: brokenSetup, code: "fcm_unauthenticated"},
		"third party auth":   {fault: status(401, "THIRD_PARTY_AUTH_ERROR"), result: retryResult, suspect: true, code: "fcm_third_party_auth"},
		"apns auth":          {fault: status(401, "APNS_AUTH_ERROR"), result: retryResult, suspect: true, code: "fcm_third_party_auth"},

		"bad token, as documented": {fault: pushtest.Fault{Status: 400, Body: tokenMessage}, result: retryResult, suspect: true, code: "fcm_invalid_token"},
		"bad token, as a field":    {fault: pushtest.Fault{Status: 400, Body: badRequestBody(`,"details":[` + fcmInvalid + `,` + tokenViolation + `]`)}, result: retryResult, suspect: true, code: "fcm_invalid_token"},
		"bad data":                 {fault: pushtest.Fault{Status: 400, Body: badRequestBody(`,"details":[` + dataViolation + `]`)}, result: registry.ResultRefused, code: "fcm_invalid_argument"},
		"bad data, both details":   {fault: pushtest.Fault{Status: 400, Body: badRequestBody(`,"details":[` + dataViolation + `,` + fcmInvalid + `]`)}, result: registry.ResultRefused, code: "fcm_invalid_argument"},
		"too big":                  {fault: pushtest.Fault{Status: 400, Body: badRequestBody("")}, result: registry.ResultRefused, code: "fcm_invalid_argument"},
		"too large for a proxy":    {fault: pushtest.Fault{Status: 413, Body: "<html>"}, result: registry.ResultRefused, code: "fcm_too_large"},
		"400 of a proxy":           {fault: pushtest.Fault{Status: 400, Body: "<html>token"}, result: retryResult, code: "fcm_unknown"},

		"an endless answer":          {fault: pushtest.Fault{Status: 400, Body: badRequestBody(`,"x":"` + strings.Repeat("x", maxAnswer) + `"`)}, result: retryResult, code: "fcm_unknown"},
		"quota":                      {fault: status(429, "QUOTA_EXCEEDED"), result: retryResult, code: "fcm_quota_exceeded", after: time.Minute},
		"quota with Retry-After":     {fault: with(status(429, "QUOTA_EXCEEDED"), "Retry-After", "17"), result: retryResult, code: "fcm_quota_exceeded", after: 17 * time.Second},
		"unavailable":                {fault: status(503, "UNAVAILABLE"), result: retryResult, code: "fcm_unavailable"},
		"unavailable, short wait":    {fault: with(status(503, "UNAVAILABLE"), "Retry-After", "2"), result: retryResult, code: "fcm_unavailable", after: 2 * time.Second},
		"unavailable, long wait":     {fault: with(status(503, "UNAVAILABLE"), "Retry-After", "1000"), result: retryResult, code: "fcm_unavailable", after: 1000 * time.Second},
		"internal":                   {fault: status(500, "INTERNAL"), result: retryResult, code: "fcm_unavailable"},
		"bad gateway":                {fault: pushtest.Fault{Status: 502, Body: "<!DOCTYPE html>"}, result: retryResult, code: "fcm_unavailable"},
		"gateway timeout":            {fault: pushtest.Fault{Status: 504}, result: retryResult, code: "fcm_unavailable"},
		"proxy wants authentication": {fault: pushtest.Fault{Status: 407}, result: retryResult, code: "fcm_unknown"},
		"redirect":                   {fault: with(pushtest.Fault{Status: 307}, "Location", "/v1/projects/family-mail/messages:send"), result: retryResult, code: "fcm_unknown"},
		"a login page":               {fault: pushtest.Fault{Status: 200, Body: "<html>Welcome to the hotel"}, result: retryResult, code: "fcm_unreadable_answer"},
		"an empty object":            {fault: pushtest.Fault{Status: 200, Body: "{}"}, result: retryResult, code: "fcm_unreadable_answer"},
		"another 2xx":                {fault: pushtest.Fault{Status: 204}, result: retryResult, code: "fcm_unknown"},
		"connection lost":            {fault: pushtest.Fault{Drop: true}, result: retryResult, code: "fcm_unreachable"},
		"answer lost":                {fault: pushtest.Fault{Drop: true, Accepted: true}, result: retryResult, code: "fcm_unreachable"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fcm, sender := service(t)
				token := fcm.Register(nil)
				fcm.Fail(token, c.fault)
				want := registry.Outcome{Result: c.result, Suspect: c.suspect, Code: c.code}
				if c.after > 0 {
					want.At = time.Now().Add(c.after)
				}
				expect(t, sender.Send(t.Context(), device(token), message()), want, token)
				if n := fcm.Requests(); n != 1 {
					t.Errorf("%d requests, want 1", n)
				}
			})
		})
	}
}

func TestUnknownAndRemovedPhonesAreToldApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fcm, sender := service(t)
		token := fcm.Register(nil)
		fcm.Unregister(token)
		expect(t, sender.Send(t.Context(), device(token), message()), registry.Outcome{Result: registry.ResultGone, Code: "fcm_unregistered"}, token)
		expect(t, sender.Send(t.Context(), device("not-a-token"), message()),
			registry.Outcome{Result: retryResult, Suspect: true, Code: "fcm_invalid_token"}, "not-a-token")
		sent := fcm.Requests()
		for _, text := range []string{"", "a b", "ü", strings.Repeat("a", 5000)} {
			if CheckToken(text) == nil || CheckToken(token) != nil {
				t.Errorf("%.20q passes for a token, or a real one does not", text)
			}
			expect(t, sender.Send(t.Context(), device(text), message()), registry.Outcome{Result: retryResult, Suspect: true, Code: "fcm_invalid_token"})
		}
		if fcm.Requests() != sent {
			t.Error("sent to what is no token")
		}
	})
}

func TestWhatTheTokenEndpointSaysDecidesBetweenWaitingAndMending(t *testing.T) {
	for name, c := range map[string]struct {
		fault pushtest.Fault
		want  registry.Outcome
	}{
		"key revoked":       {status(400, "invalid_grant"), registry.Outcome{Result: brokenSetup, Code: "fcm_credentials"}},
		"account unknown":   {status(401, "invalid_client"), registry.Outcome{Result: brokenSetup, Code: "fcm_credentials"}},
		"scope not granted": {status(403, "access_denied"), registry.Outcome{Result: brokenSetup, Code: "fcm_credentials"}},
		"down":              {status(503, ""), registry.Outcome{Result: retryResult, Code: "fcm_token_unavailable"}},
		"internal":          {status(500, "internal_failure"), registry.Outcome{Result: retryResult, Code: "fcm_token_unavailable"}},
		"too many":          {status(429, "rate_limited"), registry.Outcome{Result: retryResult, Code: "fcm_token_unavailable"}},
		"proxy in between":  {status(403, ""), registry.Outcome{Result: retryResult, Code: "fcm_token_unavailable"}},
		"redirect":          {with(status(302, ""), "Location", "/token"), registry.Outcome{Result: retryResult, Code: "fcm_token_unavailable"}},
		"connection lost":   {pushtest.Fault{Drop: true, Times: 1}, registry.Outcome{Result: retryResult, Code: "fcm_token_unavailable"}},
		"no answer":         {pushtest.Fault{Hang: true, Times: 1}, registry.Outcome{Result: retryResult, Code: "fcm_token_unavailable"}},
	} {
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

func TestAnAccessTokenThatIsNoLongerTakenIsRenewedOnceAndAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fcm, sender := service(t)
		token := fcm.Register(nil)
		delivered := registry.Outcome{Result: registry.ResultDelivered}
		expect(t, sender.Send(t.Context(), device(token), message()), delivered)
		time.Sleep(10 * time.Minute)
		fcm.Revoke()
		expect(t, sender.Send(t.Context(), device(token), message()), delivered)
		if fcm.Grants() != 2 || fcm.Requests() != 3 {
			t.Errorf("%d access tokens and %d requests, want 2 and 3", fcm.Grants(), fcm.Requests())
		}
		// One just fetched is not renewed: the next would fare no better.
		fcm.Revoke()
		expect(t, sender.Send(t.Context(), device(token), message()), registry.Outcome{Result: brokenSetup, Code: "fcm_unauthenticated"})
		if fcm.Grants() != 2 || fcm.Requests() != 4 {
			t.Errorf("%d access tokens and %d requests, want 2 and 4", fcm.Grants(), fcm.Requests())
		}
	})
}

func TestManyThatMeetARevokedAccessTokenRenewItTogetherOnce(t *testing.T) {
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
	})
}

func TestAComplaintAboutAThirdPartysKeyRenewsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fcm, sender := service(t)
		token := fcm.Register(nil)
		expect(t, sender.Send(t.Context(), device(token), message()), registry.Outcome{Result: registry.ResultDelivered})
		time.Sleep(10 * time.Minute)
		fcm.Fail(token, status(401, "THIRD_PARTY_AUTH_ERROR"))
		expect(t, sender.Send(t.Context(), device(token), message()), registry.Outcome{Result: retryResult, Suspect: true, Code: "fcm_third_party_auth"})
		if fcm.Grants() != 1 || fcm.Requests() != 2 {
			t.Errorf("%d access tokens and %d requests, want 1 and 2", fcm.Grants(), fcm.Requests())
		}
	})
}

func TestAnAccessTokenIsKeptForItsLifeAndNoLonger(t *testing.T) {
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
		if v := fcm.Violations(); len(v) > 0 {
			t.Error(v)
		}
	})
}
