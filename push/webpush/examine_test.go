package webpush_test

import (
	"testing"

	"idlepush"
	"idlepush/codes"
	"idlepush/push/webpush"
)

func TestExamine(t *testing.T) {
	t.Parallel()
	for subject, want := range map[string]idlepush.Step{
		"mailto:admin@example.org": {Verdict: idlepush.VerdictOK, Reason: idlepush.Reason{Code: "webpush_examined"}},
		"https://push.lan":         {Verdict: idlepush.VerdictLook, Reason: idlepush.Reason{Code: "webpush_examined_no_contact"}},
		"":                         {Verdict: idlepush.VerdictLook, Reason: idlepush.Reason{Code: "webpush_examined_no_contact"}},
	} {
		c := config(t)
		c.Subject = func() string { return subject }
		var steps []idlepush.Step
		for _, transport := range webpush.New(c).Transports() {
			steps = append(steps, transport.Examine(t.Context())...)
		}
		if len(steps) != 1 || steps[0].Verdict != want.Verdict || !steps[0].Reason.Equal(want.Reason) || codes.Join(webpush.Codes).Check(want.Code, nil) != nil {
			t.Errorf("with the contact %q: %+v", subject, steps)
		}
	}
}
