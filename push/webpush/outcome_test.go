package webpush_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"idlepush/push/pushtest"
	"idlepush/registry"
)

const (
	delivered     = registry.ResultDelivered
	retry         = registry.ResultRetry
	gone          = registry.ResultGone
	refused       = registry.ResultRefused
	misconfigured = registry.ResultMisconfigured
)

func TestEveryAnswerHasItsOutcome(t *testing.T) {
	s := serve(t)
	for _, c := range []struct {
		status  int
		body    string
		result  registry.Result
		suspect bool
		code    string
	}{
		{200, "", delivered, false, ""},
		{201, "secret body", delivered, false, ""},
		{202, "", delivered, false, ""},
		{204, "", delivered, false, ""},
		{300, "", retry, true, "webpush_redirect"},
		{304, "", retry, true, "webpush_redirect"},
		{400, "secret body", refused, false, "webpush_bad_request"},
		{400, `{"reason":"BadWebPushTopic"}`, refused, false, "webpush_bad_request"},
		{400, `{"code":400,"errno":111,"message":"Missing TTL value"}`, refused, false, "webpush_bad_request"},
		{400, `{"reason":"BadAuthorizationHeader"}`, misconfigured, false, "webpush_vapid_rejected"},
		{400, `{"reason":"BadJwtToken"}`, misconfigured, false, "webpush_vapid_rejected"},
		{400, `{"reason":"VapidPkHashMismatch"}`, gone, false, "webpush_vapid_mismatch"},
		{401, `{"reason":"VapidPkHashMismatch"}`, gone, false, "webpush_vapid_mismatch"},
		{403, `{"reason":"VapidPkHashMismatch"}`, gone, false, "webpush_vapid_mismatch"},
		{403, `VapidPkHashMismatch`, retry, true, "webpush_unauthorized"}, // not Apple's JSON: not certain
		{403, `{"reason":"BadVapidPublicKey"}`, misconfigured, false, "webpush_vapid_rejected"},
		{401, "", retry, true, "webpush_unauthorized"},
		{401, `{"code":401,"errno":109,"message":"VAPID public key mismatch"}`, retry, true, "webpush_unauthorized"},
		{401, `{"code":401,"errno":109,"message":"Invalid VAPID audience"}`, misconfigured, false, "webpush_vapid_rejected"},
		{401, `{"code":401,"errno":109,"message":"ExpiredSignature"}`, misconfigured, false, "webpush_vapid_rejected"},
		{401, `{"code":401,"errno":109,"message":"The VAPID token expiration is too long"}`, misconfigured, false, "webpush_vapid_rejected"},
		{402, "", retry, true, "webpush_unexpected"},
		{403, "", retry, true, "webpush_unauthorized"},
		{403, `{"reason":"BadJwtToken"}`, misconfigured, false, "webpush_vapid_rejected"},
		{403, `{"reason":"ExpiredJwtToken"}`, misconfigured, false, "webpush_vapid_rejected"},
		{403, "invalid JWT provided\n", misconfigured, false, "webpush_vapid_rejected"},
		{403, "exp claim MUST NOT be more than 24 hours from the time of the request\n", misconfigured, false, "webpush_vapid_rejected"},
		{403, "the VAPID credentials in the authorization header do not correspond to the credentials used to create the subscriptions.\n",
			retry, true, "webpush_unauthorized"},
		{403, "<HTML><TITLE>MismatchSenderId</TITLE></HTML>", retry, true, "webpush_unauthorized"},
		{404, "", gone, false, "webpush_gone"},
		{405, "", retry, true, "webpush_unexpected"},
		{406, "", retry, false, "webpush_throttled"},
		{408, "", retry, false, "webpush_unavailable"},
		{409, "", retry, true, "webpush_unexpected"},
		{410, `{"code":410,"errno":106}`, gone, false, "webpush_gone"},
		{411, "", refused, false, "webpush_bad_request"},
		{413, "", refused, false, "webpush_too_large"},
		{415, "", refused, false, "webpush_bad_request"},
		{418, "", retry, true, "webpush_unexpected"},
		{421, "", retry, false, "webpush_unavailable"},
		{422, "", refused, false, "webpush_bad_request"},
		{425, "", retry, false, "webpush_unavailable"},
		{429, "", retry, false, "webpush_throttled"},
		{451, "", retry, true, "webpush_unexpected"},
		{500, "", retry, false, "webpush_unavailable"},
		{502, "<html>Bad Gateway secret body", retry, false, "webpush_unavailable"},
		{503, `{"errno":201}`, retry, false, "webpush_unavailable"},
		{507, `{"code":50701}`, retry, true, "webpush_no_subscriber"},
		{599, "", retry, false, "webpush_unavailable"},
		{777, "", retry, true, "webpush_unexpected"},
	} {
		t.Run(fmt.Sprint(c.status, " ", c.body), func(t *testing.T) {
			defer s.Heal()
			s.Fail("", pushtest.Fault{Status: c.status, Body: c.body})
			o := s.sender.Send(t.Context(), s.device, message())
			expect(t, o, c.result, c.code, s.device)
			if o.Suspect != c.suspect || !o.At.IsZero() {
				t.Errorf("got %+v, want suspect %v and no time", o, c.suspect)
			}
		})
	}
}

