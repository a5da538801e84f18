import { age } from "../age.js";
import { all } from "../api.js";
import { el } from "../dom.js";
import { support } from "../ring.js";
import { session } from "../session.js";
import { mailboxState } from "./state.js";

const { texts } = self;

export async function mailboxes() {
	const [list, ringing] = await Promise.all([all("/accounts"), support()]);
	const node = [];
	if (ringing !== "subscribed") {
		node.push(el("p", { class: "card row" }, texts.ringHereText, el("a", { class: "button primary", href: "#/devices" }, texts.ringHere)));
	}
	node.push(el("ul", { class: "plain" }, list.map((account) => el("li", {}, card(account)))));
	if (list.length === 0) {
		node.push(el("p", {}, texts.noMailboxes));
	}
	node.push(el("div", { class: "buttons" }, el("a", { class: "button", href: "#/add" }, texts.addMailbox)));
	return { title: texts.mailboxesTitle, node, on: ["account"] };
}

function card(account) {
	const { status } = account;
	return el("a", { class: "card", href: `#/mailbox/${account.id}`, id: account.id },
		el("div", { class: "row" }, el("h2", {}, account.email), status.unread > 0 && el("span", { class: "soft" }, texts.unread(status.unread))),
		mailboxState(account),
		status.last_mail && el("p", { class: "soft" }, texts.lastMail, age(status.last_mail)),
		account.owner !== session.user.id && el("p", { class: "soft" }, texts.sharedBy));
}
