import { clock } from "../age.js";
import { all, call } from "../api.js";
import { button, copyable, el } from "../dom.js";
import { reason } from "../reason.js";
import { thisDevice } from "../ring.js";
import { session } from "../session.js";
import { wishesOf } from "../wishes.js";
import { title } from "./activity.js";
import { deliveries, reports } from "./delivery.js";
import { mutes } from "./mute.js";
import { addPerson } from "./wishes.js";

const { remember, texts } = self;

// mail shows one mail or summary: its text, what to do about it, and how it rang on each device.
export async function mail(id) {
	return await view(...await mailOf(id));
}

// openMail is mail after a tap on a notification. If this device opens mail elsewhere, it goes
// there at once.
export async function openMail(id) {
	const [item, account] = await mailOf(id);
	for (const { name, link, isOthers } of waysTo(item, account)) {
		const allowed = isOthers && await remember.allows(link).catch(() => false);
		if (name === wayHere() ? allowed || !isOthers : allowed && !wayHere() && /^https?:/.test(link)) {
			location.replace(link);
			break;
		}
	}
	return { ...await view(item, account), address: `#/mail/${encodeURIComponent(id)}` };
}

// mailOf returns a notification and its account, which may be undefined.
async function mailOf(id) {
	const [item, accounts] = await Promise.all([call("GET", `/notifications/${encodeURIComponent(id)}`), all("/accounts")]);
	return [item, accounts.find((account) => account.id === item.account)];
}

async function view(item, account) {
	const rows = [[account?.name ?? account?.email, item.folder].filter(Boolean).join(" · "), clock(item.at)];
	return { title: item.subject || title(item), node: [
		el("div", { class: "card" }, item.subject && el("p", {}, item.from), item.one_time_code && copyable(item.one_time_code, "", { class: "code" }), item.preview && el("p", {}, item.preview), rows.map((text) => el("p", { class: "soft" }, text)),
			item.code && el("p", {}, reason(item, item.text)),
			item.cleared && el("p", { class: "soft" }, texts.readElsewhere)),
		item.mails?.length > 0 && await summed(item.mails),
		opener(waysTo(item, account)),
		item.deliveries.length > 0 && el("section", { class: "card" }, el("h2", {}, whetherItRang(item.deliveries)), deliveries(item, true), reports(item)),
		account && item.mutes?.length > 0 && await wishes(item, account),
	].flat().filter(Boolean), on: [] };
}

// maxSummed bounds how many mails of a summary are shown.
const maxSummed = 30;

// summed lists the mails that a summary counts, as links. Those that are gone are left out.
async function summed(ids) {
	const { items } = await call("GET", `/notifications?ids=${ids.slice(0, maxSummed).map(encodeURIComponent)}`);
	return el("section", { class: "card" }, el("h2", {}, texts.summed),
		el("ul", { class: "plain" }, items.map((mail) => el("li", {}, el("a", { href: `#/mail/${encodeURIComponent(mail.id)}` }, [title(mail), mail.subject].filter(Boolean).join(": ")),
			el("span", { class: "soft" }, ` · ${clock(mail.at)}`, mail.cleared && ` · ${texts.readElsewhere}`)))),
		ids.length > maxSummed && el("p", { class: "soft" }, texts.moreMails(ids.length - maxSummed)));
}

// whetherItRang returns the heading of the deliveries of a mail.
function whetherItRang(all) {
	const rang = all.some(({ state, decision }) => state === "delivered" && decision?.verdict !== "silent");
	const waits = all.some(({ state }) => state === "pending");
	return rang ? texts.whereItRang : waits ? texts.whenItRings : texts.whyNotRung;
}

// waysTo returns how a mail can be opened, as {name, link}. isOthers tells that somebody else chose
// the link.
function waysTo({ link, message_id: id }, account) {
	const message = id && `message:${encodeURIComponent(`<${id}>`)}`;
	const isMessage = link?.startsWith("message:");
	return [
		link && { name: isMessage ? "message" : "link", link, isOthers: account?.owner !== session.user.id },
		message && !isMessage && { name: "message", link: message, isOthers: false },
	].filter(Boolean);
}

// opener returns the links that open a mail. From then on, a tap on a notification opens the link
// that was used last. If somebody else chose the link, it shows the host, and a click allows links
// to that host from then on.
function opener(ways) {
	if (ways.length === 0) {
		return undefined;
	}
	const others = ways.find(({ isOthers }) => isOthers);
	const hint = el("div", {});
	const show = () => hint.replaceChildren(el("p", { class: "hint" }, wayHere() ? texts.opensAtOnce : texts.willOpenAtOnce),
		...wayHere() ? [button(texts.showPageFirst, () => {
			setWayHere(undefined);
			show();
		})] : []);
	show();
	return [
		others && el("p", {}, texts.chosenByOther(remember.hostOf(others.link))),
		el("div", { class: "buttons" }, ways.map(({ name, link, isOthers }, at) => el("a", { class: at === 0 ? "button primary" : "button", href: link, rel: "noreferrer", onclick: () => {
			setWayHere(name);
			isOthers && remember.allow(link).catch(() => {});
			show();
		} }, isOthers ? texts.openAt(remember.hostOf(link)) : texts.ways[name]))),
		hint,
	];
}

// wayHere returns the name of the way in which this device opens mail at once, or undefined. A
// browser may have no storage.
function wayHere() {
	try {
		return localStorage.getItem("opens-mail") ?? undefined;
	} catch {
		return undefined;
	}
}

function setWayHere(name) {
	try {
		name ? localStorage.setItem("opens-mail", name) : localStorage.removeItem("opens-mail");
	} catch {
		// The browser asks again.
	}
}

// wishes offers what one may want of a mail: that its sender matters, a rule, a mute.
async function wishes(item, { id }) {
	const [{ people = [], mutes: known = [] }, devices, here] = await Promise.all([call("GET", wishesOf(id)), devicesOf(id), thisDevice()]);
	const { sender, muted: itsMutes = [] } = item;
	const matters = el("p", { class: "soft", hidden: !people.includes(sender) }, texts.peopleMatters(sender));
	const add = sender && !people.includes(sender) && button(texts.peopleMatter(sender), async () => {
		await addPerson(id, sender);
		matters.hidden = false;
		add.remove();
	});
	const choices = Object.fromEntries(item.mutes.map((of) => [of, of === "mailbox" ? {} : { notification: item.id }]));
	const { list, form } = mutes(id, known.filter((mute) => itsMutes.includes(mute.id)), devices, here, choices);
	return [
		matters, list,
		item.kind === "mail" && el("div", { class: "buttons" }, add, el("a", { class: "button", href: `#/rules/${id}/${encodeURIComponent(item.id)}` }, texts.ruleOfMail)),
		el("details", {}, el("summary", {}, texts.mute), form),
	];
}

// devicesOf returns the devices that a mailbox notifies.
async function devicesOf(account) {
	return (await all("/devices")).filter(({ accounts }) => accounts?.includes(account) ?? true);
}
