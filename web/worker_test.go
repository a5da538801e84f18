package web

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"idlepush/registry/testenv"
)

// worker is a script for Node. It runs the service worker in a stand-in for a browser, delivers
// each push, and prints the notifications and windows that result.
const worker = `
const fs = require("node:fs"), vm = require("node:vm");
const { pushes, clicks, actions, answers } = JSON.parse(fs.readFileSync(0, "utf8"));
const handlers = {}, kept = [];
let reports = [];
const context = vm.createContext({ URL, Request, Date, JSON, Number, Array, AbortSignal });
Object.assign(context, {
	self: context,
	addEventListener: (name, handle) => { handlers[name] = handle; },
	importScripts: (...names) => names.filter(name => name !== "/remember.js").forEach(name => vm.runInContext(fs.readFileSync("page" + name, "utf8"), context)),
	remember: { addShown: async id => { const before = kept.includes(id); kept.push(id); return before; }, device: async () => ({ id: "phone" }), allows: async link => link.includes("allowed"),
		reports: async () => [...reports], addReport: async one => { reports.push(one); }, forgetReport: async one => { reports = reports.filter(other => other !== one); } },
	// The id of a notification is its link. The server refuses a mute of the mailbox "refused".
	fetch: async (path, { method, body }) => {
		if (path.startsWith("/api/v1/receipts/")) {
			notes.reported.push({ path, shownBefore: notes.shown.length > 0, ...JSON.parse(body) });
			const status = answers?.length ? answers.shift() : 204;
			if (status === 0) throw new TypeError("offline");
			return { status };
		}
		if (method === "POST") notes.asked = path + " " + body;
		return { ok: !path.includes("refused"), json: async () => ({ link: decodeURIComponent(path).slice("/api/v1/notifications/".length) }) };
	},
	location: { origin: "https://house.example.net" },
});
vm.runInContext(fs.readFileSync("page/sw.js", "utf8"), context);
let notes;
const shown = new Map();
context.registration = {
	showNotification: async (title, options) => { notes.shown.push({ title, ...options }); shown.set(options.tag, title); },
	getNotifications: async () => [...shown].map(([tag]) => ({ tag, close: () => { notes.closed.push(tag); shown.delete(tag); } })),
};
context.navigator = { setAppBadge: async count => { notes.badge = count; } };
context.clients = { matchAll: async () => [], openWindow: async address => { notes.opened = address; } };
const happen = async (name, event) => {
	notes = { shown: [], closed: [], reported: [] };
	let done;
	handlers[name]({ ...event, waitUntil: promise => { done = promise; } });
	await done;
	return notes;
};
(async () => {
	const out = { pushes: [], clicks: [], actions: [] };
	for (const text of pushes ?? []) out.pushes.push(await happen("push", { data: text === null ? null : { text: () => text } }));
	for (const data of clicks ?? []) out.clicks.push((await happen("notificationclick", { notification: { data, close() {} } })).opened);
	for (const { action, data } of actions ?? []) out.actions.push(await happen("notificationclick", { action, notification: { data, close() {} } }));
	console.log(JSON.stringify(out));
})();
`

type happened struct {
	Shown []struct {
		Title, Body, Tag, Icon string
		Silent, Renotify       bool
		Data                   map[string]any
		Actions                []struct{ Action string }
	}
	Closed        []string
	Badge         *int
	Asked, Opened string
	Reported      []reported
}

// reported is what the service worker reports of a push.
type reported struct {
	Path                         string
	ShownBefore                  bool
	Received, Shown, Opened, Now time.Time
}

// runWorker returns what the service worker does for pushes (nil means without data), for clicks on
// notifications with the given data, and for clicks on a button of a notification.
func runWorker(t *testing.T, pushes []*string, clicks []object, actions ...object) workerRun {
	t.Helper()
	return runWorkerIn(t, object{"pushes": pushes, "clicks": clicks, "actions": actions})
}

type workerRun struct {
	Pushes  []happened
	Clicks  []string
	Actions []happened
}

// runWorkerIn is runWorker with the input of the script. Its answers are the statuses of reports; 0
// is none.
func runWorkerIn(t *testing.T, what object) (out workerRun) {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		testenv.Missing(t, "node is not installed")
	}
	in, err := json.Marshal(what)
	fatal(t, err)
	cmd := exec.Command(node, "-e", worker)
	cmd.Stdin, cmd.Stderr = strings.NewReader(string(in)), os.Stderr
	text, err := cmd.Output()
	fatal(t, err)
	fatal(t, json.Unmarshal(text, &out))
	return out
}

