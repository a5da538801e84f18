package oauth

import (
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"idlepush/codes"
)

func TestJudge(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status int
		body   string
		what   asked
		want   verdict
	}{
		// RFC 6749 section 5.2
		{400, `{"error":"invalid_grant"}`, asksRefresh, verdict{"consent_ended", "", Consent}},
		{400, `{"error":"invalid_grant"}`, asksCode, verdict{"consent_code_refused", "", Consent}},
		{400, `{"error":"invalid_grant"}`, asksDevice, verdict{"device_code_expired", "", Consent}},
		{401, `{"error":"invalid_grant"}`, asksRefresh, verdict{"consent_ended", "", Consent}},
		{200, `{"error":"invalid_grant"}`, asksRefresh, verdict{"consent_ended", "", Consent}},
		{401, `{"error":"invalid_client"}`, asksRefresh, verdict{"client_refused", "", Admin}},
		{400, `{"error":"unauthorized_client"}`, asksRefresh, verdict{"client_not_permitted", "", Admin}},
		{400, `{"error":"unsupported_grant_type"}`, asksDevice, verdict{"client_not_permitted", "", Admin}},
		{400, `{"error":"invalid_scope"}`, asksCode, verdict{"scope_refused", "", Admin}},
		{400, `{"error":"invalid_request"}`, asksRefresh, verdict{"request_refused", "", Admin}},

		// Answers that are no verdict on anything
		{500, `{"error":"invalid_grant"}`, asksRefresh, verdict{"provider_unavailable", "", Retry}},
		{503, `{"error":"invalid_client"}`, asksRefresh, verdict{"provider_unavailable", "", Retry}},
		{429, `{"error":"invalid_grant"}`, asksRefresh, verdict{"provider_busy", "", Retry}},
		{400, `{"error":"temporarily_unavailable"}`, asksRefresh, verdict{"provider_unavailable", "", Retry}},
		{400, `{"error":"server_error"}`, asksCode, verdict{"provider_unavailable", "", Retry}},
		{400, `{"error":"new_moon"}`, asksRefresh, verdict{"provider_refuses", "", Retry}},
		{403, `<html>invalid_grant</html>`, asksRefresh, verdict{"provider_faulty", "", Retry}},
		{404, ``, asksRefresh, verdict{"provider_faulty", "", Retry}},
		{200, `<html>`, asksRefresh, verdict{"provider_faulty", "", Retry}},
		{400, `"invalid_grant"`, asksRefresh, verdict{"provider_faulty", "", Retry}},
		{400, `{"error":{"code":400}}`, asksRefresh, verdict{"provider_faulty", "", Retry}},
		{400, `{"error":"invalid_grant","error_codes":"none","error_description":7}`, asksRefresh, verdict{"consent_ended", "", Consent}},
		{400, `{"error":"invalid_grant"`, asksRefresh, verdict{"provider_faulty", "", Retry}},
		{400, `{}`, asksRefresh, verdict{"provider_faulty", "", Retry}},

		// RFC 8628 section 3.5, and Microsoft's own words for it
		{400, `{"error":"expired_token"}`, asksDevice, verdict{"device_code_expired", "", Consent}},
		{400, `{"error":"access_denied"}`, asksDevice, verdict{"consent_declined", "", Consent}},
		{400, `{"error":"authorization_declined","error_codes":[70017]}`, asksDevice, verdict{"consent_declined", "", Consent}},
		{400, `{"error":"bad_verification_code","error_codes":[70018]}`, asksDevice, verdict{"device_code_expired", "", Consent}},
		{400, `{"error":"slow_down"}`, asksRefresh, verdict{"provider_busy", "", Retry}},

		// Microsoft. Its numbers are in error_codes, or only in the description.
		{400, `{"error":"invalid_grant","error_codes":[700082]}`, asksRefresh, verdict{"consent_ended", "", Consent}},
		{400, `{"error":"invalid_grant","error_codes":[50173]}`, asksRefresh, verdict{"consent_ended", "", Consent}},
		{400, `{"error":"invalid_grant","error_codes":[50076]}`, asksRefresh, verdict{"consent_interaction", "", Consent}},
		{400, `{"error":"interaction_required","error_codes":[1]}`, asksRefresh, verdict{"consent_interaction", "", Consent}},
		{400, `{"error":"invalid_grant","error_description":"AADSTS50079: Due to a configuration change"}`, asksRefresh, verdict{"consent_interaction", "", Consent}},
		{400, `{"error":"invalid_grant","error_codes":[53003]}`, asksRefresh, verdict{"consent_needs_organization", "", Consent}},
		{400, `{"error":"access_denied","error_description":"AADSTS90094: needs permission"}`, asksCode, verdict{"consent_needs_organization", "", Consent}},
		{400, `{"error":"invalid_grant","error_codes":[65001]}`, asksRefresh, verdict{"consent_ended", "", Consent}},
		{401, `{"error":"invalid_client","error_codes":[7000222]}`, asksRefresh, verdict{"client_refused", secretExpired, Admin}},
		{401, `{"error":"invalid_client","error_codes":[7000215]}`, asksRefresh, verdict{"client_refused", secretWrong, Admin}},
		{401, `{"error":"invalid_client","error_codes":[7000218]}`, asksDevice, verdict{"client_refused", secretMissing, Admin}},
		{401, `{"error":"invalid_client","error_codes":["700025"]}`, asksRefresh, verdict{"client_refused", secretNeedless, Admin}},
		{400, `{"error":"unauthorized_client","error_codes":[700016]}`, asksCode, verdict{"client_refused", clientUnknown, Admin}},
		{400, `{"error":"invalid_request","error_codes":[9002327]}`, asksCode, verdict{"client_not_permitted", singlePage, Admin}},
		{400, `{"error":"invalid_grant","error_codes":[700084]}`, asksRefresh, verdict{"client_not_permitted", singlePage, Admin}},
		{400, `{"error":"invalid_request","error_codes":[9002346]}`, asksCode, verdict{"client_not_permitted", accountTypes, Admin}},
		{400, `{"error":"invalid_client","error_codes":[50011]}`, asksCode, verdict{"redirect_refused", "", Admin}},
		{400, `{"error":"invalid_client","error_codes":[650057]}`, asksCode, verdict{"scope_refused", "", Admin}},
		{400, `{"error":"invalid_grant","error_codes":[50196]}`, asksRefresh, verdict{"provider_busy", "", Retry}},
		{400, `{"error":"invalid_grant","error_codes":[90033]}`, asksRefresh, verdict{"provider_unavailable", "", Retry}},
		{503, `{"error":"invalid_grant","error_codes":[700082]}`, asksRefresh, verdict{"provider_unavailable", "", Retry}},

		// Google
		{400, `{"error":"invalid_grant","error_description":"Token has been expired or revoked."}`, asksRefresh, verdict{"consent_ended", "", Consent}},
		{400, `{"error":"invalid_grant","error_subtype":"invalid_rapt"}`, asksRefresh, verdict{"consent_ended", "", Consent}},
		{400, `{"error":"redirect_uri_mismatch"}`, asksCode, verdict{"redirect_refused", "", Admin}},
		{401, `{"error":"deleted_client"}`, asksRefresh, verdict{"client_refused", clientUnknown, Admin}},
		{400, `{"error":"admin_policy_enforced"}`, asksRefresh, verdict{"consent_needs_organization", "", Consent}},

		// Yahoo
		{401, `{"error":"INVALID_REFRESH_TOKEN"}`, asksRefresh, verdict{"consent_ended", "", Consent}},
	} {
		got := judge(parseAnswer(c.status, nil, []byte(c.body), time.Now()), c.what)
		if got != c.want {
			t.Errorf("%d %s for %d: %v, want %v", c.status, c.body, c.what, got, c.want)
		}
	}
}

