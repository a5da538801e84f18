package fcm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"idlepush/push"
	"idlepush/registry"
)

// quotaPause is how long to wait after 429 without Retry-After.
// https://firebase.google.com/docs/cloud-messaging/scale-fcm
const quotaPause = time.Minute

const invalidToken = "This device's token is not a valid FCM token. Open the app on the device, so that it registers again."

// failure is FCM's error answer. https://firebase.google.com/docs/cloud-messaging/error-codes
type failure struct {
	message    string
	status     string   // google.rpc.Code
	code       string   // FcmError's errorCode; empty: the answer holds none
	violations []string // the fields that google.rpc.BadRequest names
}

func (e *exchange) failure() failure {
	var answer struct {
		Error struct {
			Message string
			Status  string
			Details []struct {
				Type            string `json:"@type"`
				ErrorCode       string
				FieldViolations []struct{ Field string }
			}
		}
	}
	// What cannot be read leaves the failure empty, and the HTTP status decides.
	_ = json.Unmarshal(e.body, &answer)
	f := failure{message: answer.Error.Message, status: answer.Error.Status}
	for _, d := range answer.Error.Details {
		switch d.Type {
		case "type.googleapis.com/google.firebase.fcm.v1.FcmError":
			f.code = d.ErrorCode
		case "type.googleapis.com/google.rpc.BadRequest":
			for _, v := range d.FieldViolations {
				f.violations = append(f.violations, v.Field)
			}
		}
	}
	return f
}

// thirdParty reports whether FCM complains about the key that it holds for APNs or Web Push, not about ours.
func (e *exchange) thirdParty() bool {
	code := e.failure().code
	return code == "THIRD_PARTY_AUTH_ERROR" || code == "APNS_AUTH_ERROR"
}

// outcome says what FCM's answer means.
func (e *exchange) outcome(now time.Time) registry.Outcome {
	f := e.failure()
	switch {
	case e.ok():
		return registry.Outcome{Result: registry.ResultDelivered}
	case e.status == http.StatusBadRequest:
		return badRequest(f)
	case e.status == http.StatusUnauthorized && e.thirdParty():
		// The lane is not paused: Android phones, which need no such key, are in it too.
		return push.Suspect("fcm_third_party_auth", "FCM cannot reach this kind of device, because the APNs or Web Push key stored in the "+
			"Firebase project is missing or wrong. Correct it in the Firebase console under Cloud Messaging, then send a test push.")
	case e.status == http.StatusUnauthorized:
		return push.Misconfigured("fcm_unauthenticated", "Google does not accept the access token of the service account in fcm-credentials. "+
			"Check that the account is enabled, or make a new key in the Firebase console.")
	case e.status == http.StatusForbidden && f.code == "SENDER_ID_MISMATCH":
		return push.Suspect("fcm_sender_id_mismatch", "This device's token belongs to another Firebase project than fcm-credentials. "+
			"Open the app on the device, so that it registers again; if every device says so, fcm-credentials is for the wrong project.")
	case e.status == http.StatusForbidden:
		// No renewal: what an account may do is looked up by FCM, it does not travel in the access token.
		return push.Misconfigured("fcm_permission_denied", "The service account in fcm-credentials may not send messages. Give it the role "+
			"Firebase Cloud Messaging API Admin, and enable the Firebase Cloud Messaging API in the project.")
	case e.status == http.StatusNotFound && f.code == "UNREGISTERED":
		return registry.Outcome{Result: registry.ResultGone, Code: "fcm_unregistered",
			Reason: "FCM says that the app is no longer installed on this device, or that its token has expired. Open the app to register again."}
	case e.status == http.StatusNotFound && f.code == "":
		return push.Misconfigured("fcm_wrong_project", "FCM does not know the Firebase project, or its address is wrong. Check fcm-credentials and fcm-endpoint.")
	case e.status == http.StatusRequestEntityTooLarge:
		return tooLarge()
	case e.status == http.StatusTooManyRequests:
		o := push.Retry("fcm_quota_exceeded", "FCM takes no more messages for the moment. It is tried again by itself.")
		if o.At = push.RetryAfter(e.header, now); o.At.IsZero() {
			o.At = now.Add(quotaPause)
		}
		return o
	case e.status >= 500:
		o := push.Retry("fcm_unavailable", fmt.Sprintf("FCM has a problem of its own (HTTP status %d). It is tried again by itself.", e.status))
		o.At = push.RetryAfter(e.header, now)
		return o
	}
	o := push.Retry("fcm_unknown", fmt.Sprintf("Google gave an answer that idlepush does not know (HTTP status %d). It is tried again by itself; "+
		"check the setting fcm-endpoint and any proxy if this stays.", e.status))
	o.At = push.RetryAfter(e.header, now)
	return o
}

// badRequest tells a complaint about the token from one about the message: both are INVALID_ARGUMENT. The vendor's page
// shows a bad token with FcmError alone; in answers seen in the wild BadRequest names the field message.token too.
func badRequest(f failure) registry.Outcome {
	token := len(f.violations) == 0 && strings.Contains(strings.ToLower(f.message), "token")
	for _, field := range f.violations {
		token = token || field == "message.token"
	}
	switch {
	case f.code == "INVALID_ARGUMENT" && token:
		return push.Suspect("fcm_invalid_token", invalidToken)
	case f.code == "INVALID_ARGUMENT" || f.status == "INVALID_ARGUMENT":
		return push.Refused("fcm_invalid_argument",
			"FCM does not take this message as it is, so it was dropped. This is a fault of idlepush; please report it.")
	}
	return push.Retry("fcm_unknown", "Google gave an answer that idlepush does not know (HTTP status 400). It is tried again by itself; "+
		"check the setting fcm-endpoint and any proxy if this stays.")
}

// unreached says what it means that there was no answer from FCM.
func unreached(ctx context.Context, err error) registry.Outcome {
	grant, isGrant := errors.AsType[*grantError](err)
	switch {
	case ctx.Err() == context.Canceled:
		return push.Unanswered("fcm_interrupted", "Sending was interrupted. It is tried again by itself.")
	case isGrant:
		return ungranted(grant)
	case errors.Is(err, context.DeadlineExceeded):
		return push.Unanswered("fcm_timeout", "FCM did not answer in time. It is tried again by itself; check this server's connection if this stays.")
	}
	return push.Unanswered("fcm_unreachable", "FCM could not be reached. It is tried again by itself; check this server's connection, DNS and any proxy if this stays.")
}

// ungranted says what it means that Google gave no access token (RFC 6749 section 5.2).
func ungranted(err *grantError) registry.Outcome {
	if refusal, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		var answer struct{ Error string }
		_ = json.Unmarshal(refusal.Body, &answer)
		status := refusal.Response.StatusCode
		if answer.Error != "" && status >= 400 && status < 500 && status != http.StatusTooManyRequests {
			return push.Misconfigured("fcm_credentials", "Google does not accept the key in fcm-credentials. Check this server's clock, and that the service "+
				"account and its key still exist; otherwise make a new key in the Firebase console.")
		}
	}
	return push.Retry("fcm_token_unavailable", "Google gave no access token for FCM. It is tried again by itself; check this server's connection if this stays.")
}

func tooLarge() registry.Outcome {
	return push.Refused("fcm_too_large",
		"The message is larger than FCM takes, so it was dropped. A lower content level for this device makes messages smaller.")
}
