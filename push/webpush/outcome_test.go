package webpush_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/push/pushtest"
	"idlepush/push/pushtest/sendertest"
	"idlepush/push/webpush"
	"idlepush/registry"
)

const (
	delivered     = registry.ResultDelivered
	retry         = registry.ResultRetry
	gone          = registry.ResultGone
	refused       = registry.ResultRefused
	misconfigured = registry.ResultMisconfigured
)

// reply is an answer of a service, and the outcome that it must have.
type reply struct {
	status  int
	body    string
	result  registry.Result
	suspect bool
	code    codes.Code
}

// samples are answers for each row of the table.
var samples = map[string][]reply{
	"200 page": {
		{200, pushtest.ProxyPages["a login page"].Body, retry, true, "webpush_page"},
		{200, "<html>secret body", retry, true, "webpush_page"},
	},
	"200-299": {{200, `{"id":"x"}`, delivered, false, ""}, {200, "", delivered, false, ""}, {201, "secret body", delivered, false, ""}, {202, "", delivered, false, ""}, {204, "", delivered, false, ""}},
	"300-399": {{300, "", retry, true, "webpush_redirect"}, {304, "", retry, true, "webpush_redirect"}},

	"410 <title>notregistered page known":                {{410, "<HTML><TITLE>NotRegistered</TITLE></HTML>", gone, false, "webpush_gone"}},
	"403 <title>mismatchsenderid page":                   {{403, "<HTML><TITLE>MismatchSenderId</TITLE></HTML>", retry, true, "webpush_other_key"}},
	"400-403 <title>unauthorizedregistration page known": {{400, "<HTML><TITLE>UnauthorizedRegistration</TITLE></HTML>", misconfigured, false, "webpush_vapid_rejected"}},
	"401 page": {{401, pushtest.ProxyPages["nginx 401"].Body, retry, true, "webpush_refused_in_front"}},
	"403 page": {
		{403, pushtest.ProxyPages["nginx 403"].Body, retry, true, "webpush_refused_in_front"},
		{403, "<html>secret body about a jwt", retry, true, "webpush_refused_in_front"},
		{403, pushtest.ErrorPage, retry, true, "webpush_refused_in_front"},
	},
	"400-428 page": {
		{400, "<html>secret body", retry, true, "webpush_page"},
		{404, pushtest.ProxyPages["nginx 404"].Body, retry, true, "webpush_page"},
		{404, pushtest.ProxyPages["Traefik 404"].Body, retry, true, "webpush_page"},
		{410, pushtest.ProxyPages["nginx 410"].Body, retry, true, "webpush_page"},
		{413, pushtest.ProxyPages["nginx 413"].Body, retry, true, "webpush_page"},
	},

	"400-403 VapidPkHashMismatch known": {
		{400, `{"reason":"VapidPkHashMismatch"}`, gone, false, "webpush_vapid_mismatch"},
		{401, `{"reason":"VapidPkHashMismatch"}`, gone, false, "webpush_vapid_mismatch"},
		{403, `{"reason": "VapidPkHashMismatch"}`, gone, false, "webpush_vapid_mismatch"},
	},
	"400-403 VapidPkHashMismatch": {
		{400, `{"reason":"VapidPkHashMismatch"}`, retry, true, "webpush_vapid_mismatch"},
		{403, `{"reason": "VapidPkHashMismatch"}`, retry, true, "webpush_vapid_mismatch"},
	},
	"400-403 BadAuthorizationHeader": {{400, `{"reason":"BadAuthorizationHeader"}`, misconfigured, false, "webpush_vapid_rejected"}},
	"400-403 BadJwtToken": {
		{400, `{"reason":"BadJwtToken"}`, misconfigured, false, "webpush_vapid_rejected"},
		{403, `{"reason":"BadJwtToken"}`, misconfigured, false, "webpush_vapid_rejected"},
	},
	"400-403 ExpiredJwtToken":   {{403, `{"reason":"ExpiredJwtToken"}`, misconfigured, false, "webpush_vapid_rejected"}},
	"400-403 BadVapidPublicKey": {{403, `{"reason":"BadVapidPublicKey"}`, misconfigured, false, "webpush_vapid_rejected"}},

	"400 108": {{400, `{"code":400,"errno":108,"message":"Router type is invalid"}`, retry, true, "webpush_bad_address"}},
	"401 vapid public key mismatch": {
		{401, `{"code":401,"errno":109,"error":"Unauthorized","message":"VAPID public key mismatch"}`, retry, true, "webpush_other_key"},
	},
	"401 109": {
		{401, `{"code":401,"errno":109,"message":"Invalid VAPID audience"}`, misconfigured, false, "webpush_vapid_rejected"},
		{401, `{"code":401,"errno":109,"message":"The VAPID token expiration is too long"}`, misconfigured, false, "webpush_vapid_rejected"},
	},

	"403 do not correspond to the credentials used to create the subscription": {
		{403, "the VAPID credentials in the authorization header do not correspond to the credentials used to create the subscriptions.\n",
			retry, true, "webpush_other_key"},
	},
	"403 invalid push subscription endpoint": {{403, "invalid push subscription endpoint\n", retry, true, "webpush_bad_address"}},
	"403 mismatchsenderid":                   {{403, "MismatchSenderId\n", retry, true, "webpush_other_key"}},
	"400-403 unauthorizedregistration":       {{400, "UnauthorizedRegistration\n", misconfigured, false, "webpush_vapid_rejected"}},
	"400-403 jwt":                            {{403, "invalid JWT provided\n", misconfigured, false, "webpush_vapid_rejected"}},
	"400-403 aud claim":                      {{403, "aud claim in the authorization header must match the origin\n", misconfigured, false, "webpush_vapid_rejected"}},
	"400-403 exp claim": {
		{403, "exp claim MUST NOT be more than 24 hours from the time of the request\n", misconfigured, false, "webpush_vapid_rejected"},
	},
	"400-403 token has expired":        {{401, "the token has expired\n", misconfigured, false, "webpush_vapid_rejected"}},
	"400-403 public key must be":       {{400, "the public key must be 65 bytes\n", misconfigured, false, "webpush_vapid_rejected"}},
	"400-403 authorization header had": {{400, "the authorization header had an invalid format\n", misconfigured, false, "webpush_vapid_rejected"}},

	"406": {{406, "", retry, false, "webpush_throttled"}},

	"400 40009": {{400, `{"code":40009,"http":400,"error":"invalid request: topic invalid"}`, retry, true, "webpush_bad_address"}},
	"400 40010": {{400, `{"code":40010,"http":400,"error":"invalid request: topic name is not allowed"}`, retry, true, "webpush_bad_address"}},
	"401 40101": {{401, `{"code":40101,"http":401,"error":"unauthorized"}`, retry, true, "webpush_unauthorized"}},
	"403 40301": {{403, `{"code":40301,"http":403,"error":"forbidden"}`, retry, true, "webpush_unauthorized"}},
	"404 40401": {{404, `{"code":40401,"http":404,"error":"page not found"}`, retry, true, "webpush_bad_address"}},
	"507":       {{507, `{"code":50701,"http":507}`, retry, true, "webpush_no_subscriber"}, {507, "", retry, true, "webpush_no_subscriber"}},

	`401 "success":false`: {{401, `{"success":false}`, retry, true, "webpush_not_found"}},

	"400": {
		{400, "secret body", refused, false, "webpush_bad_request"},
		{400, `{"reason":"BadWebPushTopic"}`, refused, false, "webpush_bad_request"},
		{400, `{"code":400,"errno":111,"message":"Missing TTL value"}`, refused, false, "webpush_bad_request"},
	},
	"401": {{401, "", misconfigured, false, "webpush_unauthorized"}},
	"403": {
		{403, "", misconfigured, false, "webpush_unauthorized"},
		{403, "VapidPkHashMismatch", misconfigured, false, "webpush_unauthorized"}, // not JSON
		{403, "secret body", misconfigured, false, "webpush_unauthorized"},
	},
	"404 known": {{404, "", gone, false, "webpush_gone"}, {404, `{"code":404,"errno":102}`, gone, false, "webpush_gone"}},
	"404 102":   {{404, `{"code":404,"errno":102,"error":"Not Found","message":"Invalid token"}`, retry, true, "webpush_not_found"}},
	"404": {
		{404, "", retry, true, "webpush_nothing_there"},
		{404, `{"message":"no Route matched with those values"}`, retry, true, "webpush_nothing_there"},
		{404, "secret body", retry, true, "webpush_nothing_there"},
	},
	"408":       {{408, "", retry, false, "webpush_unavailable"}},
	"410 known": {{410, `{"code":410,"errno":106}`, gone, false, "webpush_gone"}, {410, `{"reason":"Unregistered"}`, gone, false, "webpush_gone"}},
	"410":       {{410, `{"reason":"Unregistered"}`, retry, true, "webpush_not_found"}, {410, `{"code":410,"errno":103}`, retry, true, "webpush_not_found"}, {410, "", retry, true, "webpush_not_found"}},
	"411":       {{411, "", refused, false, "webpush_bad_request"}},
	"413":       {{413, "", refused, false, "webpush_too_large"}, {413, `{"code":413,"errno":104}`, refused, false, "webpush_too_large"}},
	"415":       {{415, "", refused, false, "webpush_bad_request"}},
	"421":       {{421, "", retry, false, "webpush_unavailable"}},
	"422":       {{422, "", refused, false, "webpush_bad_request"}},
	"425":       {{425, "", retry, false, "webpush_unavailable"}},
	"429":       {{429, "", retry, false, "webpush_throttled"}, {429, `{"code":42908,"http":429}`, retry, false, "webpush_throttled"}},
	"500-599": {
		{500, "", retry, false, "webpush_unavailable"},
		{502, "<html>Bad Gateway secret body", retry, false, "webpush_unavailable"},
		{503, `{"errno":201}`, retry, false, "webpush_unavailable"},
		{599, "", retry, false, "webpush_unavailable"},
	},
	"100-999": {
		{402, "", retry, true, "webpush_unexpected"},
		{405, "", retry, true, "webpush_unexpected"},
		{451, "", retry, true, "webpush_unexpected"},
		{777, "", retry, true, "webpush_unexpected"},
	},
}

