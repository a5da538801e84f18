import { clock } from "../age.js";
import { el } from "../dom.js";
import { reason } from "../reason.js";

const { texts } = self;

// deliveries says what a notification did on each device.
export function deliveries(item) {
	if (item.deliveries.length === 0) {
		return item.kind === "clear" || item.kind === "mail" && item.code ? "" : el("p", { class: "soft" }, texts.noDeviceThen);
	}
	return el("ul", { class: "plain soft" }, item.deliveries.map((delivery) => line(item, delivery)));
}

// line says in one sentence what a notification did on a device. It links to where that is changed,
// and to the summary that counts it.
function line(item, delivery) {
	const { name, state, decision = {} } = delivery;
	const took = delivery.at ? texts.after((Date.parse(delivery.at) - Date.parse(item.at)) / 1000) : "";
	const [at, until] = [delivery.at, delivery.until].map((time) => time && clock(time));
	const said = sentences[state]?.({ name, took, until, decision }) ?? because(texts.delivery[state](name, took, at, until), { waited: decision.waited });
	const failure = delivery.reason && state !== "delivered" && ` ${texts.stateReason(reason(delivery, delivery.reason))}`;
	const change = changeAt(item, delivery);
	return el("li", {}, delivery.into ? el("a", { href: `#/mail/${delivery.into}` }, said) : said, ".", failure,
		change && [" ", el("a", { href: change, "aria-label": texts.ruleAbout(texts.changeThis, said) }, texts.changeThis)]);
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

// changeAt returns the view where a person changes what decided, or undefined if nothing did.
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
