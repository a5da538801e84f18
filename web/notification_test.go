package web

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/registry"
	"idlepush/ring"
)

func TestNotifications(t *testing.T) {
	t.Parallel()
	t.Run("a user sees notifications and their deliveries to own devices", notificationDeliveries)
	t.Run("attention says what to do", notificationAttention)
	t.Run("a removed device is reported on another, or in the history if there is none", notificationDeviceGone)
	t.Run("a delivery says what was decided, and an app is not shown what is not to ring", notificationDecision)
	t.Run("what a summary counts says what held it, and the summary says what it counts", notificationSummed)
	t.Run("a mail says which rule is about it, as the rules are now", notificationRule)
	t.Run("the link of a mail follows the template of its account", notificationLink)
	t.Run("a token of device scope sees no more of a mail than a rule lets its device be told", notificationCapped)
}

func notificationDeliveries(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	account := h.call(h.anna.full, "POST", "/accounts", mailbox().with("shared_with", []string{h.ben.id}), 201).id()
	h.accept(h.ben.full)
	annas := h.call(h.anna.device, "POST", "/devices", fcmDevice(), 201).id()
	bens := h.call(h.ben.full, "POST", "/devices", browser(), 201).id()
	now := time.Now()
	var mails []registry.Message
	for uid := range uint32(3) {
		mails = append(mails, registry.Message{UID: uid + 1, Content: idlepush.Content{From: "Oma", Subject: fmt.Sprint("Kuchen <b>", uid+1), Preview: "never at this level"}})
	}
	_, err := h.store.Mail.Record(registry.Arrival{Account: account, Folder: "INBOX", To: registry.Cursor{UIDValidity: 1, Next: 4}, Mails: mails, At: now})
	fatal(t, err)
	work, ok, err := h.store.Outbox.Next(annas, now)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	_, err = h.store.Outbox.Settle(work, registry.Outcome{Result: registry.ResultRefused, Reason: idlepush.Reason{Code: "fcm_too_large"}}, now)
	fatal(t, err)

	first := h.call(h.anna.device, "GET", "/notifications?limit=2", nil, 200)
	rest := h.call(h.anna.device, "GET", "/notifications?limit=1&after="+first.body["next"].(string), nil, 200)
	items := append(first.body["items"].([]any), rest.body["items"].([]any)...)
	last := h.call(h.anna.device, "GET", "/notifications?limit=2&after="+rest.body["next"].(string), nil, 200)
	if len(items) != 3 || len(last.body["items"].([]any)) != 0 || last.body["next"] != nil {
		t.Fatalf("%d items, then what is from before the device: %s", len(items), last.raw)
	}
	for i, item := range items {
		n := item.(map[string]any)
		if n["subject"] != fmt.Sprint("Kuchen <b>", 3-i) || n["from"] != "Oma" || n["preview"] != nil || n["kind"] != "mail" || n["account"] != account {
			t.Errorf("item %d is %v", i, n)
		}
	}

	oldest := registry.StableID(account, "INBOX", 1, 1)
	for token, want := range map[string]string{
		h.anna.full: fmt.Sprintf("[map[at:%s attempts:1 code:fcm_too_large device:%s name:Phone reason:Too big. state:refused]]", now.UTC().Format(time.RFC3339Nano), annas),
		h.ben.full:  fmt.Sprintf("[map[attempts:0 device:%s name:Laptop state:pending]]", bens),
	} {
		a := h.call(token, "GET", "/notifications/"+oldest, nil, 200)
		if got := fmt.Sprint(a.body["deliveries"]); got != want {
			t.Errorf("the deliveries are %s, want %s", got, want)
		}
	}
	h.call(h.anna.full, "PATCH", "/accounts/"+account, object{"shared_with": []string{}}, 200)
	h.call(h.ben.full, "GET", "/notifications/"+oldest, nil, 404)
	if items := h.call(h.ben.full, "GET", "/notifications", nil, 200).body["items"].([]any); len(items) != 1 || items[0].(map[string]any)["code"] != "share_offered" {
		t.Errorf("whom it is no longer shared with sees %v", items)
	}
}

