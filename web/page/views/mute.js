import { clock } from "../age.js";
import { call } from "../api.js";
import { button, el, field, form, tell } from "../dom.js";
import { ends } from "../mute.js";

const { texts } = self;

const mutesOf = (account) => `/accounts/${encodeURIComponent(account)}/mutes`;

// muteForm returns a form to mute something of a mailbox. choices has what can be muted by its name
// and what the API needs for it; here is the device that this browser is, if it is one. muted is
// called with the mute that was made.
export function muteForm(account, choices, here, muted = () => {}) {
	const names = Object.keys(choices);
	return form(texts.mute, async (values) => {
		const of = values.get("of") ?? names[0];
		const until = ends[values.get("for")](new Date());
		muted(await call("POST", mutesOf(account), { of, ...choices[of], ...values.get("on") === "here" ? { device: here.id } : {}, ...until ? { until: until.toISOString() } : {} }));
		tell(texts.muteDone(until && clock(until)));
	},
	names.length > 1 && field("of", texts.muteWhat, { options: names.map((of) => [of, texts.muteOf[of]]), value: names[0] }),
	field("for", texts.muteFor, { options: Object.entries(texts.muteEnds), value: "hour" }),
	here && field("on", texts.muteOn, { options: [["all", texts.muteEverywhere], ["here", texts.muteHere]], value: "all" }));
}

// muteList returns the mutes of a mailbox with a way to end each, and a form for the mailbox.
export function muteList(account, mutes, devices, here) {
	const names = new Map(devices.map(({ id, name }) => [id, name]));
	const none = el("p", { class: "soft" }, texts.muteNone);
	const list = el("ul", { class: "plain" });
	const add = (mute) => {
		const line = el("li", { class: "row" }, el("span", {}, texts.muteLine(mute.of, mute), el("br"),
			el("span", { class: "soft" }, texts.muteUntil(mute.until && clock(mute.until), mute.device && (names.get(mute.device) ?? mute.device)))),
		button(texts.unmute, async () => {
			await call("DELETE", `${mutesOf(account)}/${encodeURIComponent(mute.id)}`);
			tell(texts.unmuted);
			line.remove();
			none.hidden = list.children.length > 0;
		}, { "aria-label": texts.ruleAbout(texts.unmute, texts.muteLine(mute.of, mute)) }));
		list.append(line);
		none.hidden = true;
	};
	mutes.forEach(add);
	return [none, list, muteForm(account, { mailbox: {} }, here, add)];
}
