import { all } from "../api.js";
import { button, el, field, form, tell, tick } from "../dom.js";
import { thisDevice } from "../ring.js";
import { sentence } from "../rules.js";
import { changeWishes, wishesOf } from "../wishes.js";
import { mutes } from "./mute.js";

const { texts } = self;

// wishesParts returns the parts of a mailbox's view that each person has of their own, also of a
// mailbox that is shared: rules, people who matter, mutes, name and color.
export async function wishesParts(account, wishes, part) {
	const [devices, here] = await Promise.all([all("/devices"), thisDevice()]);
	const rules = wishes.rules ?? [];
	const ofMailbox = mutes(account.id, wishes.mutes ?? [], devices, here, { mailbox: {} });
	return [
		part(texts.rulesOf(rules.length), false, rules.length > 0 ? el("ol", {}, rules.map((rule) => el("li", {}, sentence(rule)))) : el("p", {}, texts.rulesNone),
			el("div", { class: "buttons" }, el("a", { class: "button", href: `#/rules/${encodeURIComponent(account.id)}` }, texts.rulesChange))),
		people(account.id, wishes.people ?? [], part),
		Object.assign(part(texts.muted((wishes.mutes ?? []).length), false, ofMailbox.none, ofMailbox.list, ofMailbox.form), { id: "mutes" }),
		look(account, wishes, part),
	];
}

// addPerson makes somebody one of the people who matter: an address, or a domain with @.
export async function addPerson(account, who) {
	await changeWishes(wishesOf(account), ({ people = [] }) => ({ people: [...people.filter((other) => other !== who), who] }));
	tell(texts.peopleAdded(who));
}

function people(account, known, part) {
	const list = el("ul", { class: "plain" });
	const add = (who) => {
		const line = el("li", { class: "row", "data-who": who }, who, button(texts.remove, async () => {
			await changeWishes(wishesOf(account), ({ people = [] }) => ({ people: people.filter((other) => other !== who) }));
			tell(texts.saved);
			line.remove();
		}, { "aria-label": texts.ruleAbout(texts.remove, who) }));
		list.append(line);
	};
	known.forEach(add);
	return Object.assign(part(texts.peopleCount(known.length), false, el("p", { class: "hint" }, texts.peopleText), list, form(texts.peopleAddButton, async (values, submit) => {
		const who = values.get("people").trim().toLowerCase();
		await addPerson(account, who);
		if (![...list.children].some((line) => line.dataset.who === who)) {
			add(who);
		}
		submit.form.reset();
	}, field("people", texts.peopleAdd, { autocomplete: "off", inputmode: "email", maxlength: 200 }))), { id: "people" });
}

// look asks for the name, the color and the sound of a mailbox.
function look({ id, email }, wishes, part) {
	const color = field("color", texts.color, { type: "color", value: wishes.color || "#2450bd" });
	color.hidden = !wishes.color;
	const sounds = { ...texts.lookSounds, ...wishes.sound && wishes.sound !== "none" ? { [wishes.sound]: wishes.sound } : {} };
	const f = form(texts.save, async (values) => {
		await changeWishes(wishesOf(id), () => ({ name: values.get("name").trim(), color: values.has("colored") ? values.get("color") : "", sound: values.get("sound") }));
		tell(texts.saved);
	}, field("name", texts.lookName, { value: wishes.name ?? "", maxlength: 100, placeholder: email }, texts.lookNameHint),
	tick("checkbox", "colored", "yes", texts.lookColor, Boolean(wishes.color)), color,
	field("sound", texts.lookSound, { options: Object.entries(sounds), value: wishes.sound ?? "" }));
	f.addEventListener("change", () => { color.hidden = !new FormData(f).has("colored"); });
	return part(texts.look, false, f);
}
