package main

import (
	"fmt"
	"testing"
	"time"

	"idlepush/cmd/idlepush/systemtest"
	"idlepush/registry/testenv"
)

// decided is a decision as the API shows it.
type decided struct{ Verdict, Code, Text string }

// decidedMail is a mail of the history, and the decision about it by the name of the device.
type decidedMail struct {
	Subject    string
	Deliveries []struct {
		Name, State string
		Until       time.Time
		Decision    decided
	}
}

// TestWishesDecide: what people wish by the API decides whether mail of a real server rings, the
// history says why, and a trial of the same wishes says the same.
func TestWishesDecide(t *testing.T) {
	t.Parallel()
	s := startSystem(t)
	s.Populate(t)
	ctx := testenv.Context(t)
	var accounts, devices struct{ Items []struct{ ID, Name string } }
	systemtest.Must(t, s.Client.Get(ctx, "/accounts", &accounts))
	systemtest.Must(t, s.Client.Get(ctx, "/devices", &devices))
	account, pixel := "/accounts/"+accounts.Items[0].ID, ""
	for _, d := range devices.Items {
		if d.Name == "pixel" {
			pixel = "/devices/" + d.ID + "/wishes"
		}
	}
	put := func(path string, wishes map[string]any) {
		t.Helper()
		var is struct{ Revision int }
		systemtest.Must(t, s.Client.Get(ctx, path, &is))
		wishes["revision"] = is.Revision
		systemtest.Must(t, s.Client.Call(ctx, "PUT", path, wishes, nil))
	}
	now := time.Now().UTC()
	put(pixel, map[string]any{"quiet": map[string]any{"zone": "UTC", "mode": "hold", "people": true, "hours": []any{map[string]any{
		"days": []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}, "from": now.Add(-2 * time.Hour).Format("15:04"), "to": now.Add(2 * time.Hour).Format("15:04")}}}})
	sale := map[string]any{"if": map[string]any{"subject": []string{"planted-sale"}}, "then": map[string]any{"ring": "not"}}
	put(account+"/wishes", map[string]any{"rules": []any{sale}})

	s.Deliver(t, "planted-subject")
	s.Deliver(t, "planted-sale")
	settled := func(what string, want map[string]string) {
		t.Helper()
		testenv.Await(t, what, func() error {
			var list struct{ Items []decidedMail }
			systemtest.Must(t, s.Client.Get(ctx, "/notifications", &list))
			got := make(map[string]string)
			for _, n := range list.Items {
				for _, d := range n.Deliveries {
					got[n.Subject+" on "+d.Name] = fmt.Sprint(d.State, " ", d.Decision.Verdict, " ", d.Decision.Code)
					if d.Decision.Code != "" && d.Decision.Text == "" || (d.Decision.Verdict == "held") != d.Until.After(now) {
						return fmt.Errorf("nobody is told why or until when: %+v", d)
					}
				}
			}
			for at, state := range want {
				if got[at] != state {
					return fmt.Errorf("%s is %q: %v", at, got[at], got)
				}
			}
			return nil
		})
	}
	settled("quiet hours hold the mail on one phone, and a rule the other mail on all", map[string]string{
		"planted-subject on pixel": "pending held quiet_hours", "planted-subject on iphone": "delivered  ", "planted-subject on firefox": "delivered  ",
		"planted-sale on pixel": "skipped not rule", "planted-sale on iphone": "skipped not rule", "planted-sale on firefox": "skipped not rule"})
	if n := len(s.FCM.Messages()); n != 1 {
		t.Errorf("in its quiet hours the phone was sent %d pushes", n-1)
	}

	var trial struct {
		Mails []struct {
			Subject string
			Devices []struct{ Before, After decided }
		}
	}
	vip := []string{"berta@example.org"}
	systemtest.Must(t, s.Client.Post(ctx, account+"/rules/try", map[string]any{"people": vip}, &trial))
	count := make(map[string]int)
	for _, m := range trial.Mails {
		for _, d := range m.Devices {
			count[m.Subject+" "+d.Before.Verdict+"->"+d.After.Verdict]++
		}
	}
	if fmt.Sprint(count) != "map[planted-sale not->not:4 planted-subject held->now:1 planted-subject now->now:3]" {
		t.Errorf("the trial says %v", count)
	}

	put(account+"/wishes", map[string]any{"rules": []any{sale}, "people": vip})
	settled("who matters breaks through, also afterwards", map[string]string{"planted-subject on pixel": "delivered now breaks_through", "planted-sale on pixel": "skipped not rule"})
	s.CheckNoSecrets(t, "berta@example.org")
}
