package oauth

import (
	"net/http"
	"slices"

	"idlepush/codes"
)

// asked is what a request was for.
type asked int

const (
	asksCode    asked = iota // a consent by authorization code
	asksDevice               // a consent by device code
	asksRefresh              // a new access token
)

// verdict is what an answer without a token means.
type verdict struct {
	code    codes.Code
	variant string // the case of its sentence; empty: there is one only
	remedy  Remedy
}

// judge decides what an answer without a token means. An error that is not known is temporary.
func judge(a answer, what asked) verdict {
	switch {
	case a.status == http.StatusTooManyRequests:
		return verdict{"provider_busy", "", Retry}
	case a.status >= 500:
		return verdict{"provider_unavailable", "", Retry}
	case a.Error == "":
		return verdict{"provider_faulty", "", Retry}
	}
	number := a.aadsts()
	for _, n := range byNumber {
		if slices.Contains(n.numbers, number) {
			return n.verdict
		}
	}
	if a.Error == "invalid_grant" && what == asksCode {
		return verdict{"consent_code_refused", "", Consent}
	}
	if a.Error == "invalid_grant" && what == asksDevice {
		return verdict{"device_code_expired", "", Consent}
	}
	if v, known := byError[a.Error]; known {
		return v
	}
	return verdict{"provider_refuses", "", Retry}
}

// byError are the errors of RFC 6749 (sections 4.1.2.1 and 5.2), RFC 8628 (section 3.5), OpenID
// Connect Core 1.0 (section 3.1.2.6), and those that vendors have added: Microsoft's are on the
// page of v2-oauth2-device-code, Google's on that of OAuth 2.0 for web servers.
var byError = map[string]verdict{
	"invalid_grant":              {"consent_ended", "", Consent},
	"invalid_refresh_token":      {"consent_ended", "", Consent},        // Yahoo
	"expired_refresh_token":      {"consent_ended", "", Consent},        // Yahoo
	"invalid_authorization_code": {"consent_code_refused", "", Consent}, // Yahoo
	"access_denied":              {"consent_declined", "", Consent},
	"expired_token":              {"device_code_expired", "", Consent},
	"interaction_required":       {"consent_interaction", "", Consent},
	"login_required":             {"consent_interaction", "", Consent},
	"account_selection_required": {"consent_interaction", "", Consent},
	"consent_required":           {"consent_interaction", "", Consent},
	"authorization_declined":     {"consent_declined", "", Consent},    // Microsoft
	"bad_verification_code":      {"device_code_expired", "", Consent}, // Microsoft

	"invalid_client":            {"client_refused", "", Admin},
	"unauthorized_client":       {"client_not_permitted", "", Admin},
	"redirect_uri_mismatch":     {"redirect_refused", "", Admin}, // Google
	"invalid_redirect_uri":      {"redirect_refused", "", Admin}, // Yahoo
	"invalid_scope":             {"scope_refused", "", Admin},
	"invalid_target":            {"scope_refused", "", Admin}, // RFC 8707
	"invalid_resource":          {"scope_refused", "", Admin}, // Microsoft
	"invalid_request":           {"request_refused", "", Admin},
	"unsupported_grant_type":    {"client_not_permitted", "", Admin},
	"unsupported_response_type": {"client_not_permitted", "", Admin},
	"deleted_client":            {"client_refused", clientUnknown, Admin}, // Google
	"disabled_client":           {"client_not_permitted", "", Admin},      // Google

	"admin_policy_enforced": {"consent_needs_organization", "", Consent}, // Google
	"org_internal":          {"consent_needs_organization", "", Consent}, // Google

	"server_error":            {"provider_unavailable", "", Retry},
	"temporarily_unavailable": {"provider_unavailable", "", Retry},
	"slow_down":               {"provider_busy", "", Retry},
}

// byNumber are the errors of Microsoft that say more than their names do.
// https://learn.microsoft.com/entra/identity-platform/reference-error-codes warns that the numbers
// change, so all other errors are judged by their names. 9002327, 9002331 and 9002346 are not on
// that page; programs on GitHub quote their texts.
var byNumber = []struct {
	verdict
	numbers []int
}{
	{verdict{"redirect_refused", "", Admin}, []int{50011, 70004, 900971}},
	{verdict{"client_refused", secretWrong, Admin}, []int{70002, 7000215}},
	{verdict{"client_refused", secretExpired, Admin}, []int{7000222}},
	{verdict{"client_refused", secretMissing, Admin}, []int{7000218}},
	{verdict{"client_refused", secretNeedless, Admin}, []int{700025}},
	{verdict{"client_refused", clientUnknown, Admin}, []int{700011, 700016}},
	// For other accounts than those of /common; 9001023 and 90130 forbid /common itself.
	{verdict{"client_not_permitted", accountTypes, Admin}, []int{50194, 90130, 9001023, 9002331, 9002332, 9002346}},
	{verdict{"client_not_permitted", singlePage, Admin}, []int{700084, 9002327}},
	{verdict{"scope_refused", "", Admin}, []int{28002, 65005, 650056, 650057, 70011}},
	// Second factors, and how often a person must be seen.
	{verdict{"consent_interaction", "", Consent}, []int{50072, 50074, 50076, 50078, 50079, 50158, 70043, 700020}},
	{verdict{"consent_declined", "", Consent}, []int{65004}},
	// Rules of an organization, and consents that only its administrators can give.
	{verdict{"consent_needs_organization", "", Consent}, []int{50005, 50105, 50131, 500212, 500213, 53000, 53001, 53002, 53003, 53011, 530032, 530035, 90094, 90095, 90099}},
	{verdict{"provider_busy", "", Retry}, []int{50196, 90055}},
	{verdict{"provider_unavailable", "", Retry}, []int{40010, 50000, 50033, 50087, 50088, 50166, 70012, 90006, 90012, 90024, 90033, 90090, 90091}},
}