func TestVerdictsHaveTheirSentences(t *testing.T) {
	t.Parallel()
	all := slices.Collect(maps.Values(byError))
	numbers := make(map[int]bool)
	for _, n := range byNumber {
		all = append(all, n.verdict)
		for _, number := range n.numbers {
			if numbers[number] {
				t.Errorf("%d is there twice", number)
			}
			numbers[number] = true
		}
	}
	for _, v := range all {
		params := map[string]string{"provider": "Microsoft"}
		if v.variant != "" {
			params[codes.Case] = v.variant
		}
		if err := sentences.Check(v.code, params); err != nil {
			t.Error(err)
		}
	}
}

// Whether a client has a secret follows from its registration, where an admin must find what to
// change: in the words of Microsoft's page, and in docs/providers.md by the number of the error.
func TestSecretAndRegistration(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/providers.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ body, number, says string }{
		{`{"error":"invalid_client","error_description":"AADSTS7000218: The request body must contain the following parameter: 'client_assertion' or 'client_secret'.","error_codes":[7000218]}`,
			"AADSTS7000218", `set "Allow public client flows" to Yes`},
		{`{"error":"invalid_client","error_description":"AADSTS700025: Client is public so neither 'client_assertion' nor 'client_secret' should be presented.","error_codes":[700025]}`,
			"AADSTS700025", "remove the secret in idlepush"},
	} {
		for _, what := range []asked{asksCode, asksDevice, asksRefresh} {
			e := (Provider{Title: "Microsoft"}).refused(parseAnswer(401, nil, []byte(c.body), time.Now()), what)
			if e.Remedy != Admin || !strings.Contains(e.Error(), c.says) {
				t.Errorf("%s for %d: %v", c.number, what, e)
			}
		}
		if !strings.Contains(string(page), "`"+c.number+"`") {
			t.Errorf("docs/providers.md does not name %s", c.number)
		}
	}
}

