package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"idlepush"
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

// TestWishesReachPhones: folders, the end of quiet hours, a cap on the content and the mute of a
// conversation decide what phones get of mail of a real server.
func TestWishesReachPhones(t *testing.T) {
	t.Parallel()
	s := startSystem(t)
	s.Populate(t)
	ctx := testenv.Context(t)
	ids := func(path string) map[string]string {
		var list struct {
			Items []struct{ ID, Name, Email, Subject string }
		}
		systemtest.Must(t, s.Client.Get(ctx, path, &list))
		all := make(map[string]string)
		for _, i := range list.Items {
			all[i.Name+i.Email+i.Subject] = i.ID
		}
		return all
	}
	id, devices := ids("/accounts")["anna@example.org"], ids("/devices")
	account := "/accounts/" + id
	put := func(path string, wishes map[string]any) {
		t.Helper()
		var is struct{ Revision int }
		systemtest.Must(t, s.Client.Get(ctx, path+"/wishes", &is))
		wishes["revision"] = is.Revision
		systemtest.Must(t, s.Client.Call(ctx, "PUT", path+"/wishes", wishes, nil))
	}
	web := s.Web.Messages()
	names := map[idlepush.Secret]string{web[0].Endpoint: "firefox", web[1].Endpoint: "fairphone"}
	// got waits until the phones have got just these pushes since the beginning, of mails as "phone
	// from/subject", without those of the iPhone, which name neither.
	var want []string
	got := func(more ...string) {
		t.Helper()
		want = append(want, more...)
		slices.Sort(want)
		testenv.Await(t, "the phones get "+strings.Join(more, ", "), func() error {
			var have []string
			add := func(phone string, p systemtest.Push) {
				switch p.Kind {
				case "summary":
					have = append(have, phone+" summary")
				case "mail":
					have = append(have, fmt.Sprintf("%s %s/%s", phone, p.From, p.Subject))
				}
			}
			for _, m := range s.FCM.Messages() {
				add("pixel", systemtest.DecodePush(t, m.Payload))
			}
			for _, m := range s.Web.Messages() {
				add(names[m.Endpoint], systemtest.DecodeWebPush(t, m))
			}
			if slices.Sort(have); !slices.Equal(have, want) {
				return fmt.Errorf("they have %q, want %q", have, want)
			}
			return nil
		})
	}
	deliver := func(folder, subject, more string) {
		t.Helper()
		s.Mail.Deliver(t, s.Mail.User, folder, fmt.Appendf(nil, "From: Berta <berta@example.org>\r\nSubject: %s\r\nMessage-ID: <%[1]s@example.org>\r\n%s"+
			"Date: %s\r\nContent-Type: text/plain\r\n\r\nPlanted words of the body\r\n", subject, more, time.Now().Format(time.RFC1123Z)))
	}
	on := func(subject string, phones ...string) (list []string) {
		for _, phone := range phones {
			list = append(list, phone+" Berta/"+subject)
		}
		return list
	}
	hours := func(from, to time.Duration) map[string]any {
		now := time.Now().UTC()
		return map[string]any{"zone": "UTC", "mode": "hold", "hours": []any{map[string]any{
			"days": []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}, "from": now.Add(from).Format("15:04"), "to": now.Add(to).Format("15:04")}}}
	}

	s.Mail.Doveadm(t, s.Mail.User, "mailbox", "create", "News")
	systemtest.Must(t, s.Client.Call(ctx, "PATCH", account, map[string]any{"folders": []string{"INBOX", "News"}}, nil))
	s.WaitWatched(t, 1)
	put("/devices/"+devices["fairphone"], map[string]any{"folders": map[string]any{id: []string{"News"}}})
	put("/devices/"+devices["pixel"], map[string]any{"quiet": hours(-2*time.Hour, 2*time.Hour)})
	put(account, map[string]any{"rules": []any{map[string]any{"if": map[string]any{"folder": []string{"News"}}, "then": map[string]any{"ring": "ring", "content": "sender"}}}})
	deliver("INBOX", "planted-talk", "")
	got(on("planted-talk", "firefox")...)
	deliver("News", "planted-news", "")
	got(on("", "firefox", "fairphone")...)
	put("/devices/"+devices["pixel"], map[string]any{"quiet": hours(-4*time.Hour, -2*time.Hour)})
	got("pixel summary") // of both, which were held

	systemtest.Must(t, s.Client.Post(ctx, account+"/mutes", map[string]any{"of": "conversation", "notification": ids("/notifications")["planted-talk"]}, nil))
	deliver("INBOX", "planted-answer", "In-Reply-To: <planted-talk@example.org>\r\nReferences: <planted-talk@example.org>\r\n")
	deliver("INBOX", "planted-other", "")
	got(on("planted-other", "firefox", "pixel")...)
	s.CheckNoSecrets(t, "berta@example.org")
}
