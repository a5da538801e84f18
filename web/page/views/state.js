import { age } from "../age.js";
import { el } from "../dom.js";

const { texts } = self;

// mailboxState returns the state of a mailbox as a sentence with its age.
export function mailboxState({ enabled, status }) {
	if (!enabled) {
		return el("p", { class: "state" }, texts.state.paused());
	}
	const tone = { watching: "good", polling: "good", retrying: "warn", attention: "bad" }[status.state] ?? "";
	const checked = [status.last_byte, status.confirmed, status.proof].filter(Boolean).sort().at(-1) ?? status.since;
	const time = tone === "good" ? checked : status.since;
	return el("p", { class: `state ${tone}` }, texts.state[status.state](age(time), status.reason));
}

// deviceState returns the state of a device as a sentence with its age.
export function deviceState({ status }) {
	const tone = { proven: "good", suspect: "bad", unproven: "warn" }[status.state];
	const node = [el("p", { class: `state ${tone}` }, texts.deviceState[status.state](age(status.proof ?? status.since), status.reason))];
	if (status.state !== "suspect" && status.reason) {
		node.push(el("p", { class: "soft" }, status.reason));
	}
	if (status.lane) {
		node.push(el("p", { class: "state warn" }, texts.lane(age(status.lane.since), status.lane.reason)));
	}
	return node;
}
