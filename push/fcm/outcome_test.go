package fcm

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

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

// said is an answer of FCM, and what is to come of it.
type said struct {
	fault   pushtest.Fault
	result  registry.Result
	suspect bool
	code    string
	after   time.Duration // of At; 0: no At
}

// samples are, for each row of the table, answers that it decides.
var samples = map[string][]said{
	"200 the message's name": {{status(200, ""), registry.ResultDelivered, false, "", 0}},
	"200": {
		{pushtest.Fault{Status: 200, Body: "<html>Welcome to the hotel"}, retryResult, false, "fcm_unreadable_answer", 0},
		{pushtest.Fault{Status: 200, Body: "{}"}, retryResult, false, "fcm_unreadable_answer", 0},
	},

	"404 UNREGISTERED": {
		{status(404, "UNREGISTERED"), registry.ResultGone, false, "fcm_unregistered", 0},
		{pushtest.Fault{Status: 404, Body: `{"error":{"details":[{"@type":"x","fieldViolations":"y"},` + fcmUnregistered + `]}}`}, registry.ResultGone, false, "fcm_unregistered", 0},
	},
	"400 INVALID_ARGUMENT, of the token": {
		{pushtest.Fault{Status: 400, Body: tokenMessage}, retryResult, true, "fcm_invalid_token", 0}, // as documented
		{pushtest.Fault{Status: 400, Body: badRequestBody(`,"details":[` + fcmInvalid + `,` + tokenViolation + `]`)}, retryResult, true, "fcm_invalid_token", 0},
	},
	"403 SENDER_ID_MISMATCH":     {{status(403, "SENDER_ID_MISMATCH"), retryResult, true, "fcm_sender_id_mismatch", 0}},
	"401 THIRD_PARTY_AUTH_ERROR": {{status(401, "THIRD_PARTY_AUTH_ERROR"), retryResult, true, "fcm_third_party_auth", 0}},
	"401 APNS_AUTH_ERROR":        {{status(401, "APNS_AUTH_ERROR"), retryResult, true, "fcm_third_party_auth", 0}},

	"401": {{status(401, ""), brokenSetup, false, "fcm_unauthenticated", 0}},
	"403": {{status(403, ""), brokenSetup, false, "fcm_permission_denied", 0}},
	"404 no FcmError": {
		{status(404, ""), brokenSetup, false, "fcm_wrong_project", 0},
		{pushtest.Fault{Status: 404, Body: "<html>UNREGISTERED"}, brokenSetup, false, "fcm_wrong_project", 0},
	},

	"400 INVALID_ARGUMENT": {
		{pushtest.Fault{Status: 400, Body: badRequestBody(`,"details":[` + dataViolation + `]`)}, registry.ResultRefused, false, "fcm_invalid_argument", 0},
		{pushtest.Fault{Status: 400, Body: badRequestBody(`,"details":[` + dataViolation + `,` + fcmInvalid + `]`)}, registry.ResultRefused, false, "fcm_invalid_argument", 0},
		{pushtest.Fault{Status: 400, Body: badRequestBody("")}, registry.ResultRefused, false, "fcm_invalid_argument", 0}, // too big
	},
	"413": {{pushtest.Fault{Status: 413, Body: "<html>"}, registry.ResultRefused, false, "fcm_too_large", 0}},

	"429": {
		{status(429, "QUOTA_EXCEEDED"), retryResult, false, "fcm_quota_exceeded", time.Minute},
		{with(status(429, "QUOTA_EXCEEDED"), "Retry-After", "17"), retryResult, false, "fcm_quota_exceeded", 17 * time.Second},
	},
	"500-599": {
		{status(503, "UNAVAILABLE"), retryResult, false, "fcm_unavailable", 0},
		{with(status(503, "UNAVAILABLE"), "Retry-After", "2"), retryResult, false, "fcm_unavailable", 2 * time.Second},
		{with(status(503, "UNAVAILABLE"), "Retry-After", "172800"), retryResult, false, "fcm_unavailable", 48 * time.Hour},
		{status(500, "INTERNAL"), retryResult, false, "fcm_unavailable", 0},
		{pushtest.Fault{Status: 504}, retryResult, false, "fcm_unavailable", 0},
	},

	"100-999": {
		{status(404, "SOMETHING_NEW"), retryResult, false, "fcm_unknown", 0},
		{pushtest.Fault{Status: 410, Body: "gone"}, retryResult, false, "fcm_unknown", 0},
		{pushtest.Fault{Status: 400, Body: "<html>token"}, retryResult, false, "fcm_unknown", 0},
		{pushtest.Fault{Status: 400, Body: badRequestBody(`,"x":"` + strings.Repeat("x", maxAnswer) + `"`)}, retryResult, false, "fcm_unknown", 0},
		{pushtest.Fault{Status: 407}, retryResult, false, "fcm_unknown", 0},
		{with(pushtest.Fault{Status: 307}, "Location", "/v1/projects/family-mail/messages:send"), retryResult, false, "fcm_unknown", 0},
		{pushtest.Fault{Status: 204}, retryResult, false, "fcm_unknown", 0},
	},
}