func notificationAttention(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	id := h.call(h.anna.full, "POST", "/accounts", mailbox(), 201).id()
	h.call(h.anna.full, "POST", "/devices", fcmDevice(), 201)
	a, err := h.store.Accounts.Get(id)
	fatal(t, err)
	fatal(t, h.store.Mail.SetState(a, idlepush.Status{State: idlepush.StateAttention, Since: time.Now(),
		Reason: idlepush.Reason{Code: "login_refused"}.With(codes.Said, "No.")}))
	n := h.call(h.anna.full, "GET", "/notifications", nil, 200).body["items"].([]any)[0].(map[string]any)
	if n["kind"] != "attention" || n["code"] != "login_refused" || n["text"] != "anna@example.net: The server refuses the password. Enter it again. (the server says: \"No.\")" ||
		fmt.Sprint(n["params"]) != "map[account:anna@example.net said:No.]" {
		t.Errorf("it is %v", n)
	}
	st := h.call(h.anna.full, "GET", "/accounts/"+id, nil, 200).body["status"].(map[string]any)
	if st["state"] != "attention" || st["code"] != "login_refused" || fmt.Sprint(st["params"]) != "map[said:No.]" || st["reason"] != "The server refuses the password. Enter it again. (the server says: \"No.\")" {
		t.Errorf("the account's status is %v", st)
	}
}

func notificationDeviceGone(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	account := h.call(h.anna.full, "POST", "/accounts", mailbox(), 201).id()
	phone := h.call(h.anna.full, "POST", "/devices", fcmDevice(), 201).id()
	laptop := h.call(h.anna.full, "POST", "/devices", browser(), 201).id()
	now := time.Now()
	_, err := h.store.Mail.Record(registry.Arrival{Account: account, Folder: "INBOX", To: registry.Cursor{UIDValidity: 1, Next: 2}, Mails: []registry.Message{{UID: 1}}, At: now})
	fatal(t, err)
	for n, id := range []string{phone, laptop} {
		work, ok, err := h.store.Outbox.Next(id, now)
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
		_, err = h.store.Outbox.Settle(work, registry.Outcome{Result: registry.ResultGone, Reason: idlepush.Reason{Code: "fcm_unregistered"}}, now)
		fatal(t, err)
		h.call(h.anna.full, "GET", "/devices/"+id, nil, 404)
		list := h.call(h.anna.full, "GET", "/notifications", nil, 200).body["items"].([]any)
		told := list[0].(map[string]any)
		name := []string{"Phone", "Laptop"}[n]
		if len(list) != n+2 || told["kind"] != "attention" || told["code"] != "device_gone" || told["text"] != name+" gets no more notifications: The app was removed." {
			t.Errorf("%s: %v", name, list)
		}
		deliveries := told["deliveries"].([]any)
		if want := 1 - n; len(deliveries) != want || want == 1 && deliveries[0].(map[string]any)["device"] != laptop {
			t.Errorf("%s: it is reported on %v", name, deliveries)
		}
	}
	if items := h.call(h.ben.full, "GET", "/notifications", nil, 200).body["items"].([]any); len(items) != 0 {
		t.Errorf("another user sees %v", items)
	}
}

func notificationLink(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	ids := furnish(h)
	account := "/accounts/" + ids["ACCOUNT"]
	_, err := h.store.Mail.Record(registry.Arrival{Account: ids["ACCOUNT"], Folder: "INBOX", From: registry.Cursor{UIDValidity: 1, Next: 2}, To: registry.Cursor{UIDValidity: 1, Next: 3},
		Mails: []registry.Message{{UID: 2, Content: idlepush.Content{From: "Oma", Subject: "Kuchen", MessageID: "k+1@example.net"}, Facts: ring.Facts{From: "oma@example.net", List: "family.example.net"}}}, At: time.Now()})
	fatal(t, err)
	mail := "/notifications/" + registry.StableID(ids["ACCOUNT"], "INBOX", 1, 2)
	if a := h.call(h.anna.full, "GET", mail, nil, 200); a.body["message_id"] != "k+1@example.net" || a.body["sender"] != "oma@example.net" || a.body["list"] != "family.example.net" {
		t.Errorf("one can make no rule of %s", a.raw)
	}
	if a := h.call(ids["APP"], "GET", mail, nil, 200); a.body["link"] != nil {
		t.Errorf("without a template it leads to %v", a.body["link"])
	}
	h.call(h.anna.full, "PATCH", account, object{"link": "file:///etc/passwd"}, 422).wantFields(t, "link")
	if a := h.call(h.anna.full, "PATCH", account, object{"link": "message:%3C{message_id}%3E"}, 200); a.body["link"] != "message:%3C{message_id}%3E" {
		t.Errorf("the template is %v", a.body["link"])
	}
	if a := h.call(ids["APP"], "GET", mail, nil, 200); a.body["link"] != "message:%3Ck%2B1%40example.net%3E" {
		t.Errorf("it leads to %v", a.body["link"])
	}
	if a := h.call(h.anna.full, "PATCH", account, object{"link": ""}, 200); a.body["link"] != nil {
		t.Errorf("the template stays: %v", a.body["link"])
	}
}

