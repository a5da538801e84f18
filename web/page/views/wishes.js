import { all } from "../api.js";
import { button, el, field, form, part, tell, tick } from "../dom.js";
import { thisDevice } from "../ring.js";
import { sentence } from "../rules.js";
import { changeWishes, wishesOf } from "../wishes.js";
import { mutes } from "./mute.js";

const { texts } = self;

// wishesParts returns the parts of a mailbox's view that each person has of their own, also of a
// mailbox that is shared: rules, people who matter, mutes, name and color.
export async function wishesParts(account, wishes) {
	const [devices, here] = await Promise.all([all("/devices"), thisDevice()]);
	const rules = wishes.rules ?? [];
	const ofMailbox = mutes(account.id, wishes.mutes ?? [], devices, here, { mailbox: {} });
	return [
		part(texts.rulesOf(rules.length), {}, rules.length > 0 ? el("ol", {}, rules.map((rule) => el("li", {}, sentence(rule)))) : el("p", {}, texts.rulesNone),
			el("div", { class: "buttons" }, el("a", { class: "button", href: `#/rules/${encodeURIComponent(account.id)}` }, texts.rulesChange))),
		people(account.id, wishes.people ?? []),
		part(texts.muted((wishes.mutes ?? []).length), { id: "mutes" }, ofMailbox.none, ofMailbox.list, ofMailbox.form),
		look(account, wishes),
	];
}

// addPerson makes somebody one of the people who matter: an address, or a domain with @. It returns
// all of them.
export async function addPerson(account, who) {
	let before;
	const { people } = await changeWishes(wishesOf(account), (wishes) => {
		before = wishes.people;
		return { people: [...before, who] };
	});
	const added = people.find((one) => !before.includes(one));
	tell(added ? texts.peopleAdded(added) : texts.saved);
	return people;
}

function people(account, known) {
	const list = el("ul", { class: "plain" });
	const show = (all) => list.replaceChildren(...all.map((who) => el("li", { class: "row", "data-who": who }, who, button(texts.remove, async () => {
		show((await changeWishes(wishesOf(account), ({ people: now }) => ({ people: now.filter((other) => other !== who) }))).people);
		tell(texts.saved);
	}, { "aria-label": texts.ruleAbout(texts.remove, who) }))));
	show(known);
	return part(texts.peopleCount(known.length), { id: "people" }, el("p", { class: "hint" }, texts.peopleText), list, form(texts.peopleAddButton, async (values, submit) => {
		show(await addPerson(account, values.get("people").trim()));
		submit.form.reset();
	}, field("people", texts.peopleAdd, { autocomplete: "off", maxlength: 250 })));
}

// look asks for the name, the color and the sound of a mailbox.
function look({ id, email }, wishes) {
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
	return part(texts.look, {}, f);
}
