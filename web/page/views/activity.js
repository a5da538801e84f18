import { clock } from "../age.js";
import { all, call } from "../api.js";
import { el, field, form } from "../dom.js";
import { reason } from "../reason.js";
import { deliveries } from "./delivery.js";
import { colorDot } from "./mailboxes.js";
import { paged, pagedHere } from "./paged.js";

const { texts } = self;

export async function activity() {
	const [first, mailboxes] = await Promise.all([call("GET", "/notifications?limit=50"), all("/accounts")]);
	const named = new Map(mailboxes.map((account) => [account.id, account]));
	const list = el("ul", { class: "plain" });
	const card = (item) => el("li", { class: "card", id: item.id }, line(item, named));
	const more = paged(list, card, first, async (next) => {
		const page = await call("GET", `/notifications?limit=50&after=${encodeURIComponent(next)}`);
		list.dataset.keep = ""; // a redraw would show only the first page again
		return page;
	});
	const latest = el("div", {}, first.items.length ? list : el("p", {}, texts.noActivity), more);
	return { title: texts.activityTitle, node: [first.items.length > 0 && search(card, latest), latest].filter(Boolean), on: ["notification"] };
}

// foundAtOnce is how many of the mails that a search has found are shown at once.
const foundAtOnce = 50;

// search asks for words of a sender or subject, and shows the mails that have them instead of
// the latest.
function search(card, latest) {
	const found = el("div", { "aria-live": "polite" });
	const input = field("search", texts.search, { type: "search", autocomplete: "off", enterkeyhint: "search" }, texts.searchHint);
	const ask = async (words) => {
		latest.hidden = words !== "";
		if (words === "") {
			found.replaceChildren();
			return;
		}
		found.replaceChildren(el("p", {}, texts.searchLooking));
		const items = (await all("/notifications")).filter((item) => matches(item, words));
		const list = el("ul", { class: "plain" });
		const more = pagedHere(list, card, items, foundAtOnce);
		found.replaceChildren(el("p", {}, texts.searchFound(items.length)), list, more);
	};
	const f = form(texts.searchButton, (values) => ask(values.get("search").trim()), input);
	f.setAttribute("role", "search");
	f.addEventListener("input", ({ target }) => {
		f.toggleAttribute("data-keep", target.value !== ""); // a redraw would end the search
		if (target.value === "") {
			ask("");
		}
	});
	return el("div", {}, f, found);
}

// folded returns a text without case and accents.
const folded = (text = "") => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();

// quotes are the signs around words that stand side by side.
const quotes = /["“”„«»]/;

// matches reports whether a notification has all the words in its sender or subject.
function matches({ from, sender, subject }, words) {
	const text = folded([from, sender, subject].filter(Boolean).join(" ").replace(/\s+/g, " "));
	const wanted = folded(words).split(quotes).flatMap((part, at) => at % 2 === 1 ? part.trim().replace(/\s+/g, " ") : part.split(/\s+/));
	return wanted.every((word) => text.includes(word));
}

const nameOf = (account) => account?.name ?? account?.email;

// title returns the headline of a notification.
export function title(item) {
	switch (item.kind) {
	case "summary":
		return item.code === "old" ? texts.olderMails(item.count, item.folder) : item.code === "excess" ? texts.moreMails(item.count) : texts.summary(item.count);
	case "attention":
		return texts.attentionKind;
	case "heartbeat":
		return texts.heartbeatKind;
	case "clear":
		return texts.clearKind;
	}
	return item.from || texts.newMail;
}

function line(item, named) {
	const heading = el("h2", {}, ["mail", "summary"].includes(item.kind) ? el("a", { href: `#/mail/${item.id}` }, title(item)) : title(item));
	return [
		el("div", { class: "row" }, heading, el("span", { class: "soft" }, clock(item.at))),
		item.subject && el("p", {}, item.subject),
		item.code && el("p", {}, reason(item, item.text)),
		item.code === "share_ended" && el("p", {}, el("a", { href: `#/add/${item.id}` }, texts.addAgain)),
		el("p", { class: "soft" }, colorDot(named.get(item.account)?.color), [nameOf(named.get(item.account)), item.folder !== "INBOX" && item.folder].filter(Boolean).join(" · ")),
		item.cleared && !(item.kind === "mail" && item.code) && el("p", { class: "soft" }, item.kind === "attention" ? texts.resolved : texts.readElsewhere),
		deliveries(item),
	];
}
