import { clock } from "../age.js";
import { call } from "../api.js";
import { button, el, field, form, tell } from "../dom.js";
import { ends } from "../mute.js";

const { texts } = self;

const mutesOf = (account) => `/accounts/${encodeURIComponent(account)}/mutes`;

// mutes returns what is muted of a mailbox as {list, none, form}: a list with a button to end each,
// a text for an empty list, and a form to mute something. choices maps the name of what can be
// muted to what the API needs for it. here is the device of this browser, if it is one.
export function mutes(account, known, devices, here, choices) {
	const names = new Map(devices.map(({ id, name }) => [id, name]));
	const none = el("p", { class: "soft" }, texts.muteNone);
	const list = el("ul", { class: "plain" });
	const add = (mute) => {
		const same = [mute.of, mute.device, mute.sender, mute.title].join("\n"); // which it replaces
		[...list.children].find((line) => line.dataset.same === same)?.remove();
		const line = el("li", { class: "row", "data-same": same }, el("span", {}, texts.muteLine(mute.of, mute), el("br"),
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
	known.forEach(add);
	return { list, none, form: muteForm(account, choices, devices, here, add) };
}

// muteForm returns a form to mute something of a mailbox. muted is called with the mute that was
// made.
function muteForm(account, choices, devices, here, muted) {
	const names = Object.keys(choices);
	const where = [["", texts.muteEverywhere], ...devices.map(({ id, name }) => [id, id === here?.id ? texts.muteHere : texts.muteThere(name)])];
	return form(texts.mute, async (values) => {
		const of = values.get("of") ?? names[0];
		const until = ends[values.get("for")](new Date());
		muted(await call("POST", mutesOf(account), { of, ...choices[of], ...values.get("on") ? { device: values.get("on") } : {}, ...until ? { until: until.toISOString() } : {} }));
		tell(texts.muteDone(until && clock(until)));
	},
	names.length > 1 && field("of", texts.muteWhat, { options: names.map((of) => [of, texts.muteOf[of]]), value: names[0] }),
	field("for", texts.muteFor, { options: Object.entries(texts.muteEnds), value: "hour" }),
	devices.length > 1 && field("on", texts.muteOn, { options: where, value: "" }));
}
