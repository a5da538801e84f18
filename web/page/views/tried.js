import { clock } from "../age.js";
import { call } from "../api.js";
import { button, el, tick } from "../dom.js";
import { reason } from "../reason.js";
import { because } from "./delivery.js";

const { texts } = self;

// timeMachine asks what the mail of the last days would have done by the wishes that draft returns.
// The method stale says that they have changed since it was asked.
export function timeMachine(account, draft) {
	const place = el("div", { "aria-live": "polite" });
	const old = el("p", { class: "state warn", hidden: true }, texts.triedStale);
	const node = el("section", { class: "card" }, el("h2", {}, texts.tryTitle), el("p", { class: "hint" }, texts.tryText),
		old, el("div", { class: "buttons" }, button(texts.tryNow, async () => {
			old.hidden = true;
			place.replaceChildren(el("p", {}, texts.trying));
			try {
				place.replaceChildren(...answer(await call("POST", `/accounts/${encodeURIComponent(account)}/rules/try`, draft())));
			} catch (problem) {
				place.replaceChildren(el("p", { class: "wrong" }, problem.message));
			}
		})), place);
	return Object.assign(node, { stale: () => { old.hidden = place.childElementCount === 0; } });
}

// answer shows how often each device would have rung, and what each mail would have done there.
function answer({ since, mails, devices }) {
	if (mails.length === 0) {
		return [el("p", {}, texts.triedNone)];
	}
	const names = new Map(devices.map(({ device, name }) => [device, name]));
	const list = el("ul", { class: "plain tried" }, mails.map((mail) => line(mail, names)));
	const none = el("p", { hidden: true }, texts.triedNoChange);
	const filter = tick("checkbox", "changes", "yes", texts.triedOnlyChanges, false, "", { onchange: ({ target }) => {
		list.classList.toggle("changes", target.checked);
		none.hidden = !target.checked || list.querySelector(".changed") !== null;
	} });
	return [
		el("ul", { class: "plain" }, devices.map(({ name, before, after }) => el("li", { class: "state good" }, texts.triedOn(name, texts.tried(before, after))))),
		el("p", { class: "soft" }, texts.triedSince(clock(since), mails.length)),
		filter, none, list,
	];
}

function line({ at, folder, from, subject, devices = [], ...mail }, names) {
	const told = devices.map(({ device, before, after }) => [names.get(device), verdict(before), verdict(after)]);
	const changed = told.some(([, before, after]) => before !== after);
	return el("li", { class: changed ? "changed" : "" },
		el("div", { class: "row" }, el("strong", {}, from || texts.newMail), el("span", { class: "soft" }, clock(at))),
		subject && el("div", {}, subject), folder !== "INBOX" && el("div", { class: "soft" }, folder),
		mail.code && el("div", { class: "soft" }, texts.stateReason(reason(mail, mail.text))),
		el("ul", { class: "plain soft" }, told.map(([name, before, after]) => el("li", {}, before === after ? texts.triedOne(name, after) : texts.triedChanged(name, after, before)))));
}

// verdict says what a mail would have done on a device, and why.
function verdict(decision) {
	const until = decision.until && clock(decision.until);
	if (decision.summed) {
		return because(texts.trySummed, { waited: decision.waited });
	}
	return decision.verdict === "held" && decision.code === "quiet_hours" ? texts.tryQuiet(until) : because(texts.tryVerdicts[decision.verdict](until), decision);
}