func TestOutcome(t *testing.T) {
	t.Run("every row of the table has its outcome", outcomeRows)
	t.Run("Retry-After is honoured in both forms", outcomeRetryAfter)
	t.Run("whatever breaks, the message is kept or its status is known", outcomeBreaks)
}

func outcomeRows(t *testing.T) {
	s := serve(t)
	sendertest.EachRow(t, webpush.Rows(), samples, func(t *testing.T, row int, c reply) {
		defer s.ClearFaults()
		if strings.HasSuffix(webpush.Rows()[row], "known") {
			defer webpush.Know("127.0.0.1")()
		}
		s.Fail("", pushtest.Fault{Status: c.status, Body: c.body})
		o := s.sender.Send(t.Context(), s.device, message())
		expect(t, o, c.result, c.code, s.device)
		if o.Suspect != c.suspect || !o.At.IsZero() {
			t.Errorf("got %+v, want suspect %v and no time", o, c.suspect)
		}
		defer webpush.Mark(row, "marked")()
		if o := s.sender.Send(t.Context(), s.device, message()); o.Code != "marked" {
			t.Errorf("another row decides it: %+v", o)
		}
	})
}

func TestRenewal(t *testing.T) {
	t.Run("only an answer that blames this server renews the token", renewalReasons)
	t.Run("a rejected token is renewed once, in the same send", renewalOnce)
}