// rows names the rows of the table as samples does.
func rows() (names []string) {
	for _, row := range table {
		name := fmt.Sprint(row.from)
		if row.to != row.from {
			name += fmt.Sprint("-", row.to)
		}
		if row.says != anything {
			name += " " + string(row.says)
		}
		names = append(names, name)
	}
	return names
}

func TestEveryRowOfTheTableHasItsOutcomeAfterOneRequest(t *testing.T) {
	sendertest.EveryRow(t, rows(), samples, func(t *testing.T, row int, c said) {
		synctest.Test(t, func(t *testing.T) {
			fcm, sender := service(t)
			d := device(fcm.Register(nil))
			want := registry.Outcome{Result: c.result, Suspect: c.suspect, Code: c.code}
			if c.after > 0 {
				want.At = time.Now().Add(c.after)
			}
			sendertest.Decided(t, &fcm.Record, sender, d, c.fault, want, &table[row].outcome.Code)
		})
	})
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
			if sender.Check(device(text)) == nil || sender.Check(device(token)) != nil {
				t.Errorf("%.20q passes for a token, or a real one does not", text)
			}
			expect(t, sender.Send(t.Context(), device(text), message()), registry.Outcome{Result: retryResult, Suspect: true, Code: "fcm_invalid_token"})
		}
		if fcm.Requests() != sent {
			t.Error("sent to what is no token")
		}
	})
}

// grants are what can come of asking for an access token.
var grants = map[string]struct {
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
	"half of one":       {pushtest.Fault{Status: 400, Reason: "invalid_grant", Half: true, Times: 1}, registry.Outcome{Result: retryResult, Code: "fcm_token_unavailable"}},
	"a page":            {pushtest.Fault{Status: 403, Body: pushtest.ErrorPage, Times: 1}, registry.Outcome{Result: retryResult, Code: "fcm_token_unavailable"}},
}

func TestWhatTheTokenEndpointSaysDecidesBetweenWaitingAndMending(t *testing.T) {
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

func TestAnAccessTokenThatIsNoLongerTakenIsRenewedOnceAndAtOnce(t *testing.T) {
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
		// One fetched within a minute is not renewed: the next would fare no better.
		time.Sleep(time.Minute - time.Second)
		fcm.Revoke()
		expect(t, sender.Send(t.Context(), device(token), message()), registry.Outcome{Result: brokenSetup, Code: "fcm_unauthenticated"})
		if fcm.Grants() != 2 || fcm.Requests() != 4 {
			t.Errorf("%d access tokens and %d requests, want 2 and 4", fcm.Grants(), fcm.Requests())
		}
		provoked(t, fcm, "the access token is missing, unknown or expired")
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
		provoked(t, fcm, "the access token is missing, unknown or expired")
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
	})
}

// breaks are the ways in which an exchange can go wrong, and what is to come of each.
var breaks = map[string]sendertest.Break{
	"no answer":                 {Fault: pushtest.Fault{Hang: true}, Result: retryResult, Code: "fcm_timeout", Unknown: true},
	"no answer, but accepted":   {Fault: pushtest.Fault{Hang: true, Accepted: true}, Result: retryResult, Code: "fcm_timeout", Unknown: true, Reached: 1},
	"connection lost":           {Fault: pushtest.Fault{Drop: true}, Result: retryResult, Code: "fcm_unreachable", Unknown: true},
	"answer lost":               {Fault: pushtest.Fault{Drop: true, Accepted: true}, Result: retryResult, Code: "fcm_unreachable", Unknown: true, Reached: 1},
	"half of the success":       {Fault: pushtest.Fault{Status: 200, Half: true}, Result: retryResult, Code: "fcm_unreachable", Unknown: true, Reached: 1},
	"half of what is an outage": {Fault: pushtest.Fault{Status: 503, Body: pushtest.ErrorPage, Half: true}, Result: retryResult, Code: "fcm_unreachable", Unknown: true},
	"half of what is gone":      {Fault: pushtest.Fault{Status: 404, Reason: "UNREGISTERED", Half: true}, Result: retryResult, Code: "fcm_unreachable", Unknown: true},
	"GOAWAY":                    {Fault: pushtest.Fault{Status: 503, Reason: "UNAVAILABLE", GoAway: true}, Result: retryResult, Code: "fcm_unavailable"},
	"an outage's page":          {Fault: pushtest.Fault{Status: 502, Body: pushtest.ErrorPage}, Result: retryResult, Code: "fcm_unavailable"},
	"a page that was not found": {Fault: pushtest.Fault{Status: 404, Body: pushtest.ErrorPage}, Result: brokenSetup, Code: "fcm_wrong_project"},
}

// TestWhateverBreaksTheMessageIsKeptAndSentAgain: an answer that is not whole is none, for its status may belong to something in between.
func TestWhateverBreaksTheMessageIsKeptAndSentAgain(t *testing.T) {
	sendertest.KeptAndSentAgain(t, breaks, func(t *testing.T) (*pushtest.Record[pushtest.FCMMessage], push.Sender, registry.Device) {
		fcm, sender := service(t)
		return &fcm.Record, sender, device(fcm.Register(nil))
	})
}
