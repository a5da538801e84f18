package web

import (
	"reflect"
	"testing"
)

// TestLive follows the stream of a page while the server comes and goes. Its timers are ours.
func TestLive(t *testing.T) {
	t.Parallel()
	var got []string
	runModule(t, "live.js", `async ({ listen }) => {
		let now = 0, timers = [];
		self.setTimeout = (act, wait) => timers.push({ act, at: now + wait }) && timers.at(-1);
		self.clearTimeout = (timer) => { timers = timers.filter((other) => other !== timer); };
		const pass = (seconds) => {
			for (const end = now + seconds * 1000; ;) {
				const next = timers.toSorted((a, b) => a.at - b.at)[0];
				if (!next || next.at > end) { now = end; return; }
				now = next.at;
				clearTimeout(next);
				next.act();
			}
		};
		const place = { textContent: "" };
		self.document = { visibilityState: "visible", addEventListener() {}, removeEventListener() {}, getElementById: () => place, querySelectorAll: () => [] };
		self.localStorage = { getItem: () => null, setItem() {} };
		let streams = [];
		self.EventSource = class extends EventTarget {
			static CLOSED = 2;
			readyState = 0;
			constructor() { super(); streams.push(this); }
			close() { this.closed = true; }
			get(name) { this.dispatchEvent(Object.assign(new Event(name), { data: "{}" })); }
		};
		let told = [], refused = 0;
		const stop = listen((kinds) => told.push(...kinds), () => refused++);
		const said = [];
		const say = (what) => said.push(what + ": " + (place.textContent || "nothing is said") + ", " + streams.length + " streams" + told.splice(0).map((kind) => ", " + kind).join(""));
		streams[0].get("open");
		for (let i = 0; i < 8; i++) { pass(25); streams[0].get("alive"); }
		say("beats");
		streams[0].get("error"); pass(5); say("just cut");
		streams[0].get("open"); pass(20); say("there again");
		streams[0].get("error"); pass(15); say("cut");
		streams[0].get("open"); pass(30); say("back");
		pass(35); say("nothing comes");
		streams[1].get("open"); pass(1); say("a new stream");
		streams[1].readyState = 2; streams[1].get("error"); pass(60); say("refused " + refused);
		stop();
		return said;
	}`, nil, &got)
	want := []string{
		"beats: nothing is said, 1 streams",
		"just cut: nothing is said, 1 streams",
		"there again: nothing is said, 1 streams, all",
		"cut: The server is silent., 1 streams",
		"back: nothing is said, 1 streams, all",
		"nothing comes: The server is silent., 2 streams",
		"a new stream: nothing is said, 2 streams, all",
		"refused 1: nothing is said, 2 streams",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the page says\n%q\nwant\n%q", got, want)
	}
}
