package web

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"idlepush/ring"
)

// fullWishes has every field of the wishes of a mailbox.
func fullWishes() object {
	return object{"revision": 0, "name": "Family", "color": "#1a73e8", "sound": "chime.caf", "people": []any{"oma@example.org", "@school.example.org"},
		"rules": []any{
			map[string]any{"if": map[string]any{"from": []any{"Oma"}, "to": []any{"anna@example.net"}, "subject": []any{"Kuchen", "cake"}, "folder": []any{"INBOX"}, "list": []any{"news"}, "words": []any{"code"},
				"bulk": true, "attachment": false, "answer": true, "first": false, "above": 10.0, "below": 1000.0}, "then": map[string]any{"ring": "loud", "content": "sender"}},
			map[string]any{"if": map[string]any{"bulk": true}, "then": map[string]any{"ring": "not"}}},
		"otherwise": map[string]any{"ring": "silent", "content": "wake"}}
}

func TestWishes(t *testing.T) {
	t.Parallel()
	t.Run("what is put is what is shown", wishesShown)
	t.Run("they are those of one person, also of a shared mailbox", wishesOfOnePerson)
	t.Run("of two who change them at once, the second is told", wishesStale)
	t.Run("a folder that is not watched any more does not stop other changes", wishesOldFolder)
	t.Run("other pages hear of them, of the person only", wishesHeard)
	t.Run("they have all fields of package ring", wishesAreThoseOfRing)
	t.Run("the document has the bounds of package ring", wishBounds)
}

func TestDeviceWishes(t *testing.T) {
	t.Parallel()
	t.Run("what is put is what is shown", deviceWishesShown)
	t.Run("what is wrong with quiet hours is said", quietFaults)
	t.Run("a token of device scope has those of its device", deviceWishesOfToken)
	t.Run("the folders of a mailbox end with its share", deviceWishesAfterShare)
	t.Run("the longest quiet time counts over midnight and the week", longestQuiet)
}

func wishesShown(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	path := "/accounts/" + h.call(h.anna.full, "POST", "/accounts", mailbox(), 201).id() + "/wishes"
	if a := h.call(h.anna.full, "GET", path, nil, 200); a.raw != `{"revision":0,"people":[],"rules":[],"otherwise":{"ring":"ring"},"mutes":[]}`+"\n" {
		t.Errorf("nobody wished for %s", a.raw)
	}
	put := h.call(h.anna.full, "PUT", path, fullWishes().with("color", "#1A73E8").with("people", []string{"Berta \"Oma\" Baum <Oma@Example.org>", "@SCHOOL.example.org", "oma@example.org"}), 200)
	want := fullWishes().with("revision", put.body["revision"]).with("mutes", []any{})
	if put.body["revision"] == 0.0 || !reflect.DeepEqual(object(put.body), want) {
		t.Errorf("it answers %s\nwant %v", put.raw, want)
	}
	if got := h.call(h.anna.full, "GET", path, nil, 200); got.raw != put.raw {
		t.Errorf("it is %s", got.raw)
	}
	if a := h.call(h.anna.full, "PUT", path, object{"revision": put.body["revision"]}, 200); a.body["name"] != nil || len(a.body["rules"].([]any)) > 0 {
		t.Errorf("what is left out stays: %s", a.raw)
	}
}

// sharedAccount returns the id of a mailbox of Anna that Ben sees.
func (h *testServer) sharedAccount() string {
	h.t.Helper()
	account := h.call(h.anna.full, "POST", "/accounts", mailbox().with("shared_with", []string{h.ben.id}), 201).id()
	h.accept(h.ben.full)
	return account
}