// pushed returns all bodies that the senders send to browsers, from their golden files.
func pushed(t *testing.T) (list []*string) {
	t.Helper()
	files, err := filepath.Glob("../push/pushtest/services/testdata/requests/webpush-*.txt")
	fatal(t, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		fatal(t, err)
		for _, m := range regexp.MustCompile(`(?m)^for the device alone: (.*)$`).FindAllStringSubmatch(string(text), -1) {
			list = append(list, &m[1])
		}
	}
	if len(list) < 10 {
		t.Fatalf("only %d pushes are known", len(list))
	}
	return list
}

func TestServiceWorker(t *testing.T) {
	t.Parallel()
	t.Run("it shows what the server sends", workerShowsPush)
	t.Run("it shows something for any push", workerShowsAnyPush)
	t.Run("it closes what was read, and rings once per mail", workerClosesAndRingsOnce)
	t.Run("a filled-in mail replaces the first notification silently", workerReplacesSilently)
	t.Run("a click opens the mail or the page", workerClick)
	t.Run("it reports what it has shown and what was opened", workerReports)
	t.Run("what cannot be reported is reported later", workerReportsLater)
	t.Run("a notification of mail has buttons, of which one mutes its mailbox for an hour", workerMutes)
}

func workerShowsPush(t *testing.T) {
	t.Parallel()
	pushes := pushed(t)
	for i, did := range runWorker(t, pushes, nil).Pushes {
		var sent struct {
			Notification struct {
				Title, Body, Tag string
				AppBadge         *int `json:"app_badge"`
			}
			Idlepush struct {
				Clear []string
				Kind  string
			}
		}
		fatal(t, json.Unmarshal([]byte(*pushes[i]), &sent))
		if len(did.Shown) != 1 {
			t.Fatalf("%s shows %d", *pushes[i], len(did.Shown))
		}
		n, want := did.Shown[0], sent.Notification
		if n.Title != want.Title || n.Body != want.Body || n.Tag != want.Tag || n.Icon == "" || n.Data["kind"] != sent.Idlepush.Kind {
			t.Errorf("%s is shown as %+v", *pushes[i], n)
		}
		if (did.Badge == nil) != (want.AppBadge == nil) || did.Badge != nil && *did.Badge != *want.AppBadge {
			t.Errorf("%s: the badge is %v", *pushes[i], did.Badge)
		}
	}
}

// Browsers end the subscription of a page that gets a push and shows nothing.
func workerShowsAnyPush(t *testing.T) {
	t.Parallel()
	var pushes []*string
	for _, text := range []string{"", "not JSON", "null", "17", `"text"`, "[]", "{}", `{"notification":null,"idlepush":null}`, `{"idlepush":{"v":2,"kind":"unheard of","id":"x"}}`,
		`{"notification":{"title":"","tag":7},"idlepush":{"clear":"x","unread":"many","at":"never"}}`} {
		pushes = append(pushes, &text)
	}
	pushes = append(pushes, nil)
	for i, did := range runWorker(t, pushes, nil).Pushes {
		if len(did.Shown) != 1 || did.Shown[0].Title == "" || did.Shown[0].Tag == "" || did.Shown[0].Silent {
			t.Errorf("push %d shows %+v", i, did.Shown)
		}
	}
}

func workerClosesAndRingsOnce(t *testing.T) {
	t.Parallel()
	mail := func(id string, clear ...string) *string {
		text, err := json.Marshal(object{"notification": object{"title": id, "tag": id}, "idlepush": object{"v": 1, "kind": "mail", "id": id, "clear": clear}})
		fatal(t, err)
		return new(string(text))
	}
	did := runWorker(t, []*string{mail("a"), mail("b"), mail("c", "a", "gone", "c"), mail("b")}, nil).Pushes
	if got := did[2].Closed; len(got) != 1 || got[0] != "a" {
		t.Errorf("it takes away %v", got)
	}
	for i, silent := range []bool{false, false, false, true} {
		if did[i].Shown[0].Silent != silent {
			t.Errorf("push %d: silent is %v", i, did[i].Shown[0].Silent)
		}
	}
	quiet := `{"notification":{"title":"New mail","tag":"d","silent":true},"idlepush":{"v":1,"kind":"mail","id":"d","silent":true}}`
	for i, did := range runWorker(t, []*string{&quiet, &quiet}, nil).Pushes {
		if !did.Shown[0].Silent {
			t.Errorf("push %d that is to be silent rings", i)
		}
	}
}

