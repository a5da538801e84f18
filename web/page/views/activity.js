import { clock } from "../age.js";
import { all, call } from "../api.js";
import { button, copyable, el } from "../dom.js";
import { reason } from "../reason.js";
import { session } from "../session.js";

const { remember, texts } = self;

export async function activity() {
	const [first, mailboxes] = await Promise.all([call("GET", "/notifications?limit=50"), all("/accounts")]);
	const emails = new Map(mailboxes.map(({ id, email }) => [id, email]));
	const list = el("ul", { class: "plain" });
	const more = el("div", { class: "buttons" });
	const show = ({ items, next }) => {
		list.append(...items.map((item) => el("li", { class: "card", id: item.id }, line(item, emails))));
		more.replaceChildren(...next ? [button(texts.more, async () => {
			show(await call("GET", `/notifications?limit=50&after=${encodeURIComponent(next)}`));
			list.dataset.keep = ""; // a redraw would show only the first page again
		})] : []);
	};
	show(first);
	return { title: texts.activityTitle, node: [first.items.length ? list : el("p", {}, texts.noActivity), more], on: ["notification"] };
}

// title returns the headline of a notification.
function title(item) {
	switch (item.kind) {
	case "summary":
		return item.code === "old" ? texts.olderMails(item.count, item.folder) : item.code === "excess" ? texts.moreMails(item.count) : texts.summary(item.count);
	case "attention":
		return texts.attentionKind;
	case "clear":
		return texts.clearKind;
	}
	return item.from || texts.newMail;
}

function line(item, emails) {
	const heading = el("h2", {}, item.kind === "mail" ? el("a", { href: `#/mail/${item.id}` }, title(item)) : title(item));
	return [
		el("div", { class: "row" }, heading, el("span", { class: "soft" }, clock(item.at))),
		item.subject && el("p", {}, item.subject),
		item.code && el("p", {}, reason(item, item.text)),
		item.code === "share_ended" && el("p", {}, el("a", { href: `#/add/${item.id}` }, texts.addAgain)),
		el("p", { class: "soft" }, [emails.get(item.account), item.folder !== "INBOX" && item.folder].filter(Boolean).join(" · ")),
		item.cleared && !(item.kind === "mail" && item.code) && el("p", { class: "soft" }, item.kind === "attention" ? texts.resolved : texts.readElsewhere),
		deliveries(item),
	];
}

function deliveries(item) {
	if (item.deliveries.length === 0) {
		return item.kind === "clear" || item.kind === "mail" && item.code ? "" : el("p", { class: "soft" }, texts.noDeviceThen);
	}
	return el("ul", { class: "plain soft" }, item.deliveries.map((delivery) => {
		const took = delivery.at ? texts.after((Date.parse(delivery.at) - Date.parse(item.at)) / 1000) : "";
		const text = texts.delivery[delivery.state](delivery.name, took, delivery.until && clock(delivery.until));
		return el("li", {}, delivery.into ? el("a", { href: `#/mail/${delivery.into}` }, text) : text, delivery.reason && delivery.state !== "delivered" && `. ${texts.stateReason(reason(delivery, delivery.reason))}`);
	}));
}

// mail shows one mail or summary, after a tap on its notification, with a link to open it.
export async function mail(id) {
	return mailView(...await mailOf(id));
}

// openMail is mail after a tap on the notification of a mail with a link that somebody else chose.
// If links to its host may be opened, it opens that instead. It opens no app: browsers want a tap
// on the page for that.
export async function openMail(id) {
	const [item, account] = await mailOf(id);
	if (/^https?:/.test(item.link) && await remember.allows(item.link).catch(() => false)) {
		location.replace(item.link);
	}
	return mailView(item, account);
}

// mailOf returns a notification and its account, which may be undefined.
async function mailOf(id) {
	const [item, accounts] = await Promise.all([call("GET", `/notifications/${encodeURIComponent(id)}`), all("/accounts")]);
	return [item, accounts.find((account) => account.id === item.account)];
}

function mailView(item, account) {
	const rows = [[account?.email, item.folder].filter(Boolean).join(" · "), clock(item.at)];
	return { title: item.subject || title(item), node: [
		el("div", { class: "card" }, item.subject && el("p", {}, item.from), item.one_time_code && copyable(item.one_time_code, "", { class: "code" }), item.preview && el("p", {}, item.preview), rows.map((text) => el("p", { class: "soft" }, text)),
			item.code && el("p", {}, reason(item, item.text)),
			item.cleared && el("p", { class: "soft" }, texts.readElsewhere)),
		item.link && opener(item.link, account),
	].flat().filter(Boolean), on: [] };
}

// opener returns the button that opens the link of a mail. If somebody else chose the link, it says
// where that leads, and a click allows links to that host from then on.
function opener(link, account) {
	const others = account?.owner !== session.user.id;
	const host = remember.hostOf(link);
	return [
		others && el("p", {}, texts.chosenByOther(host)),
		el("div", { class: "buttons" }, el("a", { class: "button primary", href: link, rel: "noreferrer", onclick: () => { others && remember.allow(link).catch(() => {}); } },
			others ? texts.openAt(host) : texts.openMail)),
	];
}
