import { clock } from "../age.js";
import { call } from "../api.js";
import { button, el, field } from "../dom.js";
import { reason } from "../reason.js";
import { because, grouped } from "./delivery.js";
import { pagedHere } from "./paged.js";

const { texts } = self;

// timeMachine shows what the mail of the last days to one of the mailboxes would have done with
// other wishes. draft returns {wishes, isChanged}: the wishes to try, and whether they differ from
// the stored ones. device is the id of the only device that they are about, if any. The method
// stale says that the draft has changed since the last trial.
export function timeMachine(mailboxes, draft, device) {
	const place = el("div", { "aria-live": "polite" });
	const old = el("p", { class: "state warn", hidden: true }, texts.triedStale);
	const chosen = field("mailbox", texts.tryMailbox, { options: mailboxes.map(({ id, name, email }) => [id, name ?? email]), onchange: () => place.replaceChildren() });
	const mailbox = chosen.querySelector("select");
	const node = el("section", { class: "card" }, el("h2", {}, texts.tryTitle), el("p", { class: "hint" }, texts.tryText), mailboxes.length > 1 && chosen,
		old, el("div", { class: "buttons" }, button(texts.tryNow, async () => {
			old.hidden = true;
			place.replaceChildren(el("p", {}, texts.trying));
			try {
				const { wishes, isChanged } = draft();
				place.replaceChildren(...answer(await call("POST", `/accounts/${encodeURIComponent(mailbox.value)}/rules/try`, wishes), isChanged, device));
			} catch (problem) {
				place.replaceChildren(el("p", { class: "wrong" }, problem.fields?.length > 0 ? problem.fields.map(({ message }) => message).join(" ") : problem.message));
			}
		})), place);
	return Object.assign(node, { stale: () => { old.hidden = place.childElementCount === 0; } });
}

// triedAtOnce is how many mails are shown at once.
const triedAtOnce = 20;

// answer shows how often each device would have rung, and what each mail would have done there:
// first the mails with which that has changed.
function answer({ since, mails, devices }, isChanged, only) {
	if (mails.length === 0) {
		return [el("p", {}, texts.triedNone)];
	}
	const names = new Map(devices.filter(({ device }) => device === (only ?? device)).map(({ device, name }) => [device, name]));
	const rings = grouped(devices.filter(({ device }) => names.has(device)), ({ before, after }) => [before, after].join());
	const [changed, others] = [[], []];
	for (const { devices: on = [], ...mail } of mails) {
		const told = on.filter(({ device }) => names.has(device)).map(({ device, before, after }) => ({ name: names.get(device), before: verdict(before), after: verdict(after) }));
		(told.some(({ before, after }) => before !== after) ? changed : others).push({ ...mail, told });
	}
	return [
		el("ul", { class: "plain" }, rings.map((group) => el("li", { class: "state good" },
			texts.triedOn(texts.onDevices(group.map(({ name }) => name), names.size), texts.tried(group[0].before, group[0].after, isChanged || changed.length > 0))))),
		el("p", { class: "soft" }, texts.triedSince(clock(since), mails.length)),
		...isChanged || changed.length > 0 ? [el("h3", {}, texts.triedChanges(changed.length)), ...listed(changed, names.size)] : [],
		...changed.length > 0 && others.length > 0 ? [el("h3", {}, texts.triedOthers)] : [],
		...listed(others, names.size),
	];
}

// listed shows mails, some at a time.
function listed(mails, devices) {
	const list = el("ul", { class: "plain tried" });
	return [list, pagedHere(list, (mail) => line(mail, devices), mails, triedAtOnce)];
}

// line shows what a mail would have done on so many devices.
function line({ at, folder, from, subject, told, ...mail }, devices) {
	return el("li", {},
		el("div", { class: "row" }, el("strong", {}, from || texts.newMail), el("span", { class: "soft" }, clock(at))),
		subject && el("div", {}, subject), folder !== "INBOX" && el("div", { class: "soft" }, folder),
		mail.code && el("div", { class: "soft" }, texts.stateReason(reason(mail, mail.text))),
		el("ul", { class: "plain soft" }, grouped(told, ({ before, after }) => [before, after].join("\n")).map((group) => {
			const [{ before, after }, name] = [group[0], texts.onDevices(group.map(({ name }) => name), devices)];
			return el("li", {}, before === after ? texts.triedOne(name, after) : texts.triedChanged(name, after, before));
		})));
}

// verdict says what a mail would have done on a device, and why.
function verdict(decision) {
	const until = decision.until && clock(decision.until);
	if (decision.summed) {
		return because(texts.trySummed, { waited: decision.waited });
	}
	return decision.verdict === "held" && decision.code === "quiet_hours" ? texts.tryQuiet(until) : because(texts.tryVerdicts[decision.verdict](until), decision);
}
