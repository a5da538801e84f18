package web

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"idlepush"
	"idlepush/registry"
	"idlepush/ring"
)

func TestMutes(t *testing.T) {
	t.Parallel()
	t.Run("what is muted is shown until it ends", mutesShown)
	t.Run("a mail is muted by its id, and tells nobody its sender or subject", muteByMail)
	t.Run("a mail says what of it can be muted", mutesOfMails)
	t.Run("a mail says which mutes are of it", mutesOfMail)
	t.Run("a mail of another mailbox, or that one does not see, is none", muteUnseen)
	t.Run("a token of device scope mutes on its device", muteByToken)
	t.Run("an app is told of a mute what its device is told of the mail", muteTold)
	t.Run("so many things can be muted", mutesBounded)
	t.Run("the time is within a year", muteTimes)
}

// mutes returns the mutes of a mailbox.
func (h *testServer) mutes(token, account string) (list []map[string]any) {
	h.t.Helper()
	for _, m := range h.call(token, "GET", "/accounts/"+account+"/wishes", nil, 200).body["mutes"].([]any) {
		list = append(list, m.(map[string]any))
	}
	return list
}

func mutesShown(t *testing.T) {
	t.Parallel()
	bubble(t, func(h *testServer) {
		ids := furnish(h)
		path := "/accounts/" + ids["ACCOUNT"] + "/mutes"
		until := time.Now().Add(time.Hour).UTC()
		forAnHour := h.call(h.anna.full, "POST", path, object{"of": "mailbox", "until": until}, 201)
		if want := map[string]any{"id": forAnHour.body["id"], "of": "mailbox", "since": time.Now().UTC().Format(time.RFC3339Nano), "until": until.Format(time.RFC3339Nano)}; !reflect.DeepEqual(forAnHour.body, want) {
			h.t.Errorf("it answers %s, want %v", forAnHour.raw, want)
		}
		again := h.call(h.anna.full, "POST", path, object{"of": "mailbox", "until": until.Add(-time.Minute)}, 201)
		if got := h.mutes(h.anna.full, ids["ACCOUNT"]); len(got) != 1 || !reflect.DeepEqual(got[0], again.body) {
			h.t.Errorf("muted again, there are %v", got)
		}
		forEver := h.call(h.anna.full, "POST", path, object{"of": "sender", "sender": "Oma@Example.org", "device": ids["DEVICE"]}, 201)
		if forEver.body["sender"] != "oma@example.org" || forEver.body["device"] != ids["DEVICE"] || forEver.body["until"] != nil {
			h.t.Errorf("it answers %s", forEver.raw)
		}
		// Wishes are changed without the mutes, which stay.
		revision := h.call(h.anna.full, "GET", "/accounts/"+ids["ACCOUNT"]+"/wishes", nil, 200).body["revision"]
		if a := h.call(h.anna.full, "PUT", "/accounts/"+ids["ACCOUNT"]+"/wishes", object{"revision": revision}, 200); len(a.body["mutes"].([]any)) != 2 {
			h.t.Errorf("after a change there are %s", a.raw)
		}
		time.Sleep(time.Hour)
		if got := h.mutes(h.anna.full, ids["ACCOUNT"]); len(got) != 1 || !reflect.DeepEqual(got[0], forEver.body) {
			h.t.Errorf("after an hour there are %v", got)
		}
		h.call(h.anna.full, "DELETE", path+"/"+forEver.id(), nil, 204)
		h.call(h.anna.full, "DELETE", path+"/"+forEver.id(), nil, 404)
		if got := h.mutes(h.anna.full, ids["ACCOUNT"]); len(got) != 0 {
			h.t.Errorf("after all there are %v", got)
		}
	})
}

// arrive records a mail with the UID, and returns its stable id.
func (h *testServer) arrive(account string, uid uint32, facts ring.Facts) string {
	h.t.Helper()
	var from registry.Cursor
	if uid > 1 {
		from = registry.Cursor{UIDValidity: 1, Next: uid}
	}
	_, err := h.store.Mail.Record(registry.Arrival{Account: account, Folder: "INBOX", From: from, To: registry.Cursor{UIDValidity: 1, Next: uid + 1},
		Mails: []registry.Message{{UID: uid, Content: idlepush.Content{From: facts.Name, Subject: facts.Subject}, Facts: facts}}, At: time.Now()})
	fatal(h.t, err)
	return registry.StableID(account, "INBOX", 1, uid)
}

// cake is a mail of a conversation.
var cake = ring.Facts{From: "oma@example.org", Name: "Oma", Subject: "Re: Kuchen", Thread: []string{"first", "second", "third"}}

