package push

import (
	"testing"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/registry"
)

func TestJudgeAbsent(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 29, 8, 0, 0, 0, time.UTC)
	absent := registry.Outcome{Result: registry.ResultRetry, Suspect: true, Absent: true, Reason: idlepush.Reason{Code: "webpush_not_found"}}
	page := Suspect("webpush_page")
	const suspect, proven = idlepush.StateSuspect, idlepush.StateProven
	for name, c := range map[string]struct {
		outcome  registry.Outcome
		state    idlepush.State
		code     codes.Code // of the status before
		since    time.Duration
		failures int // before this one
		gone     bool
	}{
		"the first time":               {absent, proven, "", 48 * time.Hour, 0, false},
		"a minute later":               {absent, suspect, "webpush_not_found", time.Minute, 1, false},
		"just under a day":             {absent, suspect, "webpush_not_found", 24*time.Hour - time.Second, 20, false},
		"a day":                        {absent, suspect, "webpush_not_found", 24 * time.Hour, 20, true},
		"a day, three times":           {absent, suspect, "webpush_not_found", 24 * time.Hour, 2, true},
		"a day, twice":                 {absent, suspect, "webpush_not_found", 24 * time.Hour, 1, false},
		"suspect for another reason":   {absent, suspect, "webpush_page", 48 * time.Hour, 20, false},
		"a page for days":              {page, suspect, "webpush_page", 48 * time.Hour, 20, false},
		"a page after it":              {page, suspect, "webpush_not_found", 48 * time.Hour, 20, false},
		"an outage after it":           {Retry("webpush_unavailable"), suspect, "webpush_not_found", 48 * time.Hour, 20, false},
		"delivered after it":           {registry.Outcome{Result: registry.ResultDelivered}, suspect, "webpush_not_found", 48 * time.Hour, 20, false},
		"suspect since a clock ahead":  {absent, suspect, "webpush_not_found", -6 * time.Hour, 20, false},
		"proven, and failing for days": {absent, proven, "webpush_not_found", 48 * time.Hour, 20, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := idlepush.Status{State: c.state, Since: now.Add(-c.since), Failures: c.failures, Reason: idlepush.Reason{Code: c.code}}
			o := judgeAbsent(c.outcome, s, now)
			if gone := o.Result == registry.ResultGone; gone != c.gone || !gone && o.Result != c.outcome.Result {
				t.Errorf("%+v", o)
			}
			if o.Code != c.outcome.Code {
				t.Errorf("code %q", o.Code)
			}
		})
	}
}