func wishesOfOnePerson(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	account := h.sharedAccount()
	path := "/accounts/" + account + "/wishes"
	h.call(h.anna.full, "PUT", path, fullWishes(), 200)
	if a := h.call(h.ben.full, "GET", path, nil, 200); a.body["revision"] != 0.0 || a.body["name"] != nil {
		t.Errorf("Ben has Anna's: %s", a.raw)
	}
	h.call(h.ben.full, "PUT", path, wishing("name", "Club"), 200)
	if a := h.call(h.anna.full, "GET", path, nil, 200); a.body["name"] != "Family" {
		t.Errorf("Anna has Ben's: %s", a.raw)
	}
	for token, want := range map[string]string{h.anna.full: "Family #1a73e8", h.anna.device: "Family #1a73e8", h.ben.full: "Club <nil>", adminToken: "<nil> <nil>"} {
		a := h.call(token, "GET", "/accounts", nil, 200).body["items"].([]any)[0].(map[string]any)
		if got := fmt.Sprint(a["name"], " ", a["color"]); got != want {
			t.Errorf("it is called %s, want %s", got, want)
		}
	}
	h.call(h.anna.full, "PATCH", "/accounts/"+account, object{"shared_with": []string{}}, 200)
	h.call(h.ben.full, "GET", path, nil, 404)
	h.call(h.ben.full, "PUT", path, wishing("name", "Club"), 404)
	h.call(h.ben.full, "POST", "/accounts/"+account+"/mutes", object{"of": "mailbox"}, 404)
	h.call(h.ben.full, "POST", "/accounts/"+account+"/rules/try", object{}, 404)
}

func wishesStale(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	ids := furnish(h)
	for _, path := range []string{"/accounts/" + ids["ACCOUNT"] + "/wishes", "/devices/" + ids["DEVICE"] + "/wishes"} {
		first := h.call(h.anna.full, "PUT", path, object{"revision": 0}, 200)
		if a := h.call(h.anna.full, "PUT", path, object{"revision": 0}, 409); a.body["code"] != "changed" {
			t.Errorf("it says %s", a.raw)
		}
		h.call(h.anna.full, "PUT", path, object{"revision": first.body["revision"]}, 200)
	}
}

func wishesOldFolder(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	ids := furnish(h)
	account, wishes, onDevice := "/accounts/"+ids["ACCOUNT"], "/accounts/"+ids["ACCOUNT"]+"/wishes", "/devices/"+ids["DEVICE"]+"/wishes"
	h.call(h.anna.full, "PATCH", account, object{"folders": []string{"INBOX", "Family"}}, 200)
	revision := h.call(h.anna.full, "PUT", wishes, ruled("folder", []string{"Family"}), 200).body["revision"]
	ofDevice := h.call(h.anna.full, "PUT", onDevice, wishing("folders", object{ids["ACCOUNT"]: []string{"Family"}}), 200).body["revision"]
	h.call(h.anna.full, "PATCH", account, object{"folders": []string{"INBOX"}}, 200)
	revision = h.call(h.anna.full, "PUT", wishes, ruled("folder", []string{"Family"}).with("revision", revision).with("name", "Home"), 200).body["revision"]
	ofDevice = h.call(h.anna.full, "PUT", onDevice, wishing("folders", object{ids["ACCOUNT"]: []string{"INBOX", "Family"}}).with("revision", ofDevice), 200).body["revision"]
	h.call(h.anna.full, "PUT", wishes, object{"revision": revision}, 200)
	h.call(h.anna.full, "PUT", onDevice, object{"revision": ofDevice}, 200)
	// What is not there any more cannot come back.
	h.call(h.anna.full, "PUT", wishes, ruled("folder", []string{"Family"}).with("revision", revision), 422).wantFields(t, "rules[0].if.folder[0]")
	a := h.call(h.anna.full, "PUT", onDevice, wishing("folders", object{ids["ACCOUNT"]: []string{"Family"}}).with("revision", ofDevice), 422)
	a.wantFields(t, "folders."+ids["ACCOUNT"]+"[0]")
	if !strings.Contains(a.raw, "does not watch") {
		t.Errorf("it says %s", a.raw)
	}
}