func TestNoStatusButTheTwoRemovesADevice(t *testing.T) {
	s := serve(t)
	for status := 200; status <= 999; status++ {
		s.Fail("", pushtest.Fault{Status: status, Times: 1})
		if status == 401 || status == 403 {
			s.Fail("", pushtest.Fault{Status: status, Times: 1}) // for the second try, if there is one
		}
		o := s.sender.Send(t.Context(), s.device, message())
		s.Heal()
		if want := status == 404 || status == 410; (o.Result == gone) != want {
			t.Errorf("%d: %+v", status, o)
		}
	}
}

func TestAnUnsubscribedDeviceIsGone(t *testing.T) {
	s := serve(t)
	s.Gone(s.device.Subscription.Endpoint)
	expect(t, s.sender.Send(t.Context(), s.device, message()), gone, "webpush_gone", s.device)
	unknown := pointedAt(t, s.origin)
	expect(t, s.sender.Send(t.Context(), unknown, message()), gone, "webpush_gone", unknown)
}

func TestADeviceSubscribedWithAnotherKeyIsGone(t *testing.T) {
	s := serve(t)
	device := s.subscribe(t, "another")
	expect(t, s.sender.Send(t.Context(), device, message()), gone, "webpush_vapid_mismatch", device)
	s.Fail("", pushtest.Fault{Status: 403, Reason: "VapidPkHashMismatch"})
	expect(t, s.sender.Send(t.Context(), s.device, message()), gone, "webpush_vapid_mismatch", s.device)
	if s.Requests() != 2 {
		t.Errorf("%d requests for two pushes, no new token could help", s.Requests())
	}
}

func TestRetryAfterIsHonouredInBothForms(t *testing.T) {
	s := serve(t)
	for _, status := range []int{406, 429, 503, 507, 403} {
		for _, value := range []string{"120", time.Now().Add(120 * time.Second).UTC().Format(http.TimeFormat)} {
			s.Fail("", pushtest.Fault{Status: status, Header: http.Header{"Retry-After": {value}}})
			o := s.sender.Send(t.Context(), s.device, message())
			s.Heal()
			if wait := time.Until(o.At); o.Result != retry || wait < 110*time.Second || wait > 121*time.Second {
				t.Errorf("%d, Retry-After %q: %+v, in %v", status, value, o, wait)
			}
		}
	}
}

func TestARejectedTokenIsRenewedOnceInTheSameSend(t *testing.T) {
	s := serve(t)
	if o := s.sender.Send(t.Context(), s.device, message()); o.Result != delivered {
		t.Fatal(o)
	}
	s.Fail("", pushtest.Fault{Status: 403, Body: `{"reason":"ExpiredJwtToken"}`, Times: 1})
	expect(t, s.sender.Send(t.Context(), s.device, message()), delivered, "", s.device)
	got := s.Messages()
	if s.Requests() != 3 || len(got) != 2 || got[0].Token == got[1].Token {
		t.Errorf("%d requests, %d messages; the token must be another", s.Requests(), len(got))
	}
	// A service that goes on rejecting gets no more new tokens within the hour, and one request per push.
	s.Fail("", pushtest.Fault{Status: 403, Body: `{"reason":"ExpiredJwtToken"}`})
	expect(t, s.sender.Send(t.Context(), s.device, message()), misconfigured, "webpush_vapid_rejected", s.device)
	if s.Requests() != 4 {
		t.Errorf("%d requests", s.Requests())
	}
}