func renewalReasons(t *testing.T) {
	for name, c := range map[string]struct {
		fault    pushtest.Fault
		requests int
	}{
		"no reason":        {pushtest.Fault{Status: 403}, 2},
		"an old token":     {pushtest.Fault{Status: 401, Body: `{"code":401,"errno":109,"message":"Invalid VAPID expiry"}`}, 2},
		"one subscription": {pushtest.Fault{Status: 401, Body: `{"code":401,"errno":109,"message":"VAPID public key mismatch"}`}, 1},
		"another key":      {pushtest.Fault{Status: 403, Reason: "VapidPkHashMismatch"}, 1},
		"a bad request":    {pushtest.Fault{Status: 400, Reason: "BadJwtToken"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t)
			s.Fail("", c.fault)
			s.sender.Send(t.Context(), s.device, message())
			if n := s.Requests(); n != c.requests {
				t.Errorf("%d requests, want %d", n, c.requests)
			}
		})
	}
}

func outcomeRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service, sender := serveInMemory(t)
		sub, err := service.Subscribe("http://push.test", "")
		if err != nil {
			t.Fatal(err)
		}
		device := idlepush.Device{ID: "d", Transport: "webpush", Address: sub.Endpoint, Keys: &sub.Keys}
		for _, status := range []int{406, 429, 503, 507} {
			for _, value := range []string{"120", time.Now().Add(120 * time.Second).UTC().Format(http.TimeFormat)} {
				service.Fail("", pushtest.Fault{Status: status, Header: http.Header{"Retry-After": {value}}})
				o := sender.Send(t.Context(), device, message())
				service.ClearFaults()
				if wait := time.Until(o.At); o.Result != retry || wait != 120*time.Second {
					t.Errorf("%d, Retry-After %q: %+v, in %v", status, value, o, wait)
				}
			}
		}
	})
}

