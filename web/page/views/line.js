import { el, field, form, tell } from "../dom.js";
import { changeWishes, wishesOfDevice } from "../wishes.js";

const { texts } = self;

// lineOfProof returns the part of a device's view that asks whether it shows now and then that all
// works.
export function lineOfProof(device, { proof }) {
	const zone = proof?.zone ?? Intl.DateTimeFormat().resolvedOptions().timeZone;
	const at = field("at", texts.lineAt, { type: "time", value: proof?.at ?? "08:00", required: true });
	const f = form(texts.save, async (values) => {
		const every = values.get("every");
		await changeWishes(wishesOfDevice(device.id), () => ({ proof: every === "never" ? undefined : { every, at: values.get("at"), zone } }));
		tell(texts.saved);
	}, el("h2", {}, texts.lineTitle), el("p", { class: "hint" }, texts.lineText),
	field("every", texts.lineEvery, { options: Object.entries(texts.lines), value: proof?.every ?? "never" }), at);
	const show = () => { at.hidden = new FormData(f).get("every") === "never"; };
	f.addEventListener("change", show);
	show();
	return el("section", { class: "card", id: "line" }, f);
}
