package web

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/push"
	"idlepush/ring"
)

func TestTryRules(t *testing.T) {
	t.Parallel()
	t.Run("it shows what would have rung before and after, and stores nothing", trialShown)
	t.Run("what is not given is as it is", trialOfNothing)
	t.Run("quiet hours are tried on their device", trialOfQuiet)
	t.Run("it shows no more than the person may see", trialOfSharer)
	t.Run("it shows no more than a device may be told", trialLevels)
	t.Run("it looks at 200 mails of 7 days", trialBounds)
	t.Run("a person can try so often", trialLimit)
	t.Run("a mail server that fails is named", trialFails)
	t.Run("it ends in time", trialEnds)
}

// recentMail calls h.recent.
func (h *testServer) recentMail(ctx context.Context, a idlepush.Account) ([]ring.Mail, error) {
	h.mu.Lock()
	recent := h.recent
	h.mu.Unlock()
	return recent(ctx, a)
}

func noMail(context.Context, idlepush.Account) ([]ring.Mail, error) { return nil, nil }

// replay is that of the program, with its default of burst-limit.
func replay(mails []ring.Mail, d idlepush.Device, account string, w ring.Wishes, on ring.DeviceWishes, now time.Time) ring.Replay {
	return push.Replay(mails, d, account, w, on, 5, now)
}

// hasRecent has the mailbox hold these mails.
func (h *testServer) hasRecent(mails ...ring.Mail) {
	h.set(func() {
		h.recent = func(context.Context, idlepush.Account) ([]ring.Mail, error) { return slices.Clone(mails), nil }
	})
}

// trying returns the path of a trial.
func trying(ids map[string]string) string { return "/accounts/" + ids["ACCOUNT"] + "/rules/try" }

// notBulk has what was sent to many not ring.
var notBulk = []object{{"if": object{"bulk": true}, "then": object{"ring": "not"}}}

// verdicts returns, of each mail of a trial, its subject and how it would have rung on each device.
func verdicts(a answer) (list []string) {
	for _, m := range a.body["mails"].([]any) {
		m := m.(map[string]any)
		line := fmt.Sprint(m["subject"])
		for _, d := range m["devices"].([]any) {
			d := d.(map[string]any)
			before, after := d["before"].(map[string]any), d["after"].(map[string]any)
			line += fmt.Sprintf(" %v->%v", before["verdict"], after["verdict"])
			if after["text"] != nil {
				line += fmt.Sprintf(" (%v)", after["text"])
			}
		}
		list = append(list, line)
	}
	return list
}

// rang returns how often each device would have rung.
func rang(a answer) (list []string) {
	for _, d := range a.body["devices"].([]any) {
		d := d.(map[string]any)
		list = append(list, fmt.Sprintf("%v %v->%v", d["name"], d["before"], d["after"]))
	}
	return list
}

func trialShown(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	ids := furnish(h)
	begun := time.Now()
	now := begun.Truncate(time.Second)
	h.hasRecent(
		ring.Mail{Folder: "INBOX", UID: 1, At: now.Add(-3 * time.Hour), Facts: ring.Facts{From: "oma@example.org", Name: "Oma", Subject: "Kuchen"}},
		ring.Mail{Folder: "INBOX", UID: 2, At: now.Add(-2 * time.Hour), Facts: ring.Facts{From: "shop@example.org", Subject: "Sale", Bulk: true}},
		ring.Mail{Folder: "Junk", UID: 3, At: now.Add(-time.Hour), Facts: ring.Facts{Subject: "Win"}, Code: "junk"},
	)
	before := h.stored()
	a := h.call(h.anna.full, "POST", trying(ids), object{"rules": notBulk}, 200)
	since, err := time.Parse(time.RFC3339, a.body["since"].(string))
	if err != nil || since.Before(begun.AddDate(0, 0, -7)) || since.After(time.Now().AddDate(0, 0, -7)) || fmt.Sprint(rang(a)) != "[Phone 2->1]" {
		t.Errorf("it answers %s", a.raw)
	}
	sentence := allCodes.Sentence("rule", map[string]string{codes.Case: "not", "rule": "1"})
	if got, want := verdicts(a), []string{"Win", "Sale now->not (" + sentence + ")", "Kuchen now->now"}; !reflect.DeepEqual(got, want) || sentence == "" {
		t.Errorf("it says %q, want %q", got, want)
	}
	mails := a.body["mails"].([]any)
	junk, sale, cake := mails[0].(map[string]any), mails[1].(map[string]any), mails[2].(map[string]any)
	if junk["code"] != "junk" || junk["text"] == "" || junk["folder"] != "Junk" {
		t.Errorf("what notifies nobody is %v", junk)
	}
	if cake["from"] != "Oma" || cake["sender"] != "oma@example.org" || sale["from"] != "shop@example.org" || cake["at"] != now.Add(-3*time.Hour).UTC().Format(time.RFC3339) {
		t.Errorf("they are %v and %v", cake, sale)
	}
	if !reflect.DeepEqual(before, h.stored()) {
		t.Error("it has stored something")
	}
	if log := h.log.String(); strings.Contains(log, "Kuchen") || strings.Contains(log, "oma@") {
		t.Errorf("the log says %s", log)
	}
}