func wishesHeard(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	account := h.sharedAccount()
	phone := h.call(h.anna.full, "POST", "/devices", fcmDevice(), 201).id()
	annas, bens := h.listen(h.anna.full, nil), h.listen(h.ben.full, nil)
	h.call(h.anna.full, "PUT", "/accounts/"+account+"/wishes", object{"revision": 0}, 200)
	if kind, id, _ := annas.next(); kind != "account" || id != account {
		t.Errorf("Anna heard of %s %s", kind, id)
	}
	h.call(h.anna.full, "PUT", "/devices/"+phone+"/wishes", object{"revision": 0}, 200)
	if kind, id, _ := annas.next(); kind != "device" || id != phone {
		t.Errorf("Anna heard of %s %s", kind, id)
	}
	h.call(h.ben.full, "POST", "/tokens", object{"name": "x", "scope": "device"}, 201)
	if kind, _, _ := bens.next(); kind != "session" {
		t.Errorf("Ben heard of %s", kind)
	}
}

// wishesAreThoseOfRing: a field that is added to the types of package ring is not forgotten here.
func wishesAreThoseOfRing(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		ours, rings any
		more        int // fields of ring only
	}{{Wishes{}, ring.Wishes{}, 2}, {match{}, ring.Match{}, 0}, {action{}, ring.Action{}, 0}, {mute{}, ring.Mute{}, 1}, {quiet{}, ring.Quiet{}, 0}, {hours{}, ring.Hours{}, 0}, {deviceWishes{}, ring.DeviceWishes{}, 2}} {
		ours, rings := reflect.TypeOf(row.ours), reflect.TypeOf(row.rings)
		if ours.NumField()+row.more != rings.NumField() {
			t.Errorf("%v has %d fields, %v has %d", ours, ours.NumField(), rings, rings.NumField())
		}
		for i := range ours.NumField() {
			if _, ok := rings.FieldByName(ours.Field(i).Name); !ok {
				t.Errorf("%v has no %s", rings, ours.Field(i).Name)
			}
		}
	}
}

func wishBounds(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	schemas := h.server.api.OpenAPI().Components.Schemas.Map()
	for field, row := range map[string]struct{ got, want int }{
		"people":   {*schemas["Wishes"].Properties["people"].MaxItems, ring.MaxPeople},
		"rules":    {*schemas["Wishes"].Properties["rules"].MaxItems, ring.MaxRules},
		"if.from":  {*schemas["Match"].Properties["from"].MaxItems, ring.MaxTexts},
		"if.words": {*schemas["Match"].Properties["words"].MaxItems, ring.MaxTexts},
		"a text":   {*schemas["Match"].Properties["subject"].Items.MaxLength, ring.MaxText},
		"hours":    {*schemas["Quiet"].Properties["hours"].MaxItems, ring.MaxHours},
	} {
		if row.got != row.want {
			t.Errorf("%s: %d, want %d", field, row.got, row.want)
		}
	}
}

func deviceWishesShown(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	ids := furnish(h)
	path := "/devices/" + ids["DEVICE"] + "/wishes"
	if a := h.call(h.anna.full, "GET", path, nil, 200); a.raw != `{"revision":0,"folders":{}}`+"\n" {
		t.Errorf("nobody wished for %s", a.raw)
	}
	in := object{"revision": 0, "folders": object{ids["ACCOUNT"]: []string{"inbox", "INBOX"}}, "heartbeat": object{"every": "week", "at": "08:05", "zone": "Asia/Tokyo"},
		"quiet": object{"zone": "Europe/Berlin", "mode": "hold", "people": true, "hours": []object{{"days": []string{"fri", "mon", "fri"}, "from": "22:00", "to": "07:05"}}}}
	put := h.call(h.anna.full, "PUT", path, in, 200)
	want := fmt.Sprintf(`{"revision":%v,"quiet":{"zone":"Europe/Berlin","hours":[{"days":["mon","fri"],"from":"22:00","to":"07:05"}],"mode":"hold","people":true,"attention":false},"folders":{"%s":["INBOX"]},"heartbeat":{"every":"week","at":"08:05","zone":"Asia/Tokyo"}}`+"\n", put.body["revision"], ids["ACCOUNT"])
	if put.raw != want {
		t.Errorf("it answers %s, want %s", put.raw, want)
	}
	if got := h.call(h.anna.full, "GET", path, nil, 200); got.raw != put.raw {
		t.Errorf("it is %s", got.raw)
	}
	h.call(h.ben.full, "GET", path, nil, 404)
	w, err := h.store.Devices.Wishes(ids["DEVICE"])
	fatal(t, err)
	if at := w.Quiet.Hours[0]; !reflect.DeepEqual(at, ring.Hours{Days: []time.Weekday{time.Monday, time.Friday}, From: 22 * 60, To: 7*60 + 5}) {
		t.Errorf("the store has %v", at)
	}
}

