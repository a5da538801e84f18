import { age, clock } from "../age.js";
import { el } from "../dom.js";
import { reason } from "../reason.js";

const { texts } = self;

// mailboxState returns the state of a mailbox as a sentence with its age, what to expect of it, and
// when it is tried again.
export function mailboxState({ enabled, status }) {
	if (!enabled) {
		return el("p", { class: "state" }, texts.state.paused());
	}
	const watched = status.state === "watching" || status.state === "polling";
	const checked = [status.last_byte, status.confirmed, status.proof].filter(Boolean).sort().at(-1) ?? status.since;
	const why = reason(status, status.reason);
	const tone = watched ? (why ? "warn" : "good") : { retrying: "warn", attention: "bad" }[status.state] ?? "";
	const node = [el("p", { class: `state ${tone}` }, texts.state[status.state](age(watched ? checked : status.since), why))];
	if (watched && why) {
		node.push(el("p", { class: "soft" }, texts.stateReason(why)));
	}
	if (watched && status.tour) {
		node.push(el("p", { class: "soft" }, texts.tour(texts.seconds(status.tour))));
	}
	if (status.next_try) {
		node.push(el("p", { class: "soft" }, texts.nextTry(age(status.next_try))));
	}
	return node;
}

// deviceState returns the state of a device as a sentence with its age, and how much mail waits for
// it. If its last push failed, it says when it is tried again.
export function deviceState({ status, holds }) {
	const node = pushState(status);
	return holds ? [...node, el("p", { class: "soft" }, texts.holds(clock(holds.until), holds.count, holds.code === "quiet_hours"))] : node;
}

// ages lists the links of a chain that were seen to work, each with its age.
function ages(chain, names) {
	return el("ul", { class: "plain soft" }, Object.entries(names).filter(([link]) => chain[link]).map(([link, name]) => el("li", {}, `${name} `, age(chain[link]))));
}

// mailboxChain returns how far the way from a mail server was last seen to work.
export function mailboxChain({ status }) {
	return ages(status, texts.mailLinks);
}

// lastProof returns the last link of the chain of a device that was seen to work, or undefined.
function lastProof(chain) {
	return ["opened", "shown", "received", "accepted"].filter((link) => chain[link]).sort((a, b) => Date.parse(chain[b]) - Date.parse(chain[a]))[0];
}

// deviceProof returns a sentence about the last report of a device, or undefined.
export function deviceProof({ status: { chain } }) {
	const proof = lastProof(chain);
	return proof && proof !== "accepted" ? el("p", { class: "soft" }, texts.lastProved(age(chain[proof]), texts.chainLinks[proof])) : undefined;
}

// deviceChain returns how far the way to a device was last seen to work: the newest proof, then
// each link with its age, and how long the way takes.
export function deviceChain({ status: { chain } }) {
	const proof = lastProof(chain);
	return [
		proof && el("p", {}, texts.lastProved(age(chain[proof]), texts.chainLinks[proof])),
		ages(chain, texts.chainLinks),
		chain.last_link && proof && el("p", { class: "soft" }, texts.lastLink),
		chain.trips && el("p", { class: "soft" }, texts.trips(chain.trips.median_ms / 1000, chain.trips.of)),
	].filter(Boolean);
}

function pushState(status) {
	const { state, lane } = status;
	const why = reason(status, status.reason);
	const paused = lane && el("p", { class: "state warn" }, texts.lane(age(lane.since), reason(lane, lane.reason)));
	if (state === "proven" && lane) {
		return [paused];
	}
	const sentence = texts.deviceState[state === "proven" && why ? "failing" : state](age(status.proof ?? status.since), why, status);
	const tone = state === "suspect" ? "bad" : state === "proven" && !why ? "good" : "warn";
	const node = [el("p", { class: `state ${tone}` }, sentence)];
	if (why && status.next_try && !lane) {
		node.push(el("p", { class: "soft" }, texts.waits(age(status.next_try))));
	}
	if (paused) {
		node.push(paused);
	}
	return node;
}