func workerReplacesSilently(t *testing.T) {
	t.Parallel()
	first := `{"notification":{"title":"New mail","tag":"a"},"idlepush":{"v":1,"kind":"mail","id":"a"}}`
	second := `{"notification":{"title":"Anna","body":"Lunch?","tag":"a"},"idlepush":{"v":1,"kind":"mail","id":"a"}}`
	did := runWorker(t, []*string{&first, &second}, nil).Pushes
	if n := did[1].Shown[0]; n.Tag != did[0].Shown[0].Tag || n.Title != "Anna" || n.Body != "Lunch?" || !n.Silent || n.Renotify {
		t.Errorf("the second is shown as %+v", n)
	}
}

func workerClick(t *testing.T) {
	t.Parallel()
	const page = "https://house.example.net/#/"
	rows := []struct {
		data object
		want string
	}{
		{object{"kind": "mail", "id": "x", "navigate": "https://mail.example.net/x"}, "https://mail.example.net/x"},
		{object{"kind": "mail", "id": "x", "navigate": page + "open/x"}, page + "open/x"},
		{object{"kind": "mail", "id": "x"}, page + "open/x"},
		{object{"kind": "mail", "id": "x", "navigate": "message:%3Cx%3E"}, page + "open/x"},
		{object{"kind": "mail", "id": "x", "navigate": "javascript:alert(1)"}, page + "open/x"},
		{object{"kind": "mail", "id": "x", "navigate": "nonsense"}, page + "open/x"},
		{object{"kind": "mail", "id": "x", "navigate": "https://mail.example.net/#/mail/x"}, "https://mail.example.net/#/mail/x"},
		{object{"kind": "summary", "id": "x", "navigate": "https://house.example.net/"}, "https://house.example.net/"},
		{object{"kind": "attention"}, page},
		{object{"kind": "attention", "account": "family"}, page + "attention/family"},
		{object{"kind": "attention", "account": "family", "navigate": page + "attention/family"}, page + "attention/family"},
		{object{}, page},
		// Somebody else chose the link, which is the id here.
		{object{"kind": "mail", "navigate": page + "open/https%3A%2F%2Fallowed.example%2Fx"}, "https://allowed.example/x"},
		{object{"kind": "mail", "navigate": page + "open/https%3A%2F%2Fother.example%2Fx"}, page + "open/https%3A%2F%2Fother.example%2Fx"},
		{object{"kind": "mail", "navigate": page + "open/message%3Aallowed"}, page + "open/message%3Aallowed"},
		{object{"kind": "mail", "navigate": page + "open/"}, page + "open/"},
		{object{"kind": "mail", "navigate": "https://mail.example.net/#/open/https%3A%2F%2Fallowed.example%2Fx"}, "https://mail.example.net/#/open/https%3A%2F%2Fallowed.example%2Fx"},
	}
	var clicks []object
	for _, row := range rows {
		clicks = append(clicks, row.data)
	}
	for i, got := range runWorker(t, nil, clicks).Clicks {
		if got != rows[i].want {
			t.Errorf("%v leads to %s, want %s", rows[i].data, got, rows[i].want)
		}
	}
}