func quietFaults(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	ids := furnish(h)
	for wrong, want := range map[*object]string{
		{"days": weekdays, "from": "5:00", "to": "07:00"}:  "This must be a time of day from 00:00 to 23:59, with two digits each, such as 05:00.",
		{"days": weekdays, "from": "12:00", "to": "12:00"}: "last a whole day each: let them end earlier",
		{"days": weekdays, "from": "12:00", "to": ""}:      "such as 05:00.",
	} {
		a := h.call(h.anna.full, "PUT", "/devices/"+ids["DEVICE"]+"/wishes", quietly("hours", []object{*wrong}), 422)
		if !strings.Contains(a.raw, want) {
			t.Errorf("%v is answered with %s", *wrong, a.raw)
		}
	}
}

func deviceWishesOfToken(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	ids := furnish(h)
	other := h.call(h.anna.full, "POST", "/devices", browser(), 201).id()
	h.call(ids["APP"], "PUT", "/devices/"+ids["DEVICE"]+"/wishes", quietly("people", true), 200)
	h.call(ids["APP"], "PUT", "/devices/"+other+"/wishes", quietly("people", true), 404)
	h.call(ids["APP"], "GET", "/devices/"+other+"/wishes", nil, 404)
}

func deviceWishesAfterShare(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	account := h.sharedAccount()
	path := "/devices/" + h.call(h.ben.full, "POST", "/devices", fcmDevice(), 201).id() + "/wishes"
	revision := h.call(h.ben.full, "PUT", path, wishing("folders", object{account: []string{"INBOX"}}), 200).body["revision"]
	h.call(h.anna.full, "PATCH", "/accounts/"+account, object{"shared_with": []string{}}, 200)
	a := h.call(h.ben.full, "GET", path, nil, 200)
	if fmt.Sprint(a.body["folders"]) != "map[]" {
		t.Errorf("it is %s", a.raw)
	}
	h.call(h.ben.full, "PUT", path, wishing("folders", a.body["folders"]).with("revision", a.body["revision"]), 200)
	h.call(h.ben.full, "PUT", path, wishing("folders", object{account: []string{"INBOX"}}).with("revision", revision), 422).wantFields(t, "folders")
}

func longestQuiet(t *testing.T) {
	t.Parallel()
	every := []time.Weekday{0, 1, 2, 3, 4, 5, 6}
	for name, row := range map[string]struct {
		hours []ring.Hours
		want  int
	}{
		"none":                      {nil, 0},
		"each night":                {[]ring.Hours{{Days: every, From: 22 * 60, To: 7 * 60}}, 9 * 60},
		"a whole day":               {[]ring.Hours{{Days: []time.Weekday{time.Monday}}}, 24 * 60},
		"over the end of the week":  {[]ring.Hours{{Days: []time.Weekday{time.Saturday}, From: 23 * 60, To: 8 * 60}}, 9 * 60},
		"a weekend of three":        {[]ring.Hours{{Days: []time.Weekday{time.Friday}, From: 18 * 60}, {Days: []time.Weekday{time.Saturday, time.Sunday}}, {Days: []time.Weekday{time.Monday}, To: 7 * 60}}, 61 * 60},
		"those that overlap":        {[]ring.Hours{{Days: every, From: 60, To: 180}, {Days: every, From: 120, To: 200}}, 140},
		"those with a minute apart": {[]ring.Hours{{Days: every, From: 60, To: 180}, {Days: every, From: 181, To: 200}}, 120},
		"always":                    {[]ring.Hours{{Days: every}}, 7 * 24 * 60},
	} {
		if got := longest(row.hours); got != row.want {
			t.Errorf("%s: %d minutes, want %d", name, got, row.want)
		}
	}
}