func trialOfNothing(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	ids := furnish(h)
	h.call(h.anna.full, "PUT", "/accounts/"+ids["ACCOUNT"]+"/wishes", wishing("rules", notBulk).with("otherwise", object{"ring": "silent"}), 200)
	h.hasRecent(ring.Mail{At: time.Now().Add(-time.Hour), Facts: ring.Facts{Subject: "Sale", Bulk: true}}, ring.Mail{At: time.Now().Add(-time.Minute), Facts: ring.Facts{Subject: "Kuchen"}})
	for _, row := range []struct {
		body object
		want string
	}{
		{object{}, "[silent->silent not->not]"},
		{object{"rules": []object{}}, "[silent->silent not->silent]"},
		{object{"otherwise": object{"ring": "ring"}}, "[silent->now not->not]"},
		{object{"people": []string{}}, "[silent->silent not->not]"},
	} {
		var got []string
		for _, line := range verdicts(h.call(h.anna.full, "POST", trying(ids), row.body, 200)) {
			got = append(got, strings.Fields(line)[1])
		}
		if fmt.Sprint(got) != row.want {
			t.Errorf("%v: %v, want %v", row.body, got, row.want)
		}
	}
}

func trialOfQuiet(t *testing.T) {
	t.Parallel()
	bubble(t, func(h *testServer) {
		ids := furnish(h)
		h.call(h.anna.full, "POST", "/devices", browser(), 201)
		other := h.call(h.ben.full, "POST", "/devices", apnsDevice(), 201).id()
		day := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
		time.Sleep(time.Until(day.Add(36 * time.Hour)))
		h.hasRecent(ring.Mail{Folder: "INBOX", UID: 1, At: day.Add(23 * time.Hour), Facts: ring.Facts{Subject: "a"}},
			ring.Mail{Folder: "INBOX", UID: 2, At: day.Add(26 * time.Hour), Facts: ring.Facts{Subject: "b"}})
		nights := object{"zone": "UTC", "mode": "hold", "hours": []object{{"days": weekdays, "from": "22:00", "to": "07:00"}}}
		a := h.call(h.anna.full, "POST", trying(ids), object{"quiet": object{ids["DEVICE"]: nights}}, 200)
		if got := fmt.Sprint(rang(a)); got != "[Laptop 2->2 Phone 2->1]" && got != "[Phone 2->1 Laptop 2->2]" {
			h.t.Errorf("they rang %s: %s", got, a.raw)
		}
		if !strings.Contains(a.raw, `"summed":true`) {
			h.t.Errorf("no summary counts them: %s", a.raw)
		}
		h.call(h.anna.full, "POST", trying(ids), object{"quiet": object{other: nights}}, 422).wantFields(h.t, "quiet")
		h.call(h.anna.full, "POST", trying(ids), object{"quiet": object{ids["DEVICE"]: nights.with("zone", "Mars")}}, 422).wantFields(h.t, "quiet."+ids["DEVICE"]+".zone")
		h.call(h.anna.full, "POST", trying(ids), object{"people": []string{"x"}, "rules": []object{{"if": object{}, "then": object{"ring": "not"}}}}, 422).wantFields(h.t, "people[0]", "rules[0].if")
		h.call(h.anna.full, "POST", trying(ids), object{"name": "x"}, 422).wantFields(h.t, "name")
	})
}

func trialOfSharer(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	account := h.call(h.anna.full, "POST", "/accounts", mailbox().with("shared_with", []string{h.ben.id}), 201).id()
	before := time.Now()
	h.accept(h.ben.full)
	after := time.Now()
	h.hasRecent(ring.Mail{At: before, Facts: ring.Facts{Subject: "of before"}}, ring.Mail{At: after, Facts: ring.Facts{Subject: "of after"}})
	a := h.call(h.ben.full, "POST", "/accounts/"+account+"/rules/try", object{}, 200)
	since, err := time.Parse(time.RFC3339, a.body["since"].(string))
	if got := fmt.Sprint(verdicts(a)); got != "[of after]" || err != nil || since.Before(before) || since.After(after) {
		t.Errorf("Ben sees %s since %v", got, since)
	}
	if got := fmt.Sprint(verdicts(h.call(h.anna.full, "POST", "/accounts/"+account+"/rules/try", object{}, 200))); got != "[of after of before]" {
		t.Errorf("Anna sees %s", got)
	}
}

