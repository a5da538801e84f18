import { el, field, form, tell } from "../dom.js";
import { changeWishes, wishesOfDevice } from "../wishes.js";

const { texts } = self;

// heartbeatForm returns the part of a device's view that asks whether, and when, it shows
// heartbeats.
export function heartbeatForm(device, { heartbeat }) {
	const zone = heartbeat?.zone ?? Intl.DateTimeFormat().resolvedOptions().timeZone;
	const at = field("at", texts.heartbeatAt, { type: "time", value: heartbeat?.at ?? "08:00", required: true });
	const f = form(texts.save, async (values) => {
		const every = values.get("every");
		await changeWishes(wishesOfDevice(device.id), () => ({ heartbeat: every === "never" ? undefined : { every, at: values.get("at"), zone } }));
		tell(texts.saved);
	}, el("h2", {}, texts.heartbeatTitle), el("p", { class: "hint" }, texts.heartbeatText),
	field("every", texts.heartbeatEvery, { options: Object.entries(texts.heartbeats), value: heartbeat?.every ?? "never" }), at);
	const show = () => { at.hidden = new FormData(f).get("every") === "never"; };
	f.addEventListener("change", show);
	show();
	return el("section", { class: "card", id: "heartbeat" }, f);
}
