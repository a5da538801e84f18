import { age } from "../age.js";
import { el } from "../dom.js";
import { reason } from "../reason.js";

const { texts } = self;

// mailboxState returns the state of a mailbox as a sentence with its age, what to expect of it, and
// when it is tried again.
export function mailboxState({ enabled, status }) {
	if (!enabled) {
		return el("p", { class: "state" }, texts.state.paused());
	}
	const tone = { watching: "good", polling: "good", retrying: "warn", attention: "bad" }[status.state] ?? "";
	const checked = [status.last_byte, status.confirmed, status.proof].filter(Boolean).sort().at(-1) ?? status.since;
	const time = tone === "good" ? checked : status.since;
	const why = reason(status, status.reason);
	const node = [el("p", { class: `state ${tone}` }, texts.state[status.state](age(time), why))];
	if (tone === "good" && why) {
		node.push(el("p", { class: "soft" }, texts.stateReason(why)));
	}
	if (tone === "good" && status.tour) {
		node.push(el("p", { class: "soft" }, texts.tour(texts.seconds(status.tour))));
	}
	if (status.next_try) {
		node.push(el("p", { class: "soft" }, texts.nextTry(age(status.next_try))));
	}
	return node;
}

// deviceState returns the state of a device as a sentence with its age.
export function deviceState({ status }) {
	const tone = { proven: "good", suspect: "bad", unproven: "warn" }[status.state];
	const why = reason(status, status.reason);
	const node = [el("p", { class: `state ${tone}` }, texts.deviceState[status.state](age(status.proof ?? status.since), why))];
	if (status.state !== "suspect" && why) {
		node.push(el("p", { class: "soft" }, why));
	}
	if (status.lane) {
		node.push(el("p", { class: "state warn" }, texts.lane(age(status.lane.since), reason(status.lane, status.lane.reason))));
	}
	return node;
}