func muteByMail(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	ids := furnish(h)
	path := "/accounts/" + ids["ACCOUNT"] + "/mutes"
	mail := h.arrive(ids["ACCOUNT"], 2, cake)
	if a := h.call(h.anna.full, "POST", path, object{"of": "sender", "notification": mail}, 201); a.body["sender"] != "oma@example.org" || a.body["title"] != nil {
		t.Errorf("it answers %s", a.raw)
	}
	if a := h.call(h.anna.full, "POST", path, object{"of": "conversation", "notification": mail}, 201); a.body["sender"] != nil || a.body["title"] != "Re: Kuchen" {
		t.Errorf("it answers %s", a.raw)
	}
	w, err := h.store.Accounts.Wishes(h.anna.id, ids["ACCOUNT"])
	fatal(t, err)
	if m := w.Mutes[len(w.Mutes)-1]; !reflect.DeepEqual(m.Thread, []string{"first", "third"}) {
		t.Errorf("the conversation is known by %v", m.Thread)
	}
	if log := h.log.String(); strings.Contains(log, "oma@") || strings.Contains(log, "Kuchen") {
		t.Errorf("the log says %s", log)
	}
}

func mutesOfMails(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	ids := furnish(h)
	for uid, row := range []struct {
		facts  ring.Facts
		mutes  []any
		sender any
	}{
		{cake, []any{"sender", "conversation", "mailbox"}, "oma@example.org"},
		{ring.Facts{Name: "Oma", Thread: cake.Thread}, []any{"conversation", "mailbox"}, nil},
		{ring.Facts{From: "oma@example.org", Name: "Oma"}, []any{"sender", "mailbox"}, "oma@example.org"},
		{ring.Facts{}, []any{"mailbox"}, nil},
	} {
		mail := h.arrive(ids["ACCOUNT"], uint32(uid+2), row.facts)
		a := h.call(h.anna.full, "GET", "/notifications/"+mail, nil, 200)
		if !reflect.DeepEqual(a.body["mutes"], row.mutes) || a.body["sender"] != row.sender {
			t.Errorf("%d: it is %s", uid, a.raw)
		}
		for of, fault := range map[string]string{"sender": "does not name its sender", "conversation": "belongs to no conversation"} {
			want := 422
			if slices.Contains(row.mutes, any(of)) {
				want, fault = 201, ""
			}
			a := h.call(h.anna.full, "POST", "/accounts/"+ids["ACCOUNT"]+"/mutes", object{"of": of, "notification": mail}, want)
			if !strings.Contains(a.raw, fault) {
				t.Errorf("%d: to mute the %s is answered with %s", uid, of, a.raw)
			}
		}
	}
}

func mutesOfMail(t *testing.T) {
	t.Parallel()
	bubble(t, func(h *testServer) {
		ids := furnish(h)
		path := "/accounts/" + ids["ACCOUNT"] + "/mutes"
		answer, sameSubject := cake, cake
		answer.From, answer.Subject, answer.Thread = "ben@example.org", "Torte", []string{"first", "fourth"}
		sameSubject.From, sameSubject.Thread = "ben@example.org", []string{"other"}
		mail, reply, alike := h.arrive(ids["ACCOUNT"], 2, cake), h.arrive(ids["ACCOUNT"], 3, answer), h.arrive(ids["ACCOUNT"], 4, sameSubject)
		want := func(mail string, want ...any) {
			h.t.Helper()
			got, _ := h.call(h.anna.full, "GET", "/notifications/"+mail, nil, 200).body["muted"].([]any)
			if !slices.Equal(got, want) {
				h.t.Errorf("of it are %v, want %v", got, want)
			}
		}
		want(mail)
		until := time.Now().Add(time.Hour).UTC()
		conversation := h.call(h.anna.full, "POST", path, object{"of": "conversation", "notification": mail}, 201).id()
		sender := h.call(h.anna.full, "POST", path, object{"of": "sender", "notification": reply, "device": ids["DEVICE"], "until": until}, 201).id()
		want(mail, conversation)
		want(reply, conversation, sender)
		want(alike, sender)
		time.Sleep(time.Hour)
		want(reply, conversation)
		mailbox := h.call(h.anna.full, "POST", path, object{"of": "mailbox"}, 201).id()
		want(alike, mailbox)
		h.call(h.anna.full, "DELETE", path+"/"+mailbox, nil, 204)
		want(alike)
	})
}

func muteUnseen(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	shared := h.sharedAccount()
	other := h.call(h.anna.full, "POST", "/accounts", mailbox().with("username", "club"), 201).id()
	h.call(h.ben.full, "POST", "/devices", browser(), 201)
	mail, club := h.arrive(shared, 1, cake), h.arrive(other, 1, cake)
	for _, row := range []struct {
		token, account, mail string
		want                 int
	}{{h.anna.full, shared, mail, 201}, {h.ben.full, shared, mail, 201}, {h.ben.full, shared, club, 422}, {h.anna.full, shared, club, 422}, {h.ben.full, other, club, 404}} {
		h.call(row.token, "POST", "/accounts/"+row.account+"/mutes", object{"of": "conversation", "notification": row.mail}, row.want)
	}
	if anna, ben := h.mutes(h.anna.full, shared), h.mutes(h.ben.full, shared); len(anna) != 1 || len(ben) != 1 || anna[0]["id"] == ben[0]["id"] {
		t.Errorf("there are %v and %v", anna, ben)
	}
	h.call(h.ben.full, "DELETE", "/accounts/"+shared+"/mutes/"+h.mutes(h.anna.full, shared)[0]["id"].(string), nil, 404)
}