func renewalOnce(t *testing.T) {
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
	// If the service still rejects, there is no new token for an hour, and one request per push.
	s.Fail("", pushtest.Fault{Status: 403, Body: `{"reason":"ExpiredJwtToken"}`})
	expect(t, s.sender.Send(t.Context(), s.device, message()), misconfigured, "webpush_vapid_rejected", s.device)
	if s.Requests() != 4 {
		t.Errorf("%d requests", s.Requests())
	}
}

// breaks are the ways in which an exchange can fail, with their outcomes.
var breaks = map[string]struct {
	fault   pushtest.Fault
	result  registry.Result
	code    codes.Code
	unknown bool
	reached int // times that the phone has the message
}{
	"connection lost":      {pushtest.Fault{Drop: true}, retry, "webpush_unreachable", true, 0},
	"answer lost":          {pushtest.Fault{Drop: true, Accepted: true}, retry, "webpush_unreachable", true, 1},
	"half of the success":  {pushtest.Fault{Status: 200, Half: true}, delivered, "", false, 1},
	"half of an outage":    {pushtest.Fault{Status: 503, Body: pushtest.ErrorPage, Half: true}, retry, "webpush_unavailable", false, 0},
	"half of what is gone": {pushtest.Fault{Status: 410, Reason: "Unregistered", Half: true}, gone, "webpush_gone", false, 0},
	"half of a mismatch":   {pushtest.Fault{Status: 403, Reason: "VapidPkHashMismatch", Half: true}, misconfigured, "webpush_unauthorized", false, 0},
	"GOAWAY":               {pushtest.Fault{Status: 503, GoAway: true}, retry, "webpush_unavailable", false, 0},
	"an outage's page":     {pushtest.Fault{Status: 502, Body: pushtest.ErrorPage}, retry, "webpush_unavailable", false, 0},
}

// With TLS no proxy can answer, so here a status counts even if the body breaks off.
func outcomeBreaks(t *testing.T) {
	defer webpush.Know("127.0.0.1")()
	for name, c := range breaks {
		t.Run(name, func(t *testing.T) {
			s := serve(t)
			s.Fail("", c.fault)
			o := s.sender.Send(t.Context(), s.device, message())
			expect(t, o, c.result, c.code, s.device)
			if o.MaybeDelivered != c.unknown || o.Suspect || len(s.Messages()) != c.reached {
				t.Errorf("%+v, and %d messages came", o, len(s.Messages()))
			}
			s.ClearFaults()
			if c.result == retry {
				expect(t, s.sender.Send(t.Context(), s.device, message()), delivered, "", s.device)
			}
		})
	}
}