func TestSaid(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"error":"invalid_grant"}`: "invalid_grant",
		`{"error":"invalid_grant","error_description":"the token 1//0planted is not valid"}`:   "invalid_grant",
		`{"error":"invalid_grant","error_codes":[700082]}`:                                     "invalid_grant, AADSTS700082",
		`{"error":"invalid_grant","error_description":"AADSTS50173: ann@example.org must"}`:    "invalid_grant, AADSTS50173",
		`{"error":"invalid_grant","error_description":"XAADSTS50173 AADSTS1 AADSTS123456789"}`: "invalid_grant",
		`{"error":"1//0planted"}`:                     "",
		`{"error":"planted<script>"}`:                 "",
		`{"error":"eyJhbGciOiJub25lIn0.e"}`:           "",
		`{"error":"` + strings.Repeat("a", 41) + `"}`: "",
		`{"error":"a_a_a_a_a_a_a_a"}`:                 "",
		`{"error":"\u0000"}`:                          "",
		`{}`:                                          "",
	} {
		if got := parseAnswer(400, nil, []byte(body), time.Now()).said(); got != want {
			t.Errorf("%s: %q, want %q", body, got, want)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "0": 0, "90": 90 * time.Second, "-1": 0, "soon": 0, "99999999": 24 * time.Hour, "99999999999999999999": 0,
		now.Add(time.Minute).Format(http.TimeFormat):      time.Minute,
		now.Add(-time.Minute).Format(http.TimeFormat):     0,
		now.Add(9000 * time.Hour).Format(http.TimeFormat): 24 * time.Hour,
	} {
		if got := retryAfter(text, now); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func TestLife(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]time.Duration{
		`{}`: time.Hour, `{"expires_in":3599}`: 3599 * time.Second, `{"expires_in":"3599"}`: 3599 * time.Second, `{"expires_in":3599.7}`: 3599 * time.Second,
		`{"expires_in":null}`: time.Hour, `{"expires_in":"NaN"}`: time.Hour, `{"expires_in":-5}`: time.Minute, `{"expires_in":1}`: time.Minute,
		`{"expires_in":31536000}`: 365 * 24 * time.Hour, `{"expires_in":1e30}`: 366 * 24 * time.Hour, `{"expires_in":"Infinity"}`: 366 * 24 * time.Hour,
	} {
		if got := parseAnswer(200, nil, []byte(body), time.Now()).life(); got != want {
			t.Errorf("%s: %s, want %s", body, got, want)
		}
	}
}