func muteByToken(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	ids := furnish(h)
	path := "/accounts/" + ids["ACCOUNT"] + "/mutes"
	laptop := h.call(h.anna.full, "POST", "/devices", browser(), 201).id()
	mail := h.arrive(ids["ACCOUNT"], 2, cake)
	h.call(ids["APP"], "POST", path, object{"of": "mailbox"}, 422).wantFields(t, "device")
	h.call(ids["APP"], "POST", path, object{"of": "mailbox", "device": laptop}, 422).wantFields(t, "device")
	h.call(h.anna.device, "POST", path, object{"of": "conversation", "notification": mail, "device": ids["DEVICE"]}, 422).wantFields(t, "device")
	var made []string
	for _, of := range []string{"mailbox", "sender", "conversation"} {
		body := object{"of": of, "device": ids["DEVICE"]}
		if of != "mailbox" {
			body = body.with("notification", mail)
		}
		a := h.call(ids["APP"], "POST", path, body, 201)
		if a.body["device"] != ids["DEVICE"] {
			t.Errorf("it answers %s", a.raw)
		}
		made = append(made, a.id())
	}
	everywhere := h.call(h.anna.full, "POST", path, object{"of": "mailbox"}, 201).id()
	onLaptop := h.call(h.anna.full, "POST", path, object{"of": "mailbox", "device": laptop}, 201).id()
	for _, id := range []string{everywhere, onLaptop, "nothing"} {
		h.call(ids["APP"], "DELETE", path+"/"+id, nil, 404)
	}
	for _, id := range made {
		h.call(ids["APP"], "DELETE", path+"/"+id, nil, 204)
	}
	if got := h.mutes(h.anna.full, ids["ACCOUNT"]); len(got) != 2 {
		t.Errorf("there are %v", got)
	}
	h.call(ids["APP"], "GET", "/accounts/"+ids["ACCOUNT"]+"/wishes", nil, 403)
}

func muteTold(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	ids := furnish(h)
	mail := h.arrive(ids["ACCOUNT"], 2, cake)
	for level, told := range map[idlepush.Level]bool{idlepush.LevelSender: false, idlepush.LevelSubject: true} {
		h.call(h.anna.full, "PATCH", "/devices/"+ids["DEVICE"], object{"content": level}, 200)
		body := object{"of": "conversation", "device": ids["DEVICE"], "notification": mail}
		a := h.call(ids["APP"], "POST", "/accounts/"+ids["ACCOUNT"]+"/mutes", body, 201)
		if (a.body["title"] == "Re: Kuchen") != told || !told && a.body["title"] != nil {
			t.Errorf("%s: it answers %s", level, a.raw)
		}
		if a := h.call(ids["APP"], "POST", "/accounts/"+ids["ACCOUNT"]+"/mutes", body.with("of", "sender"), 201); a.body["sender"] != "oma@example.org" {
			t.Errorf("%s: it answers %s", level, a.raw)
		}
		if list := h.mutes(h.anna.full, ids["ACCOUNT"]); list[0]["title"] != "Re: Kuchen" && list[1]["title"] != "Re: Kuchen" {
			t.Errorf("%s: the person sees %v", level, list)
		}
	}
}

func mutesBounded(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	ids := furnish(h)
	path := "/accounts/" + ids["ACCOUNT"] + "/mutes"
	for i := range ring.MaxMutes {
		h.call(h.anna.full, "POST", path, object{"of": "sender", "sender": fmt.Sprintf("p%d@example.org", i)}, 201)
	}
	a := h.call(h.anna.full, "POST", path, object{"of": "mailbox"}, 409)
	if a.body["code"] != "too_many_mutes" || !sameParams(a.body["params"], map[string]string{"limit": fmt.Sprint(ring.MaxMutes)}) {
		t.Errorf("it says %s", a.raw)
	}
	h.call(h.anna.full, "POST", path, object{"of": "sender", "sender": "p0@example.org"}, 201)
}

func muteTimes(t *testing.T) {
	t.Parallel()
	bubble(t, func(h *testServer) {
		ids := furnish(h)
		for until, want := range map[time.Duration]int{-time.Second: 422, 0: 422, time.Second: 201, maxMuteDays * 24 * time.Hour: 201, maxMuteDays*24*time.Hour + time.Second: 422} {
			h.call(h.anna.full, "POST", "/accounts/"+ids["ACCOUNT"]+"/mutes", object{"of": "mailbox", "until": time.Now().Add(until)}, want)
		}
		h.call(h.anna.full, "POST", "/accounts/"+ids["ACCOUNT"]+"/mutes", object{"of": "mailbox", "until": time.Time{}}, 422).wantFields(h.t, "until")
	})
}
