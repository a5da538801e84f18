package oauth

import (
	"net/http"

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
	if v, known := byNumber[a.aadsts()]; known {
		return v
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
// Connect Core 1.0 (section 3.1.2.6) and RFC 9126, and those that vendors have added.
var byError = map[string]verdict{
	"invalid_grant":              {"consent_ended", "", Consent},
	"access_denied":              {"consent_declined", "", Consent},
	"expired_token":              {"device_code_expired", "", Consent},
	"interaction_required":       {"consent_interaction", "", Consent},
	"login_required":             {"consent_interaction", "", Consent},
	"account_selection_required": {"consent_interaction", "", Consent},
	"consent_required":           {"consent_interaction", "", Consent},
	"authorization_declined":     {"consent_declined", "", Consent},    // Microsoft, v2-oauth2-device-code
	"bad_verification_code":      {"device_code_expired", "", Consent}, // Microsoft, the same

	"invalid_client":            {"client_refused", "", Admin},
	"unauthorized_client":       {"client_not_permitted", "", Admin},
	"redirect_uri_mismatch":     {"redirect_refused", "", Admin}, // Google
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
// change, so whatever is not here is judged by its name.
var byNumber = map[int]verdict{
	50011: {"redirect_refused", "", Admin},

	7000215: {"client_refused", secretWrong, Admin},
	7000222: {"client_refused", secretExpired, Admin},
	7000218: {"client_refused", secretMissing, Admin},
	700025:  {"client_refused", secretNeedless, Admin},
	700016:  {"client_refused", clientUnknown, Admin},

	50194:   {"client_not_permitted", accountTypes, Admin},
	9002331: {"client_not_permitted", accountTypes, Admin},
	9002346: {"client_not_permitted", accountTypes, Admin},
	9002327: {"client_not_permitted", singlePage, Admin},
	700084:  {"client_not_permitted", singlePage, Admin},

	50076: {"consent_interaction", "", Consent},
	50079: {"consent_interaction", "", Consent},

	50105: {"consent_needs_organization", "", Consent},
	53000: {"consent_needs_organization", "", Consent},
	53003: {"consent_needs_organization", "", Consent},
	90094: {"consent_needs_organization", "", Consent},

	50196: {"provider_busy", "", Retry},
	90033: {"provider_unavailable", "", Retry},
}
