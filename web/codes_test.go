package web

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"idlepush"
	"idlepush/codes"
	"idlepush/promise"
	"idlepush/push"
	"idlepush/push/apns"
	"idlepush/push/fcm"
	"idlepush/push/webpush"
	"idlepush/receipt"
	"idlepush/registry"
	"idlepush/watcher"
	"idlepush/watcher/discover"
	"idlepush/watcher/oauth"
)

// testCodes are codes of the other packages that these tests use, with sentences of their own.
var testCodes = []codes.Entry{
	{Code: "apns_bad_device_token", Text: "Apple does not know it."},
	{Code: "apns_unreachable", Text: "APNs could not be reached."},
	{Code: "fcm_permission_denied", Text: "FCM refuses this server's key."},
	{Code: "fcm_not_configured", Text: "this server has no credentials for fcm"},
	{Code: "fcm_too_large", Text: "Too big."},
	{Code: "fcm_unavailable", Text: "FCM is down."},
	{Code: "fcm_unregistered", Text: "The app was removed."},
	{Code: "login_refused", Text: "The server refuses the password. Enter it again."},
	{Code: "webpush_gone", Text: "{host} has forgotten this browser. Register it anew."},
	{Code: "webpush_refused", Text: "The push service refuses the message."},
	{Code: "webpush_bad_address", Text: "The push service doubts this address."},
	{Code: "webpush_timeout", Text: "The push service did not answer in time."},
}

// allCodes are those of the program, so that testdata/openapi.json is its contract.
var allCodes = codes.Join(Codes, idlepush.Codes, registry.Codes, watcher.Codes, discover.Codes, oauth.Codes, promise.Codes, receipt.Codes, push.Codes, fcm.Codes, apns.Codes, webpush.Codes, testCodes)

// told returns the sentence of an outcome.
func told(o registry.Outcome) string { return allCodes.Sentence(o.Code, o.Params) }

// sameParams reports whether an answer has the parameters.
func sameParams(got any, want map[string]string) bool {
	return got == nil && want == nil || fmt.Sprint(got) == fmt.Sprint(want)
}

func TestCodes(t *testing.T) {
	t.Parallel()
	doc, err := documented()
	if err != nil {
		t.Fatal(err)
	}
	t.Run("the document lists all of them once", func(t *testing.T) {
		var want []any
		for _, c := range allCodes.Codes() {
			want = append(want, string(c))
		}
		if got := doc.Components.Schemas["Code"].Enum; !slices.Equal(got, want) {
			t.Errorf("the codes are %v, want %v", got, want)
		}
	})
	t.Run("every code of an answer is one of them", func(t *testing.T) {
		for name, s := range doc.Components.Schemas {
			if p, ok := s.Properties["code"]; ok && name != "Note" && !strings.Contains(name, "Invite") && name != "Acceptance" && p.Ref != "#/components/schemas/Code" {
				t.Errorf("%s.code is %+v", name, p)
			}
		}
	})
}
