import { all } from "../api.js";
import { button, el } from "../dom.js";
import { thisDevice } from "../ring.js";
import { go } from "../session.js";
import { addMailbox } from "./add.js";
import { anotherPhone, warning } from "./invitation.js";
import { ringHere } from "./ringhere.js";

const { texts } = self;

// welcome shows the next missing step: a mailbox, then a device that rings. later holds the steps
// that the user skipped.
export async function welcome(...later) {
	const mailboxes = await all("/accounts");
	const at = (step, title, ...node) => ({ title, node: [el("p", {}, texts.step(step, 3)), el("progress", { value: step, max: 3, "aria-label": texts.step(step, 3) }), ...node] });
	if (mailboxes.length === 0 && !later.includes("mailbox")) {
		return at(2, texts.firstMailboxTitle, el("p", {}, texts.firstMailboxText), addMailbox(() => go("welcome/mailbox"), undefined, "welcome/mailbox"), skip(() => go(["welcome", "mailbox", ...later].join("/"))));
	}
	if (!await thisDevice() && !later.includes("ring")) {
		const done = () => go(["welcome", "rang", "ring", "mailbox"].join("/"));
		return at(3, texts.firstRingTitle, el("div", { class: "card" }, await ringHere(done)), skip(() => go(["welcome", "ring", ...later].join("/"))));
	}
	const rings = await thisDevice();
	return { title: texts.doneTitle, node: [
		el("p", {}, rings ? texts.doneText : texts.doneWithout),
		!rings && location.protocol !== "https:" && warning("this_machine"),
		!rings && anotherPhone(),
		later.includes("rang") && el("p", { class: "card" }, texts.didItRing, " ", el("a", { href: `#/device/${rings?.id}` }, texts.test)),
		el("div", { class: "buttons" }, el("a", { class: "button primary", href: "#/" }, texts.toMailboxes))].filter(Boolean) };
}

function skip(act) {
	return el("div", { class: "buttons" }, button(texts.later, act));
}