// Each row is the level of a device, that of the rule, and what the device's token sees.
func notificationCapped(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		device, rule idlepush.Level
		want         [5]any // from, sender, list, subject, preview
	}{
		{idlepush.LevelPreview, "", [5]any{"Oma", "oma@example.org", "family.example.org", "Kuchen", "Mit Sahne."}},
		{idlepush.LevelPreview, idlepush.LevelSubject, [5]any{"Oma", "oma@example.org", "family.example.org", "Kuchen", nil}},
		{idlepush.LevelPreview, idlepush.LevelSender, [5]any{"Oma", "oma@example.org", nil, nil, nil}},
		{idlepush.LevelPreview, idlepush.LevelWake, [5]any{}},
		{idlepush.LevelSender, "", [5]any{"Oma", "oma@example.org", nil, nil, nil}},
		{idlepush.LevelSender, idlepush.LevelPreview, [5]any{"Oma", "oma@example.org", nil, nil, nil}},
		{idlepush.LevelWake, "", [5]any{"Oma", "oma@example.org", "family.example.org", "Kuchen", nil}},
		{idlepush.LevelWake, idlepush.LevelSender, [5]any{"Oma", "oma@example.org", nil, nil, nil}},
	} {
		t.Run(fmt.Sprintf("%s, %s", row.device, row.rule), func(t *testing.T) {
			h := newTestServer(t)
			account := h.call(h.anna.full, "POST", "/accounts", mailbox(), 201).id()
			device := h.call(h.anna.device, "POST", "/devices", fcmDevice().with("content", row.device), 201).id()
			_, err := h.store.Mail.Record(registry.Arrival{Account: account, Folder: "INBOX", To: registry.Cursor{UIDValidity: 1, Next: 2}, At: time.Now(), Mails: []registry.Message{{UID: 1,
				Content: idlepush.Content{From: "Oma", Subject: "Kuchen", Preview: "Mit Sahne."}, Facts: ring.Facts{From: "oma@example.org", List: "family.example.org"}}}})
			fatal(t, err)
			work, _, err := h.store.Outbox.Next(device, time.Now())
			fatal(t, err)
			work.Decision = ring.Decision{Verdict: ring.Now, Content: string(row.rule)}
			_, err = h.store.Outbox.Settle(work, registry.Outcome{Result: registry.ResultDelivered}, time.Now())
			fatal(t, err)
			n := h.call(h.anna.device, "GET", "/notifications/"+registry.StableID(account, "INBOX", 1, 1), nil, 200).body
			if got := [5]any{n["from"], n["sender"], n["list"], n["subject"], n["preview"]}; got != row.want {
				t.Errorf("it sees %v, want %v", got, row.want)
			}
		})
	}
}

func notificationDecision(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	ids := furnish(h)
	held, skipped := "/notifications/"+ids["NOTIFICATION"], "/notifications/"+h.arrive(ids["ACCOUNT"], 2, cake)
	now := time.Now()
	w, ok, err := h.store.Outbox.Next(ids["DEVICE"], now)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	w.Decision = ring.Decision{Verdict: ring.Held, Until: now.Add(time.Hour), Code: "quiet_hours", Params: map[string]string{"until": "07:00"}}
	fatal(t, h.store.Outbox.Decide(w, now, func(registry.Work) ring.Decision {
		return ring.Decision{Verdict: ring.Not, Code: "rule", Params: map[string]string{codes.Case: "not", "rule": "2"}}
	}))
	for path, want := range map[string]string{held: "pending held quiet_hours", skipped: "skipped not rule"} {
		d := h.call(h.anna.full, "GET", path, nil, 200).body["deliveries"].([]any)[0].(map[string]any)
		decision := d["decision"].(map[string]any)
		if got := fmt.Sprint(d["state"], " ", decision["verdict"], " ", decision["code"]); got != want || decision["text"] != allCodes.Sentence(codes.Code(decision["code"].(string)), map[string]string{codes.Case: "not", "rule": "2", "until": "07:00"}) {
			t.Errorf("it is %v", d)
		}
	}
	device := h.call(h.anna.full, "GET", "/devices/"+ids["DEVICE"], nil, 200).body
	if got := fmt.Sprint(device["holds"]); got != fmt.Sprint(object{"code": "quiet_hours", "count": 1, "until": now.Add(time.Hour).UTC().Format(time.RFC3339Nano)}) {
		t.Errorf("of the device: %s", got)
	}
	h.call(ids["APP"], "GET", held, nil, 200)
	h.call(ids["APP"], "GET", skipped, nil, 404)
	if list := h.call(ids["APP"], "GET", "/notifications", nil, 200).body["items"].([]any); len(list) != 1 {
		t.Errorf("the app is shown %v", list)
	}
}

