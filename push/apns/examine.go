package apns

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/sideshow/apns2"

	"idlepush"
	"idlepush/codes"
	"idlepush/push"
	"idlepush/registry"
)

// noDevice is a device token that Apple gives to no device.
var noDevice = strings.Repeat("0", 64)

// Examine implements push.Transport. It sends a notification to a token that no device has, in each
// environment. If Apple complains about that token alone, it takes the key.
func (t *Transport) Examine(ctx context.Context) []idlepush.Step {
	if t.provider == nil {
		return []idlepush.Step{{Verdict: idlepush.VerdictOK, Reason: idlepush.Reason{Code: "apns_examined_unset"}}}
	}
	steps := []idlepush.Step{t.examine(ctx, t.production, production)}
	if t.sandbox.Host != t.production.Host {
		steps = append(steps, t.examine(ctx, t.sandbox, sandbox))
	}
	// A key may be for one environment alone.
	if len(steps) == 2 && (steps[0].Verdict == idlepush.VerdictOK || steps[1].Verdict == idlepush.VerdictOK) {
		for i := range steps {
			if steps[i].Params[codes.Cause] == "apns_bad_environment_key_in_token" {
				steps[i].Verdict = idlepush.VerdictLook
			}
		}
	}
	return steps
}

// examine asks one environment.
func (t *Transport) examine(ctx context.Context, client *apns2.Client, environment string) idlepush.Step {
	began := time.Now()
	o := t.request(ctx, client, &apns2.Notification{ApnsID: uuid.NewString(), CollapseID: "examination", DeviceToken: noDevice, Topic: t.topic,
		Expiration: began.Add(time.Minute), Priority: apns2.PriorityLow, PushType: apns2.PushTypeBackground, Payload: []byte(`{"aps":{"content-available":1}}`)}, target{})
	took := time.Since(began)
	if o.Code == badDeviceToken {
		return idlepush.Step{Verdict: idlepush.VerdictOK, Reason: idlepush.Reason{Code: "apns_examined"}.With("environment", environment), Took: took}
	}
	if o.Result == registry.ResultDelivered { // by no Apple
		o = push.Retry(unknownAnswer)
		o = push.With(o, "status", "200")
	}
	o = push.With(push.With(o, codes.Cause, string(o.Code)), "environment", environment)
	o.Code = "apns_examined_fails"
	return push.Wrong(o, took)
}