func trialLevels(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	ids := furnish(h)
	h.hasRecent(ring.Mail{At: time.Now(), Facts: ring.Facts{From: "oma@example.org", Subject: "Kuchen"}})
	shown := func(level string) any {
		t.Helper()
		h.call(h.anna.full, "PATCH", "/devices/"+ids["DEVICE"], object{"content": level}, 200)
		m := h.call(h.anna.full, "POST", trying(ids), object{}, 200).body["mails"].([]any)[0].(map[string]any)
		if m["sender"] != "oma@example.org" {
			t.Errorf("%s: it is %v", level, m)
		}
		return m["subject"]
	}
	for level, want := range map[string]any{"wake": "Kuchen", "sender": nil, "subject": "Kuchen", "preview": "Kuchen"} {
		if got := shown(level); got != want {
			t.Errorf("%s: the subject is %v, want %v", level, got, want)
		}
	}
	// A device that this mailbox does not notify is not asked.
	club := h.call(h.anna.full, "POST", "/accounts", mailbox().with("username", "club"), 201).id()
	h.call(h.anna.full, "PATCH", "/devices/"+ids["DEVICE"], object{"accounts": []string{club}, "content": "sender"}, 200)
	if a := h.call(h.anna.full, "POST", trying(ids), object{}, 200); len(a.body["devices"].([]any)) > 0 || !strings.Contains(a.raw, "Kuchen") {
		t.Errorf("it answers %s", a.raw)
	}
}

func trialBounds(t *testing.T) {
	t.Parallel()
	bubble(t, func(h *testServer) {
		ids := furnish(h)
		now := time.Now()
		var mails []ring.Mail
		for i := range 3 {
			mails = append(mails, ring.Mail{UID: uint32(i), At: now.AddDate(0, 0, -7).Add(time.Duration(i-1) * time.Second)})
		}
		h.hasRecent(mails...)
		if a := h.call(h.anna.full, "POST", trying(ids), object{}, 200); len(a.body["mails"].([]any)) != 2 {
			h.t.Errorf("it answers %s", a.raw)
		}
		mails = nil
		for i := range 201 {
			mails = append(mails, ring.Mail{UID: uint32(i), At: now.Add(time.Duration(i-200) * time.Minute)})
		}
		h.hasRecent(mails...)
		a := h.call(h.anna.full, "POST", trying(ids), object{}, 200)
		if n := len(a.body["mails"].([]any)); n != 200 || a.body["since"] != now.Add(-199*time.Minute).UTC().Format(time.RFC3339) {
			h.t.Errorf("it has %d since %v", n, a.body["since"])
		}
	})
}

func trialLimit(t *testing.T) {
	t.Parallel()
	bubble(t, func(h *testServer) {
		account := h.sharedAccount()
		path := "/accounts/" + account + "/rules/try"
		for range 10 {
			h.call(h.anna.full, "POST", path, object{}, 200)
		}
		h.call(h.anna.full, "POST", path, object{"people": []string{"x"}}, 422)
		if a := h.call(h.anna.full, "POST", path, object{}, 429); a.header.Get("Retry-After") != "6" {
			h.t.Errorf("to come again after %s s", a.header.Get("Retry-After"))
		}
		h.call(h.ben.full, "POST", path, object{}, 200)
		time.Sleep(6 * time.Second)
		h.call(h.anna.full, "POST", path, object{}, 200)
		h.call(h.anna.full, "POST", path, object{}, 429)
	})
}

func trialFails(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	ids := furnish(h)
	h.set(func() {
		h.recent = func(context.Context, idlepush.Account) ([]ring.Mail, error) {
			return nil, &CheckError{Field: "password", Reason: idlepush.Reason{Code: "login_refused"}}
		}
	})
	if a := h.call(h.anna.full, "POST", trying(ids), object{}, 422); a.body["code"] != "login_refused" {
		t.Errorf("it says %s", a.raw)
	}
}

func trialEnds(t *testing.T) {
	t.Parallel()
	bubble(t, func(h *testServer) {
		ids := furnish(h)
		begun := time.Now()
		h.set(func() {
			h.recent = func(ctx context.Context, _ idlepush.Account) ([]ring.Mail, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}
		})
		if a := h.call(h.anna.full, "POST", trying(ids), object{}, 422); a.body["code"] != "timeout" || time.Since(begun) != loginTimeout {
			h.t.Errorf("after %v it says %s", time.Since(begun), a.raw)
		}
		h.hasRecent(ring.Mail{At: time.Now()})
		h.handlers.wishes.replay = func([]ring.Mail, idlepush.Device, string, ring.Wishes, ring.DeviceWishes, time.Time) ring.Replay {
			time.Sleep(loginTimeout)
			return ring.Replay{Decisions: make([]ring.Decision, 1), Summed: make([]bool, 1)}
		}
		if a := h.call(h.anna.full, "POST", trying(ids), object{}, 422); a.body["code"] != "trial_too_long" {
			h.t.Errorf("it says %s", a.raw)
		}
	})
}