func workerMutes(t *testing.T) {
	t.Parallel()
	mail := `{"notification":{"title":"Anna","tag":"a"},"idlepush":{"v":1,"kind":"mail","id":"a","account":"home"}}`
	summary := `{"notification":{"title":"5 new mails","tag":"b"},"idlepush":{"v":1,"kind":"summary","id":"b","account":"home"}}`
	before := time.Now()
	out := runWorker(t, []*string{&mail, &summary}, nil,
		object{"action": "open", "data": object{"kind": "mail", "id": "x", "account": "home"}},
		object{"action": "mute", "data": object{"kind": "mail", "id": "x", "account": "home"}},
		object{"action": "mute", "data": object{"kind": "mail", "id": "x", "account": "refused"}})
	if buttons := out.Pushes[0].Shown[0].Actions; len(buttons) != 2 || buttons[0].Action != "open" || buttons[1].Action != "mute" || len(out.Pushes[1].Shown[0].Actions) != 0 {
		t.Errorf("the buttons are %v, and of a summary %v", buttons, out.Pushes[1].Shown[0].Actions)
	}
	open, mute, refused := out.Actions[0], out.Actions[1], out.Actions[2]
	if open.Opened != "https://house.example.net/#/open/x" || open.Asked != "" {
		t.Errorf("the first opens %q and asks %q", open.Opened, open.Asked)
	}
	path, body, _ := strings.Cut(mute.Asked, " ")
	var asked struct {
		Of, Device string
		Until      time.Time
	}
	fatal(t, json.Unmarshal([]byte(body), &asked))
	until := asked.Until.Sub(before)
	if path != "/api/v1/accounts/home/mutes" || asked.Of != "mailbox" || asked.Device != "phone" || until < time.Hour-time.Minute || until > time.Hour+time.Minute || mute.Opened != "" || len(mute.Shown) != 0 {
		t.Errorf("the second asks %q, opens %q and shows %v", mute.Asked, mute.Opened, mute.Shown)
	}
	if len(refused.Shown) != 1 || !refused.Shown[0].Silent || !strings.HasPrefix(refused.Shown[0].Title, "It could not be muted.") {
		t.Errorf("refused, it shows %v", refused.Shown)
	}
}

const withReceipt = `{"notification":{"title":"Anna","tag":"a"},"idlepush":{"v":1,"kind":"mail","id":"a","account":"home","receipt":"/api/v1/receipts/one"}}`

func workerReports(t *testing.T) {
	t.Parallel()
	plain, foreign := `{"idlepush":{"v":1,"kind":"mail","id":"b"}}`, `{"idlepush":{"v":1,"kind":"mail","id":"b","receipt":"https://evil.example/api/v1/receipts/x"}}`
	data := object{"kind": "mail", "id": "a", "account": "home", "receipt": "/api/v1/receipts/one"}
	out := runWorker(t, []*string{new(withReceipt), &plain, &foreign}, nil, object{"action": "", "data": data}, object{"action": "mute", "data": data})
	if got := out.Pushes[0].Reported; len(got) != 1 || got[0].Path != "/api/v1/receipts/one" || !got[0].ShownBefore || got[0].Received.IsZero() || got[0].Shown.Before(got[0].Received) ||
		got[0].Now.Before(got[0].Shown) || !got[0].Opened.IsZero() {
		t.Errorf("of a push it reports %+v", got)
	}
	if len(out.Pushes[1].Reported)+len(out.Pushes[2].Reported) > 0 {
		t.Errorf("of those without a receipt of this server it reports %+v, %+v", out.Pushes[1].Reported, out.Pushes[2].Reported)
	}
	if got := out.Actions[0].Reported; len(got) != 1 || got[0].Opened.IsZero() || !got[0].Received.IsZero() {
		t.Errorf("of a click it reports %+v", got)
	}
	if got := out.Actions[1].Reported; len(got) != 0 {
		t.Errorf("of a mute it reports %+v", got)
	}
}

func workerReportsLater(t *testing.T) {
	t.Parallel()
	two := strings.ReplaceAll(withReceipt, "receipts/one", "receipts/two")
	for name, c := range map[string]struct {
		answers []int
		again   bool // the first is sent again with the second
	}{
		"offline": {[]int{0}, true}, "a server that fails": {[]int{503}, true}, "too many": {[]int{429}, true},
		"unknown": {[]int{404}, false}, "late": {[]int{410}, false},
	} {
		out := runWorkerIn(t, object{"pushes": []string{withReceipt, two}, "answers": c.answers})
		first, second := out.Pushes[0].Reported, out.Pushes[1].Reported
		if len(out.Pushes[0].Shown) != 1 || len(first) != 1 {
			t.Fatalf("%s: it shows %+v and reports %+v", name, out.Pushes[0].Shown, first)
		}
		if again := len(second) == 2 && second[0].Path == first[0].Path && second[0].Received.Equal(first[0].Received); again != c.again || second[len(second)-1].Path != "/api/v1/receipts/two" {
			t.Errorf("%s: with the next push it reports %+v", name, second)
		}
	}
}
