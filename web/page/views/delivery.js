import { clock } from "../age.js";
import { el } from "../dom.js";
import { reason } from "../reason.js";

const { texts } = self;

// deliveries says what a notification did on each device. Devices on which it did the same share a
// sentence. If inFull is set, it names each of these, and the time that it took there.
export function deliveries(item, inFull) {
	if (item.deliveries.length === 0) {
		return item.kind === "clear" || item.kind === "mail" && item.code ? "" : el("p", { class: "soft" }, texts.noDeviceThen);
	}
	const same = grouped(item.deliveries, (delivery) => [sentence(delivery, "", inFull ? texts.after(seconds(item, delivery)) : ""), failure(delivery), changeAt(item, delivery), delivery.into].join("\n"));
	return el("ul", { class: "plain soft" }, same.map((group) => line(item, group, inFull)));
}

// grouped returns the items in groups of those that have the same key.
export function grouped(items, keyOf) {
	const groups = new Map();
	for (const item of items) {
		const key = keyOf(item);
		groups.set(key, [...groups.get(key) ?? [], item]);
	}
	return [...groups.values()];
}

// line says in one sentence what a notification did on devices on which that is the same. It links
// to the setting that decided, and to the summary that counts it.
function line(item, group, inFull) {
	const [delivery] = group;
	const slowest = Math.max(...group.map((one) => seconds(item, one)));
	const names = group.map(({ name }) => name);
	const said = sentence(delivery, inFull ? texts.these(names) : texts.onDevices(names, item.deliveries.length), group.length > 1 && !inFull ? texts.within(slowest) : texts.after(slowest));
	const change = changeAt(item, delivery);
	return el("li", {}, delivery.into ? el("a", { href: `#/mail/${delivery.into}` }, said) : said, ".", failure(delivery),
		change && [" ", el("a", { href: change, "aria-label": texts.ruleAbout(texts.changeThis, said) }, texts.changeThis)]);
}

// reports says what devices have reported of a notification, or returns undefined if none has.
export function reports({ deliveries: all }) {
	const reported = all.filter(({ received, shown, opened }) => received ?? shown ?? opened);
	return reported.length > 0 ? el("ul", { class: "plain soft" }, reported.map(({ name, at, received, shown, opened }) =>
		el("li", {}, texts.reported(name, at ? texts.after(Math.max(0, Date.parse(received ?? shown ?? opened) - Date.parse(at)) / 1000) : "", opened && clock(opened)), "."))) : undefined;
}

// seconds returns how long a delivery took.
const seconds = (item, { at }) => at ? (Date.parse(at) - Date.parse(item.at)) / 1000 : 0;

// sentence says what a notification did on the devices of that name, and how long it took.
function sentence({ state, at, until, decision = {} }, name, took) {
	const [since, ends] = [at, until].map((time) => time && clock(time));
	return sentences[state]?.({ name, took, until: ends, decision }) ?? because(texts.delivery[state](name, took, since, ends), { waited: decision.waited });
}

// failure says why a delivery did not succeed, if it did not.
function failure(delivery) {
	return delivery.reason && delivery.state !== "delivered" ? ` ${texts.stateReason(reason(delivery, delivery.reason))}` : "";
}

// sentences has those that tell of the decision.
const sentences = {
	pending: ({ name, until, decision }) => until && decision.code === "quiet_hours" ? texts.quietUntil(name, until) : undefined,
	delivered: ({ name, took, decision }) => because(decision.verdict === "silent" ? texts.shownSilently(name, took) : texts.delivery.delivered(name, took), decision),
	skipped: ({ name, decision }) => because(texts.notShown(name), decision),
};

// because adds to a sentence what held the mail before and what decided, without the full stop.
export function because(said, { code, params, text, until, outdated, waited }) {
	const cause = code && (texts.causes[code]?.(params ?? {}, until && clock(until)) ?? reason({ code, params }, text).replace(/\.$/, ""));
	return [said, waited && texts.waited[waited.code]?.(clock(waited.until)), outdated ? texts.outdated(cause) : cause].filter(Boolean).reduce(texts.because);
}

// changeAt returns the view with the setting that decided, or undefined if none did.
function changeAt({ account }, { device, decision: { code, params } = {} }) {
	switch (code) {
	case "rule":
	case "otherwise":
		return `#/rules/${account}`;
	case "muted":
		return `#/mailbox/${account}/mutes`;
	case "person_matters":
		return `#/mailbox/${account}/people`;
	case "breaks_through":
		return { attention: `#/device/${device}/quiet`, people: `#/mailbox/${account}/people`, people_burst: `#/mailbox/${account}/people` }[params?.case] ?? `#/rules/${account}`;
	case "quiet_hours":
		return `#/device/${device}/quiet`;
	case "folder_not_wanted":
		return `#/device/${device}/folders`;
	}
	return undefined;
}
