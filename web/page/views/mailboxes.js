import { age } from "../age.js";
import { all, call } from "../api.js";
import { button, confirmed, el, svg } from "../dom.js";
import { reason } from "../reason.js";
import { support } from "../ring.js";
import { session } from "../session.js";
import { mailboxState } from "./state.js";

const { texts } = self;

export async function mailboxes() {
	const [list, ringing, { notice, password_given: given }, offers, state] = await Promise.all([all("/accounts"), support(), call("GET", "/me"), all("/offers"), call("GET", "/state")]);
	const others = list.some(({ owner }) => owner !== session.user.id) ? await all("/users/names") : [];
	const node = [house(state), ...offers.map(offered)];
	if (given) {
		node.push(el("p", { class: "card row" }, texts.passwordGiven, el("a", { class: "button", href: "#/me" }, texts.changeOwnPassword)));
	}
	if (notice) {
		node.push(told(notice, ringing));
	} else if (ringing !== "subscribed") {
		node.push(el("p", { class: "card row" }, texts.ringHereText, el("a", { class: "button primary", href: "#/devices" }, texts.ringHere)));
	}
	node.push(el("ul", { class: "plain" }, list.map((account) => el("li", {}, card(account, others)))));
	if (list.length === 0) {
		node.push(el("p", {}, texts.noMailboxes));
	}
	node.push(el("div", { class: "buttons" }, el("a", { class: "button", href: "#/add" }, texts.addMailbox)));
	return { title: texts.mailboxesTitle, node, on: ["account", "device", "offer", "user"] };
}

// house says that all is well, or what is not, with a link to that mailbox or device.
function house({ well, mailboxes, heard, devices, broken, others }) {
	if (mailboxes === 0 && well && !others) {
		return [];
	}
	const told = broken.map((it) => {
		const to = it.account ? `#/mailbox/${it.account}` : it.device && `#/device/${it.device}`;
		const why = texts.stateReason(reason(it, it.reason));
		return el("p", { class: "state bad" }, texts.broken(to ? el("a", { href: to }, why) : why, age(it.since)));
	});
	return el("section", { id: "house", "aria-label": texts.house },
		well ? el("p", { class: `state ${heard && devices > 0 ? "good" : "warn"}` }, texts.well(heard && age(heard), mailboxes, devices)) : told,
		others > 0 && el("p", { class: "state bad" }, el("a", { href: "#/people" }, texts.brokenForOthers(others))));
}

// lost are the codes of notices that the last device is gone.
const lost = ["device_gone", "device_damaged"];

// told returns a notice, which no device could show, with a way to ring this one.
function told(notice, ringing) {
	return el("section", { class: "card" }, el("h2", {}, lost.includes(notice.code) ? texts.noDeviceLeft : texts.noticeTitle),
		el("p", { class: "state bad" }, texts.notice(age(notice.since), reason(notice, notice.reason))),
		el("div", { class: "buttons" },
			ringing !== "subscribed" && el("a", { class: "button primary", href: "#/devices" }, texts.ringHere),
			button(texts.dismiss, () => call("DELETE", `/me/notice?since=${encodeURIComponent(notice.since)}`)))); // which redraws the view
}

// offered returns a mailbox that somebody else offers. It shows only what is known for certain.
function offered({ id, owner_name: owner, email, host, username }) {
	const path = `/offers/${encodeURIComponent(id)}`;
	return el("section", { class: "card" }, el("h2", {}, texts.offer(owner)),
		el("dl", {}, Object.entries({ email, host, username }).map(([name, value]) => [el("dt", {}, texts.offerDetail[name]), el("dd", {}, value)])),
		el("p", { class: "soft" }, texts.offerText),
		el("div", { class: "buttons" },
			button(texts.accept, () => call("POST", `${path}/accept`), { class: "primary", id: `accept-${id}` }), // which redraws the view
			button(texts.decline, async () => {
				if (await confirmed(texts.declineSure(owner), texts.decline, texts.cancel)) {
					await call("DELETE", path);
				}
			}, { id: `decline-${id}` })));
}

function card(account, others) {
	const { status } = account;
	return el("a", { class: "card", href: `#/mailbox/${account.id}`, id: account.id },
		el("div", { class: "row" }, el("h2", {}, colorDot(account.color), account.name ?? account.email), status.unread > 0 && el("span", { class: "soft" }, texts.unread(status.unread))),
		account.name && el("p", { class: "soft" }, account.email),
		mailboxState(account),
		status.last_mail && el("p", { class: "soft" }, texts.lastMail, age(status.last_mail)),
		account.owner !== session.user.id && el("p", { class: "soft" }, texts.sharedBy(others.find(({ id }) => id === account.owner)?.name)));
}

// colorDot returns a dot in the color of a mailbox, or undefined.
export function colorDot(color) {
	return color ? svg("svg", { class: "dot", viewBox: "0 0 10 10", "aria-hidden": "true" }, svg("circle", { cx: 5, cy: 5, r: 5, fill: color })) : undefined;
}
