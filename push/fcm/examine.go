package fcm

import (
	"context"
	"encoding/json"
	"time"

	"firebase.google.com/go/v4/messaging"

	"idlepush"
	"idlepush/push"
	"idlepush/registry"
)

// Examine implements push.Transport. It gets a new access token, and asks FCM to check a message to
// a token that no device has. With validate_only FCM would deliver none.
func (t *Transport) Examine(ctx context.Context) []idlepush.Step {
	if t.url == "" {
		return []idlepush.Step{{Verdict: idlepush.VerdictOK, Reason: idlepush.Reason{Code: "fcm_examined_unset"}}}
	}
	began := time.Now()
	token, err := t.tokens.fetch(ctx)
	if err != nil {
		return []idlepush.Step{push.Wrong(unreached(ctx, &grantError{err}), time.Since(began))}
	}
	steps := []idlepush.Step{{Verdict: idlepush.VerdictOK, Reason: idlepush.Reason{Code: "fcm_examined_token"}, Took: time.Since(began)}}
	body, err := json.Marshal(struct {
		ValidateOnly bool               `json:"validate_only"`
		Message      *messaging.Message `json:"message"`
	}{true, dataMessage(idlepush.Device{Address: "of-no-device"}, push.Message{Kind: idlepush.KindTest, Expires: time.Now().Add(time.Minute)}, "idlepush", "{}", time.Now())})
	if err != nil {
		return append(steps, push.Wrong(unsendable, 0))
	}
	began = time.Now()
	e := t.exchange(ctx, body, token.AccessToken)
	switch o := e.outcome(time.Now()); {
	case e.err != nil:
		return append(steps, push.Wrong(unreached(ctx, e.err), time.Since(began)))
	case o.Result != registry.ResultDelivered && o.Code != "fcm_invalid_token":
		return append(steps, push.Wrong(o, time.Since(began)))
	}
	return append(steps, idlepush.Step{Verdict: idlepush.VerdictOK, Reason: idlepush.Reason{Code: "fcm_examined"}, Took: time.Since(began)})
}