func notificationRule(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	ids := furnish(h)
	mail, wishes := h.arrive(ids["ACCOUNT"], 2, cake), "/accounts/"+ids["ACCOUNT"]+"/wishes"
	notRung := registry.Message{UID: 3, Content: idlepush.Content{Subject: "Kuchen"}, Facts: ring.Facts{Subject: "Kuchen"}, NotRung: idlepush.Reason{Code: "seen"}}
	_, err := h.store.Mail.Record(registry.Arrival{Account: ids["ACCOUNT"], Folder: "INBOX", From: registry.Cursor{UIDValidity: 1, Next: 3}, To: registry.Cursor{UIDValidity: 1, Next: 4},
		Mails: []registry.Message{notRung}, At: time.Now()})
	fatal(t, err)
	read := registry.StableID(ids["ACCOUNT"], "INBOX", 1, 3)
	for _, row := range []struct {
		subjects  []string // of the rules
		otherwise string
		want      any
	}{{nil, "not", nil}, {[]string{"Torte"}, "silent", nil}, {[]string{"Torte", "KUCHEN", "Kuchen"}, "ring", 2.0}} {
		var rules []object
		for _, subject := range row.subjects {
			rules = append(rules, object{"if": object{"subject": []string{subject}}, "then": object{"ring": "ring"}})
		}
		revision := h.call(h.anna.full, "GET", wishes, nil, 200).body["revision"]
		h.call(h.anna.full, "PUT", wishes, object{"revision": revision, "people": []string{cake.From}, "rules": rules, "otherwise": object{"ring": row.otherwise}}, 200)
		for _, id := range []string{mail, read} {
			if got := h.call(h.anna.full, "GET", "/notifications/"+id, nil, 200).body["rule"]; got != row.want {
				t.Errorf("by rules about %q it is rule %v, want %v", row.subjects, got, row.want)
			}
		}
	}
}

func notificationSummed(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	ids := furnish(h)
	mails := []string{h.arrive(ids["ACCOUNT"], 2, cake), ids["NOTIFICATION"]}
	now := time.Now()
	begin, end := now.Add(-time.Hour).UTC(), now.Add(-time.Minute).UTC()
	w, ok, err := h.store.Outbox.Next(ids["DEVICE"], begin)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	w.Decision = ring.Decision{Verdict: ring.Held, Since: begin, Until: end, Code: "quiet_hours", Params: map[string]string{"until": "07:00"}, By: ring.Source{Rules: 7}}
	fatal(t, h.store.Outbox.Decide(w, begin, func(registry.Work) ring.Decision { return w.Decision }))
	w, ok, err = h.store.Outbox.Next(ids["DEVICE"], end)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	if n, err := h.store.Outbox.Combine(w, end, func(w registry.Work) ring.Decision {
		return ring.Decision{Verdict: ring.Silent, Code: "rule", Params: map[string]string{codes.Case: "silent", "rule": "2"}, By: ring.Source{Rules: 7}, Waited: w.Decision.WaitedUntil(end)}
	}); err != nil || n != 2 {
		t.Fatal(n, err)
	}
	delivery := h.call(h.anna.full, "GET", "/notifications/"+mails[0], nil, 200).body["deliveries"].([]any)[0].(map[string]any)
	want := object{"verdict": "silent", "code": "rule", "params": object{"case": "silent", "rule": "2"}, "outdated": true,
		"text":   allCodes.Sentence("rule", map[string]string{codes.Case: "silent", "rule": "2"}),
		"waited": object{"code": "quiet_hours", "since": begin.Format(time.RFC3339Nano), "until": end.Format(time.RFC3339Nano)}}
	if got := delivery["decision"]; delivery["state"] != "combined" || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the delivery is %v, decided as %v; want %v", delivery["state"], got, want)
	}
	for who, token := range map[string]string{"she": h.anna.full, "her app": ids["APP"]} {
		if got := h.call(token, "GET", "/notifications/"+delivery["into"].(string), nil, 200).body["mails"]; fmt.Sprint(got) != fmt.Sprint(mails) {
			t.Errorf("%s is told that the summary counts %v, want %v", who, got, mails)
		}
		var got []string
		for _, item := range h.call(token, "GET", "/notifications?limit=1&ids="+strings.Join(append(mails, "gone"), ","), nil, 200).body["items"].([]any) {
			got = append(got, item.(map[string]any)["id"].(string))
		}
		if !slices.Equal(got, mails) {
			t.Errorf("%s is shown %v of %v", who, got, mails)
		}
	}
	h.call(h.anna.full, "GET", "/notifications?ids="+strings.Repeat("id,", 100)+"id", nil, 422)
}
